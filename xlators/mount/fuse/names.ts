/** Operations on names: finding, making, moving and removing them. */

import { EEXIST, EINVAL, ENOENT } from "core/errno.ts";
import { O_EXCL, O_TRUNC } from "core/fops.ts";
import { isDirectory } from "core/iatt.ts";
import { encodeName } from "core/lib/bytes.ts";
import { type DictValue, Xdata } from "core/xdata.ts";
import { GFID_REQ, UMASK, UNMASKED_MODE } from "core/xdata_keys.ts";
import type { Bridge } from "xlators/mount/fuse/bridge.ts";
import { openMode, readyToMap } from "xlators/mount/fuse/files.ts";
import { RENAME_NOREPLACE } from "xlators/mount/fuse/protocol.ts";
import type { Request } from "xlators/mount/fuse/request.ts";

/** The longest target of a symbolic link, in bytes, with its end. */
const TARGET_BYTES_MAX = 4096;

/** LOOKUP. */
export function lookup(bridge: Bridge, request: Request): Promise<void> {
  const parent = bridge.nodes.of(request.nodeid).inode;
  const { name } = request.name(0);
  const found = name === "."
    ? bridge.top.lookup(bridge.call(request), { inode: parent, name: "" })
    : bridge.top.lookup(bridge.call(request), { parent, name });
  return found.then(({ stat }) => bridge.entry(request, name, stat), (error) => {
    if (!ENOENT.matches(error) || !bridge.validity.missing) throw error;
    bridge.reply.missing(request.unique, bridge.validity);
  });
}

/** FORGET: has no answer. */
export function forget(bridge: Bridge, request: Request): void {
  bridge.nodes.forget(request.nodeid, request.u64(0));
}

/** BATCH_FORGET: has no answer. */
export function batchForget(bridge: Bridge, request: Request): void {
  const count = request.u32(0);
  for (let i = 0; i < count; i++) {
    const at = 8 + 16 * i;
    bridge.nodes.forget(request.u64(at), request.u64(at + 8));
  }
}

// A gfid of our choice: a request that is sent again makes the same file. The umask and the mode
// before it go along, for directories whose default ACL takes the umask's place.
function making(bridge: Bridge, mode: number, umask: number) {
  return {
    mode: mode & ~umask,
    umask,
    xdata: Xdata.of([
      [GFID_REQ.name, gfidValue(bridge)],
      [UMASK.name, UMASK.write(umask)],
      [UNMASKED_MODE.name, UNMASKED_MODE.write(mode)],
    ]),
  };
}

function gfidValue({ newGfids }: Bridge): DictValue {
  return GFID_REQ.write(newGfids.next());
}

/** MKNOD. */
export async function mknod(bridge: Bridge, request: Request): Promise<void> {
  const parent = bridge.nodes.of(request.nodeid).inode;
  const { name } = request.name(16);
  const rdev = request.u32(4);
  const args = { parent, name, rdev, ...making(bridge, request.u32(0), request.u32(8)) };
  const { stat } = await bridge.top.mknod(bridge.call(request), args);
  bridge.entry(request, name, stat);
}

/** MKDIR. */
export async function mkdir(bridge: Bridge, request: Request): Promise<void> {
  const parent = bridge.nodes.of(request.nodeid).inode;
  const { name } = request.name(8);
  const args = { parent, name, ...making(bridge, request.u32(0), request.u32(4)) };
  const { stat } = await bridge.top.mkdir(bridge.call(request), args);
  bridge.entry(request, name, stat);
}

/** SYMLINK. */
export async function symlink(bridge: Bridge, request: Request): Promise<void> {
  const parent = bridge.nodes.of(request.nodeid).inode;
  const { name, next } = request.name(0);
  const target = request.text(next).name;
  const xdata = Xdata.of([[GFID_REQ.name, gfidValue(bridge)]]);
  const args = { parent, name, target, umask: 0, xdata };
  const { stat } = await bridge.top.symlink(bridge.call(request), args);
  bridge.entry(request, name, stat);
}

/** LINK. */
export async function link(bridge: Bridge, request: Request): Promise<void> {
  const parent = bridge.nodes.of(request.nodeid).inode;
  const { inode } = bridge.nodes.of(request.u64(0));
  const { name } = request.name(8);
  const { stat } = await bridge.top.link(bridge.call(request), { inode, parent, name });
  bridge.entry(request, name, stat);
}

/** READLINK. */
export async function readlink(bridge: Bridge, request: Request): Promise<void> {
  const { inode } = bridge.nodes.of(request.nodeid);
  const { target } = await bridge.top.readlink(bridge.call(request), {
    inode,
    size: TARGET_BYTES_MAX,
  });
  bridge.reply.data(request.unique, encodeName(target));
}

/** UNLINK. */
export async function unlink(bridge: Bridge, request: Request): Promise<void> {
  const parent = bridge.nodes.of(request.nodeid).inode;
  const { name } = request.name(0);
  await bridge.top.unlink(bridge.call(request), { parent, name, flags: 0 });
  bridge.reply.ok(request.unique);
}

/** RMDIR. */
export async function rmdir(bridge: Bridge, request: Request): Promise<void> {
  const parent = bridge.nodes.of(request.nodeid).inode;
  const { name } = request.name(0);
  await bridge.top.rmdir(bridge.call(request), { parent, name, flags: 0 });
  bridge.reply.ok(request.unique);
}

/** RENAME. */
export async function rename(bridge: Bridge, request: Request): Promise<void> {
  await renameAt(bridge, request, 8);
}

/** RENAME2: exchanging two names, and leaving a whiteout, are none that bricks could make. */
export async function rename2(bridge: Bridge, request: Request): Promise<void> {
  const flags = request.u32(8);
  if (flags === RENAME_NOREPLACE) await moveSparing(bridge, request);
  else if (flags === 0) await renameAt(bridge, request, 16);
  else throw EINVAL;
}

async function renameAt(bridge: Bridge, request: Request, namesAt: number): Promise<void> {
  const names = movedNames(bridge, request, namesAt), to = request.u64(0);
  const { stat } = await bridge.top.rename(bridge.call(request), names);
  bridge.moved(stat, to, names.newName);
  bridge.reply.ok(request.unique);
}

function movedNames(bridge: Bridge, request: Request, namesAt: number) {
  const oldParent = bridge.nodes.of(request.nodeid).inode;
  const newParent = bridge.nodes.of(request.u64(0)).inode;
  const { name: oldName, next } = request.name(namesAt);
  const { name: newName } = request.name(next);
  return { oldParent, oldName, newParent, newName };
}

// The fop replaces. A link does not, whoever makes that name at the same time: what is no directory
// gets its new name first and loses the old one then. Of a directory only the name is looked for
// before: what is replaced in between is an empty directory at most.
async function moveSparing(bridge: Bridge, request: Request): Promise<void> {
  const { top, inodes } = bridge;
  const call = bridge.call(request), { unique } = request, to = request.u64(0);
  const names = movedNames(bridge, request, 16);
  const { oldParent, oldName, newParent, newName } = names;
  const target = { parent: newParent, name: newName };
  const { stat } = await top.lookup(call, { parent: oldParent, name: oldName });
  if (isDirectory(stat)) {
    const there = await top.lookup(call, target).then(() => true, (error) => {
      if (ENOENT.matches(error)) return false;
      throw error;
    });
    if (there) throw EEXIST;
    await top.rename(call, names);
  } else {
    await top.link(call, { inode: inodes.of(stat.gfid), ...target });
    await top.unlink(call, { parent: oldParent, name: oldName, flags: 0 });
    bridge.moved(stat, to, newName);
  }
  bridge.reply.ok(unique);
}

/** CREATE. */
export async function create(bridge: Bridge, request: Request): Promise<void> {
  const parent = bridge.nodes.of(request.nodeid).inode;
  const { name } = request.name(16);
  const flags = request.u32(0);
  const call = bridge.call(request);
  const made = making(bridge, request.u32(4), request.u32(8));
  const { stat, fd } = await bridge.top.create(call, { parent, name, flags, ...made });
  const node = bridge.tell(stat, request.nodeid, name);
  const handle = bridge.handles.add(fd, node, flags & ~(O_EXCL | O_TRUNC));
  const ready = readyToMap(bridge, handle);
  if (ready) await ready;
  const { unique } = request;
  const sent = bridge.reply.created(
    unique,
    node.id,
    stat,
    bridge.validity,
    handle.number,
    openMode(bridge, flags),
  );
  if (sent >= 0) return;
  bridge.handles.remove(handle);
  bridge.untold(node, sent);
  await bridge.top.release(call, { fd });
}
