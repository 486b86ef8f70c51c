import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { fromHex, toHex } from "core/lib/bytes.ts";
import { intKey, str, textKey, Xdata } from "core/xdata.ts";
import { legacyDict, packLegacyDict, parseLegacyDict } from "rpc/legacy_dict.ts";
import { XdrError, XdrReader, XdrWriter } from "rpc/xdr.ts";

Deno.test("rpc/legacy_dict: text and numbers are written as GlusterFS does", () => {
  const dict = Xdata.of([
    ["ERROR", str("Success")],
    ["n", { type: "int", value: -7 }],
    ["raw", { type: "ptr", value: Uint8Array.of(1, 2) }],
  ]);
  equal(
    toHex(packLegacyDict(dict)),
    "00000003" + "0000000500000008" + "4552524f5200" + "5375636365737300" +
      "0000000100000003" + "6e00" + "2d3700" + "0000000300000002" + "72617700" + "0102",
  );
});

Deno.test("rpc/legacy_dict: values read as text and numbers", () => {
  const dict = parseLegacyDict(packLegacyDict(Xdata.of([
    ["name", str("v")],
    ["count", { type: "int", value: 12 }],
  ])))!;
  equal(dict.get(textKey("name")), "v");
  equal(dict.get(intKey("count")), 12);
});

Deno.test("rpc/legacy_dict: an absent one is an empty opaque, and the other way round", () => {
  const codec = legacyDict(), to = new XdrWriter();
  codec.write(to, undefined);
  equal(toHex(to.written), "00000000");
  equal(codec.read(new XdrReader(to.written)), undefined);
});

Deno.test("rpc/legacy_dict: values stay when the record is gone", () => {
  const bytes = packLegacyDict(Xdata.of([["k", str("value")]]));
  const dict = parseLegacyDict(bytes)!;
  bytes.fill(0xff);
  equal(dict.get(textKey("k")), "value");
});

Deno.test("rpc/legacy_dict: counts and sizes that lie are refused", () => {
  for (
    const hex of [
      "00",
      "ffffffff",
      "7fffffff00000000",
      "00000001",
      "0000000100000001",
      "0000000100000001fffffff06100",
      "00000001fffffff000000001610062",
      "000000010000000100000001" + "616263",
    ]
  ) {
    throws(() => parseLegacyDict(fromHex(hex)), XdrError, hex);
  }
  deepEqual([...parseLegacyDict(fromHex("000000010000000100000000" + "6100"))!.names()], ["a"]);
});
