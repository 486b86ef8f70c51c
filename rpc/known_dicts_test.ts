import {
  deepStrictEqual as deepEqual,
  notStrictEqual,
  strictEqual as equal,
} from "node:assert/strict";
import { ptr, str, Xdata } from "core/xdata.ts";
import { readDict, writeDict } from "rpc/gfx_dict.ts";
import { XdrReader, XdrWriter } from "rpc/xdr.ts";

function pack(dict: Xdata): Uint8Array<ArrayBuffer> {
  const to = new XdrWriter(1);
  writeDict(to, dict);
  return to.written.slice();
}

function dict(mark: string, more: readonly [string, string][] = []): Xdata {
  return Xdata.of([
    [`${mark}.one`, str("1")],
    [`${mark}.bytes`, ptr(Uint8Array.of(1, 2, 3))],
    [`${mark}.three`, str("3")],
    ...more.map(([name, text]) => [name, str(text)] as const),
  ]);
}

Deno.test("rpc/known_dicts: bytes that came twice are read once, and do not lie in the record", () => {
  const bytes = pack(dict("came"));
  const [first, second, third, fourth] = [1, 2, 3, 4].map(() => {
    const record = new XdrReader(bytes.slice());
    const found = readDict(record)!;
    equal(record.left, 0);
    record.bytes.fill(0xff);
    return found;
  });
  notStrictEqual(first, second);
  equal(third, fourth);
  deepEqual([...third!], [...dict("came")]);
});

Deno.test("rpc/known_dicts: one other byte is another dictionary", () => {
  const [one, two] = [pack(dict("byte", [["x", "a"]])), pack(dict("byte", [["x", "b"]]))];
  for (let i = 0; i < 4; i++) {
    deepEqual([...readDict(new XdrReader(one.slice()))!], [...dict("byte", [["x", "a"]])]);
    deepEqual([...readDict(new XdrReader(two.slice()))!], [...dict("byte", [["x", "b"]])]);
  }
});

Deno.test("rpc/known_dicts: bytes of the same hash are told apart", () => {
  // Each word counts 31 times what the next one does.
  const value = (a: number, b: number) => ptr(Uint8Array.of(0, 0, 0, a, 0, 0, 0, b));
  const of = (a: number, b: number) => dict("hash").merged(Xdata.of([["two", value(a, b)]]));
  for (let i = 0; i < 4; i++) {
    for (const each of [of(1, 31), of(2, 0)]) {
      deepEqual([...readDict(new XdrReader(pack(each)))!], [...each]);
    }
  }
});

Deno.test("rpc/known_dicts: what was sent often is sent as the same bytes, into any writer", () => {
  const often = dict("sent"), bytes = pack(often);
  for (let i = 0; i < 8; i++) {
    deepEqual(pack(often), bytes);
    const to = new XdrWriter(8);
    to.u32(7);
    writeDict(to, often);
    to.u32(9);
    deepEqual([...to.written.subarray(4, -4)], [...bytes]);
    equal(to.at, bytes.length + 8);
  }
});

Deno.test("rpc/known_dicts: a size that is not the pairs' changes nothing", () => {
  const bytes = pack(dict("lies"));
  new DataView(bytes.buffer).setUint32(0, 8);
  for (let i = 0; i < 4; i++) {
    const record = new XdrReader(bytes.slice());
    deepEqual([...readDict(record)!], [...dict("lies")]);
    equal(record.left, 0);
  }
});
