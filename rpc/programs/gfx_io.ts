/** Fops that open, read and write: glusterfs4-xdr.x `gfx_open_req`, `gfx_read_req`, `gfx_write_req` and their like. */

import { EIO, ENOENT, ENXIO, EOPNOTSUPP, type FopError } from "core/errno.ts";
import type {
  FsyncArgs,
  OpenReply,
  PrePost,
  RangeArgs,
  ReadvArgs,
  ReadvReply,
  WritevArgs,
} from "core/fops.ts";
import type { Inode } from "core/inode.ts";
import { readDict, writeDict } from "rpc/gfx_dict.ts";
import {
  IATTX_SIZE,
  readFdNumber,
  readGfid,
  readHyper,
  readIatt,
  readLength,
  readOffset,
  readSourceOffset,
  writeGfid,
  writeHyper,
  writeIatt,
} from "rpc/gfx_types.ts";
import { readPayload } from "rpc/programs/gfx_entry.ts";
import { readOpenFlags, writeOpenFlags } from "rpc/programs/gfx_flags.ts";
import {
  answerPrePost,
  carried,
  empty,
  fail,
  onFd,
  onInode,
  prePost,
  readFd,
  readHead,
  readInode,
  succeed,
  writeFd,
  writeInode,
} from "rpc/programs/gfx_reply.ts";
import type { Peer, Wire } from "rpc/wire.ts";
import { XdrError, type XdrReader, type XdrWriter } from "rpc/xdr.ts";

/** `gfx_open_rsp`: the number of the open file. */
const opened = {
  answer(to: XdrWriter, reply: OpenReply, _args: unknown, peer: Peer): void {
    succeed(to, 0, reply.xdata);
    writeHyper(to, peer.numberOf(reply.fd));
  },
  failure(to: XdrWriter, error: FopError): void {
    fail(to, error, 8);
  },
};

function readOpened(from: XdrReader, inode: Inode, flags: number, peer: Peer): OpenReply {
  const { xdata } = readHead(from, 8);
  return { fd: peer.adopt(readFdNumber(from), inode, flags), xdata };
}

export const open: Wire<"open"> = {
  request(to, args) {
    writeInode(to, args.inode);
    writeOpenFlags(to, args.flags);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { inode: readInode(from, peer), flags: readOpenFlags(from), xdata: readDict(from) };
  },
  ...opened,
  reply: (from, args, peer) => readOpened(from, args.inode, args.flags, peer),
};

export const opendir: Wire<"opendir"> = {
  ...onInode,
  ...opened,
  reply: (from, args, peer) => readOpened(from, args.inode, 0, peer),
};

/** READ: alone among replies, its extra data comes last, right before the bulk data. */
export const readv: Wire<"readv"> = {
  request(to: XdrWriter, args: ReadvArgs, peer: Peer): void {
    writeFd(to, args.fd, peer);
    writeHyper(to, args.offset);
    to.u32(args.size);
    to.u32(args.flags);
    writeDict(to, args.xdata);
  },
  args(from: XdrReader, peer: Peer): ReadvArgs {
    const gfid = readGfid(from);
    const number = readFdNumber(from);
    const offset = readSourceOffset(from);
    const size = from.u32();
    const flags = from.u32();
    const xdata = readDict(from);
    return { fd: peer.fd(number, gfid, flags), offset, size, flags, xdata };
  },
  answer(to: XdrWriter, reply: ReadvReply): void {
    const size = reply.data.length;
    const at = to.reserve(8);
    to.view.setUint32(at, size);
    to.view.setUint32(at + 4, reply.eof ? ENOENT.errno : 0);
    writeIatt(to, reply.stat);
    to.u32(size);
    writeDict(to, reply.xdata);
  },
  bulk: (reply) => reply.data,
  failure(to: XdrWriter, error: FopError): void {
    const at = to.reserve(8 + IATTX_SIZE + 4);
    to.bytes.fill(0, at, to.at);
    to.view.setInt32(at, -1);
    to.view.setUint32(at + 4, error.errno);
    writeDict(to, error.xdata);
  },
  reply(from: XdrReader, args: ReadvArgs): ReadvReply {
    const result = from.i32();
    const errno = from.i32();
    const stat = readIatt(from);
    const size = from.u32();
    const xdata = readDict(from);
    if (result < 0) throw carried(errno, xdata);
    if (size !== result || size > args.size) {
      throw new XdrError(`Cannot read data: ${size} bytes for ${result}, ${args.size} asked for`);
    }
    return { data: readPayload(from, size), stat, eof: errno === ENOENT.errno, xdata };
  },
};

export const writev: Wire<"writev"> = {
  request(to: XdrWriter, args: WritevArgs, peer: Peer): void {
    writeFd(to, args.fd, peer);
    writeHyper(to, args.offset);
    to.u32(args.data.length);
    to.u32(args.flags);
    writeDict(to, args.xdata);
  },
  payload: (args) => args.data,
  args(from: XdrReader, peer: Peer): WritevArgs {
    const gfid = readGfid(from);
    const number = readFdNumber(from);
    const offset = readOffset(from);
    const size = from.u32();
    const flags = from.u32();
    const xdata = readDict(from);
    const data = readPayload(from, size);
    return { fd: peer.fd(number, gfid, flags), offset, data, flags, xdata };
  },
  ...prePost,
  answer(to: XdrWriter, reply: PrePost, args: WritevArgs): void {
    answerPrePost(to, args.data.length, reply);
  },
  reply(from: XdrReader, args: WritevArgs): PrePost {
    const { result, xdata } = readHead(from, 2 * IATTX_SIZE);
    const reply = { pre: readIatt(from), post: readIatt(from), xdata };
    // A brick that ran out of space half-way answers with what it wrote. Here a write is whole.
    if (result < args.data.length) throw EIO;
    return reply;
  },
};

export const flush: Wire<"flush"> = { ...onFd, ...empty };
export const release: Wire<"release"> = { ...onFd, ...empty };
export const releasedir: Wire<"releasedir"> = { ...onFd, ...empty };

const syncing = {
  request(to: XdrWriter, args: FsyncArgs, peer: Peer): void {
    writeFd(to, args.fd, peer);
    to.u32(args.dataOnly ? 1 : 0);
    writeDict(to, args.xdata);
  },
  args(from: XdrReader, peer: Peer): FsyncArgs {
    return { fd: readFd(from, peer), dataOnly: from.u32() !== 0, xdata: readDict(from) };
  },
};

export const fsync: Wire<"fsync"> = { ...syncing, ...prePost };
export const fsyncdir: Wire<"fsyncdir"> = { ...syncing, ...empty };

export const truncate: Wire<"truncate"> = {
  request(to, args) {
    writeInode(to, args.inode);
    writeHyper(to, args.offset);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { inode: readInode(from, peer), offset: readOffset(from), xdata: readDict(from) };
  },
  ...prePost,
};

export const ftruncate: Wire<"ftruncate"> = {
  request(to, args, peer) {
    writeFd(to, args.fd, peer);
    writeHyper(to, args.offset);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { fd: readFd(from, peer), offset: readOffset(from), xdata: readDict(from) };
  },
  ...prePost,
};

export const fallocate: Wire<"fallocate"> = {
  request(to, args, peer) {
    writeFd(to, args.fd, peer);
    to.u32(args.mode);
    writeHyper(to, args.offset);
    writeHyper(to, args.size);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const fd = readFd(from, peer);
    const mode = from.u32();
    const offset = readOffset(from);
    return { fd, mode, offset, size: readLength(from, offset), xdata: readDict(from) };
  },
  ...prePost,
};

const ranged = {
  request(to: XdrWriter, args: RangeArgs, peer: Peer): void {
    writeFd(to, args.fd, peer);
    writeHyper(to, args.offset);
    writeHyper(to, args.size);
    writeDict(to, args.xdata);
  },
  args(from: XdrReader, peer: Peer): RangeArgs {
    const fd = readFd(from, peer);
    const offset = readOffset(from);
    return { fd, offset, size: readLength(from, offset), xdata: readDict(from) };
  },
};

export const discard: Wire<"discard"> = { ...ranged, ...prePost };
export const zerofill: Wire<"zerofill"> = { ...ranged, ...prePost };

export const seek: Wire<"seek"> = {
  request(to, args, peer) {
    writeFd(to, args.fd, peer);
    writeHyper(to, args.offset);
    to.u32(args.what === "data" ? 0 : 1);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const fd = readFd(from, peer);
    const offset = readHyper(from);
    const what = from.u32();
    // Unlike elsewhere, a negative offset is only one where there is nothing.
    if (offset < 0 || offset > Number.MAX_SAFE_INTEGER) throw ENXIO;
    if (what > 1) throw EOPNOTSUPP;
    return { fd, offset, what: what === 0 ? "data" : "hole", xdata: readDict(from) };
  },
  answer(to, reply) {
    succeed(to, 0, reply.xdata);
    writeHyper(to, reply.offset);
  },
  failure: (to, error) => fail(to, error, 8),
  reply(from) {
    const { xdata } = readHead(from, 8);
    const offset = readHyper(from);
    if (!Number.isSafeInteger(offset) || offset < 0) throw new XdrError("Cannot read offset: none");
    return { offset, xdata };
  },
};

// The weak and the strong sum; flag 1: the strong one is SHA-256, as posix-inode-fd-ops.c makes it.
const SHA256 = 1;
const STRONG_MAX = 64;

export const rchecksum: Wire<"rchecksum"> = {
  request(to, args, peer) {
    writeFd(to, args.fd, peer);
    writeHyper(to, args.offset);
    to.u32(args.size);
    to.u32(0);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const fd = readFd(from, peer);
    const offset = readSourceOffset(from);
    const size = from.u32();
    from.u32();
    return { fd, offset, size, xdata: readDict(from) };
  },
  answer(to, reply) {
    succeed(to, 0, reply.xdata);
    to.u32(SHA256);
    to.u32(reply.weak);
    to.opaque(reply.strong);
  },
  failure: (to, error) => fail(to, error, 12),
  reply(from) {
    const { xdata } = readHead(from, 12);
    from.u32();
    return { weak: from.u32(), strong: from.opaque(STRONG_MAX), xdata };
  },
};

export const copyFileRange: Wire<"copyFileRange"> = {
  request(to, args, peer) {
    writeGfid(to, args.source.inode.gfid);
    writeGfid(to, args.fd.inode.gfid);
    writeHyper(to, peer.numberOf(args.source));
    writeHyper(to, peer.numberOf(args.fd));
    writeHyper(to, args.sourceOffset);
    writeHyper(to, args.offset);
    to.u32(args.size);
    to.u32(args.flags);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const sourceGfid = readGfid(from), gfid = readGfid(from);
    const sourceNumber = readFdNumber(from), number = readFdNumber(from);
    const sourceOffset = readSourceOffset(from), offset = readOffset(from);
    const size = from.u32(), flags = from.u32();
    const xdata = readDict(from);
    const source = peer.fd(sourceNumber, sourceGfid, 0);
    const fd = peer.fd(number, gfid, 2);
    return { source, sourceOffset, fd, offset, size, flags, xdata };
  },
  answer(to, reply) {
    succeed(to, reply.size, reply.xdata);
    writeIatt(to, reply.stat);
    writeIatt(to, reply.pre);
    writeIatt(to, reply.post);
  },
  failure: (to, error) => fail(to, error, 3 * IATTX_SIZE),
  reply(from) {
    const { result, xdata } = readHead(from, 3 * IATTX_SIZE);
    return {
      size: result,
      stat: readIatt(from),
      pre: readIatt(from),
      post: readIatt(from),
      xdata,
    };
  },
};
