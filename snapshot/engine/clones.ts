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
import { type Clone, CloneOf, type Link, type OriginWindow } from "snapshot/engine/clone.ts";
import { FOREIGN, type Foreign, FOREIGN_EPOCH } from "core/foreign.ts";
import type { CloneRow, CloneRows } from "snapshot/engine/clone_rows.ts";
import type { Journal } from "snapshot/engine/journal.ts";
import type { Live } from "snapshot/engine/live.ts";
import type { OldFiles } from "snapshot/engine/old_files.ts";
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
  readonly kept: OldFiles;
  readonly readers: Readers;
  readonly live: Live;
  readonly env: Env;
  /** Ends a reader. */
  readonly end: (reader: string) => Promise<void>;
  /** What files of this brick began as, if it is of a clone of a volume. */
  readonly foreign?: Foreign | undefined;
}

/** Files of which it is remembered whether they began as foreign ones. */
const BEGUN_MAX = 16_384;

/** Beyond every epoch: the file as it is now. */
export const NOW = Number.MAX_SAFE_INTEGER;

/** See the head of this file. Methods throw FopError. */
export class Clones {
  readonly #parts: ClonesParts;
  readonly #rows: CloneRows;
  readonly #origins: Origins;
  #live = new Map<Gfid, CloneOf>();
  /** Live files that began as foreign ones, or did not: looked at when they are asked for. */
  #begun = new Map<Gfid, CloneOf | null>();
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
    this.any = parts.foreign !== undefined;
  }

  /** The live file's, if it is a clone. */
  get(gfid: Gfid): Clone | undefined {
    return this.any ? this.#of(gfid) : undefined;
  }

  /** Whether what `get` answered last of it holds; false: the file may come yet. */
  isHere(gfid: Gfid): boolean {
    return !this.#parts.foreign || this.#live.has(gfid) || this.#begun.has(gfid);
  }

  #of(gfid: Gfid): CloneOf | undefined {
    const known = this.#live.get(gfid);
    if (known || !this.#parts.foreign) return known;
    const begun = this.#begun.get(gfid);
    if (begun !== undefined) return begun ?? undefined;
    const found = this.#look(gfid, 0);
    // A file that is not there yet may begin as one.
    if (found === undefined) return undefined;
    if (this.#begun.size >= BEGUN_MAX) this.#forgetBegun();
    this.#begun.set(gfid, found);
    return found ?? undefined;
  }

  #forgetBegun(): void {
    for (const [gfid, clone] of this.#begun) {
      if (!clone || (!clone.opens && !clone.busy.length && !clone.gone)) this.#begun.delete(gfid);
    }
  }

  // Null: all of the file is its own.
  #look(gfid: Gfid, kept: number): CloneOf | null | undefined {
    const { foreign, store } = this.#parts;
    const begun = foreign!.begun(gfid, keptName({ gfid, kept }));
    if (!begun) return undefined;
    const { size, blocks, now } = begun;
    if (size === 0) return null;
    const inode = store.findId(gfid) ?? 0;
    const row = inode ? this.#rows.find({ inode, kept }) : undefined;
    const told = row?.units ?? Math.ceil(size / UNIT);
    // A process may have been killed before it noted that the file was cut.
    const units = Math.min(told, Math.ceil(now / UNIT));
    const made = { gfid, kept, reader: FOREIGN, units, blocks, inode: row ? inode : 0 };
    const clone = new CloneOf(made, this.#rows, size);
    clone.chain = [{ gfid, epoch: FOREIGN_EPOCH }];
    // It may have been forgotten before a sync.
    clone.unsynced = row !== undefined;
    if (units < told) {
      store.transaction(() => {
        this.#stored(clone);
        const { inode } = clone;
        this.#rows.put({ inode, kept, reader: FOREIGN, units, blocks });
      });
    }
    return clone;
  }

  // It gets something of its own.
  #stored(clone: CloneOf): void {
    if (clone.inode) return;
    const { gfid, kept, reader, units, blocks } = clone;
    clone.inode = this.#parts.store.idOf(gfid);
    this.#rows.remove(clone);
    this.#rows.put({ inode: clone.inode, kept, reader, units, blocks });
  }

  /** Live ones. */
  list(): Clone[] {
    return [...this.#live.values()];
  }

  /** Whether the file that was kept for this epoch is a clone. */
  isKept(gfid: Gfid, epoch: number): boolean {
    return this.#kept.has(`${gfid}.${epoch}`);
  }

  /** Kept files of which something is a foreign one's. */
  keptForeign(): Clone[] {
    const { store } = this.#parts;
    return store.allKept().flatMap(({ inode, epoch }) =>
      this.#keptAs(store.gfidOf(inode), epoch) ?? []
    ).filter(({ reader }) => reader === FOREIGN);
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
    this.#loadForeign(crashed);
    if (!crashed) return;
    for (const clone of [...this.#live.values(), ...this.#kept.values()]) {
      const { gfid } = clone;
      const state = clone.kept ? undefined : await this.#parts.live.inode(gfid);
      this.#check(clone, state?.iatt.size ?? 0);
    }
  }

  #loadForeign(crashed: boolean): void {
    const { foreign, store } = this.#parts;
    if (!foreign) return;
    store.transaction(() => this.#rows.sweep());
    if (!crashed) return;
    for (const row of this.#rows.foreign()) {
      const placed = { ...row, kept: row.kept || this.#keptLast(row) };
      const found = this.#look(row.gfid, row.kept) ?? this.#look(row.gfid, placed.kept);
      // After a loss of power the file may not have been made yet: it begins anew.
      if (!found) store.transaction(() => this.#rows.remove(row));
      else if (found.kept !== row.kept) {
        store.transaction(() => this.#rows.keep(row, found.kept));
      } else this.#check(found, foreign.begun(row.gfid, keptName(row))!.now);
    }
  }

  #keptLast({ inode }: CloneRow): number {
    return this.#parts.store.allKept().filter((kept) => kept.inode === inode)
      .reduce((newest, { epoch }) => Math.max(newest, epoch), 0);
  }

  /** Reads what there is in an index that another process writes, again if that wrote since. */
  look(): void {
    const { readers, store } = this.#parts;
    readers.set(store.readers());
    this.#live.clear();
    this.#kept.clear();
    this.#begun.clear();
    for (const row of this.#rows.all()) if (readers.get(row.reader)) this.#add(row);
    this.#chain();
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
    const kept = this.#keptLast(row);
    if (!kept) return undefined;
    store.transaction(() => this.#rows.keep(row, kept));
    return { ...row, kept };
  }

  // After a loss of power: a unit of which something was not written is the origin's again.
  #check(clone: CloneOf, size: number): void {
    const { store, kept } = this.#parts, { gfid } = clone;
    const epoch = clone.kept || NOW;
    const hasData = (unit: number) => {
      // Of the origin's last unit there may be a part, of which nobody made the rest data.
      const start = unit * UNIT, until = Math.min(size, clone.size);
      const end = Math.min(start + UNIT, Math.max(until, start + 1));
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

  /** Old states are others than they were, and say the same. */
  lookAgain(): void {
    this.#chain();
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
    this.any = this.#parts.foreign !== undefined || this.#live.size + this.#kept.size > 0;
  }

  #chainOf(clone: CloneOf): Link[] {
    const chain: Link[] = [];
    for (let at: CloneOf | undefined = clone; at;) {
      if (at.reader === FOREIGN) {
        chain.push({ gfid: at.gfid, epoch: FOREIGN_EPOCH });
        break;
      }
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
    const { store, foreign } = this.#parts;
    if (this.#kept.size || foreign) {
      const id = store.findId(gfid);
      const kept = id === undefined ? undefined : store.kept(id, epoch);
      const found = kept === undefined ? undefined : this.#keptAs(gfid, kept);
      if (found !== undefined) return found ?? undefined;
    }
    return this.#of(gfid);
  }

  // Null: all of it is its own. Undefined: it is not there, or alive still.
  #keptAs(gfid: Gfid, epoch: number): CloneOf | null | undefined {
    const key = `${gfid}.${epoch}`, known = this.#kept.get(key);
    if (known || !this.#parts.foreign) return known;
    const found = this.#look(gfid, epoch);
    if (found) this.#kept.set(key, found);
    return found;
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
    readers.put(reader);
    const clone = this.#add({ ...row, inode });
    clone.unsynced = true;
    this.#chain();
    return clone;
  }

  /** Units are the clone's own from now on; `holes`: they need not have data. Survives the process. */
  async own(clone: Clone, { start, end }: UnitRange, holes: boolean): Promise<void> {
    const until = Math.min(end, clone.units);
    if (start >= until) return;
    await this.#parts.journal.put(() => {
      this.#stored(clone as CloneOf);
      this.#rows.addOwn(clone, start, until, holes);
    });
    clone.own.add(start, until);
    clone.unsynced = true;
  }

  /** Whether these units are the clone's own, and need not have data: as a whole, or in part. */
  mayHaveHoles(clone: Clone, { start, end }: UnitRange): boolean {
    return this.#rows.mayHaveHoles(clone, start, Math.min(end, clone.units));
  }

  /** What `own` was told of is on the disk when this resolves. */
  syncRows(): Promise<void> {
    return this.#parts.journal.syncRows();
  }

  /** Units from `units` on are the clone's own. On the disk when this resolves. */
  async cut(clone: Clone, units: number): Promise<void> {
    if (units >= clone.units) return;
    const { journal } = this.#parts;
    const { kept, reader, blocks } = clone;
    await journal.put(() => {
      this.#stored(clone as CloneOf);
      this.#rows.put({ inode: clone.inode, kept, reader, units, blocks });
    });
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
    const clone = this.#of(gfid);
    if (!clone) return;
    clone.gone = true;
    if (keptAs !== undefined) {
      const { inode } = clone, kept = Number(keptAs.slice(gfid.length + 1));
      this.#kept.set(keptAs, clone);
      clone.kept = kept;
      const before = { inode, kept: 0 };
      if (inode) this.#inBackground(this.#parts.journal.put(() => this.#rows.keep(before, kept)));
    }
    this.#settle(clone);
  }

  /** Ends what was kept and is not any more; whether something is on its way. */
  sweep(): boolean {
    const { store } = this.#parts;
    for (const [key, clone] of this.#kept) {
      const id = store.findId(clone.gfid);
      if (id !== undefined && store.kept(id, clone.kept) === clone.kept) continue;
      this.#kept.delete(key);
      if (!this.#isLive(clone)) this.#inBackground(this.#end(clone));
    }
    return this.#later.size > 0;
  }

  /** A new file gets this gfid. */
  made(gfid: Gfid): void {
    if (this.#begun.get(gfid) === null) this.#begun.delete(gfid);
    const clone = this.#live.get(gfid) ?? this.#begun.get(gfid);
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
    if (!clone.gone || clone.opens > 0 || !this.#isLive(clone)) return;
    this.#live.delete(clone.gfid);
    this.#begun.delete(clone.gfid);
    if (!clone.kept) this.#inBackground(this.#end(clone));
    // Kept meanwhile, and not needed any more.
    else if (!this.#kept.has(`${clone.gfid}.${clone.kept}`)) this.#inBackground(this.#end(clone));
  }

  // It is an ordinary file, or there is none.
  async #end(clone: CloneOf): Promise<void> {
    const { journal, end, readers, foreign } = this.#parts;
    const key = `${clone.gfid}.${clone.kept}`;
    if (clone.reader === FOREIGN) {
      // Before the rows that say which units are its own.
      if (!clone.gone || clone.kept) await foreign!.end(clone.gfid, clone.kept ? key : undefined);
      if (this.#begun.get(clone.gfid) === clone) this.#begun.delete(clone.gfid);
      this.#kept.delete(key);
      if (clone.inode) await journal.put(() => this.#rows.remove(clone));
      return;
    }
    if (this.#live.get(clone.gfid) === clone) this.#live.delete(clone.gfid);
    this.#kept.delete(key);
    this.#chain();
    await journal.put(() => this.#rows.remove(clone));
    if (readers.get(clone.reader)) await end(clone.reader);
  }

  #isLive(clone: CloneOf): boolean {
    return this.#live.get(clone.gfid) === clone || this.#begun.get(clone.gfid) === clone;
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
  read(...of: Parameters<OldFiles["read"]>): number | Promise<number> {
    const [gfid, epoch, offset, into] = of;
    const clone = this.#find({ gfid, epoch });
    if (!clone) return this.#parts.kept.read(...of);
    const end = Math.ceil((offset + into.length) / UNIT);
    const run = clone.run(Math.floor(offset / UNIT), end);
    if (run.own || run.end < end) return this.#readClone(clone, epoch, offset, into);
    const reading = this.#origins.read(clone, offset, into);
    return reading ? reading.then(() => into.length) : into.length;
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
  readOrigin(
    clone: Clone,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
  ): void | Promise<void> {
    return this.#origins.read(clone, offset, into);
  }

  /** Where the units of window `number` of a file lie for a reader of that epoch. */
  locate(link: Link, number: number): OriginWindow {
    return this.#origins.locate([link, ...this.#find(link)?.chain ?? []], number);
  }

  /** Reads what is there. */
  readSource(...of: Parameters<Origins["readSource"]>): void | Promise<void> {
    return this.#origins.readSource(...of);
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

  /** Start of the first hole at or after `offset`; undefined if there is none before `until`. */
  nextHole(gfid: Gfid, epoch: number, offset: number, until: number): number | undefined {
    const { kept } = this.#parts;
    const clone = this.#find({ gfid, epoch });
    for (let at = offset; at < until;) {
      const run = clone?.run(Math.floor(at / UNIT), until / UNIT);
      const end = run ? Math.min(until, run.end * UNIT) : until;
      const hole = !run || run.own
        ? kept.nextHole(gfid, epoch, at)
        : this.#origins.nextHole(clone!, at, end);
      if (hole !== undefined && hole < end) return hole;
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

function keptName({ gfid, kept }: Pick<Clone, "gfid" | "kept">): string | undefined {
  return kept ? `${gfid}.${kept}` : undefined;
}
