/**
 * Files that begin as another file's old state (origin and epoch of a reader of kind "clone").
 *
 * On the disk a clone is a sparse file and a bit for each unit: is it the clone's own? Units that are
 * not are read from the origin. Which place that is, a window (1 MiB) at a time, is found by walking
 * from origin to origin once, and remembered: the depth of clones of clones costs nothing after that.
 * A window is forgotten when something of it moves into the history anywhere up that way.
 *
 * Invariant: units that are not the clone's own are whole units below the origin's size, and below the
 * clone's. An edge that is no whole unit is copied when the clone is made, or cut.
 *
 * What a file that lost its last name began as is kept as long as it is: until nobody has it open,
 * and no reader sees it.
 */

import type { Env } from "core/env.ts";
import type { Gfid } from "core/inode.ts";
import { type Clone, CloneOf, type Link } from "snapshot/engine/clone.ts";
import type { CloneRow, CloneRows } from "snapshot/engine/clone_rows.ts";
import type { Journal } from "snapshot/engine/journal.ts";
import type { KeptFiles } from "snapshot/engine/kept.ts";
import type { Live } from "snapshot/engine/live.ts";
import { hasUnit, OWN_PIECE_UNITS } from "snapshot/engine/own_units.ts";
import type { Readers } from "snapshot/engine/readers.ts";
import type { Segments } from "snapshot/engine/segments.ts";
import type { HistoryStore, Reader } from "snapshot/engine/store.ts";
import { Origins } from "snapshot/engine/origins.ts";
import { UNIT, type UnitRange } from "snapshot/engine/units.ts";

/** The parts of a history that clones use. */
export interface ClonesParts {
  readonly store: HistoryStore;
  readonly journal: Journal;
  readonly segments: Segments;
  readonly kept: KeptFiles;
  readonly readers: Readers;
  readonly live: Live;
  readonly env: Env;
  /** Ends a reader. */
  readonly end: (reader: string) => Promise<void>;
}

/** Beyond every epoch: the file as it is now. */
export const NOW = Number.MAX_SAFE_INTEGER;

/** See the head of this file. Methods throw FopError. */
export class Clones {
  readonly #parts: ClonesParts;
  readonly #rows: CloneRows;
  readonly #origins: Origins;
  #live = new Map<Gfid, CloneOf>();
  #kept = new Map<string, CloneOf>();
  /** Who reads, over however many others, from a file. */
  #heirs = new Map<Gfid, Set<CloneOf>>();
  #later = new Set<Promise<void>>();
  /** Whether there are any. */
  any = false;

  constructor(parts: ClonesParts) {
    this.#parts = parts;
    this.#rows = parts.store.clones;
    this.#origins = new Origins({ ...parts, find: (link) => this.#find(link) });
  }

  /** The live file's, if it is a clone. */
  get(gfid: Gfid): Clone | undefined {
    return this.any ? this.#live.get(gfid) : undefined;
  }

  /** Live ones. */
  list(): Clone[] {
    return [...this.#live.values()];
  }

  /** Whether a clone reads by this reader. */
  reads(reader: string): boolean {
    const reads = (clone: Clone) => clone.reader === reader;
    return [...this.#live.values()].some(reads) || [...this.#kept.values()].some(reads);
  }

  /** Reads what there is. `crashed`: the process before did not close its history. */
  async load(crashed: boolean): Promise<void> {
    const { readers, store } = this.#parts;
    const rows = this.#rows.all();
    const known = new Set(rows.map(({ reader }) => reader));
    for (const row of rows) {
      const found = readers.get(row.reader) && await this.#placed(row);
      if (found) this.#add(found);
      else {
        store.transaction(() => this.#rows.remove(row));
        if (readers.get(row.reader)) await this.#parts.end(row.reader);
      }
    }
    // A clone that was being made.
    for (const { id, kind, file } of readers.list()) {
      if (kind === "clone" && file !== undefined && !known.has(id)) await this.#parts.end(id);
    }
    this.#chain();
    if (!crashed) return;
    for (const clone of [...this.#live.values(), ...this.#kept.values()]) {
      await this.#check(clone);
    }
  }

  // Where the row's file is now: a crash may have come before that was noted.
  async #placed(row: CloneRow): Promise<CloneRow | undefined> {
    const { store, live } = this.#parts;
    if (row.kept) return store.kept(row.inode, row.kept) === row.kept ? row : undefined;
    const state = await live.inode(row.gfid);
    if (state) {
      const units = Math.min(row.units, Math.ceil(state.iatt.size / UNIT));
      if (units < row.units) store.transaction(() => this.#rows.put({ ...row, units }));
      return units > 0 ? { ...row, units } : undefined;
    }
    const kept = store.allKept().filter(({ inode }) => inode === row.inode)
      .reduce((newest, { epoch }) => Math.max(newest, epoch), 0);
    if (!kept) return undefined;
    store.transaction(() => this.#rows.keep(row, kept));
    return { ...row, kept };
  }

  // After a loss of power: a unit of which something was not written is the origin's again.
  async #check(clone: CloneOf): Promise<void> {
    const { store, kept, live } = this.#parts, { gfid } = clone;
    const epoch = clone.kept || NOW;
    const size = clone.kept ? 0 : (await live.inode(gfid))?.iatt.size ?? 0;
    const hasData = (unit: number) => {
      const start = unit * UNIT, end = Math.min(start + UNIT, Math.max(size, start + 1));
      return kept.nextData(gfid, epoch, start) === start &&
        kept.nextHole(gfid, epoch, start) >= end;
    };
    for (const row of this.#rows.owns(clone)) {
      const first = row.piece * OWN_PIECE_UNITS;
      let lost = false;
      for (let at = 0; at < OWN_PIECE_UNITS; at++) {
        if (!hasUnit(row.own, at) || hasUnit(row.holes, at)) continue;
        if (first + at >= clone.units || hasData(first + at)) continue;
        row.own[at >>> 3]! &= ~(1 << (at & 7));
        lost = true;
      }
      if (lost) store.transaction(() => this.#rows.putOwn(clone, row));
    }
    clone.own.clear();
  }

  #add(row: CloneRow): CloneOf {
    const clone = new CloneOf(row, this.#rows);
    if (row.kept) this.#kept.set(`${row.gfid}.${row.kept}`, clone);
    else this.#live.set(row.gfid, clone);
    this.any = true;
    return clone;
  }

  // Who reads from whom, anew.
  #chain(): void {
    this.#heirs = new Map();
    for (const clone of [...this.#live.values(), ...this.#kept.values()]) {
      clone.windows.clear();
      clone.chain = this.#chainOf(clone);
      for (const { gfid } of clone.chain) {
        const heirs = this.#heirs.get(gfid);
        if (heirs) heirs.add(clone);
        else this.#heirs.set(gfid, new Set([clone]));
      }
    }
    this.any = this.#live.size + this.#kept.size > 0;
  }

  #chainOf(clone: CloneOf): Link[] {
    const chain: Link[] = [];
    for (let at: CloneOf | undefined = clone; at;) {
      const { file, epoch } = this.#parts.readers.get(at.reader)!;
      const link: Link = { gfid: file!, epoch };
      chain.push(link);
      at = this.#find(link);
    }
    return chain;
  }

  // The clone that a reader of that epoch sees.
  #find({ gfid, epoch }: Link): CloneOf | undefined {
    if (!this.any) return undefined;
    if (this.#kept.size) {
      const { store } = this.#parts;
      const id = store.findId(gfid);
      const kept = id === undefined ? undefined : store.kept(id, epoch);
      const found = kept === undefined ? undefined : this.#kept.get(`${gfid}.${kept}`);
      if (found) return found;
    }
    return this.#live.get(gfid);
  }

  /**
   * Makes the live file a clone of what its reader, which begins now, sees: `units` whole units are to
   * be read from there, of a file of `blocks` blocks. On the disk it is after `sync`.
   */
  async make(gfid: Gfid, reader: Reader, units: number, blocks: number): Promise<Clone> {
    const { store, journal, readers } = this.#parts;
    const row = { gfid, kept: 0, reader: reader.id, units, blocks };
    let inode = 0;
    await journal.put(() => {
      store.putReader(reader);
      inode = store.idOf(gfid);
      this.#rows.put({ ...row, inode });
    });
    readers.set(store.readers());
    const clone = this.#add({ ...row, inode });
    clone.unsynced = true;
    this.#chain();
    return clone;
  }

  /** Units are the clone's own from now on; `holes`: they need not have data. Survives the process. */
  async own(clone: Clone, { start, end }: UnitRange, holes: boolean): Promise<void> {
    const until = Math.min(end, clone.units);
    if (start >= until) return;
    await this.#parts.journal.put(() => this.#rows.addOwn(clone, start, until, holes));
    clone.own.add(start, until);
    clone.unsynced = true;
  }

  /** Units from `units` on are the clone's own. On the disk when this resolves. */
  async cut(clone: Clone, units: number): Promise<void> {
    if (units >= clone.units) return;
    const { journal } = this.#parts;
    const { inode, kept, reader, blocks } = clone;
    await journal.put(() => this.#rows.put({ inode, kept, reader, units, blocks }));
    clone.units = units;
    await journal.sync();
    if (units === 0) await this.finish(clone);
  }

  /** All of it is its own: it is an ordinary file from now on. */
  finish(clone: Clone): Promise<void> {
    return this.#end(clone as CloneOf);
  }

  /** What is the clone's own is on the disk when this resolves. */
  sync(clone: Clone): Promise<void> {
    if (clone.unsynced) {
      clone.unsynced = false;
      clone.synced = this.#parts.journal.sync();
    }
    return clone.synced;
  }

  /** A live file lost its last name, and was kept under that name (GFID.EPOCH), or not. */
  left(gfid: Gfid, keptAs: string | undefined): void {
    const clone = this.#live.get(gfid);
    if (!clone) return;
    clone.gone = true;
    if (keptAs !== undefined) {
      const { inode } = clone, kept = Number(keptAs.slice(gfid.length + 1));
      this.#kept.set(keptAs, clone);
      clone.kept = kept;
      const before = { inode, kept: 0 };
      this.#inBackground(this.#parts.journal.put(() => this.#rows.keep(before, kept)));
    }
    this.#settle(clone);
  }

  /** Ends what was kept and is not any more; whether something is on its way. */
  sweep(): boolean {
    const { store } = this.#parts;
    for (const [key, clone] of this.#kept) {
      if (store.kept(clone.inode, clone.kept) === clone.kept) continue;
      this.#kept.delete(key);
      if (this.#live.get(clone.gfid) !== clone) this.#inBackground(this.#end(clone));
    }
    return this.#later.size > 0;
  }

  /** A new file gets this gfid. */
  made(gfid: Gfid): void {
    const clone = this.#live.get(gfid);
    if (!clone?.gone) return;
    clone.opens = 0;
    this.#settle(clone);
  }

  opened(clone: Clone): void {
    (clone as CloneOf).opens++;
  }

  closed(clone: Clone): void {
    (clone as CloneOf).opens--;
    this.#settle(clone as CloneOf);
  }

  #settle(clone: CloneOf): void {
    if (!clone.gone || clone.opens > 0 || this.#live.get(clone.gfid) !== clone) return;
    this.#live.delete(clone.gfid);
    if (!clone.kept) this.#inBackground(this.#end(clone));
    // Kept meanwhile, and not needed any more.
    else if (!this.#kept.has(`${clone.gfid}.${clone.kept}`)) this.#inBackground(this.#end(clone));
  }

  // It is an ordinary file, or there is none.
  async #end(clone: CloneOf): Promise<void> {
    const { journal, end, readers } = this.#parts;
    if (this.#live.get(clone.gfid) === clone) this.#live.delete(clone.gfid);
    this.#kept.delete(`${clone.gfid}.${clone.kept}`);
    this.#chain();
    await journal.put(() => this.#rows.remove(clone));
    if (readers.get(clone.reader)) await end(clone.reader);
  }

  #inBackground(work: Promise<void>): void {
    const done = work.catch((error) => {
      this.#parts.env.log.warn("a clone that went leaves old data until the next start", {
        error: String(error),
      });
    }).finally(() => this.#later.delete(done));
    this.#later.add(done);
  }

  /** Resolves when nothing is on its way. */
  async settled(): Promise<void> {
    while (this.#later.size) await Promise.all(this.#later);
  }

  /** Something of a file moved into the history. */
  moved(gfid: Gfid, units: UnitRange): void {
    for (const heir of this.#heirs.get(gfid) ?? []) this.#origins.forget(heir, units);
  }

  // What files hold where the history has no old data of them.

  /** As of `KeptFiles`, but of a clone with what it reads from its origin. */
  read(
    gfid: Gfid,
    epoch: number,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
  ): number | Promise<number> {
    const clone = this.#find({ gfid, epoch });
    if (clone) return this.#readClone(clone, epoch, offset, into);
    return this.#parts.kept.read(gfid, epoch, offset, into);
  }

  async #readClone(
    clone: CloneOf,
    epoch: number,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
  ): Promise<number> {
    const { kept } = this.#parts, { gfid } = clone;
    for (let done = 0; done < into.length;) {
      const at = offset + done;
      const run = clone.run(Math.floor(at / UNIT), Math.ceil((offset + into.length) / UNIT));
      const part = into.subarray(done, Math.min(into.length, run.end * UNIT - offset));
      if (run.own) part.fill(0, await kept.read(gfid, epoch, at, part));
      else await this.#origins.read(clone, at, part);
      done += part.length;
    }
    return into.length;
  }

  /** Reads units that are not the clone's own. */
  readOrigin(clone: Clone, offset: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.#origins.read(clone, offset, into);
  }

  /** Start of the first data from `offset` to before `until` of what is not its own; undefined: none. */
  originData(clone: Clone, offset: number, until: number): number | undefined {
    return this.#origins.nextData(clone, offset, until);
  }

  /** The same of holes. */
  originHole(clone: Clone, offset: number, until: number): number | undefined {
    return this.#origins.nextHole(clone, offset, until);
  }

  /** Start of the first data at or after `offset`; undefined if there is none before `until`. */
  nextData(gfid: Gfid, epoch: number, offset: number, until = Infinity): number | undefined {
    const { kept } = this.#parts;
    const clone = this.#find({ gfid, epoch });
    if (!clone) return kept.nextData(gfid, epoch, offset);
    for (let at = offset; at < until;) {
      const run = clone.run(Math.floor(at / UNIT), until / UNIT);
      const end = Math.min(until, run.end * UNIT);
      const data = run.own ? kept.nextData(gfid, epoch, at) : this.originData(clone, at, end);
      if (data !== undefined && data < end) return data;
      at = end;
    }
    return undefined;
  }

  /** Whether there is data on the disk in units that are not the clone's own: of writes that never ended. */
  hasLeftovers({ gfid, kept }: Clone, { start, end }: UnitRange): boolean {
    const data = this.#parts.kept.nextData(gfid, kept || NOW, start * UNIT);
    return data !== undefined && data < end * UNIT;
  }
}
