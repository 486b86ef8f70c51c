/**
 * Dictionaries as fops carry them (glusterfs4-xdr.x `struct gfx_dict`): the size of the pairs, how
 * many there are, twice, then key, type and value of each. No dictionary is a count of -1.
 *
 * Read values of type `ptr` are views into the record, or into what several fops share: borrowed as
 * long as the fop runs and never to be changed, copy to keep.
 */

import { EINVAL } from "core/errno.ts";
import type { Iatt } from "core/iatt.ts";
import { gfidFromBytes, NULL_GFID } from "core/inode.ts";
import { decodeName } from "core/lib/bytes.ts";
import { interned } from "core/lib/interned.ts";
import { type DictValue, type Mdata, Xdata } from "core/xdata.ts";
import {
  iattAt,
  IATTX_SIZE,
  putIatt,
  readHyper,
  writeGfid,
  writeHyper,
  writeText,
} from "rpc/gfx_types.ts";
import { readKnown, writeKnown } from "rpc/known_dicts.ts";
import { XdrError, type XdrReader, type XdrWriter } from "rpc/xdr.ts";

/** Most pairs a dictionary may have. */
export const PAIRS_MAX = 16384;
/** Longest key, in bytes without its NUL. */
export const KEY_MAX = 4096;
/** Most bytes of all pairs of a dictionary. */
export const DICT_BYTES_MAX = 4 << 20;

// `gf_dict_data_type_t`.
const STR_OLD = 1;
const INT = 2;
const UINT = 3;
const DOUBLE = 4;
const STR = 5;
const PTR = 6;
const GFUUID = 7;
const IATT = 8;
const MDATA = 9;

/** Reads a dictionary; undefined if there is none or it is empty. */
export function readDict(from: XdrReader): Xdata | undefined {
  const at = from.skip(12);
  const count = from.view.getInt32(at + 4);
  const pairs = from.view.getUint32(at + 8);
  if (pairs === 0) return undefined;
  if (count < 0) throw new XdrError("Cannot read dictionary: none, but with pairs");
  if (pairs > PAIRS_MAX) {
    throw new XdrError(`Cannot read dictionary: ${pairs} pairs, at most ${PAIRS_MAX} are allowed`);
  }
  return readKnown(from, pairs, from.view.getUint32(at), readPairs);
}

function readPairs(from: XdrReader, pairs: number): Xdata {
  const values = new Map<string, DictValue>();
  const start = from.at;
  for (let i = 0; i < pairs; i++) {
    const key = readKey(from);
    values.set(key, readValue(from));
    if (from.at - start > DICT_BYTES_MAX) {
      throw new XdrError(`Cannot read dictionary: more than ${DICT_BYTES_MAX} bytes`);
    }
  }
  return new Xdata(values);
}

/** Writes a dictionary, "none" for undefined. Throws EINVAL for a key that cannot travel. */
export function writeDict(to: XdrWriter, dict: Xdata | undefined): void {
  if (dict && dict.size) return writeKnown(to, dict, writePairs);
  const at = to.reserve(12);
  to.view.setUint32(at, 0);
  to.view.setInt32(at + 4, -1);
  to.view.setUint32(at + 8, 0);
}

/** Writes a dictionary that is the fop's subject: an empty one for undefined. */
export function writeSubject(to: XdrWriter, dict: Xdata | undefined): void {
  if (dict && dict.size) return writeKnown(to, dict, writePairs);
  const at = to.reserve(12);
  to.bytes.fill(0, at, at + 12);
}

function writePairs(to: XdrWriter, dict: Xdata): void {
  const at = to.reserve(12);
  for (const [key, value] of dict) {
    // The other end would take it for nonsense, and close the connection.
    if (key.length > KEY_MAX || key.includes("\0")) throw EINVAL;
    writeText(to, key, 1);
    writeValue(to, value);
  }
  to.view.setUint32(at, to.at - at - 12);
  to.view.setUint32(at + 4, dict.size);
  to.view.setUint32(at + 8, dict.size);
}

/** Reads a key: text with its NUL and without another. GlusterFS takes an empty one, too. */
function readKey(from: XdrReader): string {
  const counted = from.u32();
  const size = counted - 1;
  if (size < 0 || size > KEY_MAX) throw new XdrError(`Cannot read key: ${counted} bytes`);
  const at = from.skip(counted + (-counted & 3));
  const bytes = from.bytes;
  if (bytes[at + size] !== 0) throw new XdrError("Cannot read key: no NUL at its end");
  return interned(bytes, at, size, freshKey);
}

function freshKey(bytes: Uint8Array): string {
  if (bytes.includes(0)) throw new XdrError("Cannot read key: NUL inside");
  return decodeName(bytes);
}

function readValue(from: XdrReader): DictValue {
  const type = from.u32();
  switch (type) {
    case STR_OLD:
    case PTR:
      return { type: "ptr", value: from.opaque(DICT_BYTES_MAX) };
    case STR:
      return { type: "str", value: readStr(from) };
    case INT:
      return { type: "int", value: readInteger(from, true) };
    case UINT:
      return { type: "uint", value: readInteger(from, false) };
    case DOUBLE:
      return { type: "double", value: from.view.getFloat64(from.skip(8)) };
    case GFUUID:
      return { type: "gfuuid", value: gfidFromBytes(from.bytes, from.skip(16)) };
    case IATT: {
      const at = from.skip(IATTX_SIZE);
      return { type: "iatt", value: iattAt(from.view, at, gfidFromBytes(from.bytes, at)) };
    }
    case MDATA:
      return { type: "mdata", value: readMdata(from) };
    default:
      throw new XdrError(`Cannot read value: type ${type} is unknown`);
  }
}

/** Text up to its NUL; some senders leave the NUL out. */
function readStr(from: XdrReader): string {
  const bytes = from.opaque(DICT_BYTES_MAX);
  const size = bytes.length;
  return decodeName(size && bytes[size - 1] === 0 ? bytes.subarray(0, size - 1) : bytes);
}

function readInteger(from: XdrReader, signed: boolean): number | bigint {
  const at = from.skip(8);
  const { view } = from;
  const high = signed ? view.getInt32(at) : view.getUint32(at);
  if (high <= 0x1fffff && high > -0x200000) return high * 4294967296 + view.getUint32(at + 4);
  return signed ? view.getBigInt64(at) : view.getBigUint64(at);
}

function readMdata(from: XdrReader): Mdata {
  const atime = readHyper(from), mtime = readHyper(from), ctime = readHyper(from);
  return {
    atime: { sec: atime, nsec: from.u32() },
    mtime: { sec: mtime, nsec: from.u32() },
    ctime: { sec: ctime, nsec: from.u32() },
  };
}

function writeValue(to: XdrWriter, value: DictValue): void {
  switch (value.type) {
    case "ptr":
      to.u32(PTR);
      return to.opaque(value.value);
    case "str":
      to.u32(STR);
      return writeText(to, value.value, 1);
    case "int":
      to.u32(INT);
      return writeInteger(to, value.value);
    case "uint":
      to.u32(UINT);
      return writeInteger(to, value.value);
    case "double":
      to.u32(DOUBLE);
      to.reserve(8);
      return to.view.setFloat64(to.at - 8, value.value);
    case "gfuuid":
      to.u32(GFUUID);
      return writeGfid(to, value.value);
    case "iatt":
      to.u32(IATT);
      return writeIattValue(to, value.value);
    case "mdata":
      to.u32(MDATA);
      return writeMdata(to, value.value);
  }
}

function writeInteger(to: XdrWriter, value: number | bigint): void {
  if (typeof value === "number") writeHyper(to, value);
  else to.i64(BigInt.asIntN(64, value));
}

function writeIattValue(to: XdrWriter, stat: Iatt): void {
  const at = to.reserve(IATTX_SIZE);
  putIatt(to, at, stat, stat.gfid === NULL_GFID ? 0 : 0x17ff);
}

function writeMdata(to: XdrWriter, { atime, mtime, ctime }: Mdata): void {
  writeHyper(to, atime.sec);
  writeHyper(to, mtime.sec);
  writeHyper(to, ctime.sec);
  to.u32(atime.nsec);
  to.u32(mtime.nsec);
  to.u32(ctime.nsec);
}
