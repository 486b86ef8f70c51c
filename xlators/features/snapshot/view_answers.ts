/** Extended attributes of inodes in views, as storage/posix would have answered them. */

import { type Call, isInternal } from "core/call.ts";
import { ENODATA } from "core/errno.ts";
import { isRegular } from "core/iatt.ts";
import { isPattern, namePattern } from "core/lib/name_pattern.ts";
import { type DictValue, ptr, Xdata } from "core/xdata.ts";
import {
  GET_SIZE,
  IATT_IN_XDATA,
  LIST_XATTR,
  MODE_IN_XDATA,
  OPEN_ACTIVE_FD_COUNT,
  OPEN_FD_COUNT,
} from "core/xdata_keys.ts";
import type { InodeState } from "snapshot/engine/live.ts";

/** What was being written when a snapshot was taken is nothing to heal in it: it is read-only. */
const MASKED = "trusted.afr.dirty";
const TIMES = "trusted.glusterfs.mdata";
/** Names that a lookup's list does not show. */
const UNLISTED = ["security.selinux", "trusted.glusterfs.quota.*"].map(namePattern);
/** Patterns of one request that are looked at, and their length. */
const PATTERNS_MAX = 64, PATTERN_MAX = 255;

/** What a request asks for beside the answer itself; undefined if nothing was asked or found. */
export function answersTo(request: Xdata | undefined, state: InodeState): Xdata | undefined {
  if (!request?.size) return undefined;
  const answers = new Map<string, DictValue>();
  const add = (name: string) => {
    const value = name === MASKED ? undefined : state.xattrs.get(name);
    if (value) answers.set(name, ptr(value));
  };
  let patterns = 0;
  for (const [key] of request) {
    const count = counted(key, state);
    if (count) answers.set(key, count);
    else if (!isPattern(key)) add(key);
    else if (key.length <= PATTERN_MAX && ++patterns <= PATTERNS_MAX) {
      const pattern = namePattern(key);
      for (const name of state.xattrs.keys()) if (pattern.test(name)) add(name);
    }
  }
  if (request.has(LIST_XATTR)) {
    for (const name of state.xattrs.keys()) {
      if (!UNLISTED.some((pattern) => pattern.test(name))) add(name);
    }
  }
  return answers.size ? new Xdata(answers) : undefined;
}

function counted(key: string, { iatt }: InodeState): DictValue | undefined {
  switch (key) {
    case OPEN_FD_COUNT.name:
      return OPEN_FD_COUNT.write(0);
    case OPEN_ACTIVE_FD_COUNT.name:
      return OPEN_ACTIVE_FD_COUNT.write(0);
    case GET_SIZE.name:
      return isRegular(iatt) ? GET_SIZE.write(iatt.size) : undefined;
    case MODE_IN_XDATA.name:
      return MODE_IN_XDATA.write(iatt.mode);
    case IATT_IN_XDATA.name:
      return IATT_IN_XDATA.write(iatt);
    default:
      return undefined;
  }
}

/** Attributes as `getxattr` answers them: "" asks for all. ENODATA: there is none with this name. */
export function xattrsOf(call: Call, name: string, { xattrs }: InodeState): Xdata {
  const isSeen = (name: string) => name !== MASKED && (name !== TIMES || isInternal(call));
  if (name === "") {
    const seen = [...xattrs].filter(([name]) => isSeen(name));
    return Xdata.of(seen.map(([name, value]) => [name, ptr(value)]));
  }
  const value = isSeen(name) ? xattrs.get(name) : undefined;
  if (!value) throw ENODATA;
  return Xdata.of([[name, ptr(value)]]);
}
