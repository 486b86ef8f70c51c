/**
 * Another size for the guest's disk, and an overlay's changes taken down into its backing file.
 */

import { refused, usage } from "snapshot/qcow2/failures.ts";
import { ClusterWriter, type Editor } from "snapshot/qcow2/editor.ts";
import { l1EntriesFor } from "snapshot/qcow2/header.ts";
import { emptyActive } from "snapshot/qcow2/snapshots.ts";
import type { Store } from "snapshot/qcow2/store.ts";
import type { Tables } from "snapshot/qcow2/tables.ts";

const L1_BYTES_MAX = 32 << 20, PIECE = 1 << 20;

/**
 * Gives the disk `size` bytes, a multiple of 512. What is new reads as zeros, also over a backing file
 * that has something there. What is cut off is lost, and does not come back when it grows again.
 */
export async function resize(editor: Editor, size: number): Promise<void> {
  const { image } = editor;
  if (!Number.isSafeInteger(size) || size < 0 || size % 512) {
    throw usage("A disk's size is a multiple of 512 bytes");
  }
  if ((await image.bitmaps()).length) {
    throw refused("The image has bitmaps, which are for the size that it has: remove them first");
  }
  const { header, backing } = image.parts;
  if (header.version === 2 && image.snapshots.length) {
    throw refused("A version 2 image with snapshots keeps its size: they have none of their own");
  }
  const before = header.size;
  await editor.alone(async (tables) => {
    const writer = new ClusterWriter(image, tables);
    // The rest of the last cluster and whole clusters go, before the size says that they are not there.
    if (size < before) await writer.zero(size, before - size);
    await growL1(tables, l1EntriesFor(header, size));
    const from = Math.min(before, size);
    if (size > before && backing && backing.disk.size > before) {
      // Zeros are there before the size shows what is below; whole clusters, the last one included.
      header.size = size;
      await writer.zero(from, Math.min(size, backing.disk.size) - from);
    }
    await tables.sync();
    header.size = size;
    await tables.writeFields();
  });
}

// Room for that many entries; a table that is larger stays as it is.
async function growL1(tables: Tables, entries: number): Promise<void> {
  const { header } = tables.parts;
  if (entries <= header.l1Entries) return;
  if (entries * 8 > L1_BYTES_MAX) throw usage("The disk is too large for clusters of that size");
  await tables.sync();
  const old = { offset: header.l1Offset, entries: header.l1Entries };
  const grown = new Uint8Array(entries * 8);
  const known = await tables.readL1(old.offset, old.entries);
  grown.set(new Uint8Array(known.buffer, known.byteOffset, known.byteLength));
  const place = await tables.place(grown);
  await tables.sync();
  header.l1Offset = place;
  header.l1Entries = entries;
  await tables.writeFields();
  const clusters = Math.ceil(old.entries * 8 / tables.clusterSize);
  if (clusters) tables.refcounts.fallLater(old.offset, clusters);
}

/** Where an overlay's changes go: a plain file, or an image. */
export interface CommitTarget {
  readonly size: number;
  /** Gives it that size. */
  grow(size: number): Promise<void>;
  write(offset: number, data: Uint8Array<ArrayBuffer>): Promise<void>;
  zero(offset: number, length: number): Promise<void>;
  flush(): Promise<void>;
}

/**
 * Writes all that the overlay has, and its backing file has not, into `target`, which is the backing
 * file opened for writing; the overlay is then without clusters of its own. `progress` hears how many
 * bytes of the disk were gone through.
 */
export async function commit(
  editor: Editor,
  target: CommitTarget,
  progress: (bytes: number) => void = () => {},
): Promise<void> {
  const { image } = editor;
  const { size } = image.disk;
  if (image.snapshots.length) {
    throw refused("The image has snapshots, which need what it has: delete or export them first");
  }
  if (target.size < size) await target.grow(size);
  const { reader, header } = image.parts;
  for await (const { offset, length, kind } of reader.ownExtents(header, 0, size)) {
    if (kind === "zero") await target.zero(offset, length);
    for (let at = 0; kind === "data" && at < length; at += PIECE) {
      const bytes = new Uint8Array(Math.min(PIECE, length - at));
      await editor.read(offset + at, bytes);
      await target.write(offset + at, bytes);
      progress(offset + at);
    }
    progress(offset + length);
  }
  await target.flush();
  await editor.alone(emptyActive);
}

/** An image as what is committed into. */
export function intoImage(editor: Editor): CommitTarget {
  return {
    get size() {
      return editor.image.disk.size;
    },
    grow: (size) => resize(editor, size),
    write: (offset, data) => editor.write(offset, data),
    zero: (offset, length) => editor.zero(offset, length),
    flush: () => editor.flush(),
  };
}

/** A plain file of `size` bytes as what is committed into. */
export function intoFile(store: Store, size: number): CommitTarget {
  return {
    size,
    grow: (grown) => store.truncate(grown),
    write: (offset, data) => store.write(offset, data),
    async zero(offset, length) {
      for (let at = 0; at < length; at += PIECE) {
        await store.write(offset + at, new Uint8Array(Math.min(PIECE, length - at)));
      }
    },
    flush: () => store.flush(),
  };
}
