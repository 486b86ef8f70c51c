/**
 * Gfids in the tree. Each is that of the file or directory in the volume it is made from, XOR a key
 * that says what it is of it: the same for every client, and after a restart. Keys of what every image
 * has are few, so a gfid that is not known can be turned back by trying them.
 */

import type { Gfid, Inode } from "core/inode.ts";
import { viewGfid, viewKey } from "core/view_gfid.ts";

/** What there is one of for a directory (`folder`) or an image (the others). */
export const KINDS = ["folder", "image", "disk", "info", "error", "snapshots", "bitmaps"] as const;
export type Kind = typeof KINDS[number];
/** What an image may have many of. */
export type PartKind = "snapshot" | "snapshot-disk" | "snapshot-info" | "bitmap";

const NAMESPACE = "features/qcow2";
const KEYS: ReadonlyMap<Kind, Uint8Array> = new Map(
  KINDS.map((kind) => [kind, viewKey(`${NAMESPACE} ${kind}`)]),
);

/** Of the tree's own top. */
const TOP = viewKey(`${NAMESPACE} top`);

/** The top of the tree of a volume whose root is `root`. */
export function topGfid(root: Inode): Gfid {
  return viewGfid(root.gfid, TOP);
}

/** Of what is one of its kind; also the way back. */
export function kindGfid(gfid: Gfid, kind: Kind): Gfid {
  return viewGfid(gfid, KEYS.get(kind)!);
}

/** Of a snapshot or bitmap of the image `gfid`; `part` is what it is and will be known by. */
export function partGfid(gfid: Gfid, kind: PartKind, part: string): Gfid {
  return viewGfid(gfid, viewKey(`${NAMESPACE} ${kind} ${part}`));
}

/** The inode number that clients show: the last 8 bytes. */
export function inoOf(gfid: Gfid): bigint {
  return BigInt(`0x${gfid.replaceAll("-", "").slice(16)}`);
}
