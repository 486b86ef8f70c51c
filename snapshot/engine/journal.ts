/**
 * Rows of the index in groups: all that is added in one turn, or while a group is being synced, is
 * one transaction. When `add` resolves, the rows are as durable as was asked for. Rows of data are
 * noted first (`notes.ts`): hundreds of them are one transaction, a while later.
 *
 * - `relaxed`: they and the old data are in the page cache: they survive the process.
 * - `strict`: they are on the disk. Segments, notes and SQLite's log are synced at the same time, one
 *   sync after the other for all that wait. A loss of power in between may leave a row whose old data
 *   is not there; its checksum says so, and as the overwrite has not begun, the live data is the old
 *   data.
 *
 * SQLite itself never syncs (it would hold the event loop up). Its log moves into the database file
 * in two steps: most of it while a second connection reads, so that the log cannot begin anew
 * before the file is synced; the rest, which is little, while groups wait. Only what is on the disk
 * in the log moves: a loss of power leaves some of the pages that moved. The log keeps its length, as
 * writing over it is cheaper than making it longer, until nothing was written for a while.
 */

import { DatabaseSync } from "node:sqlite";
import type { Clock, Timer } from "core/env.ts";
import { FopError, fopError } from "core/errno.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, sys } from "core/sys/calls.ts";
import type { Gfid } from "core/inode.ts";
import { allDone } from "core/lib/all_done.ts";
import type { Extent, Summed } from "snapshot/engine/extent.ts";
import type { Segments } from "snapshot/engine/segments.ts";
import { diskFailure } from "snapshot/engine/failures.ts";
import type { Notes } from "snapshot/engine/notes.ts";
import { SharedSync } from "snapshot/engine/shared_sync.ts";
import type { HistoryStore } from "snapshot/engine/store.ts";

/** Where what was preserved has to be before it may be overwritten. */
export type Durability = "strict" | "relaxed";

/** What SQLite's log holds before it moves into the database file: rows, and a few for each group. */
const LOG_MAX = 8192, GROUP_COSTS = 8;

/** After so long without a group the log is cut. Milliseconds. */
const REST_MS = 5000;

/** So many rows that are noted go into the index together, or those that there are after so long. */
const NOTED_MAX = 512, NOTED_MS = 500;

interface Waiting {
  readonly write: () => void;
  readonly rows: number;
  /** Nobody waits for the disk. */
  readonly isLazy: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** See the head of this file. */
export class Journal {
  readonly #store: HistoryStore;
  readonly #segments: Segments;
  readonly #path: string;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #moving: Promise<void> | undefined;
  /** Groups wait for this. */
  #held: Promise<void> | undefined;
  #logged = 0;
  /** Groups so far, and the next look whether there were any since. */
  #groups = 0;
  #rest: Timer | undefined;
  #later: Timer | undefined;
  readonly #log: SharedSync;
  /** Transactions of the store when its log was synced last, and the last note whose row was in it. */
  #synced = 0;
  #safe = 0;
  /** The sync that what is noted now waits for, and the one before it. */
  #next: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  /** A sync failed: what is on the disk is unknown from then on. */
  #failed: FopError | undefined;

  /**
   * `path` is the database file of `store`. Without a clock a log stays as long as it once was; without
   * `notes` none are taken.
   */
  constructor(
    store: HistoryStore,
    segments: Segments,
    path: string,
    public durability: Durability,
    readonly clock?: Clock,
    readonly notes?: Notes,
  ) {
    this.#log = new SharedSync(() => syncFile(`${path}-wal`));
    this.#store = store;
    this.#segments = segments;
    this.#path = path;
  }

  /** Whether rows of data can be noted in this turn. */
  get takesNotes(): boolean {
    const { notes } = this;
    if (!notes || this.#held || this.#failed) return false;
    if (!notes.isFull(this.#reusable)) return true;
    return this.#putNoted() && !notes.isFull(this.#reusable);
  }

  // Notes up to this one may be written over.
  get #reusable(): number {
    return this.durability === "strict" ? this.#safe : this.#store.noted.inIndex;
  }

  /**
   * Keeps a row of data; `takesNotes` said in this turn that it can. Undefined if the row is as durable
   * as was asked for, else that is when this resolves. Throws FopError: there is no row.
   */
  note(gfid: Gfid, extent: Extent, summed: Summed): Promise<void> | undefined {
    const { noted } = this.#store, notes = this.notes!;
    notes.put(gfid, extent);
    noted.add(extent, notes.number, summed);
    this.#logged++;
    if (noted.count >= NOTED_MAX) this.#putNoted();
    else this.#later ??= this.clock?.after(NOTED_MS, () => this.#putNoted());
    return this.durability === "strict" ? this.#next ??= this.#nextSync() : undefined;
  }

  async #nextSync(): Promise<void> {
    // Whoever is called in this turn joins.
    await undefined;
    await this.#syncing?.catch(() => {});
    this.#next = undefined;
    this.#store.noted.seal();
    await (this.#syncing = this.#sync());
  }

  /** What is noted is in the index. Throws FopError: it is not, but safe where it is. */
  putNoted(): void {
    this.#later?.cancel();
    this.#later = undefined;
    if (!this.#store.noted.count) return;
    try {
      this.#store.putNoted();
    } catch (error) {
      throw diskFailure(error);
    }
    this.#count(0);
  }

  // What keeps it from going there, a full disk as a rule, is told to who changes the index next.
  #putNoted(): boolean {
    try {
      this.putNoted();
      return true;
    } catch {
      return false;
    }
  }

  /** Runs `write`, which changes the store, with others in one transaction. Throws FopError: then it has not run. */
  add(write: () => void): Promise<void> {
    return this.#add(write, 1, false);
  }

  /** The same for about `rows` rows that need not be on the disk when this resolves. */
  addLazily(write: () => void, rows: number): Promise<void> {
    return this.#add(write, rows, true);
  }

  #add(write: () => void, rows: number, isLazy: boolean): Promise<void> {
    if (this.#failed) return Promise.reject(this.#failed);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ write, rows, isLazy, resolve, reject });
    this.#running ??= this.#run();
    return promise;
  }

  /**
   * Runs `write` in a transaction of its own that is in the page cache when this resolves, whatever
   * the durability: on the disk not before what was added earlier, and not after what is added later.
   */
  async put(write: () => void): Promise<void> {
    await this.#held;
    if (this.#failed) throw this.#failed;
    this.#commit([{ write }]);
    this.#count(1);
  }

  /** What was added before, and all old data, is on the disk, whatever the durability. Throws FopError. */
  async sync(): Promise<void> {
    if (this.#failed) throw this.#failed;
    this.#log.wrote();
    await this.#sync();
  }

  /** The same of rows only: much old data may wait for the disk with durability `relaxed`. Throws FopError. */
  async syncRows(): Promise<void> {
    if (this.#failed) throw this.#failed;
    try {
      await this.#syncLog();
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * The same, and all rows are in the database file: SQLite's log may go. Nothing may be on its way.
   * Throws FopError.
   */
  async moveAll(): Promise<void> {
    await this.sync();
    this.#store.checkpoint();
    try {
      await syncFile(this.#path);
    } catch (error) {
      this.#fail(error);
    }
    this.#store.cutLog();
  }

  #syncLog(): Promise<void> | undefined {
    this.#log.wrote();
    return this.#log.done();
  }

  /** Resolves when nothing is on its way. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running;
    this.#putNoted();
    this.#rest?.cancel();
    this.#rest = undefined;
    await this.#moving;
  }

  async #run(): Promise<void> {
    // Whoever is called in this turn joins the group.
    await undefined;
    while (this.#waiting.length) {
      await this.#held;
      const group = this.#waiting;
      this.#waiting = [];
      try {
        this.#commit(group);
        const isWaitedFor = group.some(({ isLazy }) => !isLazy);
        if (isWaitedFor && this.durability === "strict") await this.#sync();
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
      this.#count(group.reduce((sum, { rows }) => sum + rows, 0));
    }
    this.#running = undefined;
  }

  #count(rows: number): void {
    this.#logged += rows + GROUP_COSTS;
    this.#groups++;
    if (!this.#moving && this.#logged > LOG_MAX) this.#moving = this.#move();
    if (!this.#rest) this.#lookForRest();
  }

  #lookForRest(): void {
    const before = this.#groups;
    this.#rest = this.clock?.after(REST_MS, () => {
      this.#rest = undefined;
      if (this.#groups !== before) this.#lookForRest();
      else if (!this.#failed) this.#moving ??= this.#move({ cut: true });
    });
  }

  #commit(group: readonly Pick<Waiting, "write">[]): void {
    try {
      this.#store.transaction(() => {
        for (const { write } of group) write();
      });
    } catch (error) {
      throw diskFailure(error);
    }
  }

  async #sync(): Promise<void> {
    const { transactions, noted: { inIndex } } = this.#store;
    if (transactions !== this.#synced) this.#log.wrote();
    this.#synced = transactions;
    try {
      await allDone([this.#segments.sync(), this.notes?.sync(), this.#log.done()]);
    } catch (error) {
      this.#fail(error);
    }
    this.#safe = Math.max(this.#safe, inIndex);
  }

  #fail(error: unknown): never {
    if (error instanceof FopError) this.#failed = error;
    throw error;
  }

  // See the head of this file. What cannot be synced stays in the log.
  async #move({ cut = false } = {}): Promise<void> {
    this.#logged = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    let synced: number;
    try {
      const reader = new DatabaseSync(this.#path, { readOnly: true });
      try {
        reader.exec("BEGIN");
        reader.prepare("SELECT value FROM counter").all();
        // Nothing moves that comes after what is read there.
        await this.#syncLog();
        this.#store.checkpoint();
        await syncFile(this.#path);
        const { end } = this.#segments;
        await this.#segments.sync();
        synced = end;
      } finally {
        reader.close();
      }
      if (!this.#putNoted()) return;
      this.#held = promise;
      this.#store.synced = synced;
      await this.#syncLog();
      this.#store.checkpoint();
      await syncFile(this.#path);
      if (cut) this.#store.cutLog();
    } catch (error) {
      const failure = diskFailure(error);
      // Groups on their way and later ones are told.
      if (!(failure instanceof FopError)) throw failure;
      this.#failed = failure;
    } finally {
      this.#held = undefined;
      this.#moving = undefined;
      resolve();
    }
  }
}

async function syncFile(path: string): Promise<number> {
  const fd = sys.openat(AT_FDCWD, cstring(path), O_CLOEXEC, 0);
  if (fd < 0) throw fopError(fd);
  try {
    const result = await sys.fdatasyncAsync(fd);
    if (result < 0) throw fopError(result);
    return result;
  } finally {
    sys.close(fd);
  }
}
