/**
 * Snapshots of a file by extended attributes, with the names of GlusterFS 3.5: setting
 * `trusted.glusterfs.block-snapshot-create`, `-goto` or `-remove` to a snapshot's name, and reading
 * `glusterfs.snapshots`, a name in each line. Each replica gets them by itself: ids come from file and
 * name, and epochs are the brick's own, so that replicas need not agree on them. For a file that is
 * being written to, the snapshots of replicas may differ in what was on its way; the command line's
 * snapshots do not.
 */

import { createHash } from "node:crypto";
import type { Call } from "core/call.ts";
import type { Clock } from "core/env.ts";
import { EEXIST, EINVAL, ENOENT } from "core/errno.ts";
import { DONE, type Empty, type Fops } from "core/fops.ts";
import { isRegular } from "core/iatt.ts";
import type { Gfid, Inode } from "core/inode.ts";
import { decodeName, encodeName } from "core/lib/bytes.ts";
import { ptr, valueBytes, Xdata } from "core/xdata.ts";
import type { History } from "snapshot/engine/history.ts";
import { fileSnapshot, restoreFile } from "xlators/features/snapshot/restore.ts";

/** Read: all snapshots of a file. */
export const SNAPSHOTS_XATTR = "glusterfs.snapshots";
const PREFIX = "trusted.glusterfs.block-snapshot-";
const ORDERS = ["create", "goto", "remove"] as const;
const NAME_MAX = 255;

/** What is asked of a file's snapshots. */
export interface BlockOrder {
  readonly order: typeof ORDERS[number];
  /** Of the snapshot. */
  readonly name: string;
}

/** What an attempt to set attributes asks for; undefined: they are ordinary ones. EINVAL: no name, or a long one. */
export function blockOrder(xattrs: Xdata | undefined): BlockOrder | undefined {
  for (const order of ORDERS) {
    const value = xattrs?.raw(PREFIX + order);
    if (!value) continue;
    const name = decodeName(valueBytes(value) ?? new Uint8Array()).replace(/\0$/, "");
    if (name === "" || /[\n/\0]/.test(name) || encodeName(name).length > NAME_MAX) throw EINVAL;
    return { order, name };
  }
  return undefined;
}

/** What is done with. */
export interface BlockParts {
  readonly history: History;
  readonly layer: Fops;
  readonly clock: Clock;
}

/** Does it. EEXIST, ENOENT: there is, or is no, such snapshot; EINVAL: no regular file; EBUSY: open for writing. */
export async function doBlockOrder(
  { history, layer, clock }: BlockParts,
  call: Call,
  inode: Inode,
  { order, name }: BlockOrder,
): Promise<Empty> {
  const { gfid } = inode;
  const known = fileSnapshot(history, gfid, name);
  if (order === "create") {
    if (known !== undefined) throw EEXIST;
    const { stat } = await layer.stat(call, { inode });
    if (!isRegular(stat)) throw EINVAL;
    const id = snapshotId(gfid, name), created = clock.now(), { epoch } = history;
    await history.take({ id, name, kind: "snapshot", file: gfid, epoch, created, active: true });
    await history.secure();
    return DONE;
  }
  if (known === undefined) throw ENOENT;
  if (order === "remove") await history.remove(known);
  else await restoreFile(history, layer, call, known, inode, clock);
  return DONE;
}

/** The value of `SNAPSHOTS_XATTR`. */
export function snapshotsOf(history: History, gfid: Gfid): Xdata {
  const names = history.readers.list()
    .filter(({ kind, file }) => kind === "snapshot" && file === gfid)
    .map(({ name }) => name);
  return Xdata.of([[SNAPSHOTS_XATTR, ptr(encodeName(names.join("\n")))]]);
}

// The same at every replica; RFC 9562 §5.8.
function snapshotId(gfid: Gfid, name: string): string {
  const hash = createHash("sha256").update(encodeName(`${gfid}/${name}`)).digest();
  const bytes = new Uint8Array(hash.buffer, hash.byteOffset, 16);
  bytes[6] = bytes[6]! & 0x0f | 0x80;
  bytes[8] = bytes[8]! & 0x3f | 0x80;
  return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
