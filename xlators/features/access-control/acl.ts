/** POSIX access control lists: the form of `system.posix_acl_*` xattrs, who may do what, inheritance. */

import type { Call } from "core/call.ts";

// Tags of entries (include/uapi/linux/posix_acl.h).
const USER_OBJ = 0x01, USER = 0x02, GROUP_OBJ = 0x04, GROUP = 0x08, MASK = 0x10, OTHER = 0x20;
// struct posix_acl_xattr_header: u32 version; entries: u16 tag, u16 permissions, u32 id.
const VERSION = 2, HEADER = 4, ENTRY = 8;
const ENTRIES_MAX = 8191;

/** What a caller wants to do. */
export const READ = 4, WRITE = 2, EXECUTE = 1;

/** The entries of a list; those of owner, group owner and others are always there. */
export interface Acl {
  owner: number;
  group: number;
  other: number;
  /** Bound of what users and groups get; absent if there are none. */
  mask: number | undefined;
  readonly users: readonly Named[];
  readonly groups: readonly Named[];
}
interface Named {
  readonly id: number;
  readonly permissions: number;
}

/** Attributes that decide; `acl` is undefined if there are only mode bits. */
export interface Owned {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly acl: Acl | undefined;
}

/** The list in an xattr's bytes; undefined if they are none. */
export function parseAcl(bytes: Uint8Array): Acl | undefined {
  const count = (bytes.length - HEADER) / ENTRY;
  if (!Number.isInteger(count) || count < 3 || count > ENTRIES_MAX) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== VERSION) return undefined;
  const users: Named[] = [], groups: Named[] = [];
  let owner: number | undefined, group: number | undefined, other: number | undefined;
  let mask: number | undefined;
  for (let at = HEADER; at < bytes.length; at += ENTRY) {
    const permissions = view.getUint16(at + 2, true) & 7, id = view.getUint32(at + 4, true);
    switch (view.getUint16(at, true)) {
      case USER_OBJ:
        owner = permissions;
        break;
      case USER:
        users.push({ id, permissions });
        break;
      case GROUP_OBJ:
        group = permissions;
        break;
      case GROUP:
        groups.push({ id, permissions });
        break;
      case MASK:
        mask = permissions;
        break;
      case OTHER:
        other = permissions;
        break;
      default:
        return undefined;
    }
  }
  if (owner === undefined || group === undefined || other === undefined) return undefined;
  return { owner, group, other, mask, users, groups };
}

/** The inverse of `parseAcl`, entries in the order that the kernel asks for. */
export function printAcl(acl: Acl): Uint8Array<ArrayBuffer> {
  const noId = 0xffffffff;
  const entries = [
    [USER_OBJ, acl.owner, noId],
    ...acl.users.map(({ id, permissions }) => [USER, permissions, id]),
    [GROUP_OBJ, acl.group, noId],
    ...acl.groups.map(({ id, permissions }) => [GROUP, permissions, id]),
    ...(acl.mask === undefined ? [] : [[MASK, acl.mask, noId]]),
    [OTHER, acl.other, noId],
  ] as [number, number, number][];
  const bytes = new Uint8Array(HEADER + ENTRY * entries.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, VERSION, true);
  entries.forEach(([tag, permissions, id], i) => {
    const at = HEADER + ENTRY * i;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, permissions, true);
    view.setUint32(at + 4, id, true);
  });
  return bytes;
}

/** True if the caller is in the group, by its own or a supplementary one. */
export function inGroup(call: Call, gid: number): boolean {
  return call.gid === gid || call.groups.includes(gid);
}

/** True if mode bits and list let the caller do all of `want` (acl(5), "ACCESS CHECK ALGORITHM"). */
export function permits(call: Call, { uid, gid, mode, acl }: Owned, want: number): boolean {
  const enough = (permissions: number) => (permissions & want) === want;
  if (call.uid === uid) return enough(mode >> 6);
  // With a mask, the group bits of the mode are the mask.
  const mask = acl?.mask ?? 7;
  const user = acl?.users.find(({ id }) => id === call.uid);
  if (user) return enough(user.permissions & mask);
  const asGroup = acl?.mask === undefined ? mode >> 3 : acl.group;
  let member = false;
  if (inGroup(call, gid)) {
    if (enough(asGroup & mask)) return true;
    member = true;
  }
  for (const { id, permissions } of acl?.groups ?? []) {
    if (!inGroup(call, id)) continue;
    if (enough(permissions & mask)) return true;
    member = true;
  }
  return !member && enough(mode);
}

/**
 * The list that a new file gets in a directory with a default list, and its mode: what the list gives,
 * no more than `mode` asks for. The umask does not count.
 */
export function inherit(byDefault: Acl, mode: number): { acl: Acl; mode: number } {
  const acl = {
    ...byDefault,
    owner: byDefault.owner & (mode >> 6),
    other: byDefault.other & mode,
  };
  let group: number;
  if (byDefault.mask === undefined) group = acl.group = byDefault.group & (mode >> 3);
  else group = acl.mask = byDefault.mask & (mode >> 3);
  return { acl, mode: (mode & ~0o777) | (acl.owner << 6) | (group << 3) | acl.other };
}
