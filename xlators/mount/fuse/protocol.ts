/**
 * The kernel's side of FUSE as numbers: operations, flags and the layouts of what they carry. All
 * integers are in the machine's order, little-endian on both of ours. Facts: linux/fuse.h, 7.38; of
 * pruning, 7.45.
 */

/** Version that is spoken; a kernel that is newer speaks this one, one from 7.31 on its own. */
export const MAJOR = 7, MINOR = 38, MINOR_LEAST = 31;
/** From this one on the kernel prunes, whatever is spoken. */
export const MINOR_PRUNES = 45;

/** The root directory's node. */
export const ROOT_NODE = 1;

/** Operations by number. */
export const OP = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  SETLK: 32,
  SETLKW: 33,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
} as const;

/** What INIT agrees on. */
export const INIT = {
  ASYNC_READ: 1 << 0,
  POSIX_LOCKS: 1 << 1,
  ATOMIC_O_TRUNC: 1 << 3,
  BIG_WRITES: 1 << 5,
  DONT_MASK: 1 << 6,
  FLOCK_LOCKS: 1 << 10,
  AUTO_INVAL_DATA: 1 << 12,
  DO_READDIRPLUS: 1 << 13,
  READDIRPLUS_AUTO: 1 << 14,
  ASYNC_DIO: 1 << 15,
  WRITEBACK_CACHE: 1 << 16,
  PARALLEL_DIROPS: 1 << 18,
  POSIX_ACL: 1 << 20,
  MAX_PAGES: 1 << 22,
  HANDLE_KILLPRIV_V2: 1 << 28,
  /** There is a second word. */
  EXT: 1 << 30,
} as const;
/** In the second word: files past the page cache can be mapped and shared. From 7.39. */
export const INIT_MORE_MAPS = 1 << 4;

/** SETATTR: what is to be set. */
export const FATTR = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  LOCKOWNER: 1 << 9,
  CTIME: 1 << 10,
  KILL_SUIDGID: 1 << 11,
} as const;

/** OPEN and CREATE: how the kernel shall treat the file. */
export const FOPEN = { DIRECT_IO: 1 << 0, KEEP_CACHE: 1 << 1 } as const;

export const GETATTR_FH = 1;
export const OPEN_KILL_SUIDGID = 1;
export const WRITE_CACHE = 1, WRITE_KILL_SUIDGID = 4;
export const FSYNC_DATA_ONLY = 1;
export const LK_FLOCK = 1;
export const RELEASE_FLOCK_UNLOCK = 2;

/** RENAME2: what is there is spared. */
export const RENAME_NOREPLACE = 1;

/** What we tell the kernel without being asked. */
export const NOTIFY = { INVAL_INODE: 2, INVAL_ENTRY: 3, STORE: 4, PRUNE: 9 } as const;

/** Sizes in bytes. */
export const IN_HEADER = 40,
  OUT_HEADER = 16,
  WRITE_IN = 40,
  ATTR = 88,
  ENTRY = 128,
  DIRENT = 24,
  STORE = 24;

/** A single write or read never has more data. */
export const DATA_MAX = 1 << 20;
/** Room that a request needs at most. */
export const REQUEST_MAX = DATA_MAX + 4096;
