/** Ranges of files with transactions under way: in memory only, and bounded. */

import type { Gfid } from "core/inode.ts";
import { PageRanges } from "xlators/features/changed-ranges/page_ranges.ts";

/** Most files at once, and most ranges of all together. */
const FILES_MAX = 16_384, RANGES_MAX = 262_144;

/** A file with transactions under way. */
export interface OpenFile {
  /** What has changed since the first of them began. */
  readonly ranges: PageRanges;
  /** Copies that were blamed since: they miss what still comes, too. */
  readonly blamed: Set<string>;
}

/** See the head of this file. A file that is not in it is unknown. */
export class OpenChanges {
  #files = new Map<Gfid, OpenFile>();
  #ranges = 0;

  /** How many files there are. */
  get size(): number {
    return this.#files.size;
  }

  /** Begins to keep what changes in a file: nothing yet. */
  begin(gfid: Gfid): void {
    this.end(gfid);
    this.#files.set(gfid, { ranges: new PageRanges(), blamed: new Set() });
    if (this.#files.size > FILES_MAX) this.#forgetOldest();
  }

  /** Forgets the file. */
  end(gfid: Gfid): void {
    const file = this.#files.get(gfid);
    if (!file) return;
    this.#ranges -= file.ranges.count;
    this.#files.delete(gfid);
  }

  /** What has changed; undefined if that is unknown. */
  of(gfid: Gfid): OpenFile | undefined {
    return this.#files.get(gfid);
  }

  /** `size` bytes from `offset` change, or may have; nothing happens to files that are not kept. */
  add(gfid: Gfid, offset: number, size: number): void {
    const ranges = this.#files.get(gfid)?.ranges;
    if (!ranges) return;
    const before = ranges.count;
    ranges.add(offset, size);
    this.#ranges += ranges.count - before;
    while (this.#ranges > RANGES_MAX) this.#forgetOldest();
  }

  #forgetOldest(): void {
    for (const gfid of this.#files.keys()) {
      this.end(gfid);
      return;
    }
  }
}
