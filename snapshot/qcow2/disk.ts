/** What an image, a snapshot of it and a plain file have in common: a disk that can be read. */

import type { Store } from "snapshot/qcow2/store.ts";

/** A stretch of a disk. `zero` and `hole` both read as zeros; nothing says so of a `hole`. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
  readonly kind: "data" | "zero" | "hole";
}

/** Bytes that a guest sees. */
export interface Disk {
  /** Bytes. */
  readonly size: number;
  /**
   * Fills `into` from `offset` on; what is past the end is zeros. `into` belongs to the disk until
   * the promise settles.
   */
  read(offset: number, into: Uint8Array<ArrayBuffer>): Promise<void>;
  /** The stretches of the disk from `offset` to `end`, in order and without gaps. */
  extents(offset: number, end: number): AsyncGenerator<Extent>;
}

/** A plain file as a disk. */
export class RawDisk implements Disk {
  constructor(readonly store: Store, readonly size: number) {}

  async read(offset: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    const here = Math.max(0, Math.min(into.length, this.size - offset));
    const got = here > 0 ? await this.store.read(offset, into.subarray(0, here)) : 0;
    if (got < into.length) into.fill(0, got);
  }

  async *extents(offset: number, end: number): AsyncGenerator<Extent> {
    const middle = Math.min(Math.max(this.size, offset), end);
    if (middle > offset) yield { offset, length: middle - offset, kind: "data" };
    if (end > middle) yield { offset: middle, length: end - middle, kind: "hole" };
  }
}

/** Neighbours of the same kind as one. */
export async function* merged(extents: AsyncIterable<Extent>): AsyncGenerator<Extent> {
  let last: Extent | undefined;
  for await (const extent of extents) {
    if (last && last.kind === extent.kind) {
      last = { ...last, length: last.length + extent.length };
      continue;
    }
    if (last) yield last;
    last = extent;
  }
  if (last) yield last;
}
