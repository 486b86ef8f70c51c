/**
 * Extended attributes as fops: get, set, remove, list. What a client may see and change is decided
 * here; how a name is kept is `xattr_space.ts`'s matter, and names that are no attributes on disk
 * are `special_xattrs.ts`'s.
 */

import { type Call, isInternal, PID_GSYNCD } from "core/call.ts";
import { EACCES, ENODATA, EOPNOTSUPP, EPERM, fopError } from "core/errno.ts";
import {
  DONE,
  type Empty,
  type FgetxattrArgs,
  type FremovexattrArgs,
  type FsetxattrArgs,
  type GetxattrArgs,
  type RemovexattrArgs,
  type SetxattrArgs,
  type XattrReply,
} from "core/fops.ts";
import type { Fd, Gfid } from "core/inode.ts";
import { type DictValue, ptr, valueBytes, withKey, Xdata } from "core/xdata.ts";
import {
  BEGUN_XATTR,
  IATT_IN_XDATA,
  SET_CTIME_MDATA,
  WRITERS_XATTR,
  XATTR_POSTSTAT,
  XATTR_PRESTAT,
} from "core/xdata_keys.ts";
import { placeOfFd } from "xlators/storage/posix/attr.ts";
import type { Brick, Place } from "xlators/storage/posix/brick.ts";
import { fill } from "xlators/storage/posix/fill.ts";
import { GFID_XATTR } from "xlators/storage/posix/handle.ts";
import { CTIME, MDATA_XATTR, parseMdata } from "xlators/storage/posix/mdata.ts";
import { GFID2PATH } from "xlators/storage/posix/names.ts";
import { VOLUME_ID_XATTR } from "xlators/storage/posix/open_brick.ts";
import { isPathinfo, isVirtual, virtualXattr } from "xlators/storage/posix/special_xattrs.ts";
import { namePattern } from "core/lib/name_pattern.ts";
import { checkValue, type Target } from "xlators/storage/posix/xattr_space.ts";

/** Who a file is, and as what it began: neither set nor removed by any client. */
const IDENTITY: ReadonlySet<string> = new Set([GFID_XATTR, VOLUME_ID_XATTR, BEGUN_XATTR]);
/** Marks of geo-replication; only its daemon reads them. */
const GEOREP = [
  "*.glusterfs.*.stime",
  "*.glusterfs.*.xtime",
  "*.glusterfs.lockinfo",
  "*.glusterfs.*.entry_stime",
  "*.glusterfs.volume-mark.*",
  "trusted.SGI_*",
].map(namePattern);
/** Keys of a setxattr that steer something else and never reach the disk. */
const NOT_STORED: ReadonlySet<string> = new Set([
  "trusted.io-stats-dump",
  "glusterfs-internal-fop",
  "force-replace",
  "glusterfs.ctx",
]);
const ENODATA_RESULT = -61;

/** `getxattr`. */
export function getxattr(brick: Brick, call: Call, args: GetxattrArgs): Promise<XattrReply> {
  return get(brick, call, brick.place(args.inode.gfid), args.name, args.xdata);
}

/** `fgetxattr`. */
export function fgetxattr(brick: Brick, call: Call, args: FgetxattrArgs): Promise<XattrReply> {
  return get(brick, call, placeOfFd(brick, args.fd), args.name, args.xdata, args.fd);
}

async function get(
  brick: Brick,
  call: Call,
  place: Place,
  name: string,
  request: Xdata | undefined,
  fd?: Fd,
): Promise<XattrReply> {
  let xattrs: Xdata | undefined;
  if (name === "") xattrs = all(brick, call, place.target);
  else if (isHidden(call, name)) throw ENODATA;
  else if (isVirtual(name)) xattrs = await virtualXattr(brick, place, name, fd);
  else xattrs = one(brick, place.target, name);
  if (!request) return { xattrs };
  // Found again: a directory's descriptor may have been closed while a virtual value was made.
  const now = isVirtual(name) ? brick.place(place.gfid) : place;
  const { gfid, target } = now;
  return { xattrs, xdata: fill(brick, request, { gfid, target, stat: brick.stat(now) }) };
}

// Not for the caller to see, whether it is there or not.
function isHidden(call: Call, name: string): boolean {
  if (IDENTITY.has(name)) return !isInternal(call);
  if (name.startsWith(GFID2PATH)) return true;
  if (name === MDATA_XATTR) return !isInternal(call);
  return call.pid !== PID_GSYNCD && GEOREP.some((pattern) => pattern.test(name));
}

function one(brick: Brick, target: Target, name: string): Xdata {
  const value = brick.xattrs.get(target, name);
  if (typeof value === "number") throw fopError(value);
  return new Xdata(new Map([[name, ptr(value)]]));
}

function all(brick: Brick, call: Call, target: Target): Xdata | undefined {
  const found = new Map<string, DictValue>();
  for (const name of brick.xattrs.list(target)) {
    if (IDENTITY.has(name) || isHidden(call, name)) continue;
    const value = brick.xattrs.get(target, name);
    if (value === ENODATA_RESULT) continue;
    if (typeof value === "number") throw fopError(value);
    found.set(name, ptr(value));
  }
  return new Xdata(found);
}

/** `setxattr`. */
export function setxattr(brick: Brick, call: Call, args: SetxattrArgs): Empty {
  brick.checkSpace(call, args.xdata);
  return set(brick, call, brick.place(args.inode.gfid), args);
}

/** `fsetxattr`. */
export function fsetxattr(brick: Brick, call: Call, args: FsetxattrArgs): Empty {
  brick.checkSpace(call, args.xdata);
  return set(brick, call, placeOfFd(brick, args.fd), args);
}

function set(
  brick: Brick,
  call: Call,
  place: Place,
  { xattrs, flags, xdata }: { xattrs: Xdata | undefined; flags: number; xdata?: Xdata | undefined },
): Empty {
  const times = xattrs?.get(SET_CTIME_MDATA);
  if (times) {
    const result = brick.times.adopt(place.gfid, place.target, times);
    if (result < 0) throw fopError(result);
    return DONE;
  }
  const values = xattrs ? checkedValues(call, xattrs) : [];
  const pre = brick.stat(place);
  for (const [name, value] of values) setOne(brick, place, name, value, flags);
  if (values.length > 0) brick.times.touch(call, place.gfid, place.target, CTIME);
  const post = brick.stat(place);
  let answers = withKey(undefined, XATTR_PRESTAT, pre);
  answers = withKey(answers, XATTR_POSTSTAT, post);
  if (xdata?.has(IATT_IN_XDATA)) answers = withKey(answers, IATT_IN_XDATA, post);
  return { xdata: answers };
}

// What is to be stored. Everything is checked before anything is set.
function checkedValues(call: Call, xattrs: Xdata): [string, Uint8Array][] {
  const values: [string, Uint8Array][] = [];
  for (const [name, value] of xattrs) {
    if (IDENTITY.has(name)) {
      if (!isInternal(call)) throw EPERM;
      continue;
    }
    if (NOT_STORED.has(name)) continue;
    if (isPathinfo(name) || name === WRITERS_XATTR) throw EACCES;
    if (name.startsWith(GFID2PATH)) throw EOPNOTSUPP;
    const bytes = valueBytes(value);
    if (!bytes) throw EOPNOTSUPP;
    checkValue(bytes);
    values.push([name, bytes]);
  }
  return values;
}

function setOne(
  brick: Brick,
  place: Place,
  name: string,
  value: Uint8Array,
  flags: number,
): void {
  // Healers and rebalance bring a file's times along: the later ones win.
  const times = name === MDATA_XATTR ? parseMdata(value) : undefined;
  const result = times
    ? brick.times.adopt(place.gfid, place.target, times)
    : brick.xattrs.set(place.target, name, value, flags);
  if (result < 0) throw fopError(result);
}

/** `removexattr`; "" removes every key that xdata lists, and what is not there is no failure. */
export function removexattr(brick: Brick, call: Call, args: RemovexattrArgs): Empty {
  return remove(brick, call, brick.place(args.inode.gfid), args.name, args.xdata);
}

/** `fremovexattr`. */
export function fremovexattr(brick: Brick, call: Call, args: FremovexattrArgs): Empty {
  return remove(brick, call, placeOfFd(brick, args.fd), args.name, args.xdata);
}

function remove(
  brick: Brick,
  call: Call,
  place: Place,
  name: string,
  xdata: Xdata | undefined,
): Empty {
  const pre = brick.stat(place);
  if (name === "") {
    const names = [...(xdata?.names() ?? [])];
    if (names.some((each) => IDENTITY.has(each))) throw EPERM;
    for (const each of names) {
      if (each.startsWith(GFID2PATH)) continue;
      const result = brick.xattrs.remove(place.target, each);
      if (result < 0 && result !== ENODATA_RESULT) throw fopError(result);
    }
  } else {
    if (IDENTITY.has(name)) throw EPERM;
    if (name.startsWith(GFID2PATH)) throw ENODATA;
    const result = brick.xattrs.remove(place.target, name);
    if (result < 0) throw fopError(result);
  }
  forgetTimes(brick, place.gfid, name, xdata);
  brick.times.touch(call, place.gfid, place.target, CTIME);
  const answers = withKey(undefined, XATTR_PRESTAT, pre);
  return { xdata: withKey(answers, XATTR_POSTSTAT, brick.stat(place)) };
}

function forgetTimes(brick: Brick, gfid: Gfid, name: string, xdata: Xdata | undefined): void {
  if (name === MDATA_XATTR || (name === "" && xdata?.has(MDATA_XATTR))) brick.times.forget(gfid);
}
