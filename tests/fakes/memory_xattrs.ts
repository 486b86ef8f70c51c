/** Extended attributes of the memory brick's inodes: the rules that a brick's disk keeps. */

import { E2BIG, EEXIST, EINVAL, ENODATA, EOPNOTSUPP, EPERM, ERANGE } from "core/errno.ts";
import type { XattropKind } from "core/fops.ts";
import { type DictValue, ptr, valueBytes, Xdata } from "core/xdata.ts";

/** Largest value of Linux's VFS. */
export const XATTR_BYTES_MAX = 65536;

const XATTR_CREATE = 1, XATTR_REPLACE = 2;

/** True for keys that only the brick itself sets. */
export function isReserved(name: string): boolean {
  return name === "trusted.gfid" || name.startsWith("trusted.gfid2path.") ||
    name === "trusted.glusterfs.volume-id";
}

/** True for names of a kind that a disk can hold. */
export function isXattrName(name: string): boolean {
  return /^(trusted|user|security)\../.test(name) || name.startsWith("system.posix_acl_");
}

/** All or none of `xattrs`; reserved ones are left out without a word, as GlusterFS does. */
export function setXattrs(
  on: Map<string, Uint8Array>,
  xattrs: Xdata | undefined,
  flags: number,
): void {
  const values: [string, Uint8Array][] = [];
  for (const [name, value] of xattrs ?? []) {
    if (isReserved(name)) continue;
    const bytes = checked(name, value);
    if (flags & XATTR_CREATE && on.has(name)) throw EEXIST;
    if (flags & XATTR_REPLACE && !on.has(name)) throw ENODATA;
    values.push([name, bytes.slice()]);
  }
  for (const [name, bytes] of values) on.set(name, bytes);
}

function checked(name: string, value: DictValue): Uint8Array {
  if (name.length > 255) throw ERANGE;
  if (name === "" || name.includes("\0")) throw EINVAL;
  if (!isXattrName(name)) throw EOPNOTSUPP;
  const bytes = valueBytes(value);
  if (!bytes) throw EINVAL;
  if (bytes.length > XATTR_BYTES_MAX) throw E2BIG;
  return bytes;
}

/** One value, or all that are not reserved for "". */
export function getXattrs(
  on: ReadonlyMap<string, Uint8Array>,
  name: string,
): Xdata | undefined {
  if (name === "") {
    const all = [...on].filter(([key]) => !isReserved(key));
    return all.length ? Xdata.of(all.map(([key, bytes]) => [key, ptr(bytes)])) : undefined;
  }
  if (name.length > 255) throw ERANGE;
  if (!isXattrName(name)) throw EOPNOTSUPP;
  const bytes = isReserved(name) ? undefined : on.get(name);
  if (!bytes) throw ENODATA;
  return Xdata.of([[name, ptr(bytes)]]);
}

/** One name, or all that `listed` names for "": then missing ones are no error. */
export function removeXattrs(
  on: Map<string, Uint8Array>,
  name: string,
  listed: Xdata | undefined,
): void {
  if (name === "") {
    for (const each of listed?.names() ?? []) if (!isReserved(each)) on.delete(each);
    return;
  }
  if (isReserved(name)) throw EPERM;
  if (!on.delete(name)) throw ENODATA;
}

/** Computes with every key of `xattrs` and answers the new values (the old ones for get-and-set). */
export function xattrop(
  on: Map<string, Uint8Array>,
  op: XattropKind,
  xattrs: Xdata | undefined,
): Xdata | undefined {
  const answers = new Map<string, DictValue>();
  const changes: [string, Uint8Array][] = [];
  for (const [name, value] of xattrs ?? []) {
    if (isReserved(name)) throw EPERM;
    const given = checked(name, value);
    const old = on.get(name);
    if (op === "get-and-set") {
      if (old) answers.set(name, ptr(old));
      changes.push([name, given.slice()]);
      continue;
    }
    const now = combine(op, old, given);
    answers.set(name, ptr(now));
    if (given.some((byte) => byte !== 0)) changes.push([name, now]);
  }
  for (const [name, bytes] of changes) on.set(name, bytes);
  return answers.size ? new Xdata(answers) : undefined;
}

function combine(op: XattropKind, old: Uint8Array | undefined, given: Uint8Array): Uint8Array {
  const size = op.endsWith("default") ? given.length / 2 : given.length;
  if (old && old.length > size) throw ERANGE;
  const now = new Uint8Array(size);
  if (old) now.set(old);
  if (op === "or" || op === "and") {
    for (let i = 0; i < size; i++) now[i] = op === "or" ? now[i]! | given[i]! : now[i]! & given[i]!;
    return now;
  }
  const width = op.startsWith("add32") ? 4 : 8;
  if (size % width) throw EINVAL;
  const to = new DataView(now.buffer), from = new DataView(given.buffer, given.byteOffset);
  const fills = op.endsWith("default");
  for (let at = 0; at < size; at += width) {
    if (width === 4) {
      const base = to.getInt32(at), start = fills && base === 0 ? from.getInt32(size + at) : 0;
      to.setInt32(at, base + from.getInt32(at) + start);
    } else {
      const base = to.getBigInt64(at),
        start = fills && base === 0n ? from.getBigInt64(size + at) : 0n;
      to.setBigInt64(at, base + from.getBigInt64(at) + start);
    }
  }
  return now;
}

/** True if `name` fits `pattern`, where `*` stands for anything. */
export function fits(pattern: string, name: string): boolean {
  const parts = pattern.split("*");
  if (parts.length === 1) return pattern === name;
  let at = parts[0]!.length;
  if (!name.startsWith(parts[0]!)) return false;
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  const last = parts.at(-1)!;
  return name.length - last.length >= at && name.endsWith(last);
}
