/**
 * Takes away what no reader needs any more.
 *
 * A row with epoch `e` is what all readers see that began after the row before it (of the same
 * thing) and not after `e`. With `r` the newest reader that is not newer than `e`, it is needed if
 * and only if there is an `r` and the thing has no row in [r, e).
 *
 * When a reader of epoch `s` goes, only rows with epochs from `s` to before the next reader change
 * their `r`: these are looked through, in small transactions with fops in between. Room is given
 * back after the rows are gone: a crash in between leaves room that `check` finds. Whoever crashed
 * looks the same rows through again.
 */

import { crc32 } from "node:zlib";
import type { Clock } from "core/env.ts";
import type { Gfid } from "core/inode.ts";
import type { Journal } from "snapshot/engine/journal.ts";
import type { KeptFiles } from "snapshot/engine/kept.ts";
import type { Readers } from "snapshot/engine/readers.ts";
import { segmentOf, type Segments } from "snapshot/engine/segments.ts";
import {
  type EntryKey,
  type Extent,
  type HistoryStore,
  type VersionKey,
  ZEROS,
} from "snapshot/engine/store.ts";
import { UNIT, type UnitRange, UnitSet } from "snapshot/engine/units.ts";

/** The parts of a history that collecting uses. */
export interface CollectParts {
  readonly store: HistoryStore;
  readonly journal: Journal;
  readonly segments: Segments;
  readonly kept: KeptFiles;
  readonly readers: Readers;
  readonly clock: Clock;
}

/** Rows of one transaction. */
const ROWS_AT_ONCE = 128;
/** Between transactions: fops go first. */
const PAUSE_MS = 1;

/** See the head of this file. */
export class Collector {
  readonly #parts: CollectParts;
  #epochs: number[] = [];
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(parts: CollectParts) {
    this.#parts = parts;
  }

  /** A reader of this epoch went, and nothing is kept for it any more: its rows may be looked through. */
  add(epoch: number): void {
    this.#epochs.push(epoch);
  }

  /** Looks through the rows of readers that went; resolves when nothing is left of them. Throws FopError. */
  run(): Promise<void> {
    return this.#running ??= this.#run().finally(() => this.#running = undefined);
  }

  /** Ends after the transaction that is under way; the rest is done after the next start. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    const { store, journal } = this.#parts;
    while (this.#epochs.length && !this.#stopped) {
      const epoch = this.#epochs.reduce((one, other) => Math.min(one, other));
      const until = this.#parts.readers.after(epoch) ?? Number.MAX_SAFE_INTEGER;
      // What is looked through for one that went is for all that went before the next reader.
      const these = this.#epochs.filter((each) => each < until);
      this.#epochs = this.#epochs.filter((each) => each >= until);
      let isOver = false;
      try {
        await this.#collect(epoch);
        isOver = !this.#stopped;
      } finally {
        if (!isOver) this.#epochs.push(...these);
      }
      if (!isOver) return;
      // Another reader of the same epoch may have gone meanwhile.
      const again = new Set(this.#epochs);
      await journal.add(() => {
        for (const each of these) if (!again.has(each)) store.collected(each);
      });
    }
  }

  async #collect(epoch: number): Promise<void> {
    const { store } = this.#parts;
    await this.#each<Extent>(
      epoch,
      (...range) => store.extentsOfEpochs(...range),
      (extents) => this.#extents(extents),
    );
    await this.#each<VersionKey>(
      epoch,
      (...range) => store.versionsOfEpochs(...range),
      (versions) => this.#versions(versions),
    );
    await this.#each<EntryKey>(
      epoch,
      (...range) => store.entriesOfEpochs(...range),
      (entries) => this.#entries(entries),
    );
    for (const kept of store.allKept()) {
      if (kept.epoch >= epoch && !this.#isKeptNeeded(kept)) {
        await this.#parts.kept.remove(store.gfidOf(kept.inode), kept.epoch);
      }
    }
  }

  async #each<T>(
    epoch: number,
    rows: (from: number, until: number, after: T | undefined, count: number) => T[],
    look: (rows: readonly T[]) => Promise<void>,
  ): Promise<void> {
    let after: T | undefined;
    while (!this.#stopped) {
      // Readers come and go meanwhile.
      const until = this.#parts.readers.after(epoch) ?? Number.MAX_SAFE_INTEGER;
      const some = rows(epoch, until, after, ROWS_AT_ONCE);
      if (!some.length) return;
      await look(some);
      after = some.at(-1);
      await this.#parts.clock.delay(PAUSE_MS);
    }
  }

  /** The newest reader that sees the file and is not newer than `epoch`. */
  #reader(gfid: Gfid | undefined, epoch: number): number | undefined {
    return this.#parts.readers.upTo(gfid, epoch);
  }

  async #extents(extents: readonly Extent[]): Promise<void> {
    const changes: Replaced[] = [];
    for (const extent of extents) {
      const needed = this.#neededUnits(extent);
      const whole = needed.length === 1 && needed[0]!.end - needed[0]!.start === extent.units;
      if (!whole) changes.push({ extent, rest: await this.#rowsOf(extent, needed) });
    }
    await replaceExtents(this.#parts, changes);
  }

  #neededUnits({ inode, start, units, epoch }: Extent): UnitRange[] {
    const { store } = this.#parts;
    const reader = this.#reader(store.gfidOf(inode), epoch);
    if (reader === undefined) return [];
    const older = new UnitSet();
    for (const row of store.extents(inode, start, start + units, reader)) {
      if (row.epoch < epoch) older.add(row.start, row.start + row.units);
    }
    return [...older.missing(start, start + units)];
  }

  /** The rows of the parts that stay. */
  async #rowsOf(extent: Extent, needed: readonly UnitRange[]): Promise<Extent[]> {
    const rest: Extent[] = [];
    for (const { start, end } of needed) {
      const units = end - start;
      if (extent.place === ZEROS) {
        rest.push({ ...extent, start, units });
        continue;
      }
      const place = extent.place + (start - extent.start) * UNIT;
      const bytes = new Uint8Array(units * UNIT);
      await this.#parts.segments.read(place, bytes);
      rest.push({ ...extent, start, units, place, crc: crc32(bytes) });
    }
    return rest;
  }

  async #versions(versions: readonly VersionKey[]): Promise<void> {
    const { store, journal } = this.#parts;
    const gone = versions.filter(({ inode, epoch }) => {
      const reader = this.#reader(store.gfidOf(inode), epoch);
      return reader === undefined || store.version(inode, reader)!.epoch < epoch;
    });
    if (!gone.length) return;
    await journal.add(() => {
      for (const { inode, epoch } of gone) store.removeVersion(inode, epoch);
    });
  }

  async #entries(entries: readonly EntryKey[]): Promise<void> {
    const { store, journal } = this.#parts;
    const gone = entries.filter(({ parent, name, epoch }) => {
      const reader = this.#reader(undefined, epoch);
      return reader === undefined || store.entry(parent, name, reader)!.epoch < epoch;
    });
    if (!gone.length) return;
    await journal.add(() => {
      for (const { parent, name, epoch } of gone) store.removeEntry(parent, name, epoch);
    });
  }

  #isKeptNeeded({ inode, epoch }: VersionKey): boolean {
    const { store } = this.#parts;
    const reader = this.#reader(store.gfidOf(inode), epoch);
    return reader !== undefined && store.kept(inode, reader) === epoch;
  }
}

/** An extent, and what stays of it. */
export interface Replaced {
  readonly extent: Extent;
  readonly rest: readonly Extent[];
}

/** Has extents give way to what stays of them, and gives the room of the rest back. Throws FopError. */
export async function replaceExtents(
  { store, journal, segments }: Pick<CollectParts, "store" | "journal" | "segments">,
  changes: readonly Replaced[],
): Promise<void> {
  if (!changes.length) return;
  const free: { place: number; size: number }[] = [];
  const empty = new Set<number>();
  await journal.add(() => {
    free.length = 0;
    empty.clear();
    for (const { extent, rest } of changes) {
      store.removeExtent(extent);
      for (const part of rest) store.putExtent(part);
      if (extent.place === ZEROS) continue;
      const gaps = gapsOf(extent, rest);
      free.push(...gaps);
      const bytes = gaps.reduce((sum, { size }) => sum + size, 0);
      const segment = segmentOf(extent.place);
      if (store.addLive(segment, -bytes) === 0) empty.add(segment);
    }
    for (const segment of empty) {
      if (segments.isCurrent(segment)) empty.delete(segment);
      else store.removeSegment(segment);
    }
  });
  for (const segment of empty) segments.remove(segment);
  for (const { place, size } of free) {
    if (!empty.has(segmentOf(place))) await segments.punch(place, size);
  }
}

/** Bytes of an extent that are in none of the parts that stay. */
function gapsOf(extent: Extent, rest: readonly Extent[]): { place: number; size: number }[] {
  const gaps: { place: number; size: number }[] = [];
  let at = extent.place;
  for (const { place, units } of rest) {
    if (place > at) gaps.push({ place: at, size: place - at });
    at = place + units * UNIT;
  }
  const end = extent.place + extent.units * UNIT;
  if (end > at) gaps.push({ place: at, size: end - at });
  return gaps;
}
