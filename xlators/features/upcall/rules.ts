/**
 * What each fop is to caches: an access, a change of which parts, or nothing. Flags are those of
 * GlusterFS (upcall.c), which also tells of changed parents when names come; here it does when
 * names go, too.
 */

import type { Client } from "core/call.ts";
import { UP } from "core/events.ts";
import type { Args, FopName, ParentReply, PrePost, Reply } from "core/fops.ts";
import { type Gfid, type Inode, NULL_GFID } from "core/inode.ts";
import { equalBytes } from "core/lib/bytes.ts";
import { valueBytes, Xdata } from "core/xdata.ts";
import { XATTR_POSTSTAT } from "core/xdata_keys.ts";
import type { Detail } from "xlators/features/upcall/watchers.ts";

/** Where rules report to. */
export interface Report {
  seen(client: Client, gfid: Gfid): void;
  changed(client: Client, gfid: Gfid, flags: number, detail: Detail): void;
  /** The xattrs whose changes clients asked to hear of; undefined if none. */
  registered(xattrs: Xdata | undefined): Xdata | undefined;
}

/** What a fop that succeeded means. */
export type Rule<K extends FopName> = (
  report: Report,
  client: Client,
  args: Args<K>,
  reply: Reply<K>,
) => void;

const WRITE = UP.SIZE | UP.TIMES;
const ATTR = UP.SIZE | UP.TIMES | UP.OWN | UP.MODE | UP.PERM;
/** Of the file whose name went, or that got another. */
export const NAME_FLAGS = UP.NLINK | UP.TIMES | UP.PARENT_TIMES;
const RENAME = UP.RENAME | UP.PARENT_TIMES;

type OnInode = { readonly inode: Inode };
type OnFd = { readonly fd: { readonly inode: Inode } };
type OnName = { readonly parent: Inode };

function seenInode(report: Report, client: Client, { inode }: OnInode): void {
  report.seen(client, inode.gfid);
}

function seenFd(report: Report, client: Client, { fd }: OnFd): void {
  report.seen(client, fd.inode.gfid);
}

function written(report: Report, client: Client, { fd }: OnFd, { post }: PrePost): void {
  report.changed(client, fd.inode.gfid, WRITE, { stat: post });
}

function attributes(report: Report, client: Client, gfid: Gfid, { pre, post }: PrePost): void {
  // The mode is part of what ACLs in xattrs say.
  const flags = pre?.mode === post?.mode ? ATTR : ATTR | UP.XATTR;
  report.changed(client, gfid, flags, { stat: post });
}

function named(
  report: Report,
  client: Client,
  { parent }: OnName,
  { stat, postParent }: Reply<"mkdir">,
): void {
  report.changed(client, parent.gfid, UP.TIMES, { stat: postParent });
  report.seen(client, stat.gfid);
}

function parentChanged(
  report: Report,
  client: Client,
  { parent }: OnName,
  { postParent }: ParentReply,
): void {
  report.changed(client, parent.gfid, UP.TIMES, { stat: postParent });
}

function xattrsChanged(
  report: Report,
  client: Client,
  gfid: Gfid,
  flag: number,
  xattrs: Xdata | undefined,
  answer: Xdata | undefined,
): void {
  const registered = report.registered(xattrs);
  if (!registered) return report.seen(client, gfid);
  const stat = answer?.get(XATTR_POSTSTAT);
  report.changed(client, gfid, stat ? flag | UP.TIMES : flag, { stat, xdata: registered });
}

// A removal names one xattr, or lists several in xdata.
function removed({ name, xdata }: { name: string; xdata?: Xdata | undefined }): Xdata | undefined {
  if (name === "") return xdata;
  return Xdata.of([[name, { type: "str", value: "" }]]);
}

/** Prefix of replicate's marks. */
export const AFR_PREFIX = "trusted.afr.";

// Marks are news only when first set: then what was added is what is there now.
function marked(
  report: Report,
  client: Client,
  gfid: Gfid,
  xattrs: Xdata | undefined,
  stored: Xdata | undefined,
): void {
  const registered = report.registered(xattrs);
  if (!registered) return;
  for (const [name, value] of registered) {
    if (!name.startsWith(AFR_PREFIX)) continue;
    const added = valueBytes(value), now = stored?.raw(name);
    if (!added || !now || !equalBytes(added, valueBytes(now) ?? new Uint8Array(0))) return;
  }
  report.changed(client, gfid, UP.XATTR, { xdata: registered });
}

/** Every fop's rule; undefined: nothing that a cache holds is touched. */
export const RULES: { readonly [K in FopName]: Rule<K> | undefined } = {
  lookup: (report, client, _args, { stat }) => report.seen(client, stat.gfid),
  stat: seenInode,
  fstat: seenFd,
  access: seenInode,
  readlink: seenInode,
  open: seenInode,
  opendir: seenInode,
  statfs: undefined,
  readv: seenFd,
  seek: seenFd,
  rchecksum: undefined,
  lk: seenFd,
  getxattr: seenInode,
  fgetxattr: seenFd,
  readdir: seenFd,
  readdirp(report, client, { fd }, { entries }) {
    report.seen(client, fd.inode.gfid);
    for (const { stat } of entries) {
      if (stat && stat.gfid !== NULL_GFID) report.seen(client, stat.gfid);
    }
  },

  writev: written,
  ftruncate: written,
  fallocate: written,
  discard: written,
  zerofill: written,
  truncate: (report, client, { inode }, { post }) =>
    report.changed(client, inode.gfid, WRITE, { stat: post }),
  copyFileRange(report, client, args, reply) {
    report.seen(client, args.source.inode.gfid);
    written(report, client, args, reply);
  },

  setattr: (report, client, { inode }, reply) => attributes(report, client, inode.gfid, reply),
  fsetattr: (report, client, { fd }, reply) => attributes(report, client, fd.inode.gfid, reply),

  create: named,
  mkdir: named,
  mknod: named,
  symlink: named,
  put: named,
  icreate: undefined,
  namelink: parentChanged,
  link(report, client, args, reply) {
    const detail = { stat: reply.stat, parent: reply.postParent };
    report.changed(client, args.inode.gfid, NAME_FLAGS, detail);
    parentChanged(report, client, args, reply);
  },
  unlink: parentChanged,
  rmdir: parentChanged,
  rename(report, client, { oldParent, newParent }, reply) {
    const { stat, postOldParent, postNewParent } = reply;
    if (stat) {
      const detail = { stat, parent: postNewParent, oldParent: postOldParent };
      report.changed(client, stat.gfid, RENAME, detail);
    }
    report.changed(client, oldParent.gfid, UP.TIMES, { stat: postOldParent });
    if (newParent === oldParent) return;
    report.changed(client, newParent.gfid, UP.TIMES, { stat: postNewParent });
  },

  setxattr: (report, client, { inode, xattrs }, { xdata }) =>
    xattrsChanged(report, client, inode.gfid, UP.XATTR, xattrs, xdata),
  fsetxattr: (report, client, { fd, xattrs }, { xdata }) =>
    xattrsChanged(report, client, fd.inode.gfid, UP.XATTR, xattrs, xdata),
  removexattr: (report, client, args, { xdata }) =>
    xattrsChanged(report, client, args.inode.gfid, UP.XATTR_RM, removed(args), xdata),
  fremovexattr: (report, client, args, { xdata }) =>
    xattrsChanged(report, client, args.fd.inode.gfid, UP.XATTR_RM, removed(args), xdata),
  xattrop: (report, client, args, reply) =>
    marked(report, client, args.inode.gfid, args.xattrs, reply.xattrs),
  fxattrop: (report, client, args, reply) =>
    marked(report, client, args.fd.inode.gfid, args.xattrs, reply.xattrs),

  flush: undefined,
  fsync: undefined,
  fsyncdir: undefined,
  release: undefined,
  releasedir: undefined,
  inodelk: undefined,
  finodelk: undefined,
  entrylk: undefined,
  fentrylk: undefined,
  lease: undefined,
  getactivelk: undefined,
  setactivelk: undefined,
  ipc: undefined,
};
