/**
 * Where the units of a window (1 MiB) of a file lie for a reader. As a rule a reader sees a few of the
 * rows that newer epochs have put there: only those are remembered, and all readers together
 * remember no more than `Room` lets them, or reading many snapshots would fill the memory.
 */

import type { Extent } from "snapshot/engine/store.ts";
import { EXTENT_UNITS_MAX, UNIT } from "snapshot/engine/units.ts";

/** Units of a window. */
export const WINDOW_UNITS = EXTENT_UNITS_MAX;
/** The same in bytes. */
export const WINDOW_BYTES = WINDOW_UNITS * UNIT;

/** The windows that a range of bytes is in, and what of it is in each. */
export function* windowsOf(
  offset: number,
  size: number,
): Generator<{ number: number; start: number; end: number }> {
  for (let start = offset; start < offset + size;) {
    const number = Math.floor(start / WINDOW_BYTES);
    const end = Math.min(offset + size, (number + 1) * WINDOW_BYTES);
    yield { number, start, end };
    start = end;
  }
}

/** What `at` says of a byte's unit, and the byte, `end` at most, up to which it says the same of all. */
export function runAt(
  at: Int32Array,
  byte: number,
  end: number,
): { which: number; until: number } {
  const unit = Math.floor(byte / UNIT), first = unit % WINDOW_UNITS, which = at[first]!;
  const last = Math.min(WINDOW_UNITS, first + Math.ceil(end / UNIT) - unit);
  let next = first + 1;
  while (next < last && at[next] === which) next++;
  return { which, until: Math.min(end, (unit - first + next) * UNIT) };
}

/** By unit: an index into `extents`, or -1 for the file underneath. */
export interface Window {
  readonly at: Int32Array;
  readonly extents: readonly Extent[];
}

/**
 * The window that begins at unit `from`. `rows` are those of the reader's epoch and after it, newest
 * first; those of epochs after `last` belong to another file with the same gfid.
 */
export function windowOf(rows: readonly Extent[], from: number, last: number): Window {
  const at = new Int32Array(WINDOW_UNITS).fill(-1);
  if (!rows.length) return { at, extents: [] };
  // What is painted last is the oldest, and that is what the reader sees.
  for (const [index, { start, units, epoch }] of rows.entries()) {
    if (epoch > last) continue;
    at.fill(index, Math.max(0, start - from), Math.min(WINDOW_UNITS, start + units - from));
  }
  const extents: Extent[] = [], places = new Map<number, number>();
  for (let unit = 0; unit < WINDOW_UNITS; unit++) {
    const row = at[unit]!;
    if (row < 0) continue;
    let place = places.get(row);
    // Rows of SQLite take several times what the same object does.
    if (place === undefined) places.set(row, place = extents.push({ ...rows[row]! }) - 1);
    at[unit] = place;
  }
  return { at, extents };
}

/**
 * A window that begins at unit `from` after an extent moved into the history: what the reader found in
 * the file underneath is there now; older rows stay what it sees.
 */
export function withMoved({ at: before, extents }: Window, from: number, extent: Extent): Window {
  const at = before.slice(), end = Math.min(WINDOW_UNITS, extent.start + extent.units - from);
  for (let unit = Math.max(0, extent.start - from); unit < end; unit++) {
    if (at[unit]! < 0) at[unit] = extents.length;
  }
  return { at, extents: [...extents, extent] };
}

/** Bytes that all views of a history take, about. */
const ROOM = 64 << 20;
const REMEMBERED_BYTES = 1500, EXTENT_BYTES = 100, STATE_BYTES = 1500;

/** What views remember, together. */
export class Room {
  #used = 0;
  readonly #forget: () => void;
  readonly #most: number;

  /** `forget` is called when it is more than `most` bytes: none of the views remembers anything then. */
  constructor(forget: () => void, most = ROOM) {
    this.#forget = forget;
    this.#most = most;
  }

  /** Before a window is remembered. */
  window({ extents }: Window): void {
    this.#take(REMEMBERED_BYTES + extents.length * EXTENT_BYTES);
  }

  /** A window is forgotten. */
  gone({ extents }: Window): void {
    this.#used -= REMEMBERED_BYTES + extents.length * EXTENT_BYTES;
  }

  /** Before the state of an inode is remembered. */
  state(): void {
    this.#take(STATE_BYTES);
  }

  #take(bytes: number): void {
    if (this.#used + bytes > this.#most) {
      this.#forget();
      this.#used = 0;
    }
    this.#used += bytes;
  }
}
