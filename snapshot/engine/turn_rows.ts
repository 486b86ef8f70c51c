/**
 * How rows of another copy's history, which are all there, take the place of the brick's own: some of
 * them in each transaction, so that fops go on in between.
 *
 * Rows of one thing, old and new, change places together: a reader that has been here sees of it the
 * same by both. Which things are done is in the index, so that whoever died goes on. What is not there
 * before all are done is a reader that comes with the other history.
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { decodeName, encodeName } from "core/lib/bytes.ts";

/** Beyond the epochs of what is on its way are those of what it took the place of, until that goes. */
const REPLACED = 2 ** 40;

/** Columns by which rows are of one thing; the parts of a file's data that no row crosses are several. */
const TABLES = [
  { table: "extent", key: "inode, start", first: [-1, -1] },
  { table: "inode_version", key: "inode", first: [-1] },
  { table: "dentry_version", key: "parent, name", first: [-1, ""] },
] as const;

type Key = readonly (number | string)[];

interface Place {
  readonly until: number;
  /** Index into TABLES. */
  readonly table: number;
  readonly key: Key;
}

/** Methods throw what SQLite throws. */
export class TurnRows {
  readonly #db: DatabaseSync;
  #schema: StatementSync | undefined;
  #version = 0;
  #isTurning = false;

  constructor(database: DatabaseSync) {
    this.#db = database;
  }

  /** Rows of epochs before this are changing places; undefined: none are. */
  get until(): number | undefined {
    return this.#place()?.until;
  }

  /** Another number after rows began to change places, and after all did; NaN, which equals nothing, meanwhile. */
  get turns(): number {
    this.#schema ??= this.#statement("PRAGMA schema_version");
    const version = this.#schema.get()!["schema_version"] as number;
    // Tables come and go with it.
    if (version !== this.#version) this.#isTurning = this.#isThere();
    this.#version = version;
    return this.#isTurning ? NaN : version;
  }

  #isThere(): boolean {
    return this.#statement("SELECT 1 FROM sqlite_master WHERE name = 'turn'").get() !== undefined;
  }

  #place(): Place | undefined {
    if (!this.#isThere()) return undefined;
    return JSON.parse(this.#statement("SELECT place FROM turn").get()!["place"] as string);
  }

  /**
   * From now on rows of epochs before `until` change places: those of files that lost their last name
   * at once, as where their data is depends on all of them.
   */
  begin(until: number): void {
    this.#db.exec(
      "CREATE TABLE turn (place TEXT NOT NULL) STRICT; " +
        "CREATE TABLE turn_kept (inode INTEGER PRIMARY KEY) STRICT",
    );
    this.#statement("INSERT INTO turn_kept SELECT DISTINCT inode FROM kept WHERE epoch < ?")
      .run(until);
    this.#change("extent", until, "inode IN (SELECT inode FROM turn_kept)", []);
    // Kept files have their epochs in their names.
    this.#statement("DELETE FROM kept WHERE epoch > 0 AND epoch < ?").run(until);
    this.#statement("UPDATE kept SET epoch = -epoch WHERE epoch < 0").run();
    this.#note({ until, table: 0, key: TABLES[0].first });
  }

  /** The same of about `count` more rows; after the last ones `until` is undefined. */
  some(count: number): void {
    const place = this.#place()!, { until, table: index, key: from } = place;
    const { table, key } = TABLES[index]!, border = this.#border(place, count);
    const marks = from.map(() => "?").join(", ");
    const kept = table === "extent" ? " AND inode NOT IN (SELECT inode FROM turn_kept)" : "";
    const range = `(${key}) >= (${marks})` + (border ? ` AND (${key}) < (${marks})` : "") + kept;
    this.#change(table, until, range, [...from, ...border ?? []].map(encoded));
    const next = TABLES[index + 1];
    if (border) this.#note({ until, table: index, key: border });
    else if (next) this.#note({ until, table: index + 1, key: next.first });
    else this.#db.exec("DROP TABLE turn; DROP TABLE turn_kept");
  }

  // "+": not by the indexes of epochs, which lead to all rows there are.
  #change(table: string, until: number, where: string, values: (number | Uint8Array)[]): void {
    this.#statement(
      `UPDATE ${table} SET epoch = -epoch - ${REPLACED} WHERE +epoch > 0 AND +epoch < ? AND ${where}`,
    ).run(until, ...values);
    this.#statement(
      `UPDATE ${table} SET epoch = -epoch WHERE +epoch < 0 AND +epoch > ${-REPLACED} AND ${where}`,
    ).run(...values);
  }

  /** The first place after `count` rows that none of them crosses; undefined: the end of the table. */
  #border({ until, table: index, key: from }: Place, count: number): Key | undefined {
    const { table, key } = TABLES[index]!, isData = table === "extent";
    for (let limit = count * 2;; limit *= 2) {
      const rows = this.#statement(
        `SELECT ${key}${isData ? ", units" : ""} FROM ${table} WHERE ` +
          `(${key}) >= (${from.map(() => "?").join(", ")}) AND +epoch < ? AND +epoch > ? ` +
          `ORDER BY ${key} LIMIT ?`,
      ).all(...from.map(encoded), until, -REPLACED, limit);
      let end = 0, last: Key | undefined;
      for (const [number, row] of rows.entries()) {
        const { units, ...columns } = row;
        const place = Object.values(columns).map(decoded);
        const isOther = last !== undefined && place[0] !== last[0];
        const isAfter = isData ? Number(place[1]) >= end : place[1] !== last?.[1];
        if (number >= count && (isOther || isAfter)) return place;
        const after = isData ? Number(place[1]) + Number(units) : 0;
        end = isOther ? after : Math.max(end, after);
        last = place;
      }
      if (rows.length < limit) return undefined;
    }
  }

  #note(place: Place): void {
    this.#statement("DELETE FROM turn").run();
    this.#statement("INSERT INTO turn VALUES (?)").run(JSON.stringify(place));
  }

  #statement(text: string): StatementSync {
    return this.#db.prepare(text);
  }
}

function encoded(value: number | string): number | Uint8Array {
  return typeof value === "string" ? encodeName(value) : value;
}

function decoded(value: unknown): number | string {
  return value instanceof Uint8Array ? decodeName(value) : value as number;
}
