/**
 * Credentials of GlusterFS: who asks, in every call. Version 2 (flavor 390039) until the fop
 * program is chosen, version 3 (390040, with the client's time) from then on.
 */

import { type LkOwner, NO_OWNER } from "core/call.ts";
import { fromHex, toHex } from "core/lib/bytes.ts";
import { AUTH_BYTES_MAX } from "rpc/message.ts";
import { XdrError, type XdrWriter } from "rpc/xdr.ts";

export const AUTH_NONE = 0;
/** The old form with 16 groups and 8 bytes of owner; refused. */
export const AUTH_GLUSTERFS = 5;
export const AUTH_GLUSTERFS_V2 = 390039;
export const AUTH_GLUSTERFS_V3 = 390040;

/** Fields of `Call` that a credential carries; a `Call` is one. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly pid: number;
  readonly lkOwner: LkOwner;
  readonly ctime?: { readonly sec: number; readonly nsec: number } | undefined;
}

/** Nobody in particular: what AUTH_NONE stands for. The ids are the kernel's "nobody". */
export const NOBODY: Credentials = {
  uid: 65534,
  gid: 65534,
  groups: [],
  pid: 0,
  lkOwner: NO_OWNER,
};

/** The superuser of a process that asks for itself. */
export const ROOT_CREDENTIALS: Credentials = {
  uid: 0,
  gid: 0,
  groups: [],
  pid: 0,
  lkOwner: "00000000" as LkOwner,
};

// Version 3 puts 16 bytes between gid and the count of groups: flags, then the time.
const V3_TIME_AT = 16, V3_GROUPS_AT = 28, V2_GROUPS_AT = 12;

interface Remembered {
  readonly flavor: number;
  readonly body: Uint8Array;
  readonly credentials: Credentials;
}

const SLOTS = 16;

/**
 * Reads credentials and remembers the last few of a connection: a process sends the same bytes
 * with every call, and gets the same object.
 */
export class CredentialMemo {
  #slots: (Remembered | undefined)[] = new Array(SLOTS).fill(undefined);

  /**
   * The credential whose body is `size` bytes of `bytes` at `at`. Throws XdrError if it is malformed
   * or of a flavor that is not accepted.
   */
  read(flavor: number, bytes: Uint8Array, view: DataView, at: number, size: number): Credentials {
    if (flavor === AUTH_NONE) return NOBODY;
    if (flavor !== AUTH_GLUSTERFS_V2 && flavor !== AUTH_GLUSTERFS_V3) {
      throw new XdrError(`Cannot read credential: flavor ${flavor} is not accepted`);
    }
    const v3 = flavor === AUTH_GLUSTERFS_V3;
    if (size < (v3 ? V3_GROUPS_AT : V2_GROUPS_AT) + 8) {
      throw new XdrError(`Cannot read credential: ${size} bytes are too few`);
    }
    const slot = (bytes[at + 3]! ^ bytes[at + 7]! ^ bytes[at + size - 1]! ^
      bytes[at + size - 4]!) & (SLOTS - 1);
    const last = this.#slots[slot];
    let credentials: Credentials;
    if (last && last.flavor === flavor && sameBody(last.body, bytes, at, size, v3)) {
      credentials = last.credentials;
    } else {
      credentials = parse(view, bytes, at, size, v3);
      this.#slots[slot] = { flavor, body: bytes.slice(at, at + size), credentials };
    }
    return v3 ? withTime(credentials, view, at + V3_TIME_AT) : credentials;
  }
}

function sameBody(
  body: Uint8Array,
  bytes: Uint8Array,
  at: number,
  size: number,
  v3: boolean,
): boolean {
  if (body.length !== size) return false;
  for (let i = 0; i < size; i++) {
    if (v3 && i === V3_TIME_AT) i = V3_GROUPS_AT;
    if (body[i] !== bytes[at + i]) return false;
  }
  return true;
}

function withTime(credentials: Credentials, view: DataView, at: number): Credentials {
  const nsec = view.getUint32(at), high = view.getUint32(at + 4), low = view.getUint32(at + 8);
  if (nsec === 0 && low === 0 && high === 0) return credentials;
  if (nsec > 999_999_999 || high > 0x1fffff) {
    throw new XdrError("Cannot read credential: its time is out of range");
  }
  return { ...credentials, ctime: { sec: high * 4294967296 + low, nsec } };
}

function parse(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  size: number,
  v3: boolean,
): Credentials {
  const end = at + size;
  let next = at + (v3 ? V3_GROUPS_AT : V2_GROUPS_AT);
  const count = view.getUint32(next);
  next += 4;
  if (count * 4 > end - next - 4) throw new XdrError(`Cannot read credential: ${count} groups`);
  const groups: number[] = [];
  for (let i = 0; i < count; i++, next += 4) groups.push(view.getUint32(next));
  const ownerSize = view.getUint32(next);
  next += 4;
  if (ownerSize > end - next) {
    throw new XdrError(`Cannot read credential: lock owner of ${ownerSize} bytes`);
  }
  return {
    pid: view.getInt32(at),
    uid: view.getUint32(at + 4),
    gid: view.getUint32(at + 8),
    groups,
    lkOwner: toHex(bytes.subarray(next, next + ownerSize)) as LkOwner,
  };
}

/** Writes flavor and body. Groups that do not fit into 400 bytes are left out, as GlusterFS does. */
export function writeCredentials(to: XdrWriter, flavor: number, from: Credentials): void {
  if (flavor === AUTH_NONE) {
    to.u32(AUTH_NONE);
    to.u32(0);
    return;
  }
  const v3 = flavor === AUTH_GLUSTERFS_V3;
  const owner = ownerBytes(from.lkOwner);
  const fixed = (v3 ? V3_GROUPS_AT : V2_GROUPS_AT) + 8 + ((owner.length + 3) & ~3);
  if (fixed > AUTH_BYTES_MAX) {
    throw new RangeError(`Cannot write credential: lock owner of ${owner.length} bytes`);
  }
  const count = Math.min(from.groups.length, (AUTH_BYTES_MAX - fixed) >> 2);
  to.u32(flavor);
  to.u32(fixed + count * 4);
  to.i32(from.pid);
  to.u32(from.uid);
  to.u32(from.gid);
  if (v3) {
    to.u32(0);
    to.u32(from.ctime?.nsec ?? 0);
    to.u53(from.ctime?.sec ?? 0);
  }
  to.u32(count);
  for (let i = 0; i < count; i++) to.u32(from.groups[i]!);
  to.opaque(owner);
}

let lastOwner = NO_OWNER, lastOwnerBytes: Uint8Array = fromHex(NO_OWNER);

// The requests of a transaction, to all copies, follow each other and have one owner.
function ownerBytes(owner: LkOwner): Uint8Array {
  if (owner !== lastOwner) {
    lastOwnerBytes = fromHex(owner);
    lastOwner = owner;
  }
  return lastOwnerBytes;
}
