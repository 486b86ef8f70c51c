/**
 * The parts that requests and replies of program 1298437 version 400 are made of: attributes,
 * gfids, names, byte offsets, locks (glusterfs4-xdr.x). Every fop reads and writes attributes, so
 * these go straight to the bytes: no closures, no BigInt where 53 bits do.
 */

import {
  EBADF,
  EFBIG,
  EINVAL,
  EIO,
  ENAMETOOLONG,
  EPERM,
  type FopError,
  fopError,
} from "core/errno.ts";
import type { Iatt } from "core/iatt.ts";
import { type Gfid, gfidFromBytes, gfidToBytes, NULL_GFID } from "core/inode.ts";
import { decodeName, encodeName } from "core/lib/bytes.ts";
import { XdrError, type XdrReader, type XdrWriter } from "rpc/xdr.ts";

/** Bytes of attributes on the wire (`struct gfx_iattx`). */
export const IATTX_SIZE = 148;

/**
 * Longest text read, in bytes: Linux's PATH_MAX. Names over NAME_MAX pass, storage refuses them;
 * longer than this fails with ENAMETOOLONG without being decoded.
 */
export const TEXT_MAX = 4096;

const TWO_32 = 4294967296;
// Which fields of attributes count: all but the time of birth, as GlusterFS's storage says.
const IATT_FLAGS = 0x17ff;

/** Reads 16 bytes of gfid. */
export function readGfid(from: XdrReader): Gfid {
  return gfidFromBytes(from.bytes, from.skip(16));
}

/** Writes 16 bytes of gfid. */
export function writeGfid(to: XdrWriter, gfid: Gfid): void {
  const at = to.reserve(16);
  gfidToBytes(gfid, to.bytes, at);
}

/** Reads attributes; undefined where the gfid is zero: there are none. */
export function readIatt(from: XdrReader): Iatt | undefined {
  const at = from.skip(IATTX_SIZE);
  const gfid = gfidFromBytes(from.bytes, at);
  return gfid === NULL_GFID ? undefined : iattAt(from.view, at, gfid);
}

/** Reads attributes that must be there. */
export function readStat(from: XdrReader): Iatt {
  const stat = readIatt(from);
  if (!stat) throw new XdrError("Cannot read attributes: no gfid");
  return stat;
}

/** Attributes at `at`, whatever their gfid. Sizes of 2^53 and more are refused. */
export function iattAt(view: DataView, at: number, gfid: Gfid): Iatt {
  return {
    gfid,
    mode: view.getUint32(at + 144),
    nlink: view.getUint32(at + 128),
    uid: view.getUint32(at + 132),
    gid: view.getUint32(at + 136),
    rdev: hyperAt(view, at + 40),
    dev: hyperAt(view, at + 32),
    size: hyperAt(view, at + 48),
    blksize: view.getUint32(at + 140),
    blocks: hyperAt(view, at + 56),
    atime: view.getInt32(at + 80) * TWO_32 + view.getUint32(at + 84),
    atimeNsec: view.getUint32(at + 112),
    mtime: view.getInt32(at + 88) * TWO_32 + view.getUint32(at + 92),
    mtimeNsec: view.getUint32(at + 116),
    ctime: view.getInt32(at + 96) * TWO_32 + view.getUint32(at + 100),
    ctimeNsec: view.getUint32(at + 120),
  };
}

function hyperAt(view: DataView, at: number): number {
  const high = view.getUint32(at);
  if (high > 0x1fffff) throw new XdrError("Cannot read attributes: a number of 2^53 or more");
  return high * TWO_32 + view.getUint32(at + 4);
}

/** Writes attributes; zeros for `undefined`. The inode number is the last 8 bytes of the gfid. */
export function writeIatt(to: XdrWriter, stat: Iatt | undefined): void {
  const at = to.reserve(IATTX_SIZE);
  if (stat) putIatt(to, at, stat, IATT_FLAGS);
  else to.bytes.fill(0, at, at + IATTX_SIZE);
}

/** Writes attributes into the `IATTX_SIZE` bytes reserved at `at`; `flags` says which count. */
export function putIatt(to: XdrWriter, at: number, stat: Iatt, flags: number): void {
  const { bytes, view } = to;
  gfidToBytes(stat.gfid, bytes, at);
  view.setUint32(at + 16, 0);
  view.setUint32(at + 20, flags);
  bytes.copyWithin(at + 24, at + 8, at + 16);
  setHyper(view, at + 32, stat.dev);
  setHyper(view, at + 40, stat.rdev);
  setHyper(view, at + 48, stat.size);
  setHyper(view, at + 56, stat.blocks);
  view.setFloat64(at + 64, 0);
  view.setFloat64(at + 72, 0);
  setHyper(view, at + 80, stat.atime);
  setHyper(view, at + 88, stat.mtime);
  setHyper(view, at + 96, stat.ctime);
  view.setFloat64(at + 104, 0);
  view.setUint32(at + 112, stat.atimeNsec);
  view.setUint32(at + 116, stat.mtimeNsec);
  view.setUint32(at + 120, stat.ctimeNsec);
  view.setUint32(at + 124, 0);
  view.setUint32(at + 128, stat.nlink);
  view.setUint32(at + 132, stat.uid);
  view.setUint32(at + 136, stat.gid);
  view.setUint32(at + 140, stat.blksize);
  view.setUint32(at + 144, stat.mode);
}

/** Puts a whole number, negative ones too, as a hyper. */
function setHyper(view: DataView, at: number, value: number): void {
  if (value >= 0 && value < TWO_32) {
    view.setUint32(at, 0);
    view.setUint32(at + 4, value);
  } else {
    view.setInt32(at, Math.floor(value / TWO_32));
    view.setUint32(at + 4, value % TWO_32);
  }
}

/** Writes a whole number, negative ones too, as a hyper. */
export function writeHyper(to: XdrWriter, value: number): void {
  const at = to.reserve(8);
  setHyper(to.view, at, value);
}

/** Reads a hyper as a number, rounded beyond 2^53: for numbers that are only looked up or shown. */
export function readHyper(from: XdrReader): number {
  const at = from.skip(8);
  return from.view.getInt32(at) * TWO_32 + from.view.getUint32(at + 4);
}

/** Reads a byte offset or size that a change needs: a negative one fails with EINVAL, 2^53 and more with EFBIG. */
export function readOffset(from: XdrReader): number {
  const at = from.skip(8);
  const high = from.view.getInt32(at);
  if (high < 0) throw EINVAL;
  if (high > 0x1fffff) throw EFBIG;
  return high * TWO_32 + from.view.getUint32(at + 4);
}

// No file reaches this far (changes beyond fail with EFBIG), so reading there is reading past the
// end. A multiple of every block size, for O_DIRECT.
const BEYOND_ALL = 2 ** 53 - 2 ** 30;

/** Reads a byte offset to read at: a negative one fails with EINVAL, a huge one is past the end of any file. */
export function readSourceOffset(from: XdrReader): number {
  const at = from.skip(8);
  const high = from.view.getInt32(at);
  if (high < 0) throw EINVAL;
  if (high > 0x1fffff) return BEYOND_ALL;
  return Math.min(BEYOND_ALL, high * TWO_32 + from.view.getUint32(at + 4));
}

/** Reads a length, fails with EINVAL if negative, with EFBIG if `offset + length` is 2^53 or more. */
export function readLength(from: XdrReader, offset: number): number {
  const size = readOffset(from);
  if (offset + size > Number.MAX_SAFE_INTEGER) throw EFBIG;
  return size;
}

/** Reads text of at most `TEXT_MAX` bytes, fails with ENAMETOOLONG if longer. */
export function readText(from: XdrReader): string {
  const size = from.u32();
  if (size > TEXT_MAX) {
    from.fixed(size);
    throw ENAMETOOLONG;
  }
  return decodeName(from.fixed(size));
}

/**
 * Reads the name of a directory entry. What no entry can be called fails as at GlusterFS's brick:
 * `/` with EPERM; nothing, `.` and `..` with `unfit`, EEXIST for a fop that makes a name, ENOENT
 * for one that takes it away. NUL, which cannot get there, fails with EINVAL.
 */
export function readName(from: XdrReader, unfit: FopError): string {
  const name = readText(from);
  checkName(name, unfit);
  return name;
}

/** What `readName` checks. */
export function checkName(name: string, unfit: FopError): void {
  if (name === "" || name === "." || name === "..") throw unfit;
  if (name.includes("/")) throw EPERM;
  if (name.includes("\0")) throw EINVAL;
}

/** Reads text that goes on to a system call: NUL fails with EINVAL. */
export function readPlainText(from: XdrReader): string {
  const text = readText(from);
  if (text.includes("\0")) throw EINVAL;
  return text;
}

/** Writes text with its count; `more` bytes of NUL are counted in. ASCII costs no buffer. */
export function writeText(to: XdrWriter, text: string, more = 0): void {
  const size = text.length;
  const start = to.at;
  const at = to.reserve(4 + size + more + (-(size + more) & 3));
  const bytes = to.bytes;
  for (let i = 0; i < size; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x80) {
      to.at = start;
      return writeEncoded(to, text, more);
    }
    bytes[at + 4 + i] = code;
  }
  to.view.setUint32(at, size + more);
  bytes.fill(0, at + 4 + size, to.at);
}

function writeEncoded(to: XdrWriter, text: string, more: number): void {
  const encoded = encodeName(text);
  const size = encoded.length + more;
  to.u32(size);
  const at = to.reserve(size + (-size & 3));
  to.bytes.set(encoded, at);
  to.bytes.fill(0, at + encoded.length, to.at);
}

/** The failure a reply carries: its number if it is one, EIO if it is nonsense. */
export function failureOf(number: number): FopError {
  return number > 0 && number < 4096 ? fopError(number) : EIO;
}

/** Reads the number of an open file: anything that no table can hold fails with EBADF. */
export function readFdNumber(from: XdrReader): number {
  const number = readHyper(from);
  if (!Number.isSafeInteger(number)) throw EBADF;
  return number;
}
