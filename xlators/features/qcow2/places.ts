/** What an inode of the tree is. */

import type { Inode } from "core/inode.ts";
import type { SnapshotEntry } from "snapshot/qcow2/snapshot_table.ts";
import type { Kind, PartKind } from "xlators/features/qcow2/gfids.ts";
import type { Source } from "xlators/features/qcow2/images.ts";

/** A place in the tree; all but the top are made from a directory or an image of the volume. */
export type Place =
  | { readonly kind: "top"; readonly source: Source }
  | { readonly kind: Kind; readonly source: Source }
  | { readonly kind: PartKind; readonly source: Source; readonly part: string };

export type PlaceKind = Place["kind"];

const DIRECTORIES: ReadonlySet<PlaceKind> = new Set<PlaceKind>([
  "top",
  "folder",
  "image",
  "snapshots",
  "snapshot",
  "bitmaps",
]);

/** Whether it is a directory; else it is a file. */
export function isFolder({ kind }: Place): boolean {
  return DIRECTORIES.has(kind);
}

/** Whether a file is a disk, not a text. */
export function isDisk({ kind }: Place): boolean {
  return kind === "disk" || kind === "snapshot-disk";
}

/** What a snapshot is known by: one that is made anew under its name is another. */
export function snapshotPart({ id, name, seconds, nanoseconds }: SnapshotEntry): string {
  return JSON.stringify([id, name, seconds, nanoseconds]);
}

/** The path of what is called `name` in a directory. */
export function pathIn(folder: Source, name: string): string | undefined {
  return folder.path === undefined ? undefined : `${folder.path}/${name}`;
}

/** Something of the same image, or in the same directory. */
export function sourceOf(inode: Inode, path: string | undefined): Source {
  return { inode, path };
}
