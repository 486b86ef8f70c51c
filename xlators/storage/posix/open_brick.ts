/**
 * From a directory to an open brick: checks that it is ours to serve, makes what is missing.
 * Every refusal is one line that says what to do.
 */

import type { Env } from "core/env.ts";
import { fopError } from "core/errno.ts";
import {
  type Gfid,
  gfidFromBytes,
  gfidToBytes,
  type InodeTable,
  parseGfid,
  ROOT_GFID,
} from "core/inode.ts";
import { HEX } from "core/lib/bytes.ts";
import {
  AT_FDCWD,
  cstring,
  LOCAL_O_DIRECTORY,
  LOCAL_O_NOFOLLOW,
  O_CLOEXEC,
  sys,
} from "core/sys/calls.ts";
import { Brick } from "xlators/storage/posix/brick.ts";
import { GFID_XATTR, handleName } from "xlators/storage/posix/handle.ts";
import { HIDDEN } from "xlators/storage/posix/names.ts";
import type { PosixOptions } from "xlators/storage/posix/options.ts";
import { statDev, statFd, statIno } from "xlators/storage/posix/stat.ts";
import { XattrSpace } from "xlators/storage/posix/xattr_space.ts";

/** The attribute that says which volume a brick belongs to. */
export const VOLUME_ID_XATTR = "trusted.glusterfs.volume-id";
const TEST_XATTR = "trusted.glusterfs.test";
const ENODATA = -61, EEXIST = -17;
/** Most directories held open; a small part of what the process may open. */
const DIRS_MAX = 1024;

/** Opens the brick that `options` describe. Throws an Error with one line on what is wrong. */
export function openBrick(options: PosixOptions, env: Env, inodes: InodeTable): Brick {
  const path = options.directory.replace(/(?<=.)\/+$/, "");
  const root = openDirectory(AT_FDCWD, path);
  if (root < 0) {
    throw new Error(
      `Cannot serve brick "${path}": ${fopError(root).message}; make the directory first`,
    );
  }
  try {
    return openOn(root, path, options, env, inodes);
  } catch (error) {
    sys.close(root);
    throw error;
  }
}

function openOn(
  root: number,
  path: string,
  options: PosixOptions,
  env: Env,
  inodes: InodeTable,
): Brick {
  const uid = Deno.uid() ?? 0;
  const mapped = options["xattr-namespace"] === "user" ||
    (options["xattr-namespace"] === "auto" && uid !== 0);
  if (mapped) {
    env.log.info("brick keeps its attributes under user.*", { brick: path, uid });
  }
  // Modes come from clients, complete.
  sys.umask(0);
  const hidden = ownDirectory(root, path);
  const xattrs = new XattrSpace(mapped, `/proc/self/fd/${hidden}`);
  if (!options["look-only"]) makeReady(root, hidden, path, options, xattrs);
  statFd(hidden);
  const hiddenId = { dev: statDev(), ino: statIno() };
  const hostname = options.hostname ?? Deno.hostname();
  return new Brick(
    { path, root, hidden, xattrs, options, env, inodes, hostname, dirLimit: dirLimit() },
    hiddenId,
    uid,
  );
}

function makeReady(
  root: number,
  hidden: number,
  path: string,
  options: PosixOptions,
  xattrs: XattrSpace,
): void {
  checkXattrs(xattrs, root, path);
  checkVolume(xattrs, root, path, options["volume-id"]);
  checkRootGfid(xattrs, root, path);
  const names = [...Brick.OWN, ...(xattrs.mapped ? ["shadow"] : []), ...HEX];
  for (const name of names) sys.mkdirat(hidden, cstring(name), 0o700);
  sys.mkdirat(hidden, cstring("00/00"), 0o700);
  const linked = sys.symlinkat(cstring("../../.."), hidden, handleName(ROOT_GFID));
  if (linked < 0 && linked !== EEXIST) {
    throw new Error(
      `Cannot serve brick "${path}": ${fopError(linked).message} on its root's handle`,
    );
  }
  giveRoot(root, options);
}

/** Gives a brick's root directory the owner that its options name. */
export function giveRoot(
  root: number,
  { "brick-uid": owner, "brick-gid": group }: PosixOptions,
): void {
  if (owner >= 0 || group >= 0) sys.fchown(root, owner | 0, group | 0);
}

function openDirectory(at: number, path: string): number {
  return sys.openat(at, cstring(path), LOCAL_O_DIRECTORY | O_CLOEXEC, 0);
}

function ownDirectory(root: number, path: string): number {
  const made = sys.mkdirat(root, cstring(HIDDEN), 0o700);
  const flags = LOCAL_O_DIRECTORY | LOCAL_O_NOFOLLOW | O_CLOEXEC;
  const hidden = sys.openat(root, cstring(HIDDEN), flags, 0);
  if (hidden >= 0) return hidden;
  const cause = made < 0 && made !== EEXIST ? made : hidden;
  throw new Error(`Cannot serve brick "${path}": ${fopError(cause).message} on ${HIDDEN}`);
}

function checkXattrs(xattrs: XattrSpace, root: number, path: string): void {
  const result = xattrs.set(root, TEST_XATTR, cstring("working"));
  if (result < 0) {
    const space = xattrs.mapped ? "user" : "trusted";
    throw new Error(
      `Cannot serve brick "${path}": ${fopError(result).message} on setting a ${space}.* ` +
        `extended attribute; use a file system that keeps them`,
    );
  }
  xattrs.remove(root, TEST_XATTR);
}

function checkVolume(
  xattrs: XattrSpace,
  root: number,
  path: string,
  wanted: string | undefined,
): void {
  if (wanted === undefined) return;
  const id = parseGfid(wanted);
  if (!id) throw new Error(`Cannot serve brick "${path}": option volume-id "${wanted}" is no UUID`);
  const found = xattrs.get(root, VOLUME_ID_XATTR);
  if (typeof found === "number") {
    if (found !== ENODATA) {
      throw new Error(`Cannot serve brick "${path}": ${fopError(found).message} on its volume id`);
    }
    // Never by ourselves: an unmounted disk leaves an empty directory that must not be filled.
    throw new Error(
      `Cannot serve brick "${path}": it has no volume id (is its disk mounted?); ` +
        `set ${VOLUME_ID_XATTR} to ${id} if it is to be served`,
    );
  }
  const own: Gfid | undefined = found.length === 16 ? gfidFromBytes(found) : undefined;
  if (own !== id) {
    throw new Error(
      `Cannot serve brick "${path}": it belongs to volume ${own ?? "(unreadable)"}, not to ${id}`,
    );
  }
}

function checkRootGfid(xattrs: XattrSpace, root: number, path: string): void {
  const found = xattrs.get(root, GFID_XATTR);
  if (typeof found !== "number") {
    if (found.length === 16 && gfidFromBytes(found) === ROOT_GFID) return;
    throw new Error(
      `Cannot serve brick "${path}": it is a directory inside of another brick (its gfid is not the root's)`,
    );
  }
  const set = found === ENODATA ? xattrs.set(root, GFID_XATTR, gfidToBytes(ROOT_GFID)) : found;
  if (set < 0) {
    throw new Error(`Cannot serve brick "${path}": ${fopError(set).message} on the root's gfid`);
  }
}

// An eighth of the descriptors that the process may have.
function dirLimit(): number {
  const bytes = new Uint8Array(4096);
  const fd = sys.openat(AT_FDCWD, cstring("/proc/self/limits"), O_CLOEXEC, 0);
  if (fd < 0) return DIRS_MAX >> 3;
  const size = sys.read(fd, bytes, bytes.length);
  sys.close(fd);
  const text = new TextDecoder().decode(bytes.subarray(0, Math.max(0, size)));
  const match = /^Max open files\s+(\d+)/m.exec(text);
  return match ? Math.max(16, Math.min(DIRS_MAX, Number(match[1]) >> 3)) : DIRS_MAX;
}
