/**
 * Rows of old data that are noted (`notes.ts`) and not in the index yet, in memory: who looks for rows
 * finds these as well.
 */

import { type Extent, joined, type Summed } from "snapshot/engine/extent.ts";

/** See the head of this file. */
export class NotedRows {
  #rows: Extent[] = [];
  #isSealed = false;
  /** The note of the last one that ever was, and of the last one that is in the index. */
  number = 0;
  inIndex = 0;

  /** How many there are. */
  get count(): number {
    return this.#rows.length;
  }

  /** In the order in which they came. */
  get all(): readonly Extent[] {
    return this.#rows;
  }

  /** Adds one; what lies behind the last one in the file and in the history is one row with it. */
  add(extent: Extent, number: number, summed: Summed): void {
    this.number = number;
    const last = this.#isSealed ? undefined : this.#rows.at(-1);
    const both = last?.inode === extent.inode ? joined(last, extent, summed) : undefined;
    if (both) this.#rows[this.#rows.length - 1] = both;
    else this.#rows.push(extent);
    this.#isSealed = false;
  }

  /** What was added until now is promised to be on the disk: what comes is no part of its rows. */
  seal(): void {
    this.#isSealed = true;
  }

  /** All, and none are left. */
  take(): Extent[] {
    const rows = this.#rows;
    this.#rows = [];
    return rows;
  }

  /** All notes up to this one have their rows in the index. */
  begin(number: number): void {
    this.number = this.inIndex = number;
  }

  /** The inverse of `take`. */
  giveBack(rows: readonly Extent[]): void {
    this.#rows = [...rows, ...this.#rows];
  }

  /** Those of `start` to before `end` with epochs from `epoch` on. */
  in(inode: number, start: number, end: number, epoch: number): Extent[] {
    return this.#rows.filter((row) =>
      row.inode === inode && row.epoch >= epoch && row.start < end && row.start + row.units > start
    );
  }
}
