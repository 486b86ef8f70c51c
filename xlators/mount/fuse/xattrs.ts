/** Operations on extended attributes. */

import { ENODATA, EOPNOTSUPP, ERANGE } from "core/errno.ts";
import { gfidToBytes } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";
import { type DictValue, ptr, valueBytes, Xdata } from "core/xdata.ts";
import { evenUnnamed } from "xlators/mount/fuse/attributes.ts";
import type { Bridge } from "xlators/mount/fuse/bridge.ts";
import type { Request } from "xlators/mount/fuse/request.ts";

const SELINUX = "security.selinux";
/** What bricks call a file, which no brick needs to be asked for. */
const GFID = "glusterfs.gfid", GFID_TEXT = "glusterfs.gfid.string";
const ACL = /^system\.posix_acl_(access|default)$/;

// Attributes that are only there if the mount was asked for them: otherwise each `ls` would ask the
// bricks for what nobody set.
function isOff({ values }: Bridge, name: string): boolean {
  return (name === SELINUX && !values.selinux) || (!values.acl && ACL.test(name));
}

/** SETXATTR. */
export async function setxattr(bridge: Bridge, request: Request): Promise<void> {
  const node = bridge.nodes.of(request.nodeid);
  const size = request.u32(0), flags = request.u32(4);
  const { name, next } = request.name(8);
  if (isOff(bridge, name)) throw EOPNOTSUPP;
  const xattrs = Xdata.of([[name, ptr(request.bytes(next, size).slice())]]);
  const call = bridge.call(request);
  const { top } = bridge, { inode } = node;
  await evenUnnamed(
    node,
    () => top.setxattr(call, { inode, xattrs, flags }),
    (fd) => top.fsetxattr(call, { fd, xattrs, flags }),
  );
  bridge.reply.ok(request.unique);
}

/** GETXATTR. */
export async function getxattr(bridge: Bridge, request: Request): Promise<void> {
  const size = request.u32(0);
  const { name } = request.name(8);
  if (isOff(bridge, name)) throw name === SELINUX ? ENODATA : EOPNOTSUPP;
  if (name === GFID || name === GFID_TEXT) {
    const { gfid } = bridge.nodes.of(request.nodeid).inode;
    const bytes = name === GFID ? gfidToBytes(gfid) : encodeName(gfid);
    return answer(bridge, request.unique, bytes, size);
  }
  const value = (await xattrsOf(bridge, request, name))?.raw(name);
  const bytes = value && shownBytes(value);
  if (!bytes) throw ENODATA;
  answer(bridge, request.unique, bytes, size);
}

// Text that layers answer has no end mark here; what applications stored is as they stored it.
function shownBytes(value: DictValue): Uint8Array | undefined {
  return value.type === "str" ? encodeName(value.value) : valueBytes(value);
}

/** LISTXATTR. */
export async function listxattr(bridge: Bridge, request: Request): Promise<void> {
  const size = request.u32(0);
  const all = [...(await xattrsOf(bridge, request, ""))?.names() ?? []];
  const names = all.filter((name) =>
    !isOff(bridge, name) && (request.uid === 0 || !name.startsWith("trusted."))
  );
  const bytes = encodeName(names.map((name) => `${name}\0`).join(""));
  answer(bridge, request.unique, bytes, size);
}

async function xattrsOf(
  bridge: Bridge,
  request: Request,
  name: string,
): Promise<Xdata | undefined> {
  const node = bridge.nodes.of(request.nodeid);
  const call = bridge.call(request);
  const { top } = bridge, { inode } = node;
  const { xattrs } = await evenUnnamed(
    node,
    () => top.getxattr(call, { inode, name }),
    (fd) => top.fgetxattr(call, { fd, name }),
  );
  return xattrs;
}

// Who gives no room asks how much there has to be.
function answer(bridge: Bridge, unique: number, bytes: Uint8Array, room: number): void {
  if (room === 0) bridge.reply.size(unique, bytes.length);
  else if (bytes.length > room) throw ERANGE;
  else bridge.reply.data(unique, bytes);
}

/** REMOVEXATTR. */
export async function removexattr(bridge: Bridge, request: Request): Promise<void> {
  const node = bridge.nodes.of(request.nodeid);
  const { name } = request.name(0);
  if (isOff(bridge, name)) throw EOPNOTSUPP;
  const call = bridge.call(request);
  const { top } = bridge, { inode } = node;
  await evenUnnamed(
    node,
    () => top.removexattr(call, { inode, name }),
    (fd) => top.fremovexattr(call, { fd, name }),
  );
  bridge.reply.ok(request.unique);
}
