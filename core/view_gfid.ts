/**
 * Gfids in views of snapshots: a client must not mix a file with what it was, so in a view each
 * inode has another gfid, `gfid XOR key`. That can be undone: a brick that restarted finds out which
 * of its snapshots a gfid is from.
 */

import { createHash } from "node:crypto";
import { type Gfid, gfidFromBytes, gfidToBytes, ROOT_GFID } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";

/** What gfids in the view of the snapshot `id` differ by: the first 16 bytes of its SHA-256. */
export function viewKey(id: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(encodeName(id)).digest()).slice(0, 16);
}

/** The gfid that an inode has in the view with this key; of one in the view, that of the live file. */
export function viewGfid(gfid: Gfid, key: Uint8Array): Gfid {
  const bytes = gfidToBytes(gfid);
  for (let at = 0; at < 16; at++) bytes[at] = bytes[at]! ^ key[at]!;
  return gfidFromBytes(bytes);
}

/** Of the directory that has all snapshots of a volume, whatever its name. */
export const SNAPSHOTS_GFID: Gfid = viewGfid(ROOT_GFID, viewKey(".snaps"));

/** The root of the view of the snapshot `id`. */
export function viewRoot(id: string): Gfid {
  return viewGfid(ROOT_GFID, viewKey(id));
}
