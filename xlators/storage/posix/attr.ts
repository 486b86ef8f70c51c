/** Attributes: stat, setattr, access, readlink, statfs. */

import type { Call } from "core/call.ts";
import { EINVAL, fopError } from "core/errno.ts";
import {
  type AccessArgs,
  type AttrChanges,
  DONE,
  type Empty,
  type FsetattrArgs,
  type OnFd,
  type OnInode,
  type PrePost,
  type ReadlinkArgs,
  type ReadlinkReply,
  type SetattrArgs,
  type StatfsReply,
  type StatReply,
} from "core/fops.ts";
import type { Iatt, Timespec } from "core/iatt.ts";
import { isSymlink } from "core/iatt.ts";
import type { Fd } from "core/inode.ts";
import { decodeName } from "core/lib/bytes.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  cstring,
  sys,
  UTIME_NOW,
  UTIME_OMIT,
} from "core/sys/calls.ts";
import type { Xdata } from "core/xdata.ts";
import type { Brick, Place } from "xlators/storage/posix/brick.ts";
import { fill } from "xlators/storage/posix/fill.ts";
import { CTIME } from "xlators/storage/posix/mdata.ts";
import { OpenFile } from "xlators/storage/posix/open_files.ts";
import { OpenDir } from "xlators/storage/posix/readdir.ts";
import { EMPTY_PATH } from "xlators/storage/posix/stat.ts";

const PERMISSIONS = 0o7777, EPERM_RESULT = -1, PATH_MAX = 4096;
const NSEC_MAX = 1e9;

/** Where the inode behind an fd is. Throws EBADF for an fd that is not open here. */
export function placeOfFd(brick: Brick, fd: Fd): Place {
  if (fd instanceof OpenDir || fd.anonymous) return brick.place(fd.inode.gfid);
  const file = brick.files.of(fd);
  return { gfid: fd.inode.gfid, fd: file.sysfd, name: EMPTY_PATH, target: file.sysfd };
}

/** `stat`. */
export function stat(brick: Brick, _call: Call, args: OnInode): StatReply {
  return statPlace(brick, brick.place(args.inode.gfid), args.xdata);
}

/** `fstat`. */
export function fstat(brick: Brick, _call: Call, args: OnFd): StatReply {
  const { fd } = args;
  if (!args.xdata && fd instanceof OpenFile) {
    const file = brick.files.of(fd);
    return { stat: brick.statFile(fd.inode.gfid, file.sysfd) };
  }
  return statPlace(brick, placeOfFd(brick, fd), args.xdata);
}

function statPlace(brick: Brick, place: Place, request: Xdata | undefined): StatReply {
  const found = brick.stat(place);
  const { gfid, target } = place;
  return { stat: found, xdata: fill(brick, request, { gfid, target, stat: found }) };
}

/** `setattr`. */
export function setattr(brick: Brick, call: Call, args: SetattrArgs): PrePost {
  return change(brick, call, brick.place(args.inode.gfid), args.changes, args.xdata);
}

/** `fsetattr`. */
export function fsetattr(brick: Brick, call: Call, args: FsetattrArgs): PrePost {
  return change(brick, call, placeOfFd(brick, args.fd), args.changes, args.xdata);
}

function change(
  brick: Brick,
  call: Call,
  place: Place,
  changes: AttrChanges,
  request: Xdata | undefined,
): PrePost {
  const atime = timeOf(changes.atime), mtime = timeOf(changes.mtime);
  const pre = brick.stat(place);
  const before = brick.times.of(place.gfid, place.target);
  // Owner first: a change of owner clears setuid and setgid, which the new mode may have.
  if (changes.uid !== undefined || changes.gid !== undefined) chown(brick, place, changes);
  if (changes.mode !== undefined) chmod(place, pre, changes.mode);
  if (atime || mtime) setTimes(place, atime, mtime);
  if (before && (changes.atime || changes.mtime)) {
    const now = call.ctime ?? nowOf(brick);
    brick.times.set(call, place.gfid, place.target, {
      atime: changes.atime === "now" ? now : changes.atime,
      mtime: changes.mtime === "now" ? now : changes.mtime,
    });
  } else {
    brick.times.touch(call, place.gfid, place.target, CTIME);
  }
  const post = brick.stat(place);
  const { gfid, target } = place;
  return { pre, post, xdata: fill(brick, request, { gfid, target, stat: post }) };
}

function nowOf(brick: Brick): Timespec {
  const now = brick.env.clock.now();
  return { sec: Math.floor(now / 1000), nsec: Math.floor((now % 1000) * 1e6) };
}

// Checked before anything is changed.
function timeOf(time: Timespec | "now" | undefined): Timespec | undefined {
  if (time === undefined) return undefined;
  if (time === "now") return { sec: 0, nsec: UTIME_NOW };
  if (!(time.nsec >= 0 && time.nsec < NSEC_MAX) || !Number.isSafeInteger(time.sec)) throw EINVAL;
  return time;
}

function chown(brick: Brick, place: Place, { uid, gid }: AttrChanges): void {
  const flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
  const result = sys.fchownat(place.fd, place.name, (uid ?? -1) | 0, (gid ?? -1) | 0, flags);
  if (result < 0 && !(brick.unprivileged && result === EPERM_RESULT)) throw fopError(result);
}

function chmod(place: Place, pre: Iatt, mode: number): void {
  // Linux has no modes of symbolic links; the real brick leaves them alone too.
  if (isSymlink(pre)) return;
  const bits = mode & PERMISSIONS;
  let result: number;
  if (place.name !== EMPTY_PATH) result = sys.fchmodat(place.fd, place.name, bits);
  else if (typeof place.target === "number") result = sys.fchmod(place.fd, bits);
  else result = sys.fchmodat(place.fd, cstring("."), bits);
  if (result < 0) throw fopError(result);
}

const timesBuffer = new Uint8Array(32);
const timesView = new DataView(timesBuffer.buffer);

function setTimes(
  place: Place,
  atime: Timespec | undefined,
  mtime: Timespec | undefined,
): void {
  [atime, mtime].forEach((time, i) => {
    timesView.setBigInt64(16 * i, BigInt(time?.sec ?? 0), true);
    timesView.setBigInt64(16 * i + 8, BigInt(time?.nsec ?? UTIME_OMIT), true);
  });
  const flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
  const result = sys.utimensat(place.fd, place.name, timesBuffer, flags);
  if (result < 0) throw fopError(result);
}

/** `access`, as the brick's own user: what an application may do is `features/access-control`'s to say. */
export function access(brick: Brick, _call: Call, args: AccessArgs): Empty {
  if ((args.mask & ~7) !== 0) throw EINVAL;
  const place = brick.place(args.inode.gfid);
  const found = brick.stat(place);
  if (isSymlink(found)) return DONE;
  const name = place.directory ? cstring(".") : place.name;
  const result = place.name === EMPTY_PATH && !place.directory
    ? sys.faccessat(AT_FDCWD, cstring(`/proc/self/fd/${place.fd}`), args.mask)
    : sys.faccessat(place.fd, name, args.mask);
  if (result < 0) throw fopError(result);
  return DONE;
}

const linkBuffer = new Uint8Array(PATH_MAX);

/** `readlink`. */
export function readlink(brick: Brick, _call: Call, args: ReadlinkArgs): ReadlinkReply {
  const place = brick.place(args.inode.gfid);
  const found = brick.stat(place);
  if (!isSymlink(found)) throw EINVAL;
  const size = sys.readlinkat(place.fd, place.name, linkBuffer, PATH_MAX);
  if (size < 0) throw fopError(size);
  const target = decodeName(linkBuffer.subarray(0, Math.min(size, args.size)));
  const { gfid } = place;
  return {
    target,
    stat: found,
    xdata: fill(brick, args.xdata, { gfid, target: place.target, stat: found }),
  };
}

/** `statfs`: of the brick's file system, whatever the inode; ESTALE if there is none. */
export function statfs(brick: Brick, _call: Call, { inode }: OnInode): StatfsReply {
  brick.place(inode.gfid);
  return { statfs: brick.space.statfs() };
}
