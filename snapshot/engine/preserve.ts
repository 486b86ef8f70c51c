/**
 * Keeps the old state of a thing just before its first change since the newest reader began.
 *
 * Invariant: a change of live data, of an inode or of a name starts only after its old state is in
 * the index, as durable as the journal promises. What is preserved once for the newest reader is not
 * preserved again: for data that is one bit per unit, in memory, read from the index where it was
 * not changed since the process began.
 *
 * - Data: units of 4 KiB below the size that the file had. Changes that meet a unit being preserved
 *   wait for that preserve only. Zeros take no room.
 * - A file whose last name goes away is kept whole (`kept.ts`). Who has it open may go on writing to
 *   it; such units are preserved for the readers that it is kept for, from there.
 * - What was made since, or has no name, is noted as absent: its changes need no preserving.
 *
 * Nobody preserves while the newest reader changes: `gate.ts` sees to that.
 */

import { crc32 } from "node:zlib";
import type { FopError } from "core/errno.ts";
import { S_IFREG } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import { allDone } from "core/lib/all_done.ts";
import { isZero } from "core/lib/bytes.ts";
import type { Clones } from "snapshot/engine/clones.ts";
import type { Journal } from "snapshot/engine/journal.ts";
import type { KeptFiles, Leaving } from "snapshot/engine/kept.ts";
import { hasNoName, type Live } from "snapshot/engine/live.ts";
import type { Readers } from "snapshot/engine/readers.ts";
import type { Segments } from "snapshot/engine/segments.ts";
import { ABSENT, packState, unpackState } from "snapshot/engine/state.ts";
import { type Extension, joined, type Summed, ZEROS } from "snapshot/engine/extent.ts";
import type { HistoryStore } from "snapshot/engine/store.ts";
import {
  EXTENT_UNITS_MAX,
  PIECE_UNITS,
  UNIT,
  type UnitRange,
  UnitSet,
  unitsOf,
} from "snapshot/engine/units.ts";

/** What is known of an inode for the newest reader that sees it. */
interface Known {
  readonly gfid: Gfid;
  readonly epoch: number;
  /** Epoch of rows of data: an older one if the file lost its last name before. */
  dataEpoch: number;
  /** Units of data that the reader sees. */
  units: number;
  readonly preserved: UnitSet;
  /** Pieces of `preserved` that were read from the index; undefined: there was nothing to read. */
  read: Set<number> | undefined;
  /** The inode's state is in the index. */
  versioned: boolean;
  versioning: Promise<void> | undefined;
  /** Resolves when `units` is known, which is before the state is in the index. */
  sized: Promise<void> | undefined;
  busy: Busy[];
}

interface Busy extends UnitRange {
  readonly done: Promise<void>;
}

/** Undefined: zeros. */
type OldBytes = Uint8Array<ArrayBuffer> | undefined;

/** Old data whose rows are on their way together. */
interface Group {
  readonly rows: (Extension & { readonly gfid: Gfid })[];
  readonly done: Promise<void>;
}

/** The parts of a history that preserving uses. */
export interface PreserveParts {
  readonly store: HistoryStore;
  readonly journal: Journal;
  readonly segments: Segments;
  readonly kept: KeptFiles;
  readonly clones: Clones;
  readonly live: Live;
  readonly readers: Readers;
  /** Told when old data of a file moved into the history. */
  readonly moved: (gfid: Gfid, extent: Extension) => void;
}

/** Most inodes, names, and bytes of bitmaps that are remembered. */
const INODES_MAX = 16_384, NAMES_MAX = 65_536, BITMAP_BYTES_MAX = 8 * 2 ** 20;
/** As many are read at once; of more it is asked before whether there is anything but a hole. */
const FEW_UNITS = 16;
/** Extents of one change that are on their way at a time: 8 MiB. */
const EXTENTS_AT_ONCE = 8;

/** See the head of this file. Methods answer undefined if nothing has to be waited for, and throw FopError. */
export class Preserver {
  readonly #parts: PreserveParts;
  #inodes = new Map<Gfid, Known>();
  /** Rows that none is added to any more are of an older one. */
  #group: Group | undefined;
  /** Memory for the next single unit: most changes are of one, and are over before the next begins. */
  #spare: Uint8Array<ArrayBuffer> | undefined;
  #names = new Map<string, Promise<void> | undefined>();
  #namesEpoch = 0;

  constructor(parts: PreserveParts) {
    this.#parts = parts;
  }

  /** Before `size` bytes from `offset` on change. */
  data(gfid: Gfid, offset: number, size: number): Promise<void> | undefined {
    const epoch = this.#parts.readers.newest(gfid);
    if (epoch === 0 || size === 0) return undefined;
    const known = this.#known(gfid, epoch);
    const { start, end } = unitsOf(offset, size);
    if (known.versioned && !this.#missing(known, start, end)) return undefined;
    if (known.versioned && known.dataEpoch !== epoch && !this.#isKeptFor(gfid, known.dataEpoch)) {
      return undefined;
    }
    const found = known.versioned && this.#oneRun(known, start, end);
    return found ? this.#run(known, found) : this.#preserve(known, start, end);
  }

  /** Before a file is cut, or made longer, to `size` bytes. */
  truncate(gfid: Gfid, size: number): Promise<void> | undefined {
    return this.data(gfid, size, Infinity);
  }

  /** Before attributes or extended attributes change. */
  inode(gfid: Gfid): Promise<void> | undefined {
    const epoch = this.#parts.readers.newest(gfid);
    if (epoch === 0) return undefined;
    const known = this.#known(gfid, epoch);
    return known.versioned ? undefined : this.#version(known);
  }

  /** Before a name comes, goes or becomes another's; the directory's attributes change as well. */
  entry(parent: Gfid, name: string): Promise<void> | undefined {
    const epoch = this.#parts.readers.volume;
    if (epoch === 0) return undefined;
    const inode = this.inode(parent), entry = this.#entry(parent, name, epoch);
    return inode || entry ? allDone([inode, entry]) : undefined;
  }

  /**
   * Before a name goes away, or another inode gets it. The answer, if there is one, says where the
   * file is kept if that was its last name, and has to be told.
   */
  async leaving(parent: Gfid, name: string): Promise<Leaving | undefined> {
    const { live, kept, readers, store } = this.#parts;
    if (!readers.any) return undefined;
    const entry = await live.entry(parent, name);
    if (!entry) return undefined;
    await allDone([this.entry(parent, name), this.inode(entry.gfid)]);
    if (entry.type !== S_IFREG) return undefined;
    const epoch = readers.newest(entry.gfid);
    if (epoch === 0 || this.#known(entry.gfid, epoch).units === 0) return undefined;
    // Its old data may be of readers that went, newer than all that are left: it goes on to count.
    return await kept.leaving(entry.gfid, Math.max(epoch, store.epoch() - 1));
  }

  /** Rows of epochs before `until` are others than they were: what is known by them is read again. */
  forget(until: number): void {
    for (const [gfid, { epoch, dataEpoch }] of this.#inodes) {
      if (Math.min(epoch, dataEpoch) < until) this.#inodes.delete(gfid);
    }
    if (this.#namesEpoch < until) this.#names = new Map();
  }

  #known(gfid: Gfid, epoch: number): Known {
    const known = this.#inodes.get(gfid);
    if (known?.epoch === epoch) return known;
    const fresh = this.#load(gfid, epoch);
    if (this.#inodes.size >= INODES_MAX) this.#evict();
    this.#inodes.set(gfid, fresh);
    return fresh;
  }

  #load(gfid: Gfid, epoch: number): Known {
    const { store } = this.#parts;
    const id = store.findId(gfid);
    const row = id === undefined ? undefined : store.version(id, epoch);
    const known: Known = {
      ...{ gfid, epoch, dataEpoch: epoch, units: 0, preserved: new UnitSet(), read: undefined },
      ...{ versioned: row !== undefined, versioning: undefined, sized: undefined, busy: [] },
    };
    if (row?.state.length) {
      known.units = Math.ceil(unpackState(row.state).iatt.size / UNIT);
      known.read = new Set();
    } else if (row) this.#withoutName(known);
    return known;
  }

  /** The newest reader does not see it; older ones may, if it lost its last name since. */
  #withoutName(known: Known): void {
    const { store } = this.#parts;
    const id = store.findId(known.gfid);
    const epoch = id === undefined ? undefined : store.keptBefore(id, known.epoch);
    const row = epoch === undefined ? undefined : store.version(id!, epoch);
    if (epoch === undefined || !row?.state.length || !this.#isKeptFor(known.gfid, epoch)) return;
    known.dataEpoch = epoch;
    known.units = Math.ceil(unpackState(row.state).iatt.size / UNIT);
    known.read = new Set();
  }

  /** Whether there still is a reader that finds a file's data where it was kept for this epoch. */
  #isKeptFor(gfid: Gfid, epoch: number): boolean {
    const { readers, store } = this.#parts;
    const id = store.idOf(gfid);
    return readers.epochs(gfid).some((of) => of <= epoch && store.kept(id, of) === epoch);
  }

  #evict(): void {
    for (const [gfid, { busy, versioning }] of this.#inodes) {
      if (this.#inodes.size < INODES_MAX / 2) return;
      if (!busy.length && !versioning) this.#inodes.delete(gfid);
    }
  }

  /** Whether something of the range still has to be preserved, or is being. */
  #missing(known: Known, start: number, end: number): boolean {
    const until = Math.min(end, known.units);
    if (start >= until) return false;
    if (known.read) this.#readPieces(known, known.read, start, until);
    return !known.preserved.hasAll(start, until);
  }

  #readPieces(known: Known, read: Set<number>, start: number, end: number): void {
    const { store } = this.#parts;
    for (let piece = Math.floor(start / PIECE_UNITS); piece * PIECE_UNITS < end; piece++) {
      if (read.has(piece)) continue;
      if (known.preserved.bytes > BITMAP_BYTES_MAX) {
        known.preserved.clear();
        read.clear();
      }
      read.add(piece);
      const from = piece * PIECE_UNITS;
      const rows = store.extents(store.idOf(known.gfid), from, from + PIECE_UNITS, known.dataEpoch);
      for (const row of rows) known.preserved.add(row.start, row.start + row.units);
    }
  }

  async #preserve(known: Known, start: number, end: number): Promise<void> {
    const version = known.versioned ? undefined : this.#version(known);
    if (version) {
      // What it fails with is told below; how big the file is has to be known before.
      version.catch(() => {});
      await known.sized;
    }
    while (this.#missing(known, start, end)) {
      const until = Math.min(end, known.units);
      const met = known.busy.filter((busy) => busy.start < until && start < busy.end);
      if (met.length) {
        // Should it fail, whoever waited tries by itself.
        await Promise.allSettled(met.map(({ done }) => done));
        continue;
      }
      const runs = [...known.preserved.missing(start, until)];
      if (!runs.length) break;
      await this.#busy(known, { start, end: until }, this.#runs(known, runs));
    }
    await version;
  }

  // Others that meet the units wait until this settles.
  async #busy(known: Known, units: UnitRange, done: Promise<void>): Promise<void> {
    const busy = { ...units, done };
    known.busy.push(busy);
    try {
      await done;
    } finally {
      known.busy = known.busy.filter((other) => other !== busy);
    }
  }

  /** What is missing of a range, if nothing else has to be done or waited for. */
  #oneRun(known: Known, start: number, end: number): UnitRange | undefined {
    const until = Math.min(end, known.units);
    if (until - start > FEW_UNITS) return undefined;
    if (known.busy.length && known.busy.some((busy) => busy.start < until && start < busy.end)) {
      return undefined;
    }
    if (until - start === 1) return { start, end: until };
    const [first, ...more] = known.preserved.missing(start, until);
    return more.length ? undefined : first;
  }

  // As a rule what is there is in memory, and nothing waits.
  #run(known: Known, units: UnitRange): Promise<void> | undefined {
    try {
      const keeping = this.#extent(known, units);
      return keeping && this.#busy(known, units, keeping);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #runs(known: Known, runs: readonly UnitRange[]): Promise<void> {
    const parts: UnitRange[] = [];
    for (const { start, end } of runs) {
      for (let at = start; at < end; at += EXTENT_UNITS_MAX) {
        parts.push({ start: at, end: Math.min(end, at + EXTENT_UNITS_MAX) });
      }
    }
    for (let at = 0; at < parts.length; at += EXTENTS_AT_ONCE) {
      const some = parts.slice(at, at + EXTENTS_AT_ONCE);
      await allDone(some.map(async (part) => await this.#extent(known, part)));
    }
  }

  /** Undefined: it is kept. */
  #extent(known: Known, units: UnitRange): Promise<void> | undefined {
    const bytes = this.#oldBytes(known, units);
    if (!(bytes instanceof Promise)) return this.#keep(known, units, bytes);
    return bytes.then((bytes) => this.#keep(known, units, bytes));
  }

  #keep(
    known: Known,
    { start, end }: UnitRange,
    bytes: Uint8Array<ArrayBuffer> | undefined,
  ): Promise<void> | undefined {
    const { segments, journal, readers, store } = this.#parts;
    const { gfid, dataEpoch: epoch } = known;
    const kept = bytes && segments.append(bytes);
    const summed = (before = 0) => bytes ? crc32(bytes, before) : 0;
    const row = { start, units: end - start, epoch, place: kept?.place ?? ZEROS, crc: summed() };
    const inode = store.findId(gfid);
    if (inode === undefined || kept?.written || readers.haveOthers || !journal.takesNotes) {
      return this.#put(known, row, summed, kept?.written);
    }
    let waits;
    try {
      waits = journal.note(gfid, { ...row, inode }, summed);
    } catch (error) {
      this.#giveBack(known, row);
      throw error;
    } finally {
      if (kept) segments.named(row.place);
    }
    if (bytes?.length === UNIT) this.#spare = bytes;
    if (waits) return waits.then(() => this.#kept(known, row));
    this.#kept(known, row);
  }

  #kept(known: Known, row: Extension): void {
    known.preserved.add(row.start, row.start + row.units);
    this.#parts.moved(known.gfid, row);
  }

  // With whatever else changes in the index at this time.
  async #put(
    known: Known,
    row: Extension,
    summed: Summed,
    written: Promise<void> | undefined,
  ): Promise<void> {
    const { segments } = this.#parts, { place } = row;
    try {
      await written;
      await this.#inGroup({ ...row, gfid: known.gfid }, summed);
    } catch (error) {
      this.#giveBack(known, row);
      throw error;
    } finally {
      if (place !== ZEROS) segments.named(place);
    }
    this.#kept(known, row);
  }

  // A row stays that is there, but could not be synced: the next start may find it.
  #giveBack({ gfid }: Known, { start, units, epoch, place }: Extension): void {
    const { store, segments } = this.#parts, id = store.findId(gfid);
    const isNamed = id !== undefined &&
      store.extents(id, start, start + units, epoch).some((row) =>
        row.place <= place && place < row.place + row.units * UNIT
      );
    if (place === ZEROS || isNamed) return;
    segments.punch(place, units * UNIT).catch((_: FopError) => {});
  }

  // All that is put before the group is written is one change of the index.
  #inGroup(row: Group["rows"][number], summed: Summed): Promise<void> {
    const { journal, store } = this.#parts;
    if (this.#group) {
      addTo(this.#group.rows, row, summed);
      return this.#group.done;
    }
    const rows: Group["rows"] = [row];
    const over = () => {
      if (this.#group?.rows === rows) this.#group = undefined;
    };
    const done = journal.add(() => {
      over();
      store.putExtents(rows.map(({ gfid, ...extent }) => ({ ...extent, inode: store.idOf(gfid) })));
    });
    this.#group = { rows, done };
    // It may not have come to that.
    done.catch(over);
    return done;
  }

  /** What is there now, in whole units; undefined: zeros. */
  #oldBytes(
    { gfid, dataEpoch: epoch }: Known,
    { start, end }: UnitRange,
  ): OldBytes | Promise<OldBytes> {
    const { clones } = this.#parts;
    if (end - start > FEW_UNITS) {
      const data = clones.nextData(gfid, epoch, start * UNIT, end * UNIT);
      if (data === undefined || data >= end * UNIT) return undefined;
    }
    const bytes = end - start === 1 && this.#spare || new Uint8Array((end - start) * UNIT);
    this.#spare = undefined;
    const read = clones.read(gfid, epoch, start * UNIT, bytes);
    const found = () => isZero(bytes) ? undefined : bytes;
    return typeof read === "number" ? found() : read.then(found);
  }

  #version(known: Known): Promise<void> {
    if (known.versioning) return known.versioning;
    const { live, journal, store } = this.#parts;
    const state = live.inode(known.gfid).then((state) => {
      if (!state || hasNoName(state)) {
        this.#withoutName(known);
        return undefined;
      }
      known.units = Math.ceil(state.iatt.size / UNIT);
      return state;
    });
    known.sized = state.then(() => {});
    known.versioning = (async () => {
      try {
        const found = await state;
        const packed = found ? packState(found) : ABSENT;
        await journal.add(() => store.putVersion(store.idOf(known.gfid), known.epoch, packed));
        known.versioned = true;
      } finally {
        known.versioning = undefined;
      }
    })();
    return known.versioning;
  }

  #entry(parent: Gfid, name: string, epoch: number): Promise<void> | undefined {
    if (this.#namesEpoch !== epoch || this.#names.size >= NAMES_MAX) {
      this.#names = new Map();
      this.#namesEpoch = epoch;
    }
    const names = this.#names, key = `${parent}/${name}`;
    if (names.has(key)) return names.get(key);
    const { store } = this.#parts;
    const id = store.findId(parent);
    if (id !== undefined && store.entry(id, name, epoch)) {
      names.set(key, undefined);
      return undefined;
    }
    const preserving = this.#putEntry(parent, name, epoch);
    names.set(key, preserving);
    preserving.then(() => names.set(key, undefined), () => names.delete(key));
    return preserving;
  }

  async #putEntry(parent: Gfid, name: string, epoch: number): Promise<void> {
    const { live, journal, store } = this.#parts;
    const entry = await live.entry(parent, name);
    const { gfid, type = 0 } = entry ?? {};
    await journal.add(() => store.putEntry(store.idOf(parent), { name, gfid, type, epoch }));
  }
}

// What lies behind the last of them in the file and in the history is one row with it: nobody was told
// of that yet, so a loss of power takes both or none.
function addTo(rows: Group["rows"], row: Group["rows"][number], summed: Summed): void {
  const last = rows.at(-1);
  const both = last?.gfid === row.gfid ? joined(last, row, summed) : undefined;
  if (both) rows[rows.length - 1] = both;
  else rows.push(row);
}
