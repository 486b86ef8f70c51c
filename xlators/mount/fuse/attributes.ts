/** Operations on attributes of a node, and on the space that the volume has. */

import type { Call } from "core/call.ts";
import { ROOT } from "core/call.ts";
import { ENOENT, ESTALE } from "core/errno.ts";
import type { AttrChanges } from "core/fops.ts";
import { type Iatt, isDirectory, type Timespec } from "core/iatt.ts";
import type { Fd } from "core/inode.ts";
import type { Bridge } from "xlators/mount/fuse/bridge.ts";
import type { Node } from "xlators/mount/fuse/nodes.ts";
import { FATTR, GETATTR_FH } from "xlators/mount/fuse/protocol.ts";
import type { Request } from "xlators/mount/fuse/request.ts";

/** Any of what SETATTR can set. */
const FATTR_SETS = FATTR.MODE | FATTR.UID | FATTR.GID | FATTR.SIZE | FATTR.ATIME | FATTR.MTIME |
  FATTR.ATIME_NOW | FATTR.MTIME_NOW;
const S_ISUID = 0o4000, S_ISGID = 0o2000, S_IXGRP = 0o10;

/** Any file that is open on `node`. */
export function openFile(node: Node): Fd | undefined {
  for (const { fd } of node.handles ?? []) return fd;
  return undefined;
}

/** What `act` answers; `through` an open file where the node has no name any more. */
export async function evenUnnamed<T>(
  node: Node,
  act: () => Promise<T>,
  through: (fd: Fd) => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const fd = openFile(node);
    if (!fd || !(ENOENT.matches(error) || ESTALE.matches(error))) throw error;
    return await through(fd);
  }
}

/** Attributes of a node as they are now. */
export function attributesOf({ top }: Bridge, call: Call, node: Node, fd?: Fd): Promise<Iatt> {
  const through = fd ?? openFile(node);
  const found = through ? top.fstat(call, { fd: through }) : top.stat(call, { inode: node.inode });
  return found.then(({ stat }) => stat);
}

/** GETATTR. */
export function getattr(bridge: Bridge, request: Request): Promise<void> {
  const node = bridge.nodes.of(request.nodeid);
  const { unique } = request;
  const fd = request.u32(0) & GETATTR_FH ? bridge.handles.of(request.u64(8)).fd : undefined;
  return attributesOf(bridge, bridge.call(request), node, fd)
    .then((stat) => void bridge.reply.attributes(unique, stat, bridge.validity));
}

/** The mode without the bits that a change of content takes away; undefined if it has none. */
export function modeAfterWrite(mode: number): number | undefined {
  const gone = (mode & S_ISUID) |
    ((mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP) ? S_ISGID : 0);
  return gone ? mode & 0o7777 & ~gone : undefined;
}

/** Takes those bits away; answers attributes after that. */
export async function dropPrivileges(
  { top }: Bridge,
  fd: Fd,
  stat: Iatt,
): Promise<Iatt> {
  const mode = modeAfterWrite(stat.mode);
  if (mode === undefined) return stat;
  const { post } = await top.fsetattr(ROOT, { fd, changes: { mode } });
  return post ?? stat;
}

/** SETATTR. */
export async function setattr(bridge: Bridge, request: Request): Promise<void> {
  const { top } = bridge;
  const node = bridge.nodes.of(request.nodeid);
  const { inode } = node;
  const valid = request.u32(0);
  const fd = valid & FATTR.FH ? bridge.handles.of(request.u64(8)).fd : undefined;
  const owner = valid & FATTR.LOCKOWNER ? request.owner(24) : undefined;
  const call = bridge.call(request, owner);
  let stat: Iatt | undefined;
  let changes = changesOf(request, valid);
  if (valid & FATTR.SIZE) {
    const offset = request.u64(16);
    const done = fd ? top.ftruncate(call, { fd, offset }) : top.truncate(call, { inode, offset });
    stat = (await done).post;
    if (valid & FATTR.KILL_SUIDGID && changes.mode === undefined) {
      stat ??= await attributesOf(bridge, ROOT, node, fd);
      changes = { ...changes, mode: modeAfterWrite(stat.mode) };
    }
  }
  // Nothing to set: somebody became the owner who is it already, which counts as a change.
  if (!(valid & FATTR_SETS)) {
    stat = await attributesOf(bridge, ROOT, node, fd);
    if (!isDirectory(stat)) changes = { mode: modeAfterWrite(stat.mode) };
  }
  if (Object.values(changes).some((value) => value !== undefined)) {
    // The kernel has seen to it that the caller may; who truncates need not be the owner.
    const by = valid & FATTR.SIZE ? ROOT : call;
    const { post } = await evenUnnamed(
      node,
      () => top.setattr(by, { inode, changes }),
      (open) => top.fsetattr(by, { fd: open, changes }),
    );
    stat = post;
  }
  stat ??= await attributesOf(bridge, call, node, fd);
  bridge.reply.attributes(request.unique, stat, bridge.validity);
}

function changesOf(request: Request, valid: number): AttrChanges {
  const time = (
    bit: number,
    now: number,
    at: number,
    nsecAt: number,
  ): Timespec | "now" | undefined =>
    valid & now
      ? "now"
      : valid & bit
      ? { sec: request.i64(at), nsec: request.u32(nsecAt) }
      : undefined;
  return {
    mode: valid & FATTR.MODE ? request.u32(68) & 0o7777 : undefined,
    uid: valid & FATTR.UID ? request.u32(76) : undefined,
    gid: valid & FATTR.GID ? request.u32(80) : undefined,
    atime: time(FATTR.ATIME, FATTR.ATIME_NOW, 32, 56),
    mtime: time(FATTR.MTIME, FATTR.MTIME_NOW, 40, 60),
  };
}

/** ACCESS. */
export async function access(bridge: Bridge, request: Request): Promise<void> {
  const { inode } = bridge.nodes.of(request.nodeid);
  await bridge.top.access(bridge.call(request), { inode, mask: request.u32(0) });
  bridge.reply.ok(request.unique);
}

/** STATFS. */
export async function statfs(bridge: Bridge, request: Request): Promise<void> {
  const { inode } = bridge.nodes.of(request.nodeid);
  const { statfs } = await bridge.top.statfs(bridge.call(request), { inode });
  bridge.reply.space(request.unique, statfs);
}
