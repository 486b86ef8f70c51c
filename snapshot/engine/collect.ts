/**
 * Takes away what no reader needs any more.
 *
 * A row with epoch `e` is what all readers see that began after the row before it (of the same
 * thing) and not after `e`. With `r` the newest reader that is not newer than `e`, it is needed if
 * and only if there is an `r` and the thing has no row in [r, e).
 *
 * When a reader of epoch `s` goes, only rows with epochs from `s` to before the next reader change
 * their `r`: these are looked through, in small transactions with fops in between. Nothing waits for
 * the disk but that the reader is gone, before anything goes that it needed, and that rows are gone,
 * before their room is given back, in as few pieces as it lies in. A crash in between leaves room that
 * `check` finds. Whoever crashed looks the same rows through again.
 */

import { crc32 } from "node:zlib";
import type { Clock } from "core/env.ts";
import type { Gfid } from "core/inode.ts";
import { KeyedLock } from "core/lib/lock.ts";
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
  /** How many fops the brick was asked for until now. */
  readonly asked: () => number;
}

/** Rows of one transaction, and the time between two while no fops come. */
const ROWS_AT_ONCE = 128, PAUSE_MS = 1;
/** The same while some come: few of them shall meet a transaction, and those not wait long. */
const FEW_ROWS = 16, BUSY_PAUSE_MS = 25;
/** Pieces of room that are given back together. */
const GAPS_MAX = 8192;

/** See the head of this file. */
export class Collector {
  readonly #parts: CollectParts;
  #epochs: number[] = [];
  #running: Promise<void> | undefined;
  #stopped = false;
  #asked = 0;
  /** Room whose rows are gone. */
  #gaps: Gap[] = [];
  /** Whoever holds it finds rows as they are until it changes them. */
  readonly #rows = new KeyedLock<Collector>();

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
    this.halt();
    await this.#running;
  }

  /** The same for whoever cannot wait for that. */
  halt(): void {
    this.#stopped = true;
  }

  /** Runs what makes other rows of these: none is on its way to go meanwhile. */
  async resting<T>(change: () => Promise<T>): Promise<T> {
    using _ = await this.#rows.take(this);
    return await change();
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
        await journal.syncRows();
        await this.#collect(epoch);
        isOver = !this.#stopped;
      } finally {
        if (!isOver) this.#epochs.push(...these);
      }
      if (!isOver) return;
      // Another reader of the same epoch may have gone meanwhile.
      await this.resting(async () => {
        const again = new Set(this.#epochs);
        await journal.addLazily(() => {
          for (const each of these) if (!again.has(each)) store.collected(each);
        }, these.length);
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
    await this.#giveBack();
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
    await this.resting(() => this.#keptOf(epoch));
  }

  async #keptOf(epoch: number): Promise<void> {
    const { store, kept } = this.#parts;
    for (const row of store.allKept()) {
      if (this.#stopped) return;
      if (row.epoch < epoch || this.#isKeptNeeded(row)) continue;
      await kept.remove(store.gfidOf(row.inode), row.epoch);
    }
  }

  async #each<T>(
    epoch: number,
    rows: (from: number, until: number, after: T | undefined, count: number) => T[],
    look: (rows: readonly T[]) => Promise<void>,
  ): Promise<void> {
    let after: T | undefined;
    while (!this.#stopped) {
      const { readers, clock } = this.#parts, isBusy = this.#isBusy();
      const isOver = await this.resting(async () => {
        if (this.#stopped) return true;
        // Readers come and go meanwhile.
        const until = readers.after(epoch) ?? Number.MAX_SAFE_INTEGER;
        const some = rows(epoch, until, after, isBusy ? FEW_ROWS : ROWS_AT_ONCE);
        if (some.length) await look(some);
        after = some.at(-1);
        return !some.length;
      });
      if (isOver) return;
      await clock.delay(isBusy ? BUSY_PAUSE_MS : PAUSE_MS);
    }
  }

  // Whether fops came since it was asked last.
  #isBusy(): boolean {
    const before = this.#asked;
    this.#asked = this.#parts.asked();
    return this.#asked !== before;
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
    this.#gaps.push(...await replaceRows(this.#parts, changes));
    if (this.#gaps.length >= GAPS_MAX) await this.#giveBack();
  }

  async #giveBack(): Promise<void> {
    const { journal, segments } = this.#parts;
    const gaps = this.#gaps;
    this.#gaps = [];
    if (!gaps.length) return;
    await journal.syncRows();
    await punchAll(segments, gaps);
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
    await journal.addLazily(() => {
      for (const { inode, epoch } of gone) store.removeVersion(inode, epoch);
    }, gone.length);
  }

  async #entries(entries: readonly EntryKey[]): Promise<void> {
    const { store, journal } = this.#parts;
    const gone = entries.filter(({ parent, name, epoch }) => {
      const reader = this.#reader(undefined, epoch);
      return reader === undefined || store.entry(parent, name, reader)!.epoch < epoch;
    });
    if (!gone.length) return;
    await journal.addLazily(() => {
      for (const { parent, name, epoch } of gone) store.removeEntry(parent, name, epoch);
    }, gone.length);
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

/** Room of old data that nobody needs. */
interface Gap {
  readonly place: number;
  readonly size: number;
}

/** Has extents give way to what stays of them, and gives the room of the rest back. Throws FopError. */
export async function replaceExtents(
  parts: Pick<CollectParts, "store" | "journal" | "segments">,
  changes: readonly Replaced[],
): Promise<void> {
  const gaps = await replaceRows(parts, changes);
  await parts.journal.syncRows();
  await punchAll(parts.segments, gaps);
}

// Answers the room that they do not name any more.
async function replaceRows(
  { store, journal, segments }: Pick<CollectParts, "store" | "journal" | "segments">,
  changes: readonly Replaced[],
): Promise<Gap[]> {
  if (!changes.length) return [];
  let gaps: Gap[] = [];
  const empty = new Set<number>(), given = new Map<number, number>();
  await journal.addLazily(() => {
    for (const { extent, rest } of changes) {
      store.removeExtent(extent);
      for (const part of rest) store.putExtent(part);
      if (extent.place !== ZEROS) gaps.push(...gapsOf(extent, rest));
    }
    for (const { place, size } of gaps) {
      const segment = segmentOf(place);
      given.set(segment, (given.get(segment) ?? 0) + size);
    }
    for (const [segment, bytes] of given) {
      if (store.addLive(segment, -bytes) !== 0 || segments.isGrowing(segment)) continue;
      store.removeSegment(segment);
      empty.add(segment);
    }
  }, changes.length);
  gaps = gaps.filter(({ place }) => !empty.has(segmentOf(place)));
  if (empty.size) await journal.syncRows();
  for (const segment of empty) segments.remove(segment);
  return gaps;
}

async function punchAll(segments: Segments, gaps: readonly Gap[]): Promise<void> {
  for (const { place, size } of merged(gaps)) await segments.punch(place, size);
}

// What lies side by side in a segment as one.
function merged(gaps: readonly Gap[]): Gap[] {
  const found: Gap[] = [];
  for (const gap of gaps.toSorted((one, other) => one.place - other.place)) {
    const { place, size } = found.at(-1) ?? { place: -1, size: 0 };
    if (place + size === gap.place && segmentOf(place) === segmentOf(gap.place)) {
      found[found.length - 1] = { place, size: size + gap.size };
    } else found.push(gap);
  }
  return found;
}

/** Bytes of an extent that are in none of the parts that stay. */
function gapsOf(extent: Extent, rest: readonly Extent[]): Gap[] {
  const gaps: Gap[] = [];
  let at = extent.place;
  for (const { place, units } of rest) {
    if (place > at) gaps.push({ place: at, size: place - at });
    at = place + units * UNIT;
  }
  const end = extent.place + extent.units * UNIT;
  if (end > at) gaps.push({ place: at, size: end - at });
  return gaps;
}
