/**
 * Which units of a clone are its own, as bitmaps: 256 bytes for 8 MiB of the file, read from the
 * index when they are first asked for.
 */

import type { UnitRange } from "snapshot/engine/units.ts";

/** Units of one bitmap. */
export const OWN_PIECE_UNITS = 2048;
/** Bytes of one bitmap. */
export const OWN_PIECE_BYTES = OWN_PIECE_UNITS / 8;
/** Bitmaps that are remembered: 32 GiB of a clone in a MiB. */
const PIECES_MAX = 4096;

/** A run of units that are all the clone's own, or all not. */
export interface OwnRun extends UnitRange {
  readonly own: boolean;
}

/** Numbers of the bitmaps that a range of units is in. */
export function* piecesOf(start: number, end: number): Generator<number> {
  const last = Math.floor((end - 1) / OWN_PIECE_UNITS);
  for (let piece = Math.floor(start / OWN_PIECE_UNITS); piece <= last; piece++) yield piece;
}

/** Sets the bits of the units from `start` to before `end` that are in bitmap number `piece`. */
export function setUnits(bits: Uint8Array, piece: number, start: number, end: number): void {
  const first = piece * OWN_PIECE_UNITS;
  const until = Math.min(end - first, OWN_PIECE_UNITS);
  for (let at = Math.max(0, start - first); at < until; at++) bits[at >>> 3]! |= 1 << (at & 7);
}

/** Whether a bitmap has the unit that is number `at` in it. */
export function hasUnit(bits: Uint8Array, at: number): boolean {
  return (bits[at >>> 3]! >>> (at & 7) & 1) === 1;
}

/** See the head of this file. What is set here has to be in the index before. */
export class OwnUnits {
  readonly #read: (piece: number) => Uint8Array | undefined;
  #pieces = new Map<number, Uint8Array>();

  /** `read` answers a bitmap of the index, if there is one. */
  constructor(read: (piece: number) => Uint8Array | undefined) {
    this.#read = read;
  }

  has(unit: number): boolean {
    const bits = this.#piece(Math.floor(unit / OWN_PIECE_UNITS));
    return hasUnit(bits, unit % OWN_PIECE_UNITS);
  }

  add(start: number, end: number): void {
    for (const piece of piecesOf(start, end)) setUnits(this.#piece(piece), piece, start, end);
  }

  clear(): void {
    this.#pieces.clear();
  }

  #piece(piece: number): Uint8Array {
    let bits = this.#pieces.get(piece);
    if (!bits) {
      if (this.#pieces.size >= PIECES_MAX) this.#pieces.clear();
      this.#pieces.set(piece, bits = this.#read(piece) ?? new Uint8Array(OWN_PIECE_BYTES));
    }
    return bits;
  }
}
