/**
 * GlusterFS Callback: what a server tells its clients without being asked, over the connection that
 * the client made. Program 52743234, version 1; never answered. Structs: rpc/xdr/src/glusterfs3-xdr.x,
 * glusterfs4-xdr.x.
 */

import type { Flock, LockType } from "core/fops.ts";
import type { LkOwner } from "core/call.ts";
import type { Iatt } from "core/iatt.ts";
import { type Gfid, gfidFromBytes, gfidToBytes, NULL_GFID, parseGfid } from "core/inode.ts";
import { fromHex, toHex } from "core/lib/bytes.ts";
import { legacyDict } from "rpc/legacy_dict.ts";
import { nothing, type Procedure, procedures, type Program, type Signature } from "rpc/program.ts";
import type { ProgramId } from "rpc/program.ts";
import { type Codec, fixed, i32, string, struct, u32, XdrError, type XdrReader } from "rpc/xdr.ts";
import type { XdrWriter } from "rpc/xdr.ts";

export const CALLBACK_PROGRAM = { number: 52743234, version: 1 } as const satisfies ProgramId;

const NAME_MAX = 4096;
const OWNER_MAX = 1024;
const GF_UPCALL_CACHE_INVALIDATION = 1;
const dict = legacyDict();

function declare<A>(
  procedure: number,
  args: Codec<A>,
): Signature<A, undefined> & typeof CALLBACK_PROGRAM {
  return { ...CALLBACK_PROGRAM, procedure, args, result: nothing };
}

/** 16 bytes as a gfid. */
const gfid: Codec<Gfid> = {
  write(to, value) {
    gfidToBytes(value, to.bytes, to.reserve(16));
  },
  read: (from) => gfidFromBytes(from.bytes, from.skip(16)),
};

/** A gfid as text, which this program alone uses. */
const gfidText: Codec<Gfid> = {
  write: (to, value) => to.string(value),
  read(from) {
    const value = parseGfid(from.string(64));
    if (!value) throw new XdrError("Cannot read callback: not a gfid");
    return value;
  },
};

/** Size of the old `gf_iatt`, in bytes. Times are unsigned 32-bit seconds there. */
const OLD_IATT_SIZE = 100;

/** Attributes in their old form; zeros for undefined. */
export const oldIatt: Codec<Iatt | undefined> = {
  write(to, value) {
    const at = to.reserve(OLD_IATT_SIZE);
    if (value) putOldIatt(to, at, value);
    else to.bytes.fill(0, at, at + OLD_IATT_SIZE);
  },
  read: readOldIatt,
};

function putOldIatt(to: XdrWriter, at: number, stat: Iatt): void {
  const { bytes, view } = to;
  gfidToBytes(stat.gfid, bytes, at);
  bytes.copyWithin(at + 16, at + 8, at + 16);
  put64(view, at + 24, stat.dev);
  view.setUint32(at + 32, stat.mode);
  view.setUint32(at + 36, stat.nlink);
  view.setUint32(at + 40, stat.uid);
  view.setUint32(at + 44, stat.gid);
  put64(view, at + 48, stat.rdev);
  put64(view, at + 56, stat.size);
  view.setUint32(at + 64, stat.blksize);
  put64(view, at + 68, stat.blocks);
  view.setUint32(at + 76, stat.atime);
  view.setUint32(at + 80, stat.atimeNsec);
  view.setUint32(at + 84, stat.mtime);
  view.setUint32(at + 88, stat.mtimeNsec);
  view.setUint32(at + 92, stat.ctime);
  view.setUint32(at + 96, stat.ctimeNsec);
}

function readOldIatt(from: XdrReader): Iatt | undefined {
  const at = from.skip(OLD_IATT_SIZE), { view } = from;
  const gfid = gfidFromBytes(from.bytes, at);
  if (gfid === NULL_GFID) return undefined;
  return {
    gfid,
    dev: get64(view, at + 24),
    mode: view.getUint32(at + 32),
    nlink: view.getUint32(at + 36),
    uid: view.getUint32(at + 40),
    gid: view.getUint32(at + 44),
    rdev: get64(view, at + 48),
    size: get64(view, at + 56),
    blksize: view.getUint32(at + 64),
    blocks: get64(view, at + 68),
    atime: view.getUint32(at + 76),
    atimeNsec: view.getUint32(at + 80),
    mtime: view.getUint32(at + 84),
    mtimeNsec: view.getUint32(at + 88),
    ctime: view.getUint32(at + 92),
    ctimeNsec: view.getUint32(at + 96),
  };
}

function put64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 4294967296));
  view.setUint32(at + 4, value >>> 0);
}

function get64(view: DataView, at: number): number {
  const high = view.getUint32(at);
  if (high > 0x1fffff) throw new XdrError("Cannot read number: 2^53 or more");
  return high * 4294967296 + view.getUint32(at + 4);
}

const LOCK_TYPES: readonly LockType[] = ["read", "write", "unlock"];

/** `gf_proto_flock`. */
const flock: Codec<Flock> = {
  write(to, value) {
    to.u32(LOCK_TYPES.indexOf(value.type));
    to.u32(value.whence);
    to.u64(value.start);
    to.u64(value.size);
    to.u32(value.pid >>> 0);
    to.opaque(fromHex(value.owner));
  },
  read(from) {
    const type = LOCK_TYPES[from.u32()];
    if (!type) throw new XdrError("Cannot read lock: unknown type");
    const whence = from.u32(), start = from.u64(), size = from.u64();
    const pid = from.i32();
    return { type, whence, start, size, pid, owner: toHex(from.opaque(OWNER_MAX)) as LkOwner };
  },
};

/** The volfile changed: clients fetch it anew. */
export const fetchSpec = declare(1, nothing);

/** Something happened to a brick; only managed daemons get it. */
export const cbkEventNotify = declare(3, struct({ op: i32, dict }));

/** Cached attributes or names are stale. `type` is always 1. */
export const cacheInvalidation = declare(
  5,
  struct({
    gfid: gfidText,
    type: u32,
    flags: u32,
    expireSec: u32,
    stat: oldIatt,
    parent: oldIatt,
    oldParent: oldIatt,
    xdata: dict,
  }),
);
/** `type` of `cacheInvalidation`. */
export const CACHE_INVALIDATION_TYPE = GF_UPCALL_CACHE_INVALIDATION;

/** The brick behind the connection can serve again, or cannot: `name` as in `remote-subvolume`. */
export const childUp = declare(6, nothing);
export const childDown = declare(7, nothing);

/** A lease that the client holds is wanted by another. */
export const recallLease = declare(
  8,
  struct({ gfid, type: u32, tid: fixed(16), xdata: dict }),
);

/** A gfapi process of that pid shall write a statedump. */
export const statedump = declare(9, struct({ pid: u32 }));

/** Another client waits for a lock that this one holds on a range. */
export const inodelkContention = declare(
  10,
  struct({ gfid, lock: flock, pid: u32, domain: string(NAME_MAX), xdata: dict }),
);

const entryLockTypes: Codec<"read" | "write"> = {
  write: (to, value) => to.u32(value === "write" ? 1 : 0),
  read(from) {
    const type = from.u32();
    if (type > 1) throw new XdrError("Cannot read lock: unknown type");
    return type === 1 ? "write" : "read";
  },
};

/** Another client waits for a lock that this one holds on a name. */
export const entrylkContention = declare(
  11,
  struct({
    gfid,
    type: entryLockTypes,
    pid: u32,
    name: string(NAME_MAX),
    domain: string(NAME_MAX),
    xdata: dict,
  }),
);

/** A client's ear for one callback. */
export function onCallback<A>(
  signature: Signature<A, undefined>,
  hear: (args: A) => void,
): readonly [number, Procedure] {
  return [signature.procedure, (request) => {
    const args = signature.args.read(request.args);
    request.drop();
    hear(args);
  }];
}

// A callback that nobody listens to must not be refused: nothing that is sent back is expected.
const ignored: Procedure = (request) => request.drop();
const CALLBACKS_MAX = 16;

/** The program that a client serves on its connection. Callbacks not listed are ignored. */
export function callbackProgram(ears: readonly (readonly [number, Procedure])[]): Program {
  const heard = procedures(ears);
  return {
    ...CALLBACK_PROGRAM,
    name: "GlusterFS Callback",
    procedures: Array.from({ length: CALLBACKS_MAX }, (_, number) => heard[number] ?? ignored),
  };
}
