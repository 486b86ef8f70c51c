/** Data is preserved in units of 4 KiB; these are their arithmetic and their bitmaps. */

/** Bytes of a unit. */
export const UNIT = 4096;
/** Most units of one extent: bounds how far before a range an extent may begin. */
export const EXTENT_UNITS_MAX = 256;

/** Units from `start` to before `end`. */
export interface UnitRange {
  readonly start: number;
  readonly end: number;
}

/** The units that a range of bytes touches. */
export function unitsOf(offset: number, size: number): UnitRange {
  return { start: Math.floor(offset / UNIT), end: Math.ceil((offset + size) / UNIT) };
}

/** Units of one piece of a bitmap: 32 MiB of a file in 1 KiB of memory. */
export const PIECE_UNITS = 8192;
const PIECE_WORDS = PIECE_UNITS / 32;
const FULL = "full";

/** A sparse set of units; a piece that is full takes no room. */
export class UnitSet {
  #pieces = new Map<number, Uint32Array | typeof FULL>();
  #counts = new Map<number, number>();

  /** Bytes that the set takes, about. */
  get bytes(): number {
    return 64 + this.#counts.size * PIECE_WORDS * 4 + this.#pieces.size * 64;
  }

  clear(): void {
    this.#pieces.clear();
    this.#counts.clear();
  }

  has(unit: number): boolean {
    const piece = this.#pieces.get(Math.floor(unit / PIECE_UNITS));
    if (piece === undefined) return false;
    if (piece === FULL) return true;
    const at = unit % PIECE_UNITS;
    return (piece[at >>> 5]! >>> (at & 31) & 1) === 1;
  }

  /** Whether all units from `start` to before `end` are in the set. */
  hasAll(start: number, end: number): boolean {
    for (let unit = start; unit < end; unit++) if (!this.has(unit)) return false;
    return true;
  }

  add(start: number, end: number): void {
    let unit = start;
    while (unit < end) {
      const number = Math.floor(unit / PIECE_UNITS);
      const until = Math.min(end, (number + 1) * PIECE_UNITS);
      this.#addIn(number, unit, until);
      unit = until;
    }
  }

  #addIn(number: number, start: number, end: number): void {
    let piece = this.#pieces.get(number);
    if (piece === FULL) return;
    if (end - start === PIECE_UNITS) return this.#fill(number);
    if (piece === undefined) this.#pieces.set(number, piece = new Uint32Array(PIECE_WORDS));
    let count = this.#counts.get(number) ?? 0;
    for (let unit = start; unit < end; unit++) {
      const at = unit % PIECE_UNITS, bit = 1 << (at & 31);
      if (piece[at >>> 5]! & bit) continue;
      piece[at >>> 5]! |= bit;
      count++;
    }
    if (count === PIECE_UNITS) this.#fill(number);
    else this.#counts.set(number, count);
  }

  #fill(number: number): void {
    this.#pieces.set(number, FULL);
    this.#counts.delete(number);
  }

  /** The runs of units from `start` to before `end` that are not in the set. */
  *missing(start: number, end: number): Generator<UnitRange> {
    let from = -1;
    for (let unit = start; unit < end; unit++) {
      if (this.has(unit)) {
        if (from >= 0) yield { start: from, end: unit };
        from = -1;
      } else if (from < 0) from = unit;
    }
    if (from >= 0) yield { start: from, end };
  }
}
