/** Fops on what an inode is: attributes, link target, file system. */

import { EINVAL, type FopError } from "core/errno.ts";
import type { AttrChanges, StatfsReply } from "core/fops.ts";
import type { Timespec } from "core/iatt.ts";
import { readDict, writeDict } from "rpc/gfx_dict.ts";
import {
  IATTX_SIZE,
  readHyper,
  readIatt,
  writeHyper,
  writeIatt,
  writeText,
} from "rpc/gfx_types.ts";
import {
  empty,
  fail,
  oneIatt,
  onFd,
  onInode,
  prePost,
  readFd,
  readHead,
  readInode,
  succeed,
  writeFd,
  writeInode,
  zeros,
} from "rpc/programs/gfx_reply.ts";
import type { Wire } from "rpc/wire.ts";
import type { XdrReader, XdrWriter } from "rpc/xdr.ts";

export const stat: Wire<"stat"> = { ...onInode, ...oneIatt };
export const fstat: Wire<"fstat"> = { ...onFd, ...oneIatt };

// A target is at most PATH_MAX bytes; a brick may say a little more.
const TARGET_MAX = 65536;

export const readlink: Wire<"readlink"> = {
  request(to, args) {
    writeInode(to, args.inode);
    to.u32(args.size);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { inode: readInode(from, peer), size: from.u32(), xdata: readDict(from) };
  },
  answer(to, reply) {
    const start = to.at;
    succeed(to, 0, reply.xdata);
    writeIatt(to, reply.stat);
    const at = to.at;
    writeText(to, reply.target);
    to.view.setUint32(start, to.view.getUint32(at));
  },
  failure: (to, error) => fail(to, error, IATTX_SIZE + 4),
  reply(from) {
    const { xdata } = readHead(from, IATTX_SIZE + 4);
    const stat = readIatt(from);
    return { target: from.string(TARGET_MAX), stat, xdata };
  },
};

export const access: Wire<"access"> = {
  request(to, args) {
    writeInode(to, args.inode);
    to.u32(args.mask);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { inode: readInode(from, peer), mask: from.u32(), xdata: readDict(from) };
  },
  ...empty,
};

export const statfs: Wire<"statfs"> = {
  ...onInode,
  answer(to: XdrWriter, { statfs, xdata }: StatfsReply): void {
    succeed(to, 0, xdata);
    writeHyper(to, statfs.bsize);
    writeHyper(to, statfs.frsize);
    writeHyper(to, statfs.blocks);
    writeHyper(to, statfs.bfree);
    writeHyper(to, statfs.bavail);
    writeHyper(to, statfs.files);
    writeHyper(to, statfs.ffree);
    writeHyper(to, statfs.favail);
    to.u64(statfs.fsid);
    writeHyper(to, statfs.flag);
    writeHyper(to, statfs.namemax);
  },
  failure(to: XdrWriter, error: FopError): void {
    fail(to, error, 88);
  },
  reply(from: XdrReader): StatfsReply {
    const { xdata } = readHead(from, 88);
    const statfs = {
      bsize: readCount(from),
      frsize: readCount(from),
      blocks: readCount(from),
      bfree: readCount(from),
      bavail: readCount(from),
      files: readCount(from),
      ffree: readCount(from),
      favail: readCount(from),
      fsid: from.u64(),
      flag: readCount(from),
      namemax: readCount(from),
    };
    return { statfs, xdata };
  },
};

/** A count; "as many as you like", as some file systems say with all bits set, is 2^53 - 1. */
function readCount(from: XdrReader): number {
  const count = readHyper(from);
  return count < 0 || count > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : count;
}

// Which attributes SETATTR changes. SIZE (8) is for distribute's own use and must change nothing.
const MODE = 0x1;
const UID = 0x2;
const GID = 0x4;
const ATIME = 0x10;
const MTIME = 0x20;
const CTIME = 0x40;
const ATIME_NOW = 0x80;
const MTIME_NOW = 0x100;

/** Reads new attributes and which of them count. A time that comes with its value is that value, even if it says "now" too: the same on all bricks. */
function readChanges(from: XdrReader): AttrChanges {
  const at = from.skip(IATTX_SIZE);
  const valid = from.u32();
  const { view } = from;
  const atime = valid & ATIME
    ? timeAt(view, at + 80, at + 112)
    : valid & ATIME_NOW
    ? "now"
    : void 0;
  const mtime = valid & MTIME
    ? timeAt(view, at + 88, at + 116)
    : valid & MTIME_NOW
    ? "now"
    : void 0;
  return {
    mode: valid & MODE ? view.getUint32(at + 144) & 0o7777 : undefined,
    uid: valid & UID ? view.getUint32(at + 132) : undefined,
    gid: valid & GID ? view.getUint32(at + 136) : undefined,
    atime,
    mtime,
    ctime: valid & CTIME ? timeAt(view, at + 96, at + 120) : undefined,
  };
}

function timeAt(view: DataView, at: number, nsecAt: number): Timespec {
  const sec = view.getInt32(at) * 4294967296 + view.getUint32(at + 4);
  const nsec = view.getUint32(nsecAt);
  if (nsec >= 1e9) throw EINVAL;
  return { sec, nsec };
}

/**
 * Writes new attributes and which of them count. Bricks of GlusterFS take times from the value
 * alone, so "now" changes nothing there: layers above resolve it.
 */
function writeChanges(to: XdrWriter, changes: AttrChanges): void {
  const at = to.at;
  zeros(to, IATTX_SIZE);
  const { view } = to;
  let valid = 0;
  if (changes.mode !== undefined) {
    valid |= MODE;
    view.setUint32(at + 144, changes.mode);
  }
  if (changes.uid !== undefined) {
    valid |= UID;
    view.setUint32(at + 132, changes.uid);
  }
  if (changes.gid !== undefined) {
    valid |= GID;
    view.setUint32(at + 136, changes.gid);
  }
  if (changes.atime === "now") valid |= ATIME_NOW;
  else if (changes.atime) {
    valid |= ATIME;
    putTime(to, at + 80, at + 112, changes.atime);
  }
  if (changes.mtime === "now") valid |= MTIME_NOW;
  else if (changes.mtime) {
    valid |= MTIME;
    putTime(to, at + 88, at + 116, changes.mtime);
  }
  if (changes.ctime) {
    valid |= CTIME;
    putTime(to, at + 96, at + 120, changes.ctime);
  }
  to.u32(valid);
}

function putTime(to: XdrWriter, at: number, nsecAt: number, { sec, nsec }: Timespec): void {
  to.view.setInt32(at, Math.floor(sec / 4294967296));
  to.view.setUint32(at + 4, sec % 4294967296);
  to.view.setUint32(nsecAt, nsec);
}

export const setattr: Wire<"setattr"> = {
  request(to, args) {
    writeInode(to, args.inode);
    writeChanges(to, args.changes);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { inode: readInode(from, peer), changes: readChanges(from), xdata: readDict(from) };
  },
  ...prePost,
};

export const fsetattr: Wire<"fsetattr"> = {
  request(to, args, peer) {
    writeFd(to, args.fd, peer);
    writeChanges(to, args.changes);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { fd: readFd(from, peer), changes: readChanges(from), xdata: readDict(from) };
  },
  ...prePost,
};

export const ipc: Wire<"ipc"> = {
  request(to, args) {
    to.i32(args.op);
    writeDict(to, args.xdata);
  },
  args: (from) => ({ op: from.i32(), xdata: readDict(from) }),
  ...empty,
};
