/** A set of byte ranges that stays small: whole pages, merged, and coarser ones when there are too many. */

import type { ByteRange } from "core/changed_ranges.ts";

/** Bytes of the finest page. */
export const PAGE_BYTES = 4096;
/** Most ranges of one set. */
export const RANGES_MAX = 4096;
/** Each time there are too many, pages grow by this. */
const COARSER = 16;
/** The end of a range that reaches to the end of the file, wherever that is. */
export const TO_THE_END = Number.MAX_SAFE_INTEGER;

/** See the head of this file. */
export class PageRanges {
  // Starts and ends in turn, ascending; no two touch.
  #bounds: number[] = [];
  #page = PAGE_BYTES;

  /** How many ranges there are. */
  get count(): number {
    return this.#bounds.length / 2;
  }

  /** Adds `size` bytes from `offset`; Infinity: all from there. */
  add(offset: number, size: number): void {
    if (size <= 0) return;
    const end = offset + size;
    const from = Math.floor(offset / this.#page) * this.#page;
    const to = end < TO_THE_END ? Math.ceil(end / this.#page) * this.#page : TO_THE_END;
    this.#insert(from, Math.min(to, TO_THE_END));
    while (this.count > RANGES_MAX) this.#coarsen();
  }

  #insert(from: number, to: number): void {
    const bounds = this.#bounds;
    const first = this.#firstEndingFrom(from);
    let last = first;
    while (last < bounds.length && bounds[last]! <= to) last += 2;
    if (last === first) {
      bounds.splice(first, 0, from, to);
      return;
    }
    const start = Math.min(from, bounds[first]!), end = Math.max(to, bounds[last - 1]!);
    if (last - first > 2) bounds.splice(first + 2, last - first - 2);
    bounds[first] = start;
    bounds[first + 1] = end;
  }

  // Place of the first range whose end is at or after `at`.
  #firstEndingFrom(at: number): number {
    let low = 0, high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#bounds[middle * 2 + 1]! < at) low = middle + 1;
      else high = middle;
    }
    return low * 2;
  }

  #coarsen(): void {
    const ranges = [...this];
    this.#page *= COARSER;
    this.#bounds = [];
    for (const { start, end } of ranges) this.add(start, end - start);
  }

  /** Adds all of `others`. */
  addAll(others: Iterable<ByteRange>): void {
    for (const { start, end } of others) this.add(start, end - start);
  }

  /** The ranges in ascending order; the last one may end at TO_THE_END. */
  *[Symbol.iterator](): Generator<ByteRange> {
    for (let at = 0; at < this.#bounds.length; at += 2) {
      yield { start: this.#bounds[at]!, end: this.#bounds[at + 1]! };
    }
  }
}
