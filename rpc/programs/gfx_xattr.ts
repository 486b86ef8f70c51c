/** Fops on extended attributes. Their dictionaries are never "none" on the wire, only empty. */

import { EINVAL, type FopError } from "core/errno.ts";
import { type XattropKind, XATTROPS, type XattrReply } from "core/fops.ts";
import type { DictValue } from "core/xdata.ts";
import { readDict, writeDict, writeSubject } from "rpc/gfx_dict.ts";
import { IATTX_SIZE, readPlainText, writeText } from "rpc/gfx_types.ts";
import {
  carried,
  empty,
  fail,
  readFd,
  readInode,
  succeed,
  writeFd,
  writeInode,
  zeros,
} from "rpc/programs/gfx_reply.ts";
import type { Wire } from "rpc/wire.ts";
import type { XdrReader, XdrWriter } from "rpc/xdr.ts";

// `gfx_common_dict_rsp`: extra data, the dictionary, two attributes that nobody fills in.
const TAIL = 12 + 2 * IATTX_SIZE;

function answerDict(to: XdrWriter, result: number, reply: XattrReply): void {
  succeed(to, result, reply.xdata);
  writeSubject(to, reply.xattrs);
  zeros(to, 2 * IATTX_SIZE);
}

const dictReply = {
  answer(to: XdrWriter, reply: XattrReply): void {
    answerDict(to, 0, reply);
  },
  failure(to: XdrWriter, error: FopError): void {
    fail(to, error, TAIL);
  },
  reply(from: XdrReader): XattrReply {
    const result = from.i32();
    const errno = from.i32();
    const xdata = readDict(from);
    const xattrs = readDict(from);
    from.skip(2 * IATTX_SIZE);
    if (result < 0) throw carried(errno, xdata);
    return { xattrs, xdata };
  },
};

/** GETXATTR returns the size of the values, roughly: clients only look at its sign. */
const valuesReply = {
  ...dictReply,
  answer(to: XdrWriter, reply: XattrReply): void {
    let size = 0;
    if (reply.xattrs) { for (const [, value] of reply.xattrs) size += sizeOf(value); }
    answerDict(to, size, reply);
  },
};

function sizeOf(value: DictValue): number {
  return value.type === "ptr" || value.type === "str" ? value.value.length : 8;
}

/** Reads the name of an attribute; the flag before it says whether there is one. */
function readFlaggedName(from: XdrReader): string {
  const named = from.u32() !== 0;
  const name = readPlainText(from);
  return named ? name : "";
}

function writeFlaggedName(to: XdrWriter, name: string): void {
  to.u32(name === "" ? 0 : 1);
  writeText(to, name);
}

export const setxattr: Wire<"setxattr"> = {
  request(to, args) {
    writeInode(to, args.inode);
    to.u32(args.flags);
    writeSubject(to, args.xattrs);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const inode = readInode(from, peer);
    const flags = from.u32();
    return { inode, flags, xattrs: readDict(from), xdata: readDict(from) };
  },
  ...empty,
};

export const fsetxattr: Wire<"fsetxattr"> = {
  request(to, args, peer) {
    writeFd(to, args.fd, peer);
    to.u32(args.flags);
    writeSubject(to, args.xattrs);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const fd = readFd(from, peer);
    const flags = from.u32();
    return { fd, flags, xattrs: readDict(from), xdata: readDict(from) };
  },
  ...empty,
};

export const getxattr: Wire<"getxattr"> = {
  request(to, args) {
    writeInode(to, args.inode);
    writeFlaggedName(to, args.name);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { inode: readInode(from, peer), name: readFlaggedName(from), xdata: readDict(from) };
  },
  ...valuesReply,
};

export const fgetxattr: Wire<"fgetxattr"> = {
  request(to, args, peer) {
    writeFd(to, args.fd, peer);
    writeFlaggedName(to, args.name);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { fd: readFd(from, peer), name: readFlaggedName(from), xdata: readDict(from) };
  },
  ...valuesReply,
};

export const removexattr: Wire<"removexattr"> = {
  request(to, args) {
    writeInode(to, args.inode);
    writeText(to, args.name);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { inode: readInode(from, peer), name: readPlainText(from), xdata: readDict(from) };
  },
  ...empty,
};

export const fremovexattr: Wire<"fremovexattr"> = {
  request(to, args, peer) {
    writeFd(to, args.fd, peer);
    writeText(to, args.name);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { fd: readFd(from, peer), name: readPlainText(from), xdata: readDict(from) };
  },
  ...empty,
};

function readKind(from: XdrReader): XattropKind {
  const kind = XATTROPS[from.u32()];
  if (!kind) throw EINVAL;
  return kind;
}

export const xattrop: Wire<"xattrop"> = {
  request(to, args) {
    writeInode(to, args.inode);
    to.u32(XATTROPS.indexOf(args.op));
    writeSubject(to, args.xattrs);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const inode = readInode(from, peer);
    const op = readKind(from);
    return { inode, op, xattrs: readDict(from), xdata: readDict(from) };
  },
  ...dictReply,
};

export const fxattrop: Wire<"fxattrop"> = {
  request(to, args, peer) {
    writeFd(to, args.fd, peer);
    to.u32(XATTROPS.indexOf(args.op));
    writeSubject(to, args.xattrs);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const fd = readFd(from, peer);
    const op = readKind(from);
    return { fd, op, xattrs: readDict(from), xdata: readDict(from) };
  },
  ...dictReply,
};
