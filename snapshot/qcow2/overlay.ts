/**
 * An image over another one that need not be at hand: whole clusters are written to it, or made zeros,
 * and what is below shows through everywhere else. For incremental exports.
 */

import { dataRuns } from "core/lib/bytes.ts";
import { createImage } from "snapshot/qcow2/create.ts";
import type { Disk } from "snapshot/qcow2/disk.ts";
import { Editor } from "snapshot/qcow2/editor.ts";
import { Image, openImage } from "snapshot/qcow2/image.ts";
import type { Store } from "snapshot/qcow2/store.ts";

/** Bytes of a cluster: as QEMU makes them. */
export const OVERLAY_CLUSTER = 65_536;
/** Bytes of disks are a multiple of that. */
const SECTOR = 512;
/** Bytes that are read at a time. */
const PIECE = 4 << 20;

/** What is below, as it goes into the image. */
export interface Below {
  /** Its name, seen from the image. */
  readonly file: string;
  readonly format: "qcow2" | "raw";
  /** Bytes of its disk. */
  readonly size: number;
}

/** A range of a disk. */
export interface DiskRange {
  readonly offset: number;
  readonly length: number;
}

/** Bytes of an image's disk for so many bytes of a file. */
export function diskSize(bytes: number): number {
  return Math.ceil(bytes / SECTOR) * SECTOR;
}

/**
 * Writes what `disk` has in `ranges` (in order) into an empty store, as an image over `below`. What is
 * zeros there hides what is below. `wrote` hears of bytes of the ranges that are done. The store is
 * closed, also if this throws.
 */
export async function writeOverlay(
  store: Store,
  disk: Disk,
  below: Below,
  ranges: AsyncIterable<DiskRange>,
  wrote: (bytes: number) => void,
): Promise<void> {
  const size = diskSize(disk.size);
  const { file, format } = below;
  await createImage(store, { size, clusterSize: OVERLAY_CLUSTER, backing: { file, format } });
  const alone = await openImage({ store, id: "", path: "" }, { alone: true });
  const editor = await Editor.open(new Image({ ...alone.parts, backing: unread(below) }));
  try {
    const buffer = new Uint8Array(PIECE);
    for await (const { offset, length } of clusters(ranges, size)) {
      for (let at = offset, end = offset + length; at < end; at += PIECE) {
        const part = buffer.subarray(0, Math.min(PIECE, end - at));
        await copyPiece(editor, disk, at, part);
        wrote(part.length);
      }
    }
    await editor.flush();
  } finally {
    await store.close();
  }
}

async function copyPiece(
  editor: Editor,
  disk: Disk,
  offset: number,
  part: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const end = offset + part.length;
  let written = offset;
  if (await hasData(disk, offset, end)) {
    await disk.read(offset, part);
    for (const { start, end } of dataRuns(part, OVERLAY_CLUSTER)) {
      if (offset + start > written) await editor.zero(written, offset + start - written);
      // What is no whole cluster is the disk's end.
      await editor.write(offset + start, part.subarray(start, end));
      written = offset + end;
    }
  }
  if (end > written) await editor.zero(written, end - written);
}

async function hasData(disk: Disk, offset: number, end: number): Promise<boolean> {
  for await (const { kind } of disk.extents(offset, end)) if (kind === "data") return true;
  return false;
}

/** Bytes that `writeOverlay` writes for ranges of a disk of `bytes`. */
export function overlayBytes(ranges: Iterable<DiskRange>, bytes: number): number {
  let sum = 0, done = 0;
  for (const range of ranges) {
    const { start, end } = clustersOf(range, diskSize(bytes));
    sum += Math.max(0, end - Math.max(start, done));
    done = Math.max(done, end);
  }
  return sum;
}

function clustersOf({ offset, length }: DiskRange, size: number) {
  return {
    start: Math.floor(offset / OVERLAY_CLUSTER) * OVERLAY_CLUSTER,
    end: Math.min(size, Math.ceil((offset + length) / OVERLAY_CLUSTER) * OVERLAY_CLUSTER),
  };
}

/** Ranges as whole clusters, each once. */
async function* clusters(
  ranges: AsyncIterable<DiskRange>,
  size: number,
): AsyncGenerator<DiskRange> {
  let start = 0, end = 0;
  for await (const range of ranges) {
    const { start: from, end: to } = clustersOf(range, size);
    if (from > end) {
      if (end > start) yield { offset: start, length: end - start };
      start = from;
    }
    end = Math.max(end, to);
  }
  if (end > start) yield { offset: start, length: end - start };
}

// Only its size counts: no cluster is written in part.
function unread({ size, format, file }: Below) {
  const disk: Disk = {
    size,
    read: (_offset, into) => Promise.resolve(void into.fill(0)),
    async *extents() {},
  };
  return { disk, format, path: file, close: () => Promise.resolve() };
}
