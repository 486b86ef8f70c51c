/** Which function serves which operation. What is not here is answered with ENOSYS, once for all. */

import { access, getattr, setattr, statfs } from "xlators/mount/fuse/attributes.ts";
import type { Bridge } from "xlators/mount/fuse/bridge.ts";
import {
  fsyncdir,
  opendir,
  readdir,
  readdirplus,
  releasedir,
} from "xlators/mount/fuse/directories.ts";
import {
  copyFileRange,
  fallocate,
  flush,
  fsync,
  lseek,
  open,
  read,
  release,
  write,
} from "xlators/mount/fuse/files.ts";
import { destroy, init, ioctl } from "xlators/mount/fuse/init.ts";
import { getlk, interrupt, setlk, setlkw } from "xlators/mount/fuse/locks.ts";
import {
  batchForget,
  create,
  forget,
  link,
  lookup,
  mkdir,
  mknod,
  readlink,
  rename,
  rename2,
  rmdir,
  symlink,
  unlink,
} from "xlators/mount/fuse/names.ts";
import { OP } from "xlators/mount/fuse/protocol.ts";
import type { Request } from "xlators/mount/fuse/request.ts";
import { getxattr, listxattr, removexattr, setxattr } from "xlators/mount/fuse/xattrs.ts";

/** Serves a request; its fields may be read until the first `await`. */
export type Operation = (bridge: Bridge, request: Request) => Promise<unknown> | void;

/** By number. */
export const OPERATIONS: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [OP.LOOKUP, lookup],
  [OP.FORGET, forget],
  [OP.GETATTR, getattr],
  [OP.SETATTR, setattr],
  [OP.READLINK, readlink],
  [OP.SYMLINK, symlink],
  [OP.MKNOD, mknod],
  [OP.MKDIR, mkdir],
  [OP.UNLINK, unlink],
  [OP.RMDIR, rmdir],
  [OP.RENAME, rename],
  [OP.LINK, link],
  [OP.OPEN, open],
  [OP.READ, read],
  [OP.WRITE, write],
  [OP.STATFS, statfs],
  [OP.RELEASE, release],
  [OP.FSYNC, fsync],
  [OP.SETXATTR, setxattr],
  [OP.GETXATTR, getxattr],
  [OP.LISTXATTR, listxattr],
  [OP.REMOVEXATTR, removexattr],
  [OP.FLUSH, flush],
  [OP.INIT, init],
  [OP.OPENDIR, opendir],
  [OP.READDIR, readdir],
  [OP.RELEASEDIR, releasedir],
  [OP.FSYNCDIR, fsyncdir],
  [OP.GETLK, getlk],
  [OP.SETLK, setlk],
  [OP.SETLKW, setlkw],
  [OP.ACCESS, access],
  [OP.CREATE, create],
  [OP.INTERRUPT, interrupt],
  [OP.DESTROY, destroy],
  [OP.IOCTL, ioctl],
  [OP.BATCH_FORGET, batchForget],
  [OP.FALLOCATE, fallocate],
  [OP.READDIRPLUS, readdirplus],
  [OP.RENAME2, rename2],
  [OP.LSEEK, lseek],
  [OP.COPY_FILE_RANGE, copyFileRange],
]);
