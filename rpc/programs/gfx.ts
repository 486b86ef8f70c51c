/**
 * GlusterFS 4.x fops: program 1298437 version 400 (glusterfs4-xdr.x). All fops, each as its
 * request and reply in both directions.
 *
 * Borrowed: values of type `ptr`, WRITE's and PUT's data are views into the record, valid until the
 * fop's promise settles. The rest (names, gfids, locks, attributes) is the receiver's own. In a
 * reply, views live as long as its record.
 */

import { FOP_NAMES, type FopName, FOPS } from "core/fops.ts";
import * as dir from "rpc/programs/gfx_dir.ts";
import * as entry from "rpc/programs/gfx_entry.ts";
import * as inode from "rpc/programs/gfx_inode.ts";
import * as io from "rpc/programs/gfx_io.ts";
import * as lock from "rpc/programs/gfx_lock.ts";
import * as xattr from "rpc/programs/gfx_xattr.ts";
import type { Wire } from "rpc/wire.ts";

/** Number of the program. */
export const GFX_PROGRAM = 1298437;
/** Its version since GlusterFS 4.0. */
export const GFX_VERSION = 400;
/** What GlusterFS calls it when listing programs. */
export const GFX_NAME = "GlusterFS 4.x v1";

/** Every fop's form on the wire. */
export const WIRES: { readonly [K in FopName]: Wire<K> } = {
  stat: inode.stat,
  readlink: inode.readlink,
  mknod: entry.mknod,
  mkdir: entry.mkdir,
  unlink: entry.unlink,
  rmdir: entry.rmdir,
  symlink: entry.symlink,
  rename: entry.rename,
  link: entry.link,
  truncate: io.truncate,
  open: io.open,
  readv: io.readv,
  writev: io.writev,
  statfs: inode.statfs,
  flush: io.flush,
  fsync: io.fsync,
  setxattr: xattr.setxattr,
  getxattr: xattr.getxattr,
  removexattr: xattr.removexattr,
  opendir: io.opendir,
  fsyncdir: io.fsyncdir,
  access: inode.access,
  create: entry.create,
  ftruncate: io.ftruncate,
  fstat: inode.fstat,
  lk: lock.lk,
  lookup: entry.lookup,
  readdir: dir.readdir,
  inodelk: lock.inodelk,
  finodelk: lock.finodelk,
  entrylk: lock.entrylk,
  fentrylk: lock.fentrylk,
  xattrop: xattr.xattrop,
  fxattrop: xattr.fxattrop,
  fgetxattr: xattr.fgetxattr,
  fsetxattr: xattr.fsetxattr,
  rchecksum: io.rchecksum,
  setattr: inode.setattr,
  fsetattr: inode.fsetattr,
  readdirp: dir.readdirp,
  release: io.release,
  releasedir: io.releasedir,
  fremovexattr: xattr.fremovexattr,
  fallocate: io.fallocate,
  discard: io.discard,
  zerofill: io.zerofill,
  ipc: inode.ipc,
  seek: io.seek,
  lease: lock.lease,
  getactivelk: lock.getactivelk,
  setactivelk: lock.setactivelk,
  icreate: entry.icreate,
  namelink: entry.namelink,
  put: entry.put,
  copyFileRange: io.copyFileRange,
};

const byProcedure: (FopName | undefined)[] = [];
for (const name of FOP_NAMES) byProcedure[FOPS[name].proc] = name;

/** The fop of a procedure number; undefined if there is none. */
export function fopOf(procedure: number): FopName | undefined {
  return byProcedure[procedure];
}
