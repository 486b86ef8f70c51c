import assert from "node:assert/strict";
import { EFBIG, EINVAL, ENAMETOOLONG } from "core/errno.ts";
import type { Iatt } from "core/iatt.ts";
import { type Gfid, NULL_GFID } from "core/inode.ts";
import { fromHex, toHex } from "core/lib/bytes.ts";
import {
  IATTX_SIZE,
  putIatt,
  readHyper,
  readIatt,
  readLength,
  readName,
  readOffset,
  readSourceOffset,
  readText,
  writeHyper,
  writeIatt,
  writeText,
} from "rpc/gfx_types.ts";
import { XdrError, XdrReader, XdrWriter } from "rpc/xdr.ts";
import { iattx } from "tests/interop/gfx_declared.ts";

const STAT: Iatt = {
  gfid: "0a44507c-df14-4100-9475-e72f8040bf4a" as Gfid,
  mode: 0o100644,
  nlink: 2,
  uid: 1000,
  gid: 4294967295,
  rdev: 0x100000003,
  dev: 0xfe00,
  size: 2 ** 52 + 1,
  blksize: 4096,
  blocks: 2 ** 43,
  atime: -5,
  atimeNsec: 999_999_999,
  mtime: 2 ** 33 + 7,
  mtimeNsec: 1,
  ctime: -(2 ** 40),
  ctimeNsec: 0,
};

function written(write: (to: XdrWriter) => void): Uint8Array<ArrayBuffer> {
  const to = new XdrWriter(1);
  write(to);
  return to.written;
}

Deno.test("rpc/gfx_types: attributes come back as they were, times before 1970 among them", () => {
  const bytes = written((to) => writeIatt(to, STAT));
  assert.equal(bytes.length, IATTX_SIZE);
  assert.deepEqual(readIatt(new XdrReader(bytes)), STAT);
  // As the .x file declares the fields.
  const declared = iattx.read(new XdrReader(bytes));
  assert.equal(declared.ino, 0x9475e72f8040bf4an);
  assert.equal(declared.flags, 0x17ffn);
  assert.equal(declared.size, 2n ** 52n + 1n);
  assert.equal(declared.atime, -5n);
  assert.equal(declared.ctime, -(2n ** 40n));
  assert.equal(declared.btime, 0n);
  assert.equal(declared.gid, 4294967295);
});

Deno.test("rpc/gfx_types: attributes overwrite whatever the buffer held", () => {
  const to = new XdrWriter(512);
  to.reserve(400);
  to.bytes.fill(0xff);
  to.at = 3;
  const at = to.reserve(IATTX_SIZE);
  putIatt(to, at, STAT, 0x17ff);
  assert.deepEqual(to.bytes.slice(at, at + IATTX_SIZE), written((to) => writeIatt(to, STAT)));
  to.at = 3;
  writeIatt(to, undefined);
  assert.ok(to.bytes.subarray(3, to.at).every((byte) => byte === 0));
});

Deno.test("rpc/gfx_types: attributes without a gfid are none, a size beyond 2^53 is refused", () => {
  const none = written((to) => writeIatt(to, { ...STAT, gfid: NULL_GFID }));
  assert.equal(readIatt(new XdrReader(none)), undefined);
  const huge = written((to) => writeIatt(to, STAT));
  huge[48] = 1;
  assert.throws(() => readIatt(new XdrReader(huge)), XdrError);
});

Deno.test("rpc/gfx_types: a hyper is read as it was written, over the whole range of numbers", () => {
  const values = [0, 1, -1, -2, 2 ** 32 - 1, 2 ** 32, -(2 ** 32), -(2 ** 32) - 1, 2 ** 53 - 1];
  for (const value of [...values, -(2 ** 53) + 1]) {
    const bytes = written((to) => writeHyper(to, value));
    assert.equal(new XdrReader(bytes).i64(), BigInt(value));
    assert.equal(readHyper(new XdrReader(bytes)), value);
  }
});

Deno.test("rpc/gfx_types: an offset no file has fails by its number, to read at it is the end", () => {
  const at = (hex: string) => new XdrReader(fromHex(hex));
  assert.equal(readOffset(at("001fffffffffffff")), 2 ** 53 - 1);
  assert.throws(() => readOffset(at("0020000000000000")), EFBIG);
  assert.throws(() => readOffset(at("7fffffffffffffff")), EFBIG);
  assert.throws(() => readOffset(at("8000000000000000")), EINVAL);
  assert.throws(() => readLength(at("001fffffffffffff"), 1), EFBIG);
  assert.equal(readLength(at("0000000000000010"), 1), 16);
  assert.equal(readSourceOffset(at("0000010000000003")), 2 ** 40 + 3);
  const end = readSourceOffset(at("7fffffffffffffff"));
  assert.ok(end + 2 ** 29 < 2 ** 53 && end % 2 ** 20 === 0);
  assert.equal(readSourceOffset(at("001fffffffffffff")), end);
  assert.throws(() => readSourceOffset(at("ffffffffffffffff")), EINVAL);
});

Deno.test("rpc/gfx_types: text comes back as it was, whatever its bytes", () => {
  for (const text of ["", "a", "abcd", "größe", "\udcff\udc80", "日本語", "x".repeat(4096)]) {
    const to = new XdrWriter(1);
    writeText(to, text);
    to.u32(7);
    const from = new XdrReader(to.written);
    assert.equal(readText(from), text);
    assert.equal(from.u32(), 7);
  }
  assert.equal(toHex(written((to) => writeText(to, "ab", 1))), "0000000361620000");
  assert.equal(toHex(written((to) => writeText(to, "é", 1))), "00000003c3a90000");
});

Deno.test("rpc/gfx_types: padding is zero even where the buffer held something", () => {
  const to = new XdrWriter(64);
  to.bytes.fill(0xff);
  writeText(to, "a");
  writeText(to, "é");
  assert.equal(toHex(to.written), "000000016100000000000002c3a90000");
});

Deno.test("rpc/gfx_types: text over PATH_MAX fails with ENAMETOOLONG, over its record is refused", () => {
  const long = written((to) => writeText(to, "x".repeat(4097)));
  assert.throws(() => readText(new XdrReader(long)), ENAMETOOLONG);
  assert.throws(() => readText(new XdrReader(long.subarray(0, 4000))), XdrError);
});

Deno.test("rpc/gfx_types: what is no name fails with the number GlusterFS's brick gives", () => {
  const read = (name: string) =>
    readName(new XdrReader(written((to) => writeText(to, name))), ENAMETOOLONG);
  for (const name of ["", ".", ".."]) assert.throws(() => read(name), ENAMETOOLONG);
  assert.throws(() => read("a/b"), { code: "EPERM" });
  assert.throws(() => read("a\0b"), EINVAL);
  for (const name of ["...", ".a", "x".repeat(300)]) assert.equal(read(name), name);
});
