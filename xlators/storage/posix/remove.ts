/**
 * Names that go: unlink, rmdir, rename.
 *
 * Unlink of the last name: the handle first (or, if the file is open, the handle to
 * `.glusterfs/unlink`), then the name. A kill in between leaves a name whose handle the next lookup
 * makes again; the other way round it would leave a file that nobody finds. Rename: the new
 * `gfid2path` attribute, the rename, then the old attribute and a directory's handle; a kill leaves an
 * attribute too many (readers check it) or a handle that the next lookup points right.
 *
 * A file that a snapshot sees lives on in `history/kept`, if features/snapshot asks for it: its handle
 * is moved there. A kill before the name is gone leaves both: features/snapshot takes the file out
 * of there again when it starts.
 */

import type { Call } from "core/call.ts";
import {
  EBUSY,
  EEXIST,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  FopError,
  fopError,
} from "core/errno.ts";
import type { ParentReply, RenameArgs, RenameReply, RmdirArgs, UnlinkArgs } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import { isDirectory, isRegular } from "core/iatt.ts";
import { type Gfid, NULL_GFID } from "core/inode.ts";
import { cstring, sys } from "core/sys/calls.ts";
import { intKey, withKey, type Xdata } from "core/xdata.ts";
import {
  GET_LINK_COUNT,
  IATT_IN_XDATA,
  KEEP_AS,
  KEPT,
  REQUEST_LINK_COUNT,
  RESPONSE_LINK_COUNT,
} from "core/xdata_keys.ts";
import { type Brick, type FoundEntry, isDirMode } from "xlators/storage/posix/brick.ts";
import { type Directory, handleName, removeDir } from "xlators/storage/posix/handle.ts";
import { purgeLandfill } from "xlators/storage/posix/landfill.ts";
import { makeHandle } from "xlators/storage/posix/lookup.ts";
import { CTIME, MTIME } from "xlators/storage/posix/mdata.ts";
import { entryName, gfid2path } from "xlators/storage/posix/names.ts";
import { unlinkedName } from "xlators/storage/posix/open_files.ts";
import { countNames } from "xlators/storage/posix/pgfid.ts";
import { statAt, statIno } from "xlators/storage/posix/stat.ts";
import type { Target } from "xlators/storage/posix/xattr_space.ts";

/** Freeing the blocks of more than this takes long enough to be done on another thread. */
const LARGE_BYTES = 64 << 20;
const LINKTO = "trusted.glusterfs.dht.linkto";
const RENAME_NOREPLACE = 1;
const S_ISVTX = 0o1000, PERMISSIONS = 0o7777;

// Conditions that distribute sets for its own unlinks.
const SKIP_IF_OPEN = intKey("dont-unlink-for-open-fd");
const ONLY_LINKTO = intKey("unlink-only-if-dht-linkto-file");
const BLOCK_COUNT = intKey("gf_get_file_block_count", "uint");

/** What is known of a name before it goes. */
interface Victim extends FoundEntry {
  readonly gfid: Gfid | undefined;
}

function victim(
  brick: Brick,
  directory: Directory,
  bytes: Uint8Array<ArrayBuffer>,
): Victim | undefined {
  try {
    const found = brick.statEntry(directory, bytes);
    const { gfid } = found.stat;
    return { ...found, gfid: gfid === NULL_GFID ? undefined : gfid };
  } catch (error) {
    if (ENOENT.matches(error)) return undefined;
    throw error;
  }
}

/** `unlink`: of anything but a directory. */
export function unlink(brick: Brick, call: Call, args: UnlinkArgs): ParentReply {
  const bytes = entryName(args.parent.gfid, args.name);
  const directory = brick.handles.dir(args.parent.gfid);
  const preParent = brick.statDir(directory);
  const found = victim(brick, directory, bytes);
  if (!found) throw ENOENT;
  if (isDirectory(found.stat)) throw EISDIR;
  checkConditions(brick, found, args.xdata);
  const keep = keptName(args.xdata, found);
  removeName(brick, call, directory, args.name, bytes, found, keep);
  brick.times.touch(call, directory.gfid, directory.target, CTIME | MTIME);
  const counts = linkCounts(args.xdata, found.stat);
  return {
    preParent,
    postParent: brick.statDir(directory),
    xdata: keep ? withKey(counts, KEPT, 1) : counts,
  };
}

// Where a file is to be kept, relative to `.glusterfs`; undefined: nowhere, or it has other names.
function keptName(
  xdata: Xdata | undefined,
  { gfid, stat }: Victim,
): Uint8Array<ArrayBuffer> | undefined {
  const name = xdata?.get(KEEP_AS);
  if (name === undefined || gfid === undefined || stat.nlink > 1) return undefined;
  // Extra data may come from a client.
  if (!name.startsWith(`${gfid}.`) || !/^\d+$/.test(name.slice(gfid.length + 1))) throw EINVAL;
  return cstring(`history/kept/${name}`);
}

/**
 * Removes a name if it is a link file of distribute, which points to where a file is not any more.
 * False, and nothing changed, if it is anything else.
 */
export function removeStaleLink(
  brick: Brick,
  call: Call,
  directory: Directory,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
): boolean {
  const found = victim(brick, directory, bytes);
  if (!found || !isLinkFile(brick, found)) return false;
  removeName(brick, call, directory, name, bytes, found);
  return true;
}

// Made by distribute where a file's name hashes to, to say on which brick it is.
function isLinkFile(brick: Brick, found: Victim): boolean {
  return isRegular(found.stat) && (found.stat.mode & PERMISSIONS) === S_ISVTX &&
    brick.xattrs.read(found.target, LINKTO) > 0;
}

function checkConditions(brick: Brick, found: Victim, xdata: Xdata | undefined): void {
  if (xdata?.get(SKIP_IF_OPEN) && found.gfid && brick.files.count(found.gfid) > 0) throw EBUSY;
  if (xdata?.get(ONLY_LINKTO) && !isLinkFile(brick, found)) throw EBUSY;
}

// What distribute and replicate want to know of what went.
function linkCounts(xdata: Xdata | undefined, stat: Iatt): Xdata | undefined {
  let answers: Xdata | undefined;
  if (!xdata) return answers;
  const left = Math.max(0, stat.nlink - 1);
  if (xdata.has(GET_LINK_COUNT)) answers = withKey(answers, GET_LINK_COUNT, left);
  if (xdata.has(REQUEST_LINK_COUNT)) answers = withKey(answers, RESPONSE_LINK_COUNT, stat.nlink);
  if (xdata.has(BLOCK_COUNT)) answers = withKey(answers, BLOCK_COUNT, stat.blocks);
  if (xdata.has(IATT_IN_XDATA) && isRegular(stat)) {
    answers = withKey(answers, IATT_IN_XDATA, { ...stat, nlink: left });
  }
  return answers;
}

// A name, and with the last one the file.
function removeName(
  brick: Brick,
  call: Call,
  directory: Directory,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  found: Victim,
  keep?: Uint8Array<ArrayBuffer>,
): void {
  const { gfid, stat, target } = found;
  if (gfid && stat.nlink > 1) {
    forgetName(brick, target, directory.gfid, name);
    brick.times.touch(call, gfid, target, CTIME);
    const result = sys.unlinkat(directory.fd, bytes, 0);
    if (result < 0) throw fopError(result);
    return;
  }
  if (gfid) dropHandle(brick, gfid, found.ino, keep && { directory, bytes, keep });
  const large = !keep && isRegular(stat) && stat.blocks * 512 > LARGE_BYTES &&
    !(gfid && brick.files.isUnlinked(gfid));
  const result = large
    ? sys.renameat2(directory.fd, bytes, brick.hidden, landfillName(brick, gfid), 0)
    : sys.unlinkat(directory.fd, bytes, 0);
  if (result < 0) {
    if (gfid) restoreHandle(brick, directory, name, bytes, gfid, stat.mode, keep);
    throw fopError(result);
  }
  if (large) purgeLandfill(brick);
}

// A place in landfill that nobody has.
function landfillName(brick: Brick, gfid: Gfid | undefined): Uint8Array<ArrayBuffer> {
  return cstring(`landfill/${gfid ?? "file"}-${brick.env.random.uuid()}`);
}

function restoreHandle(
  brick: Brick,
  directory: Directory,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  gfid: Gfid,
  mode: number,
  keep: Uint8Array<ArrayBuffer> | undefined,
): void {
  const aside = brick.files.unlinkedPlace(gfid) ?? keep;
  if (aside) {
    brick.files.noteLinked(gfid);
    sys.renameat2(brick.hidden, aside, brick.hidden, handleName(gfid), 0);
    // Two names of one file: the kernel does nothing.
    if (keep) sys.unlinkat(brick.hidden, keep, 0);
  } else makeHandle(brick, directory, name, bytes, gfid, mode);
}

function forgetName(brick: Brick, target: Target, parent: Gfid, name: string): void {
  countNames(brick, target, parent, -1);
  if (brick.options.gfid2path) brick.xattrs.remove(target, gfid2path(parent, name).key);
}

// The handle of a file whose last name goes: kept aside while the file is open, or for snapshots.
function dropHandle(brick: Brick, gfid: Gfid, ino: number, kept?: KeptName): void {
  // Not if the handle is another file's: two names may claim one gfid after a restore from elsewhere.
  const own = statAt(brick.hidden, handleName(gfid)) === 0 && statIno() === ino;
  if (kept) return keepFile(brick, gfid, own, kept);
  if (!own) return;
  if (brick.files.count(gfid) > 0) {
    const moved = sys.renameat2(
      brick.hidden,
      handleName(gfid),
      brick.hidden,
      unlinkedName(gfid),
      0,
    );
    if (moved < 0) throw fopError(moved);
    brick.files.noteUnlinked(gfid);
    return;
  }
  brick.handles.unlink(gfid);
  brick.xattrs.dropShadow(ino);
  brick.times.forget(gfid);
  brick.inodes.forget(gfid);
}

/** A file's last name, and where the file is to be kept. */
interface KeptName {
  readonly directory: Directory;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly keep: Uint8Array<ArrayBuffer>;
}

// By its handle, if that is its own.
function keepFile(brick: Brick, gfid: Gfid, own: boolean, kept: KeptName): void {
  const { directory, bytes, keep } = kept;
  const result = own
    ? sys.renameat2(brick.hidden, handleName(gfid), brick.hidden, keep, RENAME_NOREPLACE)
    : sys.linkat(directory.fd, bytes, brick.hidden, keep, 0);
  if (result < 0) throw fopError(result);
  if (!own) return;
  if (brick.files.count(gfid) > 0) brick.files.noteUnlinked(gfid, keep);
  else {
    brick.times.forget(gfid);
    brick.inodes.forget(gfid);
  }
}

/** `rmdir`; flags bit 0: with all that is in it, which is moved away at once and removed later. */
export function rmdir(brick: Brick, call: Call, args: RmdirArgs): ParentReply {
  const bytes = entryName(args.parent.gfid, args.name);
  const directory = brick.handles.dir(args.parent.gfid);
  const preParent = brick.statDir(directory);
  const found = victim(brick, directory, bytes);
  if (!found) throw ENOENT;
  if (!isDirectory(found.stat)) throw ENOTDIR;
  const whole = (args.flags & 1) !== 0;
  const result = whole
    ? sys.renameat2(directory.fd, bytes, brick.hidden, landfillName(brick, found.gfid), 0)
    : removeDir(directory, bytes);
  // Some file systems say EEXIST.
  if (EEXIST.matches(result < 0 ? fopError(result) : undefined)) throw ENOTEMPTY;
  if (result < 0) throw fopError(result);
  if (found.gfid) dropDirHandle(brick, found.gfid, directory.gfid, args.name);
  if (whole) purgeLandfill(brick);
  brick.times.touch(call, directory.gfid, directory.target, CTIME | MTIME);
  return { preParent, postParent: brick.statDir(directory) };
}

// Unless the handle leads elsewhere: healers make a moved directory's new place first.
function dropDirHandle(brick: Brick, gfid: Gfid, parent: Gfid, name: string): void {
  const link = brick.handles.readLink(gfid);
  if (link && (link.parent !== parent || link.name !== name)) return;
  brick.handles.unlink(gfid);
  brick.handles.drop(gfid);
  brick.times.forget(gfid);
  brick.inodes.forget(gfid);
}

/** `rename`, over what is there if the kernel allows it. */
export function rename(brick: Brick, call: Call, args: RenameArgs): RenameReply {
  const oldBytes = entryName(args.oldParent.gfid, args.oldName);
  const newBytes = entryName(args.newParent.gfid, args.newName);
  const from = brick.handles.dir(args.oldParent.gfid);
  const to = brick.handles.dir(args.newParent.gfid);
  const preOldParent = brick.statDir(from), preNewParent = brick.statDir(to);
  const moved = victim(brick, from, oldBytes);
  if (!moved) throw ENOENT;
  const over = victim(brick, to, newBytes);
  // Two names of one file: the kernel does nothing, and neither do we.
  const same = over !== undefined && over.ino === moved.ino && over.stat.dev === moved.stat.dev;
  if (over && isDirectory(over.stat) && !isDirectory(moved.stat)) throw EISDIR;
  if (over && isDirectory(moved.stat) && !isDirectory(over.stat)) throw ENOTDIR;
  const file = !isDirectory(moved.stat);
  const keep = over && !same ? keptName(args.xdata, over) : undefined;
  if (file && !same) noteNewName(brick, moved, args);
  const result = same ? 0 : replace(brick, call, from, oldBytes, to, newBytes, args, over, keep);
  if (result < 0) {
    if (file) forgetName(brick, moved.target, args.newParent.gfid, args.newName);
    throw fopError(result);
  }
  const target = { fd: to.fd, name: newBytes };
  if (!same) settleMoved(brick, moved, target, args);
  if (moved.gfid) brick.times.touch(call, moved.gfid, target, CTIME);
  brick.times.touch(call, from.gfid, from.target, CTIME | MTIME);
  if (to !== from) brick.times.touch(call, to.gfid, to.target, CTIME | MTIME);
  const gfid = moved.gfid, counts = over && linkCounts(args.xdata, over.stat);
  return {
    stat: gfid ? brick.stat(brick.entryPlace(gfid, to, newBytes, target)) : undefined,
    preOldParent,
    postOldParent: brick.statDir(from),
    preNewParent,
    postNewParent: brick.statDir(to),
    xdata: keep ? withKey(counts, KEPT, 1) : counts,
  };
}

function noteNewName(brick: Brick, moved: Victim, args: RenameArgs): void {
  countNames(brick, moved.target, args.newParent.gfid, 1);
  if (!brick.options.gfid2path) return;
  const { key, value } = gfid2path(args.newParent.gfid, args.newName);
  brick.xattrs.set(moved.target, key, value);
}

// The rename itself; what it replaces loses a name first, as in `unlink`.
function replace(
  brick: Brick,
  call: Call,
  from: Directory,
  oldBytes: Uint8Array<ArrayBuffer>,
  to: Directory,
  newBytes: Uint8Array<ArrayBuffer>,
  args: RenameArgs,
  over: Victim | undefined,
  keep: Uint8Array<ArrayBuffer> | undefined,
): number {
  const gfid = over?.gfid;
  const lastName = over && gfid && !isDirectory(over.stat) && over.stat.nlink <= 1;
  if (over && gfid && lastName) {
    dropHandle(brick, gfid, over.ino, keep && { directory: to, bytes: newBytes, keep });
  } else if (over && gfid && !isDirectory(over.stat)) {
    forgetName(brick, over.target, args.newParent.gfid, args.newName);
    brick.times.touch(call, gfid, over.target, CTIME);
  }
  const result = sys.renameat2(from.fd, oldBytes, to.fd, newBytes, 0);
  if (over && gfid && isDirMode(over.stat.mode)) {
    if (result === 0) dropDirHandle(brick, gfid, args.newParent.gfid, args.newName);
  } else if (result < 0 && over && gfid) {
    try {
      if (lastName) {
        restoreHandle(brick, to, args.newName, newBytes, gfid, over.stat.mode, keep);
      } else noteNewName(brick, over, args);
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      brick.env.log.error("cannot restore a handle", { gfid, error: error.code });
    }
  }
  return result;
}

// What the file itself, or the directory's handle, says about the old place.
function settleMoved(brick: Brick, moved: Victim, target: Target, args: RenameArgs): void {
  if (!isDirectory(moved.stat)) {
    forgetName(brick, target, args.oldParent.gfid, args.oldName);
    return;
  }
  if (!moved.gfid) return;
  const result = brick.handles.linkDir(moved.gfid, args.newParent.gfid, args.newName);
  if (result < 0) {
    brick.env.log.error("cannot point a directory's handle to its new place", {
      gfid: moved.gfid,
      errno: -result,
    });
  }
}
