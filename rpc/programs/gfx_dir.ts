/**
 * Reading directories. Entries are a linked list: a 1 before each, a 0 at the end. A reply holds
 * whole entries up to the bytes the client has room for, and always at least one: an entry cut off
 * is read next time, since each tells where to go on.
 */

import { ENOENT, type FopError } from "core/errno.ts";
import type { Dirent, DirentPlus, ReaddirArgs, ReaddirpReply, ReaddirReply } from "core/fops.ts";
import { readDict, writeDict, writeSubject } from "rpc/gfx_dict.ts";
import { readIatt, writeIatt, writeText } from "rpc/gfx_types.ts";
import { fail, readFd, readHead, succeed, writeFd } from "rpc/programs/gfx_reply.ts";
import type { Peer, Wire } from "rpc/wire.ts";
import { XdrError, type XdrReader, type XdrWriter } from "rpc/xdr.ts";

// Longest name accepted from a brick, and most entries: a page of 1 MiB holds fewer.
const NAME_MAX = 4096;
const ENTRIES_MAX = 65536;

const reading = {
  request(to: XdrWriter, args: ReaddirArgs, peer: Peer): void {
    writeFd(to, args.fd, peer);
    to.u64(BigInt.asUintN(64, args.offset));
    to.u32(args.size);
    writeDict(to, args.xdata);
  },
  args(from: XdrReader, peer: Peer): ReaddirArgs {
    return {
      fd: readFd(from, peer, 0),
      offset: from.u64(),
      size: from.u32(),
      xdata: readDict(from),
    };
  },
  failure(to: XdrWriter, error: FopError): void {
    fail(to, error, 4);
  },
};

function answerEntries<E extends Dirent>(
  to: XdrWriter,
  reply: { readonly entries: readonly E[]; readonly eof: boolean } & Pick<ReaddirReply, "xdata">,
  size: number,
  write: (to: XdrWriter, entry: E) => void,
): void {
  const start = to.at;
  succeed(to, 0, reply.xdata);
  const first = to.at;
  let count = 0;
  for (const entry of reply.entries) {
    const before = to.at;
    write(to, entry);
    if (count > 0 && to.at - first > size) {
      to.at = before;
      break;
    }
    count++;
  }
  to.u32(0);
  to.view.setUint32(start, count);
  if (reply.eof && count === reply.entries.length) to.view.setUint32(start + 4, ENOENT.errno);
}

function writeEntry(to: XdrWriter, entry: Dirent): void {
  const at = to.reserve(28);
  const { view } = to;
  view.setUint32(at, 1);
  view.setBigUint64(at + 4, entry.ino);
  view.setBigUint64(at + 12, entry.offset);
  view.setUint32(at + 24, entry.type);
  const name = to.at;
  writeText(to, entry.name);
  to.view.setUint32(at + 20, to.view.getUint32(name));
}

function writeEntryPlus(to: XdrWriter, entry: DirentPlus): void {
  writeEntry(to, entry);
  writeIatt(to, entry.stat);
  writeDict(to, entry.xdata);
}

/** For a client that asked for something: what an entry does not have is an empty dictionary. */
function writeEntryAsked(to: XdrWriter, entry: DirentPlus): void {
  writeEntry(to, entry);
  writeIatt(to, entry.stat);
  writeSubject(to, entry.xdata);
}

function readEntries<E>(from: XdrReader, read: (from: XdrReader) => E): E[] {
  const entries: E[] = [];
  while (from.u32() !== 0) {
    if (entries.length === ENTRIES_MAX) {
      throw new XdrError(`Cannot read directory: more than ${ENTRIES_MAX} entries`);
    }
    entries.push(read(from));
  }
  return entries;
}

function readEntry(from: XdrReader): Dirent {
  const ino = from.u64();
  const offset = from.u64();
  from.u32();
  const type = from.u32();
  return { name: readEntryName(from), offset, type, ino };
}

function readEntryPlus(from: XdrReader): DirentPlus {
  const ino = from.u64();
  const offset = from.u64();
  from.u32();
  const type = from.u32();
  const name = readEntryName(from);
  return { name, offset, type, ino, stat: readIatt(from), xdata: readDict(from) };
}

function readEntryName(from: XdrReader): string {
  const name = from.string(NAME_MAX);
  if (name === "" || name.includes("/") || name.includes("\0")) {
    throw new XdrError("Cannot read directory: an entry's name is none");
  }
  return name;
}

export const readdir: Wire<"readdir"> = {
  ...reading,
  answer(to: XdrWriter, reply: ReaddirReply, args: ReaddirArgs): void {
    answerEntries(to, reply, args.size, writeEntry);
  },
  reply(from: XdrReader): ReaddirReply {
    const { errno, xdata } = readHead(from, 4);
    return { entries: readEntries(from, readEntry), eof: errno === ENOENT.errno, xdata };
  },
};

export const readdirp: Wire<"readdirp"> = {
  ...reading,
  answer(to: XdrWriter, reply: ReaddirpReply, args: ReaddirArgs): void {
    answerEntries(to, reply, args.size, args.xdata ? writeEntryAsked : writeEntryPlus);
  },
  reply(from: XdrReader): ReaddirpReply {
    const { errno, xdata } = readHead(from, 4);
    return { entries: readEntries(from, readEntryPlus), eof: errno === ENOENT.errno, xdata };
  },
};
