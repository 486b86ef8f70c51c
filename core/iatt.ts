/** Attributes of an inode, as every layer sees them. */

import type { Gfid } from "core/inode.ts";

/** `S_IFMT`: the bits of `mode` that hold the file type. */
export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

/**
 * What `stat` tells of an inode. Times are whole seconds (may be negative) plus nanoseconds.
 * The inode number is not here: it is always the last 8 bytes of the gfid.
 */
export interface Iatt {
  readonly gfid: Gfid;
  /** File type and permissions: the whole `st_mode`. */
  readonly mode: number;
  /** Names in the volume's name space: the brick's own handle is not counted. */
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** Device a special file stands for: (major << 32) | minor as one number. */
  readonly rdev: number;
  /** Backend device. */
  readonly dev: number;
  /** Bytes. */
  readonly size: number;
  /** Preferred I/O size in bytes. */
  readonly blksize: number;
  /** 512-byte units that the data takes, never more than its size needs. */
  readonly blocks: number;
  readonly atime: number;
  readonly atimeNsec: number;
  readonly mtime: number;
  readonly mtimeNsec: number;
  readonly ctime: number;
  readonly ctimeNsec: number;
}

/** A point in time: seconds since 1970 and nanoseconds below 10^9. */
export interface Timespec {
  readonly sec: number;
  readonly nsec: number;
}

/** True for a directory's attributes. */
export function isDirectory(stat: Pick<Iatt, "mode">): boolean {
  return (stat.mode & S_IFMT) === S_IFDIR;
}

/** True for a regular file's attributes. */
export function isRegular(stat: Pick<Iatt, "mode">): boolean {
  return (stat.mode & S_IFMT) === S_IFREG;
}

/** True for a symbolic link's attributes. */
export function isSymlink(stat: Iatt): boolean {
  return (stat.mode & S_IFMT) === S_IFLNK;
}
