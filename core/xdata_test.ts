import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import {
  bytesKey,
  type DictValue,
  gfidKey,
  intKey,
  ptr,
  requestKey,
  str,
  textKey,
  valueBytes,
  valueText,
  withKey,
  Xdata,
} from "core/xdata.ts";
import * as keys from "core/xdata_keys.ts";

const COUNT = intKey("count"), NAME = textKey("name");
const gfid = "01020304-0506-0708-090a-0b0c0d0e0f10" as Gfid;

Deno.test("core/xdata: with and without make copies, the original stays", () => {
  const one = withKey(undefined, COUNT, 1);
  const two = one.with(NAME, "x").with(COUNT, 2);
  deepStrictEqual([one.get(COUNT), one.get(NAME), one.size], [1, undefined, 1]);
  deepStrictEqual([two.get(COUNT), two.get(NAME), two.size], [2, "x", 2]);
  deepStrictEqual([...two.without(COUNT)!.names()], ["name"]);
  strictEqual(two.without(COUNT, "name"), undefined);
  strictEqual(two.size, 2);
  strictEqual(withKey(two, COUNT, 3).get(NAME), "x");
});

Deno.test("core/xdata: merging puts the other's values over", () => {
  const under = withKey(undefined, COUNT, 1).with(NAME, "under");
  const merged = under.merged(withKey(undefined, COUNT, 2));
  deepStrictEqual([merged.get(COUNT), merged.get(NAME)], [2, "under"]);
  strictEqual(under.merged(undefined), under);
});

Deno.test("core/xdata: a value of another type reads as absent", () => {
  const xdata = Xdata.of([["count", str("many")], ["gfid-req", ptr(new Uint8Array(15))]]);
  deepStrictEqual([xdata.get(COUNT), xdata.has(COUNT)], [undefined, true]);
  strictEqual(xdata.get(keys.GFID_REQ), undefined);
});

Deno.test("core/xdata: integers are read from all forms that peers send", () => {
  const forms: [DictValue, number | undefined][] = [
    [{ type: "int", value: -5 }, -5],
    [{ type: "uint", value: 5 }, 5],
    [str("42"), 42],
    [ptr(new TextEncoder().encode("42\0")), 42],
    [str("-1"), -1],
    [{ type: "uint", value: 2n ** 63n }, undefined],
    [str(""), undefined],
    [str("4x"), undefined],
    [str("9".repeat(16)), undefined],
  ];
  for (const [value, expected] of forms) strictEqual(COUNT.read(value), expected);
});

Deno.test("core/xdata: the bytes of a value are what C would see", () => {
  const text = (value: DictValue) => new TextDecoder().decode(valueBytes(value));
  strictEqual(text(str("ü")), "ü\0");
  strictEqual(text({ type: "int", value: -7 }), "-7\0");
  strictEqual(text({ type: "uint", value: 2n ** 64n - 1n }), "18446744073709551615\0");
  deepStrictEqual(
    valueBytes({ type: "gfuuid", value: gfid }),
    Uint8Array.from({ length: 16 }, (_, i) => i + 1),
  );
  strictEqual(valueBytes({ type: "mdata", value: {} as never }), undefined);
});

Deno.test("core/xdata: the text of bytes ends at the first NUL", () => {
  strictEqual(valueText(ptr(new TextEncoder().encode("ab\0c"))), "ab");
  strictEqual(valueText(ptr(new Uint8Array(0))), "");
  strictEqual(valueText({ type: "int", value: 1 }), undefined);
});

Deno.test("core/xdata: keys of all kinds read what they write", () => {
  const data = Uint8Array.of(1, 2);
  deepStrictEqual(bytesKey("b").read(bytesKey("b").write(data)), data);
  strictEqual(gfidKey("g").read(gfidKey("g").write(gfid)), gfid);
  strictEqual(NAME.read(NAME.write("x")), "x");
  strictEqual(requestKey("r").read({ type: "double", value: 0 }), true);
});

Deno.test("core/xdata_keys: no two keys share a name and a type", () => {
  const seen = new Set<string>();
  for (const [constant, key] of Object.entries(keys)) {
    if (typeof key === "string") continue;
    const kind = key.read === requestKey("").read ? "request" : "";
    const id = `${key.name} ${kind || constant}`;
    strictEqual(seen.has(id), false, id);
    seen.add(id);
  }
});

Deno.test("core/xdata: a gfid is read from 16 plain bytes as well, and from nothing else", () => {
  const read = (value: Uint8Array) => Xdata.of([["gfid-req", ptr(value)]]).get(gfidKey("gfid-req"));
  const bytes = new Uint8Array(16);
  bytes[15] = 1;
  strictEqual(read(bytes), ROOT_GFID);
  strictEqual(read(bytes.subarray(1)), undefined);
  strictEqual(read(new Uint8Array(17)), undefined);
});
