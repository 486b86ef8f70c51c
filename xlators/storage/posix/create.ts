/**
 * New files: create, mkdir, mknod, symlink, link, and the rarely used icreate, namelink, put.
 *
 * Order, so that a kill at any point leaves what a lookup can finish or a retry replace: the name;
 * owner; attributes; the gfid; the handle. A name without gfid is given one by the next lookup that
 * proposes one; a gfid without handle gets its handle by the next lookup of the name. A failure
 * undoes what was done.
 */

import type { Call } from "core/call.ts";
import { isInternal, PID_SELF_HEAL } from "core/call.ts";
import {
  EEXIST,
  EINVAL,
  EIO,
  EMLINK,
  ENAMETOOLONG,
  ENOENT,
  EPERM,
  FopError,
  fopError,
} from "core/errno.ts";
import {
  type CreateArgs,
  type CreateReply,
  type EntryReply,
  type IcreateArgs,
  type LinkArgs,
  type MkdirArgs,
  type MknodArgs,
  type NamelinkArgs,
  O_ACCMODE,
  O_CREAT,
  O_DIRECT,
  O_EXCL,
  O_RDWR,
  type ParentReply,
  type PutArgs,
  type StatReply,
  type SymlinkArgs,
} from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "core/iatt.ts";
import { type Gfid, gfidToBytes, NULL_GFID, ROOT_GFID } from "core/inode.ts";
import { equalBytes } from "core/lib/bytes.ts";
import {
  AT_EMPTY_PATH,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  cstring,
  LOCAL_O_DIRECT,
  sys,
} from "core/sys/calls.ts";
import { valueBytes, withKey, type Xdata } from "core/xdata.ts";
import {
  GFID_REQ,
  INTERNAL_FOP,
  PREOP_CHECK_FAILED,
  PREOP_PARENT_KEY,
  SET_CTIME_MDATA,
} from "core/xdata_keys.ts";
import type { Brick } from "xlators/storage/posix/brick.ts";
import { openFile, writeAll } from "xlators/storage/posix/data.ts";
import { fill } from "xlators/storage/posix/fill.ts";
import { type Directory, GFID_XATTR, handleName } from "xlators/storage/posix/handle.ts";
import { giveGfid, makeHandle, undoCreate } from "xlators/storage/posix/lookup.ts";
import { ATIME, CTIME, MDATA_XATTR, MTIME } from "xlators/storage/posix/mdata.ts";
import { entryName, GFID2PATH, gfid2path } from "xlators/storage/posix/names.ts";
import { OpenFile, openFlags, unlinkedName } from "xlators/storage/posix/open_files.ts";
import { countNames } from "xlators/storage/posix/pgfid.ts";
import { removeStaleLink } from "xlators/storage/posix/remove.ts";
import { EMPTY_PATH, iattOf, statAt, statFd, statNlink } from "xlators/storage/posix/stat.ts";
import { type Target, XATTR_CREATE } from "xlators/storage/posix/xattr_space.ts";

const S_ISGID = 0o2000, S_SPECIAL = 0o6000, PERMISSIONS = 0o7777;
const EEXIST_RESULT = -17, EPERM_RESULT = -1, EINVAL_RESULT = -22;
const PATH_MAX = 4096;
/** Links of a file with one name. */
const NAME_AND_HANDLE = 2;
/** Distribute: a link file that is there already gives way. */
const FORCE_REPLACE = "force-replace";
const ALL_TIMES = CTIME | MTIME | ATIME;

/** A name that is to be made, checked. */
interface NewName {
  readonly directory: Directory;
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly gfid: Gfid;
  readonly preParent: Iatt;
  readonly uid: number;
  /** The parent's where that has the setgid bit. */
  readonly gid: number;
  readonly setgid: boolean;
}

// Everything that can be refused before anything is done.
function newName(
  brick: Brick,
  call: Call,
  args: { parent: { gfid: Gfid }; name: string; xdata?: Xdata | undefined },
): NewName {
  const gfid = args.xdata?.get(GFID_REQ);
  if (!gfid || gfid === NULL_GFID || gfid === ROOT_GFID) throw EPERM;
  const bytes = entryName(args.parent.gfid, args.name);
  brick.checkSpace(call, args.xdata);
  const directory = brick.handles.dir(args.parent.gfid);
  checkPreop(brick, directory, args.xdata);
  const preParent = brick.statDir(directory);
  const setgid = (preParent.mode & S_ISGID) !== 0;
  return {
    directory,
    name: args.name,
    bytes,
    gfid,
    preParent,
    uid: call.uid,
    gid: setgid ? preParent.gid : call.gid,
    setgid,
  };
}

// Distribute's: the parent's layout must still be the one the client chose this brick by.
function checkPreop(brick: Brick, directory: Directory, xdata: Xdata | undefined): void {
  const key = xdata?.get(PREOP_PARENT_KEY);
  if (!xdata || key === undefined) return;
  const wanted = xdata.raw(key);
  const bytes = wanted && valueBytes(wanted);
  const found = brick.xattrs.get(directory.target, key);
  if (bytes && typeof found !== "number" && equalBytes(found, bytes)) return;
  throw EIO.carrying({ xdata: withKey(undefined, PREOP_CHECK_FAILED, 1) });
}

/** Keys of a creation's xdata that become attributes of the new file: the rest steers the fop. */
function isAttribute(name: string): boolean {
  return /^(trusted|user|security|system)\./.test(name) && name !== GFID_XATTR &&
    !name.startsWith(GFID2PATH) && name !== "trusted.glusterfs.volume-id";
}

// Owner, attributes, gfid and handle of a file whose name is there. Throws after undoing all.
function finish(
  brick: Brick,
  call: Call,
  entry: NewName,
  target: Target,
  mode: number,
  xdata: Xdata | undefined,
): void {
  let handled: Gfid | undefined;
  try {
    own(brick, entry, mode);
    brick.times.none(entry.gfid);
    setAttributes(brick, entry, target, mode, xdata);
    const result = brick.xattrs.set(target, GFID_XATTR, gfidToBytes(entry.gfid), XATTR_CREATE);
    if (result < 0) throw fopError(result);
    makeHandle(brick, entry.directory, entry.name, entry.bytes, entry.gfid, mode);
    handled = entry.gfid;
    brick.times.touch(call, entry.gfid, target, ALL_TIMES);
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    undoCreate(
      brick,
      entry.directory,
      entry.bytes,
      (mode & S_IFMT) === S_IFDIR ? AT_REMOVEDIR : 0,
      handled,
    );
    throw error;
  }
}

function own(brick: Brick, entry: NewName, mode: number): void {
  const flags = AT_SYMLINK_NOFOLLOW;
  if (entry.uid !== 0 || entry.gid !== 0 || brick.unprivileged || entry.setgid) {
    const result = sys.fchownat(
      entry.directory.fd,
      entry.bytes,
      entry.uid | 0,
      entry.gid | 0,
      flags,
    );
    if (result < 0 && !(brick.unprivileged && result === EPERM_RESULT)) throw fopError(result);
    // A change of owner clears these.
    if ((mode & S_SPECIAL) !== 0 && (mode & S_IFMT) !== S_IFLNK) {
      sys.fchmodat(entry.directory.fd, entry.bytes, mode & PERMISSIONS);
    }
  }
}

function setAttributes(
  brick: Brick,
  entry: NewName,
  target: Target,
  mode: number,
  xdata: Xdata | undefined,
): void {
  if ((mode & S_IFMT) !== S_IFDIR) nameAttributes(brick, entry, target);
  if (!xdata) return;
  for (const [name, value] of xdata) {
    if (!isAttribute(name) || xdata.get(PREOP_PARENT_KEY) === name) continue;
    const bytes = valueBytes(value);
    if (!bytes) continue;
    if (name === MDATA_XATTR) brick.times.forget(entry.gfid);
    const result = brick.xattrs.set(target, name, bytes);
    // ACLs and labels may not fit the file's type; they never make a creation fail.
    if (result < 0) {
      brick.env.log.warn("cannot set an attribute of a new file", { name, errno: -result });
    }
  }
  const times = xdata.get(SET_CTIME_MDATA);
  if (times) brick.times.adopt(entry.gfid, target, times);
}

// What a file itself knows of one of its names.
function nameAttributes(brick: Brick, entry: NewName, target: Target): void {
  countNames(brick, target, entry.directory.gfid, 1);
  if (!brick.options.gfid2path) return;
  const { key, value } = gfid2path(entry.directory.gfid, entry.name);
  const result = brick.xattrs.set(target, key, value);
  if (result < 0) brick.env.log.warn("cannot note a file's name", { key, errno: -result });
}

// The file as it is now, the parent with its new times.
function answer(brick: Brick, call: Call, entry: NewName, stat: Iatt, xdata?: Xdata): EntryReply {
  brick.times.touch(call, entry.directory.gfid, entry.directory.target, CTIME | MTIME);
  return {
    stat,
    preParent: entry.preParent,
    postParent: brick.statDir(entry.directory),
    xdata,
  };
}

function statNew(brick: Brick, entry: NewName, target: Target, gfid = entry.gfid): Iatt {
  return brick.stat(brick.entryPlace(gfid, entry.directory, entry.bytes, target));
}

function fileMode(brick: Brick, mode: number): number {
  const bits = (mode & brick.options["create-mask"]) | brick.options["force-create-mode"];
  return (mode & S_IFMT) | (mode & (PERMISSIONS & ~0o777)) | (bits & 0o777);
}

/** `create`: makes and opens, or opens what is there unless O_EXCL. */
export function create(
  brick: Brick,
  call: Call,
  args: CreateArgs,
): CreateReply | Promise<CreateReply> {
  const entry = newName(brick, call, args);
  const { directory, bytes } = entry;
  const mode = S_IFREG | (fileMode(brick, args.mode) & PERMISSIONS);
  const wanted = brick.options["o-direct"] ? args.flags | O_DIRECT : args.flags;
  let direct = (wanted & O_DIRECT) !== 0;
  let flags = openFlags(wanted) | O_CREAT | O_EXCL;
  let sysfd = sys.openat(directory.fd, bytes, flags, mode & PERMISSIONS);
  if (sysfd === EINVAL_RESULT && direct) {
    // The file was made before the kernel found that it cannot be used that way.
    sys.unlinkat(directory.fd, bytes, 0);
    direct = false;
    flags &= ~LOCAL_O_DIRECT;
    sysfd = sys.openat(directory.fd, bytes, flags, mode & PERMISSIONS);
  }
  if (sysfd === EEXIST_RESULT && !(args.flags & O_EXCL)) {
    return openExisting(brick, call, entry, args);
  }
  if (sysfd < 0) throw fopError(sysfd);
  try {
    finish(brick, call, entry, sysfd, mode, args.xdata);
  } catch (error) {
    sys.close(sysfd);
    throw error;
  }
  const inode = brick.inodes.of(entry.gfid);
  const fd = brick.files.add(
    new OpenFile(brick.files, inode, args.flags & ~(O_CREAT | O_EXCL), sysfd, direct, false),
  );
  fd.opener = call;
  return orReleased(fd, () => {
    const stat = brick.statFile(entry.gfid, sysfd);
    const xdata = fill(brick, args.xdata, { gfid: entry.gfid, target: sysfd, stat });
    return { fd, ...answer(brick, call, entry, stat, withGfid(xdata, entry.gfid)) };
  });
}

// The reply of a fop that opened `fd`: without one, nobody would ever give it back.
function orReleased<R>(fd: OpenFile, reply: () => R): R {
  try {
    return reply();
  } catch (error) {
    fd.release();
    throw error;
  }
}

function withGfid(xdata: Xdata | undefined, gfid: Gfid): Xdata {
  return withKey(xdata, GFID_REQ, gfid);
}

async function openExisting(
  brick: Brick,
  call: Call,
  entry: NewName,
  args: CreateArgs,
): Promise<CreateReply> {
  const found = brick.statEntry(entry.directory, entry.bytes);
  const { mode } = found.stat;
  let { gfid } = found.stat;
  if (gfid === NULL_GFID) {
    const { name, bytes } = entry;
    gfid = giveGfid(brick, call, entry.directory, name, bytes, mode, found.target, args.xdata);
  } else if (found.nlink === 1) {
    makeHandle(brick, entry.directory, entry.name, entry.bytes, gfid, mode);
  }
  const fd = await openFile(brick, call, brick.inodes.of(gfid), args.flags & ~(O_CREAT | O_EXCL));
  // Found again: its descriptor may have been closed while the file was opened.
  return orReleased(fd, () => {
    const now = { ...entry, directory: brick.handles.dir(entry.directory.gfid) };
    return { fd, ...answer(brick, call, now, brick.statFile(gfid, fd.sysfd)) };
  });
}

/** `mkdir`. */
export function mkdir(brick: Brick, call: Call, args: MkdirArgs): EntryReply {
  const entry = newName(brick, call, args);
  const { directory, bytes, gfid } = entry;
  const masks = brick.options;
  const bits = (args.mode & masks["create-directory-mask"]) | masks["force-directory-mode"];
  const mode = S_IFDIR | (args.mode & (PERMISSIONS & ~0o777)) | (bits & 0o777) |
    (entry.setgid ? S_ISGID : 0);
  const known = brick.handles.readLink(gfid) !== undefined;
  if (known && brick.handles.isWithin(directory.gfid, gfid)) throw EEXIST;
  const made = sys.mkdirat(directory.fd, bytes, mode & PERMISSIONS);
  if (made < 0) throw fopError(made);
  if (known) {
    // Healers make a moved directory anew before they remove the old place: the gfid moves along.
    if (call.pid !== PID_SELF_HEAL) {
      brick.env.log.warn("two directories have one gfid", { gfid, name: args.name });
    }
    brick.handles.drop(gfid);
  }
  const target = { fd: directory.fd, name: bytes };
  finish(brick, call, entry, target, mode, args.xdata);
  const stat = statNew(brick, entry, target);
  return answer(brick, call, entry, stat, fill(brick, args.xdata, { gfid, target, stat }));
}

/** `mknod`: regular and special files. */
export function mknod(brick: Brick, call: Call, args: MknodArgs): EntryReply {
  const entry = newName(brick, call, args);
  const { directory, bytes, gfid } = entry;
  const mode = fileMode(brick, (args.mode & S_IFMT) === 0 ? args.mode | S_IFREG : args.mode);
  if ((mode & S_IFMT) === S_IFDIR || (mode & S_IFMT) === S_IFLNK) throw EINVAL;
  if (!(args.rdev >= 0 && args.rdev <= 0xffffffff)) throw EINVAL;
  const target = { fd: directory.fd, name: bytes };
  // Distribute's link file for a file that is here under another name: one more name of it.
  if (args.xdata?.has(INTERNAL_FOP) && statAt(brick.hidden, handleName(gfid)) === 0) {
    const linked = brick.handles.readLink(gfid)
      ? EEXIST_RESULT
      : sys.linkat(brick.hidden, handleName(gfid), directory.fd, bytes, 0);
    if (linked < 0) throw fopError(linked);
    nameAttributes(brick, entry, target);
  } else {
    let made = sys.mknodat(directory.fd, bytes, mode, args.rdev);
    if (
      made === EEXIST_RESULT && args.xdata?.has(FORCE_REPLACE) &&
      removeStaleLink(brick, call, directory, entry.name, bytes)
    ) made = sys.mknodat(directory.fd, bytes, mode, args.rdev);
    if (made < 0) throw fopError(made);
    finish(brick, call, entry, target, mode, args.xdata);
  }
  const stat = statNew(brick, entry, target);
  return answer(brick, call, entry, stat, fill(brick, args.xdata, { gfid, target, stat }));
}

/** `symlink`. */
export function symlink(brick: Brick, call: Call, args: SymlinkArgs): EntryReply {
  const text = cstring(args.target);
  if (args.target === "") throw ENOENT;
  if (args.target.includes("\0")) throw EINVAL;
  if (text.length > PATH_MAX) throw ENAMETOOLONG;
  const entry = newName(brick, call, args);
  const made = sys.symlinkat(text, entry.directory.fd, entry.bytes);
  if (made < 0) throw fopError(made);
  const target = { fd: entry.directory.fd, name: entry.bytes };
  finish(brick, call, entry, target, S_IFLNK | 0o777, args.xdata);
  const stat = statNew(brick, entry, target);
  return answer(
    brick,
    call,
    entry,
    stat,
    fill(brick, args.xdata, { gfid: entry.gfid, target, stat }),
  );
}

/** `link`: one more name of a file. Brings a file back that was removed while open. */
export function link(brick: Brick, call: Call, args: LinkArgs): EntryReply {
  const { gfid } = args.inode;
  const bytes = entryName(args.parent.gfid, args.name);
  brick.checkSpace(call, args.xdata);
  const directory = brick.handles.dir(args.parent.gfid);
  const preParent = brick.statDir(directory);
  const place = brick.place(gfid);
  if (place.directory) throw EPERM;
  if (statAt(place.fd, place.name) < 0) throw ENOENT;
  const most = brick.options["max-hardlinks"];
  if (most > 0 && statNlink() - 1 >= most && !isInternal(call)) throw EMLINK;
  if (brick.files.isUnlinked(gfid)) throw ENOENT;
  const linked = sys.linkat(brick.hidden, handleName(gfid), directory.fd, bytes, 0);
  if (linked < 0) throw fopError(linked);
  const entry: NewName = {
    directory,
    name: args.name,
    bytes,
    gfid,
    preParent,
    uid: call.uid,
    gid: call.gid,
    setgid: false,
  };
  nameAttributes(brick, entry, place.target);
  brick.times.touch(call, gfid, place.target, CTIME);
  return answer(brick, call, entry, statNew(brick, entry, place.target));
}

/** `icreate`: a file with a handle and no name yet. */
export function icreate(brick: Brick, call: Call, args: IcreateArgs): StatReply {
  const gfid = args.xdata?.get(GFID_REQ) ?? args.inode.gfid;
  if (gfid === NULL_GFID || gfid === ROOT_GFID) throw EPERM;
  brick.checkSpace(call, args.xdata);
  const mode = S_IFREG | (fileMode(brick, args.mode) & PERMISSIONS);
  // Made aside and linked, so that the handle is never there without its gfid.
  const aside = unlinkedName(gfid);
  const fd = sys.openat(brick.hidden, aside, openFlags(O_RDWR) | O_CREAT | O_EXCL, mode);
  if (fd < 0) throw fopError(fd);
  try {
    sys.fchownat(fd, EMPTY_PATH, call.uid | 0, call.gid | 0, AT_EMPTY_PATH);
    const set = brick.xattrs.set(fd, GFID_XATTR, gfidToBytes(gfid), XATTR_CREATE);
    const result = set < 0 ? set : brick.handles.linkFile(gfid, hiddenDirectory(brick), aside);
    if (result < 0) throw fopError(result);
    statFd(fd);
    return { stat: { ...iattOf(gfid), nlink: 0 } };
  } finally {
    sys.close(fd);
    sys.unlinkat(brick.hidden, aside, 0);
  }
}

function hiddenDirectory(brick: Brick): Directory {
  return { ...brick.handles.root, fd: brick.hidden };
}

/** `namelink`: the first name of what `icreate` made. */
export function namelink(brick: Brick, call: Call, args: NamelinkArgs): ParentReply {
  const entry = newName(brick, call, args);
  // A second link to a directory's handle would pass for a symbolic link of a client.
  if (brick.handles.isDirLink(entry.gfid)) throw EPERM;
  const linked = sys.linkat(
    brick.hidden,
    handleName(entry.gfid),
    entry.directory.fd,
    entry.bytes,
    0,
  );
  if (linked < 0) throw fopError(linked);
  const target = { fd: entry.directory.fd, name: entry.bytes };
  nameAttributes(brick, entry, target);
  return answer(brick, call, entry, statNew(brick, entry, target));
}

/** `put`: a whole file in one fop. What fails leaves no file. */
export async function put(brick: Brick, call: Call, args: PutArgs): Promise<EntryReply> {
  const made = await create(brick, call, {
    ...args,
    flags: (args.flags & ~O_ACCMODE) | O_RDWR | O_EXCL,
  });
  const file = made.fd as OpenFile;
  try {
    for (const [name, value] of args.xattrs ?? []) {
      const bytes = isAttribute(name) ? valueBytes(value) : undefined;
      const result = bytes ? brick.xattrs.set(file.sysfd, name, bytes) : 0;
      if (result < 0) throw fopError(result);
    }
    await writeAll(brick, file, args.data, args.offset, args.flags);
    const stat = brick.statFile(file.inode.gfid, file.sysfd);
    return { stat, preParent: made.preParent, postParent: made.postParent, xdata: made.xdata };
  } catch (error) {
    undoPut(brick, args, file.inode.gfid);
    throw error;
  } finally {
    file.release();
  }
}

// Unless the name is another file's by now, or the file has other names: then it is its owners'.
function undoPut(brick: Brick, { parent, name }: PutArgs, gfid: Gfid): void {
  try {
    const directory = brick.handles.dir(parent.gfid), bytes = entryName(parent.gfid, name);
    const { stat, nlink } = brick.statEntry(directory, bytes);
    if (stat.gfid === gfid && nlink === NAME_AND_HANDLE) {
      undoCreate(brick, directory, bytes, 0, gfid);
    }
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    brick.env.log.debug("a put that failed has no name any more", { gfid, error: error.code });
  }
}
