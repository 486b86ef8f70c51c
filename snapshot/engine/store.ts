/**
 * The index of a brick's history: one SQLite database. Statements are here and nowhere else.
 *
 * It never waits for the disk: SQLite writes without syncing, and `journal.ts` says when what was
 * written has to be on the disk, and syncs the files on another thread. After a loss of power SQLite
 * takes the part of its log that is whole, and all that we waited for is in that.
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { HistoryReader } from "core/history_orders.ts";
import { type Gfid, gfidFromBytes, gfidToBytes } from "core/inode.ts";
import { decodeName, encodeName } from "core/lib/bytes.ts";
import { CommitCount } from "snapshot/engine/commit_count.ts";
import { CloneRows } from "snapshot/engine/clone_rows.ts";
import { CopyRows } from "snapshot/engine/copy_rows.ts";
import { type Extent, ZEROS } from "snapshot/engine/extent.ts";
import { NotedRows } from "snapshot/engine/noted.ts";
import { APPLICATION_ID, UPGRADES } from "snapshot/engine/schema.ts";
import { segmentOf } from "snapshot/engine/segments.ts";
import { EXTENT_UNITS_MAX, UNIT } from "snapshot/engine/units.ts";

/** The history of a brick cannot be used: the message says which file, why, and what to do. */
export class HistoryError extends Error {
  override name = "HistoryError";
}

/** Who reads an old state. */
export type Reader = HistoryReader;

export { type Extent, ZEROS };

/** What a name was. */
export interface OldEntry {
  readonly name: string;
  /** Undefined: there was no such name. */
  readonly gfid: Gfid | undefined;
  readonly type: number;
  readonly epoch: number;
}

/** Which state of an inode. */
export interface VersionKey {
  readonly inode: number;
  readonly epoch: number;
}

/** What a name of a directory was. */
export interface EntryKey extends OldEntry {
  readonly parent: number;
}

/** As many epochs are looked through one by one; beyond that, all rows of the file in question. */
const EPOCHS_MAX = 16;

/** How long a statement waits for another process. Milliseconds. */
const BUSY_MS = 5000;

/** Most gfids whose numbers are remembered. */
const IDS_MAX = 65_536;

/** See the head of this file. Methods throw what SQLite throws. */
export class HistoryStore {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #ids = new Map<Gfid, number>();
  /** Inodes that may have been kept. */
  #keptInodes: Set<number> | undefined;
  readonly clones: CloneRows;
  readonly copies: CopyRows;
  /** Rows of data that go into the index with the next transaction, whatever that is for. */
  readonly noted = new NotedRows();
  /** How many there were. */
  transactions = 0;
  /** Undefined: of an index that is looked at, by whose process nothing was counted yet. */
  readonly #count: CommitCount | undefined;

  private constructor(database: DatabaseSync, count: CommitCount | undefined) {
    this.#db = database;
    this.#count = count;
    this.clones = new CloneRows(database);
    this.copies = new CopyRows(database);
  }

  /** Opens or makes the index at `path`. Throws HistoryError if it is damaged, newer or another's. */
  static open(path: string): HistoryStore {
    return HistoryStore.#opened(path, new DatabaseSync(path), prepare, CommitCount.keep);
  }

  /** The same to look at only. HistoryError as well if there is none, or if it is older. */
  static look(path: string): HistoryStore {
    let database: DatabaseSync;
    try {
      database = new DatabaseSync(path, { readOnly: true });
    } catch (error) {
      throw new HistoryError(`there is no history "${path}" (${messageOf(error)})`, {
        cause: error,
      });
    }
    database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    return HistoryStore.#opened(path, database, refuseOthers, CommitCount.look);
  }

  static #opened(
    path: string,
    database: DatabaseSync,
    prepare: (database: DatabaseSync, path: string) => void,
    counted: (path: string) => CommitCount | undefined,
  ): HistoryStore {
    let count: CommitCount | undefined;
    try {
      prepare(database, path);
      count = counted(`${path}-count`);
    } catch (error) {
      database.close();
      if (error instanceof HistoryError) throw error;
      throw new HistoryError(
        `the history "${path}" cannot be read (${messageOf(error)}); put a good copy of it back, ` +
          "or replace the brick so that it gets its history from its replica",
        { cause: error },
      );
    }
    return new HistoryStore(database, count);
  }

  close(): void {
    this.#count?.[Symbol.dispose]();
    this.#db.close();
  }

  /** Runs `change` as a whole or not at all, after what is noted. */
  transaction<T>(change: () => T): T {
    this.#run("BEGIN IMMEDIATE");
    const noted = this.noted.take();
    try {
      this.#putNoted(noted);
      const result = change();
      this.#count?.begin();
      this.#run("COMMIT");
      this.transactions++;
      if (noted.length) this.noted.inIndex = this.noted.number;
      return result;
    } catch (error) {
      // A full disk may have ended it already.
      if (this.#db.isTransaction) this.#run("ROLLBACK");
      this.#ids.clear();
      this.noted.giveBack(noted);
      throw error;
    } finally {
      this.#count?.end();
    }
  }

  /** Puts what is noted into the index. */
  putNoted(): void {
    if (this.noted.count) this.transaction(() => {});
  }

  #putNoted(rows: readonly Extent[]): void {
    if (!rows.length) return;
    // As they lie in the index.
    this.putExtents(rows.toSorted(byPlaceInIndex));
    this.notedUpTo = this.noted.number;
  }

  /** All rows that have notes up to this number are in the index. */
  get notedUpTo(): number {
    return this.#counter("noted");
  }

  set notedUpTo(number: number) {
    this.#run("UPDATE counter SET value = ? WHERE name = 'noted'", number);
  }

  /** Moves what the log holds into the database file; the caller syncs. */
  checkpoint(): void {
    this.#statement("PRAGMA wal_checkpoint(PASSIVE)").get();
  }

  /** Makes the log empty, if all that it holds was moved and nobody reads: nothing is waited for. */
  cutLog(): void {
    this.#db.exec("PRAGMA busy_timeout = 0");
    try {
      this.#statement("PRAGMA wal_checkpoint(TRUNCATE)").get();
    } finally {
      this.#db.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    }
  }

  /** Another number after another process changed something, and before anything changes in files for that. */
  get dataVersion(): number {
    // SQLite's own numbers are not mixed up with those that were counted.
    return this.#count?.read() ??
      -(this.#statement("PRAGMA data_version").get()!["data_version"] as number);
  }

  /** Of an index that another process writes: what was remembered may not be so any more. */
  forget(): void {
    this.#keptInodes = undefined;
  }

  /** What is wrong with the database itself, a line each; nothing if it is sound. */
  damage(): string[] {
    const rows = this.#statement("PRAGMA integrity_check").all() as { integrity_check: string }[];
    return rows.map((row) => row.integrity_check).filter((line) => line !== "ok");
  }

  /** Rows that say how something was. */
  rows(): number {
    const tables = ["inode_version", "dentry_version", "extent", "kept"];
    const counts = tables.map((table) => `(SELECT count(*) FROM ${table})`);
    const { rows } = this.#statement(`SELECT ${counts.join(" + ")} AS rows`).get()!;
    return rows as number + this.noted.count;
  }

  // Epochs and readers.

  /** The epoch that is going on. */
  epoch(): number {
    return this.#counter("epoch");
  }

  /** Makes sure that the epoch that is going on is at least this. */
  reachEpoch(epoch: number): void {
    this.#run("UPDATE counter SET value = max(value, ?) WHERE name = 'epoch'", epoch);
  }

  /** Whether a process has it open, or ended without closing it. */
  get isOpen(): boolean {
    return this.#counter("open") !== 0;
  }

  set isOpen(open: boolean) {
    this.#run("UPDATE counter SET value = ? WHERE name = 'open'", open ? 1 : 0);
  }

  /** All that has a place below this is on the disk. */
  get synced(): number {
    return this.#counter("synced");
  }

  set synced(place: number) {
    this.#run("UPDATE counter SET value = ? WHERE name = 'synced'", place);
  }

  /** Newest last. */
  readers(): Reader[] {
    const rows = this.#statement(
      "SELECT r.*, i.gfid FROM reader r LEFT JOIN inode i ON i.id = r.scope ORDER BY r.epoch, r.id",
    ).all() as unknown as ReaderRow[];
    return rows.map((row) => ({
      id: row.id,
      kind: row.kind,
      file: row.scope === 0 ? undefined : gfidFromBytes(row.gfid!),
      epoch: row.epoch,
      name: row.name,
      created: row.created,
      active: row.active !== 0,
    }));
  }

  /** Adds a reader, or changes the one with its id. */
  putReader(reader: Reader): void {
    this.#run(
      "INSERT INTO reader VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET " +
        "kind = excluded.kind, name = excluded.name, active = excluded.active",
      reader.id,
      reader.kind,
      reader.file === undefined ? 0 : this.idOf(reader.file),
      reader.epoch,
      reader.name,
      reader.created,
      reader.active ? 1 : 0,
    );
  }

  /** Takes a reader away; its rows are to be looked through. */
  removeReader({ id, epoch }: Reader): void {
    this.#run("DELETE FROM reader WHERE id = ?", id);
    this.#run("INSERT OR IGNORE INTO removed VALUES (?)", epoch);
  }

  /** Epochs of readers that went and whose rows are to be looked through, oldest first. */
  removed(): number[] {
    return this.#statement("SELECT epoch FROM removed ORDER BY epoch").all()
      .map((row) => row["epoch"] as number);
  }

  /** The rows of a reader that went were looked through. */
  collected(epoch: number): void {
    this.#run("DELETE FROM removed WHERE epoch = ?", epoch);
  }

  // Inodes.

  /** The number of a file, undefined if nothing is known of it. */
  findId(gfid: Gfid): number | undefined {
    const known = this.#ids.get(gfid);
    if (known !== undefined) return known;
    const row = this.#statement("SELECT id FROM inode WHERE gfid = ?").get(gfidToBytes(gfid));
    if (!row) return undefined;
    return this.#remember(gfid, row["id"] as number);
  }

  /** The number of a file, given to it now if it has none. */
  idOf(gfid: Gfid): number {
    const known = this.findId(gfid);
    if (known !== undefined) return known;
    const { lastInsertRowid } = this.#statement("INSERT INTO inode (gfid) VALUES (?)")
      .run(gfidToBytes(gfid));
    return this.#remember(gfid, Number(lastInsertRowid));
  }

  #remember(gfid: Gfid, id: number): number {
    if (this.#ids.size >= IDS_MAX) this.#ids.clear();
    this.#ids.set(gfid, id);
    return id;
  }

  gfidOf(inode: number): Gfid {
    const row = this.#statement("SELECT gfid FROM inode WHERE id = ?").get(inode);
    return gfidFromBytes(row!["gfid"] as Uint8Array);
  }

  // States of inodes.

  putVersion(inode: number, epoch: number, state: Uint8Array): void {
    this.#run("INSERT OR IGNORE INTO inode_version VALUES (?, ?, ?)", inode, epoch, state);
  }

  /** The state of an inode that a reader of `epoch` sees, undefined if it did not change since. */
  version(inode: number, epoch: number): { epoch: number; state: Uint8Array } | undefined {
    return this.#statement(
      "SELECT epoch, state FROM inode_version WHERE inode = ? AND epoch >= ? ORDER BY epoch LIMIT 1",
    ).get(inode, epoch) as { epoch: number; state: Uint8Array } | undefined;
  }

  removeVersion(inode: number, epoch: number): void {
    this.#run("DELETE FROM inode_version WHERE inode = ? AND epoch = ?", inode, epoch);
  }

  /** Up to `count` states with epochs from `from` to before `until`, after `after` in their order. */
  versionsOfEpochs(
    from: number,
    until: number,
    after: VersionKey | undefined,
    count: number,
  ): VersionKey[] {
    const { epoch, inode } = after ?? { epoch: from, inode: -1 };
    return this.#statement(
      "SELECT inode, epoch FROM inode_version WHERE epoch < ? AND (epoch, inode) > (?, ?) " +
        "ORDER BY epoch, inode LIMIT ?",
    ).all(until, epoch, inode, count) as unknown as VersionKey[];
  }

  // Names.

  putEntry(parent: number, entry: OldEntry): void {
    this.#run(
      "INSERT OR IGNORE INTO dentry_version VALUES (?, ?, ?, ?, ?)",
      parent,
      encodeName(entry.name),
      entry.epoch,
      entry.gfid === undefined ? null : gfidToBytes(entry.gfid),
      entry.type,
    );
  }

  /** What a reader of `epoch` sees behind a name, undefined if that did not change since. */
  entry(parent: number, name: string, epoch: number): OldEntry | undefined {
    const row = this.#statement(
      "SELECT name, epoch, gfid, type FROM dentry_version WHERE parent = ? AND name = ? AND " +
        "epoch >= ? ORDER BY epoch LIMIT 1",
    ).get(parent, encodeName(name), epoch) as unknown as EntryRow | undefined;
    return row && entryOf(row);
  }

  /** All names of a directory that changed since, as a reader of `epoch` sees them. */
  entries(parent: number, epoch: number): OldEntry[] {
    const rows = this.#statement(
      "SELECT name, min(epoch) AS epoch, gfid, type FROM dentry_version WHERE parent = ? AND " +
        "epoch >= ? GROUP BY name",
    ).all(parent, epoch) as unknown as EntryRow[];
    return rows.map(entryOf);
  }

  /** Names that changed since, and lead a reader of `epoch` to the inode. */
  namesOf(gfid: Gfid, epoch: number): { parent: Gfid; name: string }[] {
    const rows = this.#statement(
      "SELECT i.gfid AS gfid, d.name AS name FROM dentry_version d JOIN inode i ON i.id = d.parent " +
        "WHERE d.gfid = ? AND d.epoch >= ? AND NOT EXISTS (SELECT 1 FROM dentry_version o WHERE " +
        "o.parent = d.parent AND o.name = d.name AND o.epoch >= ? AND o.epoch < d.epoch)",
    ).all(gfidToBytes(gfid), epoch, epoch) as { gfid: Uint8Array; name: Uint8Array }[];
    return rows.map(({ gfid, name }) => ({ parent: gfidFromBytes(gfid), name: decodeName(name) }));
  }

  removeEntry(parent: number, name: string, epoch: number): void {
    this.#run(
      "DELETE FROM dentry_version WHERE parent = ? AND name = ? AND epoch = ?",
      parent,
      encodeName(name),
      epoch,
    );
  }

  /** Up to `count` names with epochs from `from` to before `until`, after `after` in their order. */
  entriesOfEpochs(
    from: number,
    until: number,
    after: EntryKey | undefined,
    count: number,
  ): EntryKey[] {
    const { epoch, parent, name } = after ?? { epoch: from, parent: -1, name: "" };
    const rows = this.#statement(
      "SELECT parent, name, epoch, gfid, type FROM dentry_version WHERE epoch < ? AND " +
        "(epoch, parent, name) > (?, ?, ?) ORDER BY epoch, parent, name LIMIT ?",
    ).all(until, epoch, parent, encodeName(name), count) as unknown as (EntryRow & {
      parent: number;
    })[];
    return rows.map((row) => ({ ...entryOf(row), parent: row.parent }));
  }

  // Data.

  putExtent(extent: Extent): void {
    this.#run(
      "INSERT INTO extent VALUES (?, ?, ?, ?, ?, ?)",
      extent.inode,
      extent.start,
      extent.epoch,
      extent.units,
      extent.place,
      extent.crc,
    );
  }

  /** The same of several, and of what they take of segments. */
  putExtents(extents: readonly Extent[]): void {
    for (const extent of extents) this.putExtent(extent);
    for (const [segment, bytes] of bytesIn(extents)) this.addLive(segment, bytes);
  }

  removeExtent({ inode, start, epoch }: Extent): void {
    this.#run(
      "DELETE FROM extent WHERE inode = ? AND start = ? AND epoch = ?",
      inode,
      start,
      epoch,
    );
  }

  /** The extents of `start` to before `end` (units) with epochs from `epoch` on, newest first. */
  extents(inode: number, start: number, end: number, epoch: number): Extent[] {
    const rows = this.#statement(
      "SELECT * FROM extent WHERE inode = ? AND start > ? AND start < ? AND epoch >= ? AND " +
        "start + units > ? ORDER BY epoch DESC",
    ).all(inode, start - EXTENT_UNITS_MAX, end, epoch, start) as unknown as Extent[];
    const noted = this.noted.count ? this.noted.in(inode, start, end, epoch) : [];
    return noted.length ? [...noted, ...rows].sort(newestFirst) : rows;
  }

  /** Up to `count` extents with epochs from `from` to before `until`, after `after` in their order. */
  extentsOfEpochs(from: number, until: number, after: Extent | undefined, count: number): Extent[] {
    const { epoch, inode, start } = after ?? { epoch: from, inode: -1, start: -1 };
    this.putNoted();
    return this.#statement(
      "SELECT * FROM extent WHERE epoch < ? AND (epoch, inode, start) > (?, ?, ?) " +
        "ORDER BY epoch, inode, start LIMIT ?",
    ).all(until, epoch, inode, start, count) as unknown as Extent[];
  }

  /** The first `most` epochs from `from` to before `until` that any extent has. */
  extentEpochs(from: number, until: number, most = Infinity): number[] {
    const epochs: number[] = [];
    this.putNoted();
    for (let at = from; epochs.length < most;) {
      const row = this.#statement("SELECT min(epoch) AS epoch FROM extent WHERE epoch >= ?").get(
        at,
      );
      const epoch = row!["epoch"] as number | null;
      if (epoch === null || epoch >= until) return epochs;
      epochs.push(epoch);
      at = epoch + 1;
    }
    return epochs;
  }

  /** Up to `count` extents of one epoch that end after unit `from`, in order. */
  extentsOfEpoch(inode: number, epoch: number, from: number, count: number): Extent[] {
    this.putNoted();
    return this.#statement(
      "SELECT * FROM extent WHERE epoch = ? AND inode = ? AND start > ? AND start + units > ? " +
        "ORDER BY start LIMIT ?",
    ).all(epoch, inode, from - EXTENT_UNITS_MAX, from, count) as unknown as Extent[];
  }

  /** Whether there is an extent from unit 0 to before `end` with an epoch from `from` to before `until`. */
  hasExtents(inode: number, end: number, from: number, until: number): boolean {
    const epochs = this.extentEpochs(from, until, EPOCHS_MAX);
    if (epochs.length < EPOCHS_MAX) {
      return epochs.some((epoch) => {
        const [first] = this.extentsOfEpoch(inode, epoch, 0, 1);
        return first !== undefined && first.start < end;
      });
    }
    return this.#statement(
      "SELECT 1 FROM extent WHERE inode = ? AND start < ? AND +epoch >= ? AND +epoch < ? LIMIT 1",
    ).get(inode, end, from, until) !== undefined;
  }

  /** The next file with extents after this one; undefined: there is none. */
  nextWithExtents(inode: number): number | undefined {
    this.putNoted();
    const row = this.#statement("SELECT inode FROM extent WHERE inode > ? ORDER BY inode LIMIT 1")
      .get(inode);
    return row && row["inode"] as number;
  }

  /** The first unit from `from` on that has an extent; undefined: none has. */
  nextUnit(inode: number, from: number): number | undefined {
    const row = this.#statement(
      "SELECT start FROM extent WHERE inode = ? AND start > ? AND start + units > ? " +
        "ORDER BY start LIMIT 1",
    ).get(inode, from - EXTENT_UNITS_MAX, from);
    const noted = this.noted.in(inode, from, Infinity, -Infinity).map(({ start }) => start);
    const next = Math.min(row ? row["start"] as number : Infinity, ...noted);
    return next === Infinity ? undefined : Math.max(from, next);
  }

  // Files without a name.

  putKept(inode: number, epoch: number): void {
    this.#keptInodes?.add(inode);
    this.#run("INSERT OR IGNORE INTO kept VALUES (?, ?)", inode, epoch);
  }

  removeKept(inode: number, epoch: number): void {
    this.#run("DELETE FROM kept WHERE inode = ? AND epoch = ?", inode, epoch);
  }

  /** The epoch of the file in which a reader of `epoch` finds data; undefined: in the live file. */
  kept(inode: number, epoch: number): number | undefined {
    // Asked on every read of old data.
    this.#keptInodes ??= new Set(this.allKept().map((row) => row.inode));
    if (!this.#keptInodes.has(inode)) return undefined;
    const row = this.#statement(
      "SELECT epoch FROM kept WHERE inode = ? AND epoch >= ? ORDER BY epoch LIMIT 1",
    ).get(inode, epoch);
    return row && row["epoch"] as number;
  }

  /** The newest epoch before `epoch` for which a file was kept; undefined: there is none. */
  keptBefore(inode: number, epoch: number): number | undefined {
    const row = this.#statement(
      "SELECT epoch FROM kept WHERE inode = ? AND epoch < ? ORDER BY epoch DESC LIMIT 1",
    ).get(inode, epoch);
    return row && row["epoch"] as number;
  }

  /** Rows of kept files changed otherwise. */
  forgetKept(): void {
    this.#keptInodes = undefined;
  }

  allKept(): { inode: number; epoch: number }[] {
    return this.#statement("SELECT inode, epoch FROM kept ORDER BY inode, epoch").all() as {
      inode: number;
      epoch: number;
    }[];
  }

  // Segments.

  /** Bytes in use change by `bytes`; answers how many are in use now. */
  addLive(segment: number, bytes: number): number {
    const row = this.#statement(
      "INSERT INTO segment VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET live = live + " +
        "excluded.live RETURNING live",
    ).get(segment, bytes);
    return row!["live"] as number;
  }

  removeSegment(segment: number): void {
    this.#run("DELETE FROM segment WHERE id = ?", segment);
  }

  /** Bytes in use by segment. */
  segments(): Map<number, number> {
    const rows = this.#statement("SELECT id, live FROM segment").all() as {
      id: number;
      live: number;
    }[];
    const used = new Map(rows.map(({ id, live }) => [id, live]));
    for (const [id, bytes] of bytesIn(this.noted.all)) used.set(id, (used.get(id) ?? 0) + bytes);
    return used;
  }

  #counter(name: string): number {
    return this.#statement("SELECT value FROM counter WHERE name = ?").get(
      name,
    )!["value"] as number;
  }

  #run(text: string, ...values: (number | string | Uint8Array | null)[]): void {
    this.#statement(text).run(...values);
  }

  #statement(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (!statement) this.#statements.set(text, statement = this.#db.prepare(text));
    return statement;
  }
}

/** What rows take of each segment. */
function bytesIn(extents: readonly Extent[]): Map<number, number> {
  const bytes = new Map<number, number>();
  for (const { place, units } of extents) {
    if (place === ZEROS) continue;
    const segment = segmentOf(place);
    bytes.set(segment, (bytes.get(segment) ?? 0) + units * UNIT);
  }
  return bytes;
}

function byPlaceInIndex(one: Extent, other: Extent): number {
  return one.inode - other.inode || one.start - other.start;
}

function newestFirst(one: Extent, other: Extent): number {
  return other.epoch - one.epoch;
}

interface ReaderRow {
  id: string;
  kind: "snapshot" | "clone";
  scope: number;
  epoch: number;
  name: string;
  created: number;
  active: number;
  gfid: Uint8Array | null;
}

interface EntryRow {
  name: Uint8Array;
  epoch: number;
  gfid: Uint8Array | null;
  type: number;
}

function entryOf({ name, epoch, gfid, type }: EntryRow): OldEntry {
  return {
    name: decodeName(name),
    gfid: gfid ? gfidFromBytes(gfid) : undefined,
    type,
    epoch,
  };
}

function refuseOthers(database: DatabaseSync, path: string): void {
  const version = numberOf(database, "user_version");
  if (numberOf(database, "application_id") !== APPLICATION_ID || version !== UPGRADES.length) {
    throw new HistoryError(
      `"${path}" is no history of this version (${UPGRADES.length}); start the brick once, so that ` +
        "an older one becomes one",
    );
  }
}

function numberOf(database: DatabaseSync, pragma: string): number {
  return Object.values(database.prepare(`PRAGMA ${pragma}`).get()!)[0] as number;
}

function prepare(database: DatabaseSync, path: string): void {
  const number = (pragma: string) => numberOf(database, pragma);
  database.exec(
    `PRAGMA busy_timeout = ${BUSY_MS}; ` +
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0; " +
      "PRAGMA cache_size = -4096",
  );
  const version = number("user_version"), id = number("application_id");
  if (version > UPGRADES.length) {
    throw new HistoryError(
      `the history "${path}" was written by a newer mortar (version ${version}, this one reads up ` +
        `to ${UPGRADES.length}); start that one`,
    );
  }
  const isNew = version === 0 && number("page_count") <= 1 && id === 0;
  if (!isNew && id !== APPLICATION_ID) {
    throw new HistoryError(`"${path}" is another program's database; move it away`);
  }
  for (let step = version; step < UPGRADES.length; step++) {
    database.exec(
      `BEGIN; ${UPGRADES[step]} PRAGMA application_id = ${APPLICATION_ID}; ` +
        `PRAGMA user_version = ${step + 1}; COMMIT`,
    );
  }
  // Reads the schema and a page of each table: a file cut short fails here, not under a write.
  for (
    const table of ["reader", "inode", "inode_version", "dentry_version", "extent", "kept", "clone"]
  ) {
    database.prepare(`SELECT 1 FROM ${table} LIMIT 1`).get();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
