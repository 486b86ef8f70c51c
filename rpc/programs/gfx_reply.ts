/**
 * Replies that several fops share, in both directions: a result, an error number, extra data and
 * then attributes. A failure has the same fixed tail as a success, all zeros: C peers refuse a
 * reply that is short.
 */

import type { FopError } from "core/errno.ts";
import type { Empty, EntryReply, ParentReply, PrePost, StatReply, WithXdata } from "core/fops.ts";
import type { Fd, Inode } from "core/inode.ts";
import type { Xdata } from "core/xdata.ts";
import { readDict, writeDict } from "rpc/gfx_dict.ts";
import {
  failureOf,
  IATTX_SIZE,
  readFdNumber,
  readGfid,
  readIatt,
  readStat,
  writeGfid,
  writeHyper,
  writeIatt,
} from "rpc/gfx_types.ts";
import type { Peer } from "rpc/wire.ts";
import type { XdrReader, XdrWriter } from "rpc/xdr.ts";

/** Begins a successful reply: what the fop returns (a count, mostly 0), and its extra data. */
export function succeed(to: XdrWriter, result: number, xdata: Xdata | undefined): void {
  to.i32(result);
  to.u32(0);
  writeDict(to, xdata);
}

/** A whole failure: `tail` zero bytes follow its extra data. */
export function fail(to: XdrWriter, error: FopError, tail: number): void {
  to.i32(-1);
  to.u32(error.errno);
  writeDict(to, error.xdata);
  zeros(to, tail);
}

/** Writes `size` zero bytes. */
export function zeros(to: XdrWriter, size: number): void {
  const at = to.reserve(size);
  to.bytes.fill(0, at, at + size);
}

/** How a reply begins. */
export interface Head {
  readonly result: number;
  readonly errno: number;
  readonly xdata: Xdata | undefined;
}

/** Reads how a reply begins; throws the failure it carries, behind which `tail` bytes must follow. */
export function readHead(from: XdrReader, tail: number): Head {
  const result = from.i32();
  const errno = from.i32();
  const xdata = readDict(from);
  if (result < 0) {
    from.skip(tail);
    throw carried(errno, xdata);
  }
  return { result, errno, xdata };
}

/** The failure with this number and extra data. */
export function carried(errno: number, xdata: Xdata | undefined): FopError {
  const failure = failureOf(errno);
  return xdata ? failure.carrying({ xdata }) : failure;
}

/** `gfx_common_rsp`: nothing but extra data. */
export const empty = {
  answer(to: XdrWriter, reply: Empty): void {
    succeed(to, 0, reply.xdata);
  },
  failure(to: XdrWriter, error: FopError): void {
    fail(to, error, 0);
  },
  reply(from: XdrReader): Empty {
    return { xdata: readHead(from, 0).xdata };
  },
};

/** `gfx_common_iatt_rsp`: attributes. */
export const oneIatt = {
  answer(to: XdrWriter, reply: StatReply): void {
    succeed(to, 0, reply.xdata);
    writeIatt(to, reply.stat);
  },
  failure(to: XdrWriter, error: FopError): void {
    fail(to, error, IATTX_SIZE);
  },
  reply(from: XdrReader): StatReply {
    const { xdata } = readHead(from, IATTX_SIZE);
    return { stat: readStat(from), xdata };
  },
};

/** `gfx_common_2iatt_rsp`: attributes before and after. */
export const prePost = {
  answer(to: XdrWriter, reply: PrePost): void {
    answerPrePost(to, 0, reply);
  },
  failure(to: XdrWriter, error: FopError): void {
    fail(to, error, 2 * IATTX_SIZE);
  },
  reply(from: XdrReader): PrePost {
    const { xdata } = readHead(from, 2 * IATTX_SIZE);
    return { pre: readIatt(from), post: readIatt(from), xdata };
  },
};

/** `prePost`'s answer for a fop that also returns a number. */
export function answerPrePost(to: XdrWriter, result: number, reply: PrePost): void {
  succeed(to, result, reply.xdata);
  writeIatt(to, reply.pre);
  writeIatt(to, reply.post);
}

/** `gfx_common_2iatt_rsp`: the parent before and after. */
export const twoParents = {
  answer(to: XdrWriter, reply: ParentReply): void {
    succeed(to, 0, reply.xdata);
    writeIatt(to, reply.preParent);
    writeIatt(to, reply.postParent);
  },
  failure: prePost.failure,
  reply(from: XdrReader): ParentReply {
    const { xdata } = readHead(from, 2 * IATTX_SIZE);
    return { preParent: readIatt(from), postParent: readIatt(from), xdata };
  },
};

/** `gfx_common_3iatt_rsp`: a new name's attributes, the parent before and after. */
export const newEntry = {
  answer(to: XdrWriter, reply: EntryReply): void {
    succeed(to, 0, reply.xdata);
    writeIatt(to, reply.stat);
    writeIatt(to, reply.preParent);
    writeIatt(to, reply.postParent);
  },
  failure(to: XdrWriter, error: FopError): void {
    fail(to, error, 3 * IATTX_SIZE);
  },
  reply(from: XdrReader): EntryReply {
    const { xdata } = readHead(from, 3 * IATTX_SIZE);
    const stat = readStat(from);
    return { stat, preParent: readIatt(from), postParent: readIatt(from), xdata };
  },
};

/** Reads the gfid of the inode a fop is about. */
export function readInode(from: XdrReader, peer: Peer): Inode {
  return peer.inode(readGfid(from));
}

/** Writes the gfid of the inode a fop is about. */
export function writeInode(to: XdrWriter, inode: Inode): void {
  writeGfid(to, inode.gfid);
}

/**
 * Reads gfid and number of the open file a fop is about; an anonymous one is opened for reading
 * and writing. Fails with EBADF.
 */
export function readFd(from: XdrReader, peer: Peer, flags = 2): Fd {
  const gfid = readGfid(from);
  return peer.fd(readFdNumber(from), gfid, flags);
}

/** Writes gfid and number of the open file a fop is about. */
export function writeFd(to: XdrWriter, fd: Fd, peer: Peer): void {
  writeGfid(to, fd.inode.gfid);
  writeHyper(to, peer.numberOf(fd));
}

/** The only request part of many fops: its inode and extra data. */
export const onInode = {
  request(to: XdrWriter, args: { readonly inode: Inode } & WithXdata): void {
    writeInode(to, args.inode);
    writeDict(to, args.xdata);
  },
  args(from: XdrReader, peer: Peer): { inode: Inode; xdata: Xdata | undefined } {
    return { inode: readInode(from, peer), xdata: readDict(from) };
  },
};

/** The only request part of many fops: its open file and extra data. */
export const onFd = {
  request(to: XdrWriter, args: { readonly fd: Fd } & WithXdata, peer: Peer): void {
    writeFd(to, args.fd, peer);
    writeDict(to, args.xdata);
  },
  args(from: XdrReader, peer: Peer): { fd: Fd; xdata: Xdata | undefined } {
    return { fd: readFd(from, peer), xdata: readDict(from) };
  },
};
