import assert from "node:assert/strict";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { toHex } from "core/lib/bytes.ts";
import { type DictValue, ptr, str, Xdata } from "core/xdata.ts";
import {
  DICT_BYTES_MAX,
  KEY_MAX,
  PAIRS_MAX,
  readDict,
  writeDict,
  writeSubject,
} from "rpc/gfx_dict.ts";
import { XdrError, XdrReader, XdrWriter } from "rpc/xdr.ts";

function pack(dict: Xdata | undefined): Uint8Array<ArrayBuffer> {
  const to = new XdrWriter(1);
  writeDict(to, dict);
  return to.written;
}

const STAT = {
  gfid: ROOT_GFID,
  mode: 0o40755,
  nlink: 2,
  uid: 0,
  gid: 0,
  rdev: 0,
  dev: 1,
  size: 4096,
  blksize: 4096,
  blocks: 8,
  atime: 1,
  atimeNsec: 2,
  mtime: 3,
  mtimeNsec: 4,
  ctime: 5,
  ctimeNsec: 6,
};

const VALUES: readonly [string, DictValue, string][] = [
  ["int", { type: "int", value: -1 }, "00000002ffffffffffffffff"],
  ["int", { type: "int", value: -(2n ** 63n) }, "000000028000000000000000"],
  ["uint", { type: "uint", value: 2 ** 53 - 1 }, "00000003001fffffffffffff"],
  ["uint", { type: "uint", value: 2n ** 64n - 1n }, "00000003ffffffffffffffff"],
  ["double", { type: "double", value: 1.5 }, "000000043ff8000000000000"],
  ["str", str("ab"), "000000050000000361620000"],
  ["str", str(""), "000000050000000100000000"],
  ["ptr", ptr(Uint8Array.of(1, 0, 2)), "000000060000000301000200"],
  ["ptr", ptr(new Uint8Array(0)), "0000000600000000"],
  ["gfuuid", { type: "gfuuid", value: ROOT_GFID }, "00000007" + "00".repeat(15) + "01"],
  [
    "mdata",
    {
      type: "mdata",
      value: {
        atime: { sec: -1, nsec: 1 },
        mtime: { sec: 2, nsec: 3 },
        ctime: { sec: 4, nsec: 5 },
      },
    },
    "00000009ffffffffffffffff00000000000000020000000000000004000000010000000300000005",
  ],
];

Deno.test("rpc/gfx_dict: a value of every type travels as GlusterFS's type numbers say", () => {
  for (const [name, value, hex] of VALUES) {
    const bytes = pack(Xdata.of([["k", value]]));
    assert.equal(toHex(bytes.subarray(12)), "000000026b000000" + hex, name);
    assert.deepEqual(readDict(new XdrReader(bytes))?.raw("k"), value, name);
  }
  const stat: DictValue = { type: "iatt", value: STAT };
  assert.deepEqual(readDict(new XdrReader(pack(Xdata.of([["k", stat]]))))?.raw("k"), stat);
});

Deno.test("rpc/gfx_dict: its size is exact, its count is there twice", () => {
  const dict = Xdata.of(VALUES.map(([name, value], i) => [`${name}${i}`, value]));
  const bytes = pack(dict);
  const view = new DataView(bytes.buffer);
  assert.equal(view.getUint32(0), bytes.length - 12);
  assert.equal(view.getUint32(4), VALUES.length);
  assert.equal(view.getUint32(8), VALUES.length);
  assert.deepEqual([...readDict(new XdrReader(bytes))!], [...dict]);
});

Deno.test("rpc/gfx_dict: none and empty are both undefined, only a fop's subject is written empty", () => {
  assert.equal(toHex(pack(undefined)), "00000000ffffffff00000000");
  assert.equal(toHex(pack(Xdata.of([]))), "00000000ffffffff00000000");
  const to = new XdrWriter();
  to.bytes.fill(0xff);
  writeSubject(to, undefined);
  assert.equal(toHex(to.written), "000000000000000000000000");
  for (const bytes of [pack(undefined), to.written]) {
    assert.equal(readDict(new XdrReader(bytes)), undefined);
  }
});

function raw(write: (to: XdrWriter) => void, pairs = 1, count = pairs): XdrReader {
  const to = new XdrWriter();
  for (const word of [0, count, pairs]) to.i32(word);
  write(to);
  return new XdrReader(to.written);
}

const key = (to: XdrWriter, bytes: string) => to.string(bytes);

Deno.test("rpc/gfx_dict: text is read with its NUL and without, an old string as bytes", () => {
  const typed = (type: number) =>
    raw((to) => {
      key(to, "k\0");
      to.u32(type);
      to.string("text");
    });
  assert.deepEqual(readDict(typed(5))?.raw("k"), str("text"));
  assert.equal(readDict(typed(1))?.raw("k")?.type, "ptr");
});

Deno.test("rpc/gfx_dict: bytes are a view into the record", () => {
  const bytes = pack(Xdata.of([["k", ptr(Uint8Array.of(7))]]));
  const value = readDict(new XdrReader(bytes))!.raw("k")!;
  assert.equal((value.value as Uint8Array).buffer, bytes.buffer);
});

Deno.test("rpc/gfx_dict: counts, keys, types and sizes that cannot be are refused", () => {
  const refused = (write: (to: XdrWriter) => void, pairs?: number, count?: number) =>
    assert.throws(() => readDict(raw(write, pairs, count)), XdrError);
  refused(() => {}, PAIRS_MAX + 1);
  refused(() => {}, 1, -1);
  refused(() => {}, -1);
  const named = (bytes: string) => (to: XdrWriter) => {
    key(to, bytes);
    to.u32(2);
    to.u64(0n);
  };
  refused(named(""));
  refused(named("no NUL"));
  refused(named("two\0NULs\0"));
  refused(named("x".repeat(KEY_MAX + 1) + "\0"));
  assert.equal(readDict(raw(named("x".repeat(KEY_MAX) + "\0")))?.size, 1);
  for (const type of [0, 10, 0xffffffff]) {
    refused((to) => {
      key(to, "k\0");
      to.u32(type);
      to.reserve(200);
    });
  }
  refused((to) => {
    key(to, "k\0");
    to.u32(6);
    to.u32(DICT_BYTES_MAX + 1);
    to.reserve(DICT_BYTES_MAX + 4);
  });
  refused((to) => {
    for (const name of ["k\0", "l\0"]) {
      key(to, name);
      to.u32(6);
      to.opaque(new Uint8Array(DICT_BYTES_MAX - 100));
    }
  }, 2);
  for (const [type, size] of [[7, 12], [8, 144], [9, 32], [2, 4]] as const) {
    refused((to) => {
      key(to, "k\0");
      to.u32(type);
      to.reserve(size);
    });
  }
});

Deno.test("rpc/gfx_dict: keys that fall into one place of the memory of keys stay apart", () => {
  // 31 * "a" + "b" is 31 * "b" + "C": one place.
  const names = ["abaa", "bCaa", "abaa"];
  for (const name of [...names, ...names]) {
    const dict = readDict(new XdrReader(pack(Xdata.of([[name, str("")]]))));
    assert.deepEqual([...dict!.names()], [name]);
  }
});

Deno.test("rpc/gfx_dict: a key twice counts once, the last value", () => {
  const dict = readDict(raw((to) => {
    for (const value of [1n, 2n]) {
      key(to, "k\0");
      to.u32(2);
      to.u64(value);
    }
  }, 2));
  assert.deepEqual(dict?.raw("k"), { type: "int", value: 2 });
  assert.equal(dict?.size, 1);
});

Deno.test("rpc/gfx_dict: keys beyond ASCII come back as they were", () => {
  for (const name of ["größe", "\udcff", "k".repeat(200)]) {
    const dict = Xdata.of([[name, { type: "gfuuid", value: ROOT_GFID as Gfid }]]);
    assert.deepEqual([...readDict(new XdrReader(pack(dict)))!], [...dict]);
  }
});
