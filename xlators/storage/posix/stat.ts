/** Attributes of backend files: one `statx`, read in place into an `Iatt`. */

import type { Iatt } from "core/iatt.ts";
import { S_IFDIR, S_IFMT } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import type { Mdata } from "core/xdata.ts";
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, sys } from "core/sys/calls.ts";

// One buffer for all calls: each is read before the next, and nothing waits in between.
const buffer = new Uint8Array(256);
const u32 = new Uint32Array(buffer.buffer);
const i32 = new Int32Array(buffer.buffer);
const u16 = new Uint16Array(buffer.buffer);
/** The empty path: "the descriptor itself". */
export const EMPTY_PATH = new Uint8Array(1);

// Word positions in `struct statx` (linux/stat.h).
const BLKSIZE = 1, NLINK = 4, UID = 5, GID = 6, MODE16 = 14, INO = 8, SIZE = 10, BLOCKS = 12;
const ATIME = 16, CTIME = 24, MTIME = 28, RDEV = 32, DEV = 34;

/** Fills the shared buffer from an open file; 0 or `-errno`. */
export function statFd(fd: number): number {
  return sys.statx(fd, EMPTY_PATH, AT_EMPTY_PATH, STATX_BASIC_STATS, buffer);
}

/**
 * Fills the shared buffer from a name in a directory, never through a symbolic link, or from `dir`
 * itself if the name is empty; 0 or `-errno`.
 */
export function statAt(dir: number, name: Uint8Array<ArrayBuffer>): number {
  return sys.statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_BASIC_STATS, buffer);
}

// The answers below are about the last successful `statFd` or `statAt`.

/** `st_mode`. */
export function statMode(): number {
  return u16[MODE16]!;
}
/** `st_nlink` as the backend has it: the handle counts. */
export function statNlink(): number {
  return u32[NLINK]!;
}
function statSize(): number {
  return u32[SIZE]! + u32[SIZE + 1]! * 2 ** 32;
}
/** `st_ino` as a key: exact below 2^53, which every Linux file system in use stays under. */
export function statIno(): number {
  return u32[INO]! + u32[INO + 1]! * 2 ** 32;
}
/** True if the file is the one with that backend device and inode number. */
export function statIs(dev: number, ino: number): boolean {
  return statIno() === ino && statDev() === dev;
}

let lastMajor = -1, lastMinor = -1, lastDev = 0;
/** `st_dev` in glibc's encoding (`gnu_dev_makedev`). */
export function statDev(): number {
  const major = u32[DEV]!, minor = u32[DEV + 1]!;
  if (major !== lastMajor || minor !== lastMinor) {
    lastMajor = major;
    lastMinor = minor;
    lastDev = (((major & 0xfff) << 8) | (minor & 0xff)) + (minor >>> 8) * 2 ** 20 +
      (major >>> 12) * 2 ** 44;
  }
  return lastDev;
}

function seconds(at: number): number {
  return u32[at]! + i32[at + 1]! * 2 ** 32;
}

/**
 * The attributes as clients see them: without the handle's link, and `blocks` never above what the
 * size needs (file systems preallocate, and replicas would differ). `times` stand in for the backend's.
 */
export function iattOf(gfid: Gfid, times?: Mdata): Iatt {
  const mode = statMode();
  const size = statSize();
  const nlink = statNlink();
  const blocks = u32[BLOCKS]! + u32[BLOCKS + 1]! * 2 ** 32;
  return {
    gfid,
    mode,
    nlink: (mode & S_IFMT) === S_IFDIR || nlink === 0 ? nlink : nlink - 1,
    uid: u32[UID]!,
    gid: u32[GID]!,
    rdev: u32[RDEV]! * 2 ** 32 + u32[RDEV + 1]!,
    dev: statDev(),
    size,
    blksize: u32[BLKSIZE]!,
    blocks: Math.min(blocks, Math.ceil(size / 512)),
    atime: times ? times.atime.sec : seconds(ATIME),
    atimeNsec: times ? times.atime.nsec : u32[ATIME + 2]!,
    mtime: times ? times.mtime.sec : seconds(MTIME),
    mtimeNsec: times ? times.mtime.nsec : u32[MTIME + 2]!,
    ctime: times ? times.ctime.sec : seconds(CTIME),
    ctimeNsec: times ? times.ctime.nsec : u32[CTIME + 2]!,
  };
}
