/**
 * `xattrop`: arithmetic on attributes, with which replicate and disperse keep their accounts. Reading
 * and writing are two synchronous calls without a wait in between, so no other fop comes between them.
 */

import type { Call } from "core/call.ts";
import { EINVAL, EPERM, ERANGE, fopError } from "core/errno.ts";
import type { FxattropArgs, XattropArgs, XattropKind, XattrReply } from "core/fops.ts";
import { type DictValue, ptr, valueBytes, Xdata } from "core/xdata.ts";
import { placeOfFd } from "xlators/storage/posix/attr.ts";
import type { Brick, Place } from "xlators/storage/posix/brick.ts";
import { fill } from "xlators/storage/posix/fill.ts";
import { GFID_XATTR } from "xlators/storage/posix/handle.ts";
import { GFID2PATH } from "xlators/storage/posix/names.ts";
import { VOLUME_ID_XATTR } from "xlators/storage/posix/open_brick.ts";
import { checkValue } from "xlators/storage/posix/xattr_space.ts";

const ENODATA = -61;

/** `xattrop`. */
export function xattrop(brick: Brick, call: Call, args: XattropArgs): XattrReply {
  return operate(brick, call, brick.place(args.inode.gfid), args);
}

/** `fxattrop`. */
export function fxattrop(brick: Brick, call: Call, args: FxattropArgs): XattrReply {
  return operate(brick, call, placeOfFd(brick, args.fd), args);
}

function operate(
  brick: Brick,
  _call: Call,
  place: Place,
  { op, xattrs, xdata }: { op: XattropKind; xattrs: Xdata | undefined; xdata?: Xdata | undefined },
): XattrReply {
  const wanted: [string, Uint8Array][] = [];
  for (const [name, value] of xattrs ?? []) {
    const bytes = valueBytes(value);
    if (!bytes || !fits(op, bytes.length)) throw EINVAL;
    if (name === GFID_XATTR || name === VOLUME_ID_XATTR || name.startsWith(GFID2PATH)) throw EPERM;
    checkValue(bytes);
    wanted.push([name, bytes]);
  }
  const answers = new Map<string, DictValue>();
  for (const [name, bytes] of wanted) {
    const answer = one(brick, place, op, name, bytes);
    if (answer) answers.set(name, ptr(answer));
  }
  const { gfid, target } = place;
  return {
    xattrs: new Xdata(answers),
    xdata: xdata && fill(brick, xdata, { gfid, target, stat: brick.stat(place) }),
  };
}

function fits(op: XattropKind, size: number): boolean {
  switch (op) {
    case "add32":
      return size % 4 === 0;
    case "add64":
    case "add32-default":
      return size % 8 === 0;
    case "add64-default":
      return size % 16 === 0;
    default:
      return true;
  }
}

// The new value, or the old one for get-and-set; undefined if that had none.
function one(
  brick: Brick,
  place: Place,
  op: XattropKind,
  name: string,
  given: Uint8Array,
): Uint8Array | undefined {
  const size = op.endsWith("-default") ? given.length / 2 : given.length;
  const value = new Uint8Array(size);
  const found = brick.xattrs.read(place.target, name);
  if (found < 0 && found !== ENODATA) throw fopError(found);
  if (found > size) throw ERANGE;
  if (found > 0) value.set(brick.xattrs.bytes.subarray(0, found));
  if (op === "get-and-set") {
    store(brick, place, name, given);
    return found < 0 ? undefined : value;
  }
  // Nothing to add: not worth a write, and the attribute is not to appear by it.
  if (given.every((byte) => byte === 0)) return value;
  combine(op, value, given);
  store(brick, place, name, value);
  return value;
}

function store(brick: Brick, place: Place, name: string, value: Uint8Array): void {
  const result = brick.xattrs.set(place.target, name, value);
  if (result < 0) throw fopError(result);
}

/** Applies `given` to `value` in place; numbers are big endian and wrap around. */
export function combine(op: XattropKind, value: Uint8Array, given: Uint8Array): void {
  const to = new DataView(value.buffer, value.byteOffset, value.length);
  const from = new DataView(given.buffer, given.byteOffset, given.length);
  switch (op) {
    case "add32":
      for (let i = 0; i < value.length; i += 4) to.setInt32(i, to.getInt32(i) + from.getInt32(i));
      return;
    case "add64":
      for (let i = 0; i < value.length; i += 8) {
        to.setBigInt64(i, to.getBigInt64(i) + from.getBigInt64(i));
      }
      return;
    case "or":
      for (let i = 0; i < value.length; i++) value[i]! |= given[i]!;
      return;
    case "and":
      for (let i = 0; i < value.length; i++) value[i]! &= given[i]!;
      return;
    // Pairs of what to add and what to begin with where there was nothing.
    case "add32-default":
      for (let i = 0; i < value.length; i += 4) {
        const old = to.getInt32(i);
        to.setInt32(i, old + from.getInt32(i) + (old === 0 ? from.getInt32(value.length + i) : 0));
      }
      return;
    case "add64-default":
      for (let i = 0; i < value.length; i += 8) {
        const old = to.getBigInt64(i);
        const begin = old === 0n ? from.getBigInt64(value.length + i) : 0n;
        to.setBigInt64(i, old + from.getBigInt64(i) + begin);
      }
      return;
    case "get-and-set":
      throw EINVAL;
  }
}
