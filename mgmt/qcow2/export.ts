/** A disk into a file of its own: plain, with holes where there is nothing, or as a flat qcow2 image. */

import { CommandError } from "mgmt/cli/command.ts";
import type { Progress } from "mgmt/file/progress.ts";
import { createImage } from "snapshot/qcow2/create.ts";
import type { Disk } from "snapshot/qcow2/disk.ts";
import { Editor } from "snapshot/qcow2/editor.ts";
import { openImage } from "snapshot/qcow2/image.ts";
import { openLocalFile } from "snapshot/qcow2/local_file.ts";
import type { Store } from "snapshot/qcow2/store.ts";

const PIECE = 4 << 20;

/** A file that was made, and how to take it away again. */
export interface NewFile {
  readonly store: Store;
  remove(): Promise<void>;
}

/** Writes all of `disk` to a new file of this machine; what was begun and failed is removed. */
export async function exportDisk(
  disk: Disk,
  target: string,
  format: "raw" | "qcow2",
  progress: Progress,
): Promise<void> {
  if (await Deno.lstat(target).then(() => true, () => false)) {
    throw new CommandError(`Cannot write ${target}: it exists`);
  }
  const store = openLocalFile(target, { create: true });
  await exportTo(disk, { store, remove: () => Deno.remove(target) }, format, progress);
}

/** The same to a file that was just made, wherever it is. Closes it. */
export async function exportTo(
  disk: Disk,
  target: NewFile,
  format: "raw" | "qcow2",
  progress: Progress,
): Promise<void> {
  try {
    if (format === "raw") await toRaw(disk, target.store, progress);
    else await toImage(disk, target.store, progress);
  } catch (error) {
    await target.remove().catch(() => {});
    throw error;
  }
}

async function toRaw(disk: Disk, store: Store, progress: Progress): Promise<void> {
  try {
    await store.truncate(disk.size);
    const buffers = [new Uint8Array(PIECE), new Uint8Array(PIECE)];
    // One piece is written while the next is read.
    let writing: Promise<void> = Promise.resolve(), turn = 0;
    try {
      for await (const [at, length] of pieces(disk, progress)) {
        const part = buffers[turn++ % 2]!.subarray(0, length);
        await disk.read(at, part);
        await writing;
        writing = store.write(at, part);
      }
    } finally {
      await writing;
    }
    await store.flush();
  } finally {
    await store.close();
  }
}

async function toImage(disk: Disk, store: Store, progress: Progress): Promise<void> {
  // A guest's disk is a number of sectors; a plain backing file may have left it otherwise.
  await createImage(store, { size: Math.ceil(disk.size / 512) * 512 });
  const editor = await Editor.open(await openImage({ store, id: "", path: "" }));
  const buffer = new Uint8Array(PIECE);
  for await (const [at, length] of pieces(disk, progress)) {
    const part = buffer.subarray(0, length);
    await disk.read(at, part);
    await editor.write(at, part);
  }
  await editor.close();
}

// Where there is data, in pieces.
async function* pieces(disk: Disk, progress: Progress): AsyncGenerator<[number, number]> {
  for await (const { offset, length, kind } of disk.extents(0, disk.size)) {
    for (let at = 0; kind === "data" && at < length; at += PIECE) {
      const piece = Math.min(PIECE, length - at);
      yield [offset + at, piece];
      progress.add(piece);
    }
    if (kind !== "data") progress.add(length);
  }
}
