/** Fops on names in directories: glusterfs4-xdr.x `gfx_mknod_req` and its like. */

import { EEXIST, EINVAL, ENOENT, type FopError } from "core/errno.ts";
import type { LookupArgs, LookupReply } from "core/fops.ts";
import { NULL_GFID } from "core/inode.ts";
import { readDict, writeDict, writeSubject } from "rpc/gfx_dict.ts";
import {
  checkName,
  IATTX_SIZE,
  readFdNumber,
  readGfid,
  readHyper,
  readIatt,
  readName,
  readOffset,
  readPlainText,
  readStat,
  readText,
  writeGfid,
  writeHyper,
  writeIatt,
  writeText,
} from "rpc/gfx_types.ts";
import { readOpenFlags, writeOpenFlags } from "rpc/programs/gfx_flags.ts";
import {
  carried,
  fail,
  newEntry,
  oneIatt,
  readHead,
  readInode,
  succeed,
  twoParents,
  writeInode,
} from "rpc/programs/gfx_reply.ts";
import type { Peer, Wire } from "rpc/wire.ts";
import { XdrError, type XdrReader, type XdrWriter } from "rpc/xdr.ts";

/**
 * LOOKUP, the commonest fop. Named: parent and name, and the gfid if the client knows one. Nameless:
 * the gfid alone. The name "." of a directory asks for the directory itself.
 */
export const lookup: Wire<"lookup"> = {
  request(to: XdrWriter, args: LookupArgs): void {
    writeGfid(to, args.inode ? args.inode.gfid : NULL_GFID);
    writeGfid(to, args.parent ? args.parent.gfid : NULL_GFID);
    to.u32(args.flags ?? 0);
    writeText(to, args.name);
    writeDict(to, args.xdata);
  },
  args(from: XdrReader, peer: Peer): LookupArgs {
    const gfid = readGfid(from);
    const parent = readGfid(from);
    const flags = from.u32();
    const name = readText(from);
    const xdata = readDict(from);
    if (parent === NULL_GFID || name === "" || name === ".") {
      const itself = gfid === NULL_GFID && name === "." ? parent : gfid;
      if (itself === NULL_GFID) throw EINVAL;
      return { inode: peer.inode(itself), parent: undefined, name: "", flags, xdata };
    }
    checkName(name, EINVAL);
    const inode = gfid === NULL_GFID ? undefined : peer.inode(gfid);
    return { inode, parent: peer.inode(parent), name, flags, xdata };
  },
  answer(to: XdrWriter, reply: LookupReply, args: LookupArgs): void {
    to.u32(0);
    to.u32(0);
    // A client that asked for something gets a dictionary, be it an empty one; a layer may want that
    // for one that did not ask, too.
    if (args.xdata || reply.xdata) writeSubject(to, reply.xdata);
    else writeDict(to, undefined);
    writeIatt(to, reply.stat);
    writeIatt(to, reply.postParent);
  },
  failure(to: XdrWriter, error: FopError): void {
    fail(to, error, IATTX_SIZE);
    writeIatt(to, error.postParent);
  },
  reply(from: XdrReader): LookupReply {
    const result = from.i32();
    const errno = from.i32();
    const xdata = readDict(from);
    if (result < 0) {
      from.skip(IATTX_SIZE);
      const postParent = readIatt(from);
      const failure = carried(errno, xdata);
      throw postParent ? failure.carrying({ xdata, postParent }) : failure;
    }
    return { stat: readStat(from), postParent: readIatt(from), xdata };
  },
};

export const mknod: Wire<"mknod"> = {
  request(to, args) {
    writeInode(to, args.parent);
    writeHyper(to, args.rdev);
    to.u32(args.mode);
    to.u32(args.umask);
    writeText(to, args.name);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const parent = readInode(from, peer);
    const rdev = readHyper(from);
    if (!Number.isSafeInteger(rdev) || rdev < 0) throw EINVAL;
    const mode = from.u32(), umask = from.u32();
    return { parent, rdev, mode, umask, name: readName(from, EEXIST), xdata: readDict(from) };
  },
  ...newEntry,
};

export const mkdir: Wire<"mkdir"> = {
  request(to, args) {
    writeInode(to, args.parent);
    to.u32(args.mode);
    to.u32(args.umask);
    writeText(to, args.name);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const parent = readInode(from, peer);
    const mode = from.u32(), umask = from.u32();
    return { parent, mode, umask, name: readName(from, EEXIST), xdata: readDict(from) };
  },
  ...newEntry,
};

export const unlink: Wire<"unlink"> = {
  request(to, args) {
    writeInode(to, args.parent);
    writeText(to, args.name);
    to.u32(args.flags);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const parent = readInode(from, peer);
    return { parent, name: readName(from, ENOENT), flags: from.u32(), xdata: readDict(from) };
  },
  ...twoParents,
};

// Unlike UNLINK, the flags come before the name.
export const rmdir: Wire<"rmdir"> = {
  request(to, args) {
    writeInode(to, args.parent);
    to.i32(args.flags);
    writeText(to, args.name);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const parent = readInode(from, peer);
    return { parent, flags: from.i32(), name: readName(from, ENOENT), xdata: readDict(from) };
  },
  ...twoParents,
};

export const symlink: Wire<"symlink"> = {
  request(to, args) {
    writeInode(to, args.parent);
    writeText(to, args.name);
    to.u32(args.umask);
    writeText(to, args.target);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const parent = readInode(from, peer);
    const name = readName(from, EEXIST);
    const umask = from.u32();
    return { parent, name, umask, target: readPlainText(from), xdata: readDict(from) };
  },
  ...newEntry,
};

export const rename: Wire<"rename"> = {
  request(to, args) {
    writeInode(to, args.oldParent);
    writeInode(to, args.newParent);
    writeText(to, args.oldName);
    writeText(to, args.newName);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const oldParent = readInode(from, peer), newParent = readInode(from, peer);
    const oldName = readName(from, ENOENT), newName = readName(from, EEXIST);
    return { oldParent, oldName, newParent, newName, xdata: readDict(from) };
  },
  answer(to, reply) {
    succeed(to, 0, reply.xdata);
    writeIatt(to, reply.stat);
    writeIatt(to, reply.preOldParent);
    writeIatt(to, reply.postOldParent);
    writeIatt(to, reply.preNewParent);
    writeIatt(to, reply.postNewParent);
  },
  failure: (to, error) => fail(to, error, 5 * IATTX_SIZE),
  reply(from) {
    const { xdata } = readHead(from, 5 * IATTX_SIZE);
    return {
      stat: readIatt(from),
      preOldParent: readIatt(from),
      postOldParent: readIatt(from),
      preNewParent: readIatt(from),
      postNewParent: readIatt(from),
      xdata,
    };
  },
};

export const link: Wire<"link"> = {
  request(to, args) {
    writeInode(to, args.inode);
    writeInode(to, args.parent);
    writeText(to, args.name);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const inode = readInode(from, peer), parent = readInode(from, peer);
    return { inode, parent, name: readName(from, EEXIST), xdata: readDict(from) };
  },
  ...newEntry,
};

export const create: Wire<"create"> = {
  request(to, args) {
    writeInode(to, args.parent);
    writeOpenFlags(to, args.flags);
    to.u32(args.mode);
    to.u32(args.umask);
    writeText(to, args.name);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const parent = readInode(from, peer);
    const flags = readOpenFlags(from);
    const mode = from.u32(), umask = from.u32();
    return { parent, flags, mode, umask, name: readName(from, EEXIST), xdata: readDict(from) };
  },
  answer(to, reply, _args, peer) {
    succeed(to, 0, reply.xdata);
    writeIatt(to, reply.stat);
    writeHyper(to, peer.numberOf(reply.fd));
    writeIatt(to, reply.preParent);
    writeIatt(to, reply.postParent);
  },
  failure: (to, error) => fail(to, error, 3 * IATTX_SIZE + 8),
  reply(from, args, peer) {
    const { xdata } = readHead(from, 3 * IATTX_SIZE + 8);
    const stat = readStat(from);
    const number = readFdNumber(from);
    const preParent = readIatt(from), postParent = readIatt(from);
    const fd = peer.adopt(number, peer.inode(stat.gfid), args.flags);
    return { stat, fd, preParent, postParent, xdata };
  },
};

export const icreate: Wire<"icreate"> = {
  request(to, args) {
    writeInode(to, args.inode);
    to.u32(args.mode);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { inode: readInode(from, peer), mode: from.u32(), xdata: readDict(from) };
  },
  ...oneIatt,
};

export const namelink: Wire<"namelink"> = {
  request(to, args) {
    writeInode(to, args.parent);
    writeText(to, args.name);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { parent: readInode(from, peer), name: readName(from, EEXIST), xdata: readDict(from) };
  },
  ...twoParents,
};

export const put: Wire<"put"> = {
  request(to, args) {
    writeInode(to, args.parent);
    writeText(to, args.name);
    to.u32(args.mode);
    to.u32(args.umask);
    writeOpenFlags(to, args.flags);
    writeHyper(to, args.offset);
    to.u32(args.data.length);
    writeSubject(to, args.xattrs);
    writeDict(to, args.xdata);
  },
  payload: (args) => args.data,
  args(from, peer) {
    const parent = readInode(from, peer);
    const name = readName(from, EEXIST);
    const mode = from.u32(), umask = from.u32();
    const flags = readOpenFlags(from);
    const offset = readOffset(from);
    const size = from.u32();
    const xattrs = readDict(from), xdata = readDict(from);
    const data = readPayload(from, size);
    return { parent, name, mode, umask, flags, offset, data, xattrs, xdata };
  },
  ...newEntry,
};

/** The rest of a record, which must be the `size` bytes announced; a view into it. */
export function readPayload(from: XdrReader, size: number): Uint8Array {
  if (from.left !== size) {
    throw new XdrError(`Cannot read data: ${size} bytes announced, ${from.left} sent`);
  }
  const at = from.skip(size);
  return from.bytes.subarray(at, at + size);
}
