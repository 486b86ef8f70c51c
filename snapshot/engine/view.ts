/**
 * What a reader sees: inodes, names and data as they were when its epoch ended.
 *
 * Each thing is the row with the smallest epoch >= the reader's; without one, the thing as it is
 * now. For data, where old bytes lie is looked up a window (1 MiB) at a time and remembered; what
 * moves into the history is noted there.
 *
 * A live read races with a preserve: data is read first, then it is looked up again what moved in
 * between; that is read from the history. An overwrite begins only after the row is there, so that
 * what was read and did not move was the old data.
 */

import { ENOENT } from "core/errno.ts";
import type { NameIn } from "core/history_orders.ts";
import type { Gfid } from "core/inode.ts";
import type { Clones } from "snapshot/engine/clones.ts";
import type { Gate } from "snapshot/engine/gate.ts";
import { type Entry, hasNoName, type InodeState, type Live } from "snapshot/engine/live.ts";
import type { Segments } from "snapshot/engine/segments.ts";
import { unpackState } from "snapshot/engine/state.ts";
import { type Extension, type Extent, ZEROS } from "snapshot/engine/extent.ts";
import type { HistoryStore } from "snapshot/engine/store.ts";
import { UNIT, type UnitRange } from "snapshot/engine/units.ts";
import {
  Room,
  runAt,
  type Window,
  WINDOW_UNITS,
  windowOf,
  windowsOf,
  withMoved,
} from "snapshot/engine/window.ts";

/** The parts of a history that views use. */
export interface ViewParts {
  readonly store: HistoryStore;
  readonly segments: Segments;
  readonly clones: Clones;
  readonly live: Live;
  /** Of a history that another process writes: calls `lookAgain` if it wrote since it was asked last. */
  readonly refresh?: () => void;
  /** Reads that are under way go through it. */
  readonly reads?: Gate;
  /** What the views of a history remember together; absent: this is the only one. */
  readonly room?: Room;
}

/** A piece of an extent, in bytes of the file. */
interface Kept extends UnitRange {
  readonly extent: Extent;
}

/** See the head of this file. Methods throw FopError. */
export class View {
  readonly #parts: ViewParts;
  readonly #room: Room;
  #windows = new Map<string, Window>();
  #states = new Map<Gfid, InodeState>();

  constructor(parts: ViewParts, readonly epoch: number) {
    this.#parts = parts;
    this.#room = parts.room ?? new Room(() => this.forget());
  }

  /** What was looked up; it is looked up again. */
  forget(): void {
    this.#windows.clear();
    this.#states.clear();
  }

  /** Rows of data were added that nobody told us of. */
  lookAgain(): void {
    for (const each of this.#windows.values()) this.#room.gone(each);
    this.#windows.clear();
  }

  /** Undefined: the reader sees no such inode. */
  async inode(gfid: Gfid): Promise<InodeState | undefined> {
    const known = this.#states.get(gfid);
    if (known) return known;
    const old = this.#version(gfid);
    if (old !== undefined) return old ?? undefined;
    const now = await this.#parts.live.inode(gfid);
    // It may have changed while we asked.
    const since = this.#version(gfid);
    if (since !== undefined) return since ?? undefined;
    if (!now || hasNoName(now)) return undefined;
    this.#remember(gfid, now);
    return now;
  }

  /** Null: it was not there; undefined: it is as it is now. */
  #version(gfid: Gfid): InodeState | null | undefined {
    const { store } = this.#parts;
    const id = store.findId(gfid);
    const row = id === undefined ? undefined : store.version(id, this.epoch);
    if (!row) return undefined;
    if (row.state.length === 0) return null;
    const state = unpackState(row.state);
    this.#remember(gfid, state);
    return state;
  }

  // What a reader sees never changes.
  #remember(gfid: Gfid, state: InodeState): void {
    if (!this.#states.has(gfid)) this.#room.state();
    this.#states.set(gfid, state);
  }

  /** What a name leads to; undefined: no such name. */
  async entry(parent: Gfid, name: string): Promise<Entry | undefined> {
    const old = this.#oldEntry(parent, name);
    if (old) return old.entry;
    const now = await this.#parts.live.entry(parent, name);
    const since = this.#oldEntry(parent, name);
    return since ? since.entry : now;
  }

  #oldEntry(parent: Gfid, name: string): { entry: Entry | undefined } | undefined {
    const { store } = this.#parts;
    const id = store.findId(parent);
    const row = id === undefined ? undefined : store.entry(id, name, this.epoch);
    if (!row) return undefined;
    const { gfid, type } = row;
    return { entry: gfid === undefined ? undefined : { name, gfid, type } };
  }

  /** All names of a directory, in no order that means something. */
  async entries(parent: Gfid): Promise<Entry[]> {
    const { store, live } = this.#parts;
    const names = new Map((await live.entries(parent)).map((entry) => [entry.name, entry]));
    const id = store.findId(parent);
    for (const { name, gfid, type } of id === undefined ? [] : store.entries(id, this.epoch)) {
      if (gfid === undefined) names.delete(name);
      else names.set(name, { name, gfid, type });
    }
    return [...names.values()];
  }

  /** The names that lead to an inode; none if that is not known, or it is the root. */
  async names(gfid: Gfid): Promise<NameIn[]> {
    const { store, live } = this.#parts;
    const found = new Map<string, NameIn>();
    const add = (each: NameIn) => found.set(`${each.parent}/${each.name}`, each);
    // What changes after this has rows when they are looked for.
    for (const each of await live.names(gfid)) {
      const old = this.#oldEntry(each.parent, each.name);
      if (!old || old.entry?.gfid === gfid) add(each);
    }
    for (const each of store.namesOf(gfid, this.epoch)) add(each);
    return [...found.values()];
  }

  /**
   * Fills `into` from `offset` on; answers how many bytes the file has there. EIO: old data is
   * damaged; ENOENT: no such inode.
   */
  read(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): number | Promise<number> {
    const reading = this.#read(gfid, offset, into);
    if (typeof reading !== "number") this.#parts.reads?.enter(reading);
    return reading;
  }

  #read(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): number | Promise<number> {
    const state = this.#states.get(gfid);
    if (!state || this.#parts.refresh) return this.#readAll(gfid, offset, into);
    const count = Math.max(0, Math.min(into.length, state.iatt.size - offset));
    if (count === 0) return 0;
    // As a rule it lies in one place and in memory: nothing can move while nobody waits.
    const number = Math.floor(offset / UNIT / WINDOW_UNITS);
    const { extent, until } = pieceAt(this.#window(gfid, number), offset, offset + count);
    if (until < offset + count) return this.#readAll(gfid, offset, into);
    const part = count === into.length ? into : into.subarray(0, count);
    if (extent) {
      const reading = this.#readExtent(extent, offset, part);
      return reading ? reading.then(() => count) : count;
    }
    const read = this.#parts.clones.read(gfid, this.epoch, offset, part);
    if (typeof read !== "number") return read.then(() => this.#readAll(gfid, offset, into));
    if (read < count) part.fill(0, read);
    return count;
  }

  async #readAll(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): Promise<number> {
    const state = await this.inode(gfid);
    if (!state) throw ENOENT;
    const count = Math.max(0, Math.min(into.length, state.iatt.size - offset));
    for (const { number, start, end } of windowsOf(offset, count)) {
      await this.#readIn(gfid, number, start, into.subarray(start - offset, end - offset));
    }
    return count;
  }

  /** Reads a part of one window. */
  async #readIn(
    gfid: Gfid,
    number: number,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
  ): Promise<void> {
    let window = this.#window(gfid, number);
    let missing = await this.#readPieces(gfid, window, offset, into, undefined);
    while (missing.length) {
      const now = this.#window(gfid, number);
      if (now === window) return;
      window = now;
      missing = await this.#readPieces(gfid, window, offset, into, missing);
    }
  }

  /** Reads pieces (bytes; undefined: all); answers those that came from the file underneath. */
  async #readPieces(
    gfid: Gfid,
    window: Window,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
    only: readonly UnitRange[] | undefined,
  ): Promise<UnitRange[]> {
    const beneath: UnitRange[] = [], kept: Kept[] = [];
    for (const { start, end } of only ?? [{ start: offset, end: offset + into.length }]) {
      for (let at = start; at < end;) {
        const { extent, until } = pieceAt(window, at, end);
        if (extent) kept.push({ extent, start: at, end: until });
        else beneath.push({ start: at, end: until });
        at = until;
      }
    }
    // One call for all of the file underneath; what lies between is filled afterwards.
    const from = beneath[0]?.start, to = beneath.at(-1)?.end;
    if (!only && from !== undefined) {
      const part = into.subarray(from - offset, to! - offset);
      const read = this.#parts.clones.read(gfid, this.epoch, from, part);
      const count = typeof read === "number" ? read : await read;
      // The reader's file was longer: what was cut since is in extents.
      if (count < part.length) part.fill(0, count);
    }
    for (const { extent, start, end } of kept) {
      const read = this.#readExtent(extent, start, into.subarray(start - offset, end - offset));
      if (read) await read;
    }
    return beneath;
  }

  #readExtent(
    extent: Extent,
    at: number,
    into: Uint8Array<ArrayBuffer>,
  ): void | Promise<void> {
    if (extent.place === ZEROS) return void into.fill(0);
    return this.#parts.segments.read(extent.place + at - extent.start * UNIT, into);
  }

  /** Start of the first data at or after `offset`; undefined if only holes follow. */
  async nextData(gfid: Gfid, offset: number): Promise<number | undefined> {
    const state = await this.inode(gfid);
    return this.nextDataIn(gfid, offset, state?.iatt.size ?? 0);
  }

  /** The same before `size`, of a file that there is. */
  nextDataIn(gfid: Gfid, offset: number, size: number): number | undefined {
    for (let at = offset; at < size;) {
      const number = Math.floor(at / UNIT / WINDOW_UNITS);
      const window = this.#window(gfid, number);
      const end = Math.min(size, (number + 1) * WINDOW_UNITS * UNIT);
      while (at < end) {
        const { extent, until } = pieceAt(window, at, end);
        if (extent) {
          if (extent.place !== ZEROS) return at;
        } else {
          const data = this.#parts.clones.nextData(gfid, this.epoch, at, until);
          if (data !== undefined && data < until) return data;
        }
        at = until;
      }
    }
    return undefined;
  }

  /** Start of the first hole at or after `offset`, at the latest the file's end; undefined: it is beyond that. */
  async nextHole(gfid: Gfid, offset: number): Promise<number | undefined> {
    const { store, clones } = this.#parts;
    const size = (await this.inode(gfid))?.iatt.size ?? 0;
    if (offset >= size) return undefined;
    const id = store.findId(gfid);
    for (let at = offset; at < size;) {
      const unit = Math.floor(at / UNIT), number = Math.floor(unit / WINDOW_UNITS);
      const window = this.#window(gfid, number);
      const end = Math.min(size, (number + 1) * WINDOW_UNITS * UNIT);
      let { extent, until } = pieceAt(window, at, end);
      if (extent?.place === ZEROS) return at;
      if (!extent) {
        // As far as nothing moved into the history, the file underneath knows it at once.
        if (until === end && end < size) {
          const next = id === undefined ? undefined : store.nextUnit(id, end / UNIT);
          until = Math.min(size, (next ?? Infinity) * UNIT);
        }
        const hole = clones.nextHole(gfid, this.epoch, at, until);
        if (hole !== undefined) return hole;
      }
      at = until;
    }
    return size;
  }

  /** Something of a file moved into the history. */
  moved(gfid: Gfid, { start, units, epoch, ...rest }: Extension): void {
    if (this.#windows.size === 0) return;
    const { store } = this.#parts, inode = store.findId(gfid);
    const isSeen = inode !== undefined && epoch >= this.epoch &&
      store.kept(inode, this.epoch) === undefined;
    const last = Math.floor((start + units - 1) / WINDOW_UNITS);
    for (let number = Math.floor(start / WINDOW_UNITS); number <= last; number++) {
      const key = `${gfid}/${number}`, known = this.#windows.get(key);
      if (!known) continue;
      this.#room.gone(known);
      this.#windows.delete(key);
      if (!isSeen) continue;
      const extent = { inode, start, units, epoch, ...rest };
      this.#keep(key, withMoved(known, number * WINDOW_UNITS, extent));
    }
  }

  #keep(key: string, window: Window): void {
    this.#room.window(window);
    this.#windows.set(key, window);
  }

  #window(gfid: Gfid, number: number): Window {
    this.#parts.refresh?.();
    const key = `${gfid}/${number}`;
    const known = this.#windows.get(key);
    if (known) return known;
    const window = this.#lookUp(gfid, number * WINDOW_UNITS);
    this.#keep(key, window);
    return window;
  }

  #lookUp(gfid: Gfid, from: number): Window {
    const { store } = this.#parts;
    const id = store.findId(gfid);
    if (id === undefined) return windowOf([], from, Infinity);
    // What came after the file was kept belongs to another file with its gfid.
    const last = store.kept(id, this.epoch) ?? Infinity;
    return windowOf(store.extents(id, from, from + WINDOW_UNITS, this.epoch), from, last);
  }
}

/** The extent at a byte, and up to where it or the gap goes. */
function pieceAt(
  { at, extents }: Window,
  byte: number,
  end: number,
): { extent: Extent | undefined; until: number } {
  const { which, until } = runAt(at, byte, end);
  return { extent: which < 0 ? undefined : extents[which], until };
}
