/** Fops on locks and leases. Ranges use all 64 bits. */

import type { LkOwner } from "core/call.ts";
import { EINVAL, type FopError } from "core/errno.ts";
import type {
  ActiveLock,
  EntrylkArgs,
  FentrylkArgs,
  FinodelkArgs,
  Flock,
  InodelkArgs,
  Lease,
  LkCommand,
  LkReply,
  LockCommand,
  LockType,
} from "core/fops.ts";
import { fromHex, toHex } from "core/lib/bytes.ts";
import { readDict, writeDict } from "rpc/gfx_dict.ts";
import { readPlainText, writeText } from "rpc/gfx_types.ts";
import {
  empty,
  fail,
  onInode,
  readFd,
  readHead,
  readInode,
  succeed,
  writeFd,
  writeInode,
} from "rpc/programs/gfx_reply.ts";
import type { Wire } from "rpc/wire.ts";
import { XdrError, type XdrReader, type XdrWriter } from "rpc/xdr.ts";

// GF_LK_GETLK … GF_LK_GETLK_FD, GF_LK_F_RDLCK …, ENTRYLK_LOCK …: index is the number on the wire.
const LK_COMMANDS: readonly LkCommand[] = [
  "get",
  "set",
  "set-wait",
  "reserve",
  "reserve-wait",
  "unreserve",
  "get-fd",
];
const LOCK_COMMANDS: readonly LockCommand[] = ["get", "set", "set-wait"];
const LOCK_TYPES: readonly LockType[] = ["read", "write", "unlock"];
const ENTRYLK_COMMANDS: readonly EntrylkArgs["cmd"][] = ["lock", "unlock", "try-lock"];
const ENTRYLK_TYPES: readonly EntrylkArgs["type"][] = ["read", "write"];

const OWNER_MAX = 1024;
const LOCKS_MAX = 65536;
const CLIENT_ID_MAX = 4096;
const INFINITY = (1n << 63n) - 1n;
const UNKNOWN_TYPE = new XdrError("Cannot read lock: unknown type");

function readOneOf<T>(from: XdrReader, list: readonly T[]): T {
  const value = list[from.u32()];
  if (value === undefined) throw EINVAL;
  return value;
}

/**
 * Reads a lock of a request (`gf_proto_flock`); `type` as the request names it beside the lock. A
 * negative length, the bytes before `start`, is turned round. Fails with EINVAL.
 */
function readFlock(from: XdrReader, type: LockType): Flock {
  from.u32();
  const whence = from.u32();
  let start = from.i64();
  let size = from.i64();
  const pid = from.i32();
  const owner = toHex(from.opaque(OWNER_MAX)) as LkOwner;
  if (whence > 2) throw EINVAL;
  if (size < 0n) {
    start += size;
    size = -size;
  }
  if (start < 0n || start + size - 1n > INFINITY) throw EINVAL;
  return { type, whence, start, size, pid, owner };
}

/** Reads a lock that says its type itself; throws `unknown` if it is none. */
function readWhole(from: XdrReader, unknown: Error): Flock {
  const type = LOCK_TYPES[from.u32()];
  if (!type) throw unknown;
  const whence = from.u32(), start = from.i64(), size = from.i64(), pid = from.i32();
  return { type, whence, start, size, pid, owner: toHex(from.opaque(OWNER_MAX)) as LkOwner };
}

function writeFlock(to: XdrWriter, lock: Flock): void {
  to.u32(LOCK_TYPES.indexOf(lock.type));
  to.u32(lock.whence);
  to.i64(lock.start);
  to.i64(lock.size);
  to.i32(lock.pid);
  to.opaque(fromHex(lock.owner));
}

export const lk: Wire<"lk"> = {
  request(to, args, peer) {
    writeFd(to, args.fd, peer);
    to.u32(LK_COMMANDS.indexOf(args.cmd));
    to.u32(LOCK_TYPES.indexOf(args.lock.type));
    writeFlock(to, args.lock);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const fd = readFd(from, peer);
    const cmd = readOneOf(from, LK_COMMANDS);
    const type = readOneOf(from, LOCK_TYPES);
    return { fd, cmd, lock: readFlock(from, type), xdata: readDict(from) };
  },
  answer(to: XdrWriter, reply: LkReply): void {
    succeed(to, 0, reply.xdata);
    writeFlock(to, reply.lock);
  },
  failure(to: XdrWriter, error: FopError): void {
    fail(to, error, 32);
  },
  reply(from: XdrReader): LkReply {
    const { xdata } = readHead(from, 32);
    return { lock: readWhole(from, UNKNOWN_TYPE), xdata };
  },
};

type InodelkPart = Pick<InodelkArgs, "domain" | "cmd" | "lock" | "xdata">;

function writeInodelk(to: XdrWriter, args: InodelkPart): void {
  to.u32(LOCK_COMMANDS.indexOf(args.cmd));
  to.u32(LOCK_TYPES.indexOf(args.lock.type));
  writeFlock(to, args.lock);
  writeText(to, args.domain);
  writeDict(to, args.xdata);
}

function readInodelk(from: XdrReader): InodelkPart {
  const cmd = readOneOf(from, LOCK_COMMANDS);
  const type = readOneOf(from, LOCK_TYPES);
  const lock = readFlock(from, type);
  return { cmd, lock, domain: readPlainText(from), xdata: readDict(from) };
}

export const inodelk: Wire<"inodelk"> = {
  request(to: XdrWriter, args: InodelkArgs): void {
    writeInode(to, args.inode);
    writeInodelk(to, args);
  },
  args(from, peer) {
    const inode = readInode(from, peer);
    return { inode, ...readInodelk(from) };
  },
  ...empty,
};

export const finodelk: Wire<"finodelk"> = {
  request(to, args: FinodelkArgs, peer): void {
    writeFd(to, args.fd, peer);
    writeInodelk(to, args);
  },
  args(from, peer) {
    const fd = readFd(from, peer);
    return { fd, ...readInodelk(from) };
  },
  ...empty,
};

type EntrylkPart = Pick<EntrylkArgs, "domain" | "name" | "cmd" | "type" | "xdata">;

function writeEntrylk(to: XdrWriter, args: EntrylkPart): void {
  to.u32(ENTRYLK_COMMANDS.indexOf(args.cmd));
  to.u32(ENTRYLK_TYPES.indexOf(args.type));
  // Not a length but a flag: is there a name.
  writeNamed(to, args.name);
  writeText(to, args.domain);
  writeDict(to, args.xdata);
}

function writeNamed(to: XdrWriter, name: string): void {
  to.u32(0);
  to.u32(name === "" ? 0 : 1);
  writeText(to, name);
}

function readEntrylk(from: XdrReader): EntrylkPart {
  const cmd = readOneOf(from, ENTRYLK_COMMANDS);
  const type = readOneOf(from, ENTRYLK_TYPES);
  const named = (from.u32() | from.u32()) !== 0;
  const name = readPlainText(from);
  return {
    cmd,
    type,
    name: named ? name : "",
    domain: readPlainText(from),
    xdata: readDict(from),
  };
}

export const entrylk: Wire<"entrylk"> = {
  request(to: XdrWriter, args: EntrylkArgs): void {
    writeInode(to, args.inode);
    writeEntrylk(to, args);
  },
  args(from, peer) {
    const inode = readInode(from, peer);
    return { inode, ...readEntrylk(from) };
  },
  ...empty,
};

export const fentrylk: Wire<"fentrylk"> = {
  request(to, args: FentrylkArgs, peer): void {
    writeFd(to, args.fd, peer);
    writeEntrylk(to, args);
  },
  args(from, peer) {
    const fd = readFd(from, peer);
    return { fd, ...readEntrylk(from) };
  },
  ...empty,
};

const LEASE_SIZE = 28;

function readLease(from: XdrReader): Lease {
  const cmd = from.u32(), type = from.u32();
  const id = toHex(from.fixed(16));
  return { cmd, type, id, flags: from.u32() };
}

function writeLease(to: XdrWriter, lease: Lease): void {
  to.u32(lease.cmd);
  to.u32(lease.type);
  to.fixed(fromHex(lease.id));
  to.u32(lease.flags);
}

export const lease: Wire<"lease"> = {
  request(to, args) {
    writeInode(to, args.inode);
    writeLease(to, args.lease);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    return { inode: readInode(from, peer), lease: readLease(from), xdata: readDict(from) };
  },
  answer(to, reply) {
    succeed(to, 0, reply.xdata);
    writeLease(to, reply.lease);
  },
  failure: (to, error) => fail(to, error, LEASE_SIZE),
  reply(from) {
    const { xdata } = readHead(from, LEASE_SIZE);
    return { lease: readLease(from), xdata };
  },
};

function writeLocks(to: XdrWriter, locks: readonly ActiveLock[]): void {
  for (const { lock, clientId, flags } of locks) {
    to.u32(1);
    writeFlock(to, lock);
    writeText(to, clientId);
    to.u32(flags);
  }
  to.u32(0);
}

function readLocks(from: XdrReader, unknown: Error): ActiveLock[] {
  const locks: ActiveLock[] = [];
  while (from.u32() !== 0) {
    if (locks.length === LOCKS_MAX) {
      throw new XdrError(`Cannot read locks: more than ${LOCKS_MAX}`);
    }
    const lock = readWhole(from, unknown);
    locks.push({ lock, clientId: from.string(CLIENT_ID_MAX), flags: from.u32() });
  }
  return locks;
}

export const getactivelk: Wire<"getactivelk"> = {
  ...onInode,
  answer(to, reply) {
    succeed(to, reply.locks.length, reply.xdata);
    writeLocks(to, reply.locks);
  },
  failure: (to, error) => fail(to, error, 4),
  reply(from) {
    const { xdata } = readHead(from, 4);
    return { locks: readLocks(from, UNKNOWN_TYPE), xdata };
  },
};

export const setactivelk: Wire<"setactivelk"> = {
  request(to, args) {
    writeInode(to, args.inode);
    writeLocks(to, args.locks);
    writeDict(to, args.xdata);
  },
  args(from, peer) {
    const inode = readInode(from, peer);
    return { inode, locks: readLocks(from, EINVAL), xdata: readDict(from) };
  },
  ...empty,
};
