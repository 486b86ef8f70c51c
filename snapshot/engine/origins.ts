/**
 * Data that clones read from their origins. `clones.ts` says how.
 *
 * A read of a live origin races with its preserve, as in `view.ts`: what was read and did not move
 * into the history meanwhile was the old data.
 */

import type { Clone, CloneOf, Link, OriginWindow } from "snapshot/engine/clone.ts";
import { type Foreign, FOREIGN_EPOCH } from "core/foreign.ts";
import type { OldFiles } from "snapshot/engine/old_files.ts";
import type { Segments } from "snapshot/engine/segments.ts";
import { type Extent, type HistoryStore, ZEROS } from "snapshot/engine/store.ts";
import { UNIT, type UnitRange } from "snapshot/engine/units.ts";
import {
  runAt,
  type Window,
  WINDOW_BYTES,
  WINDOW_UNITS,
  windowOf,
  windowsOf,
} from "snapshot/engine/window.ts";

/** The parts of a history that this uses. */
export interface OriginsParts {
  readonly store: HistoryStore;
  readonly segments: Segments;
  readonly kept: OldFiles;
  readonly foreign?: Foreign | undefined;
  /** The clone that a reader of that epoch sees behind the gfid. */
  readonly find: (link: Link) => CloneOf | undefined;
}

/** Windows that are remembered of a clone: 2 GiB of it in 2.5 MiB. */
const WINDOWS_MAX = 2048;

interface Piece {
  readonly source: Extent | Link;
  readonly until: number;
}

/** See the head of this file. Methods throw FopError. */
export class Origins {
  readonly #parts: OriginsParts;

  constructor(parts: OriginsParts) {
    this.#parts = parts;
  }

  /** Fills `into` with units that are not the clone's own, from byte `offset` on. */
  read(clone: Clone, offset: number, into: Uint8Array<ArrayBuffer>): void | Promise<void> {
    const number = Math.floor(offset / WINDOW_BYTES), end = offset + into.length;
    const window = clone.windows.get(number);
    const piece = window && pieceAt(window, offset, Math.min(end, (number + 1) * WINDOW_BYTES));
    if (!piece || piece.until < end) return this.#readAll(clone, offset, into);
    // As a rule it lies in one place and in memory: nothing can move while nobody waits.
    const reading = this.readSource(piece.source, offset, into);
    if (!reading) return;
    return reading.then(() => {
      if (clone.windows.get(number) !== window) return this.#readAll(clone, offset, into);
    });
  }

  async #readAll(clone: Clone, offset: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    for (const { number, start, end } of windowsOf(offset, into.length)) {
      await this.#readIn(clone, number, start, into.subarray(start - offset, end - offset));
    }
  }

  async #readIn(
    clone: Clone,
    number: number,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
  ): Promise<void> {
    for (let window = this.#window(clone, number);;) {
      for (let at = offset; at < offset + into.length;) {
        const { source, until } = pieceAt(window, at, offset + into.length);
        await this.readSource(source, at, into.subarray(at - offset, until - offset));
        at = until;
      }
      const now = this.#window(clone, number);
      if (now === window) return;
      window = now;
    }
  }

  /** Fills `into` with what is there from byte `at` of the file on. */
  readSource(
    source: Extent | Link,
    at: number,
    into: Uint8Array<ArrayBuffer>,
  ): void | Promise<void> {
    const { kept, segments, foreign } = this.#parts;
    if (isForeign(source)) return foreign!.read(source.gfid, at, into);
    if (!("place" in source)) {
      const read = kept.read(source.gfid, source.epoch, at, into);
      if (typeof read !== "number") return read.then((count) => void into.fill(0, count));
      if (read < into.length) into.fill(0, read);
    } else if (source.place === ZEROS) into.fill(0);
    else return segments.read(source.place + at - source.start * UNIT, into);
  }

  /** Start of the first data from `offset` to before `until`, which are not the clone's own. */
  nextData(clone: Clone, offset: number, until: number): number | undefined {
    const { kept, foreign } = this.#parts;
    for (const { at, source, end } of this.#pieces(clone, offset, until)) {
      if ("place" in source) {
        if (source.place !== ZEROS) return at;
        continue;
      }
      const data = isForeign(source)
        ? foreign!.nextData(source.gfid, at, end)
        : kept.nextData(source.gfid, source.epoch, at);
      if (data !== undefined && data < end) return data;
    }
    return undefined;
  }

  /** The same for holes. */
  nextHole(clone: Clone, offset: number, until: number): number | undefined {
    const { kept, foreign } = this.#parts;
    for (const { at, source, end } of this.#pieces(clone, offset, until)) {
      if ("place" in source) {
        if (source.place === ZEROS) return at;
        continue;
      }
      const hole = isForeign(source)
        ? foreign!.nextHole(source.gfid, at, end)
        : kept.nextHole(source.gfid, source.epoch, at);
      if (hole !== undefined && hole < end) return hole;
    }
    return undefined;
  }

  *#pieces(
    clone: Clone,
    offset: number,
    until: number,
  ): Generator<{ at: number; source: Extent | Link; end: number }> {
    for (let at = offset; at < until;) {
      const number = Math.floor(at / WINDOW_BYTES);
      const end = Math.min(until, (number + 1) * WINDOW_BYTES);
      const piece = pieceAt(this.#window(clone, number), at, end);
      yield { at, source: piece.source, end: piece.until };
      at = piece.until;
    }
  }

  /** Something of the range moved into the history, of a file that the clone reads from. */
  forget({ windows }: Clone, { start, end }: UnitRange): void {
    if (windows.size === 0) return;
    const last = Math.floor((end - 1) / WINDOW_UNITS);
    for (let number = Math.floor(start / WINDOW_UNITS); number <= last; number++) {
      windows.delete(number);
    }
  }

  #window(clone: Clone, number: number): OriginWindow {
    const known = clone.windows.get(number);
    if (known) return known;
    if (clone.windows.size >= WINDOWS_MAX) clone.windows.clear();
    const window = this.locate(clone.chain, number);
    clone.windows.set(number, window);
    return window;
  }

  /** Where the units of a window are, of a file that begins as the first link's, and that as the next one's. */
  locate(chain: readonly Link[], number: number): OriginWindow {
    const from = number * WINDOW_UNITS;
    const at = new Int32Array(WINDOW_UNITS).fill(-1);
    const sources: (Extent | Link)[] = [];
    for (const link of chain) {
      const foreign = isForeign(link);
      const old = foreign ? undefined : this.#extents(link, from);
      const raw = sources.push(link) - 1;
      const owner = foreign ? undefined : this.#parts.find(link);
      let left = 0;
      for (let unit = 0; unit < WINDOW_UNITS; unit++) {
        if (at[unit]! >= 0) continue;
        const extent = old?.at[unit] ?? -1;
        if (extent >= 0) at[unit] = sources.length + extent;
        else if (!owner || owner.owns(from + unit, from + unit + 1)) at[unit] = raw;
        else left++;
      }
      if (old) sources.push(...old.extents);
      if (left === 0) break;
    }
    return { at, sources };
  }

  #extents(
    { gfid, epoch }: Link,
    from: number,
  ): Window | undefined {
    const { store } = this.#parts;
    const id = store.findId(gfid);
    if (id === undefined) return undefined;
    const rows = store.extents(id, from, from + WINDOW_UNITS, epoch);
    if (!rows.length) return undefined;
    // What came after the file was kept belongs to another file with its gfid.
    return windowOf(rows, from, store.kept(id, epoch) ?? Infinity);
  }
}

interface ForeignLink extends Link {
  readonly epoch: typeof FOREIGN_EPOCH;
}

/** Whether another brick has it. */
export function isForeign(source: Extent | Link): source is ForeignLink {
  return !("place" in source) && source.epoch === FOREIGN_EPOCH;
}

function pieceAt({ at, sources }: OriginWindow, byte: number, end: number): Piece {
  const { which, until } = runAt(at, byte, end);
  return { source: sources[which]!, until };
}
