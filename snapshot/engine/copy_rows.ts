/**
 * Rows of a history that comes from another copy of the brick, in the index. As long as it is on its
 * way they have negative epochs, so that no reader sees them; `turn_rows.ts` makes them positive.
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { CopyTarget } from "core/history_copies.ts";
import { type Gfid, gfidFromBytes } from "core/inode.ts";
import type { Extent } from "snapshot/engine/store.ts";
import { TurnRows } from "snapshot/engine/turn_rows.ts";

/** A place in the rows of one table, in an order that stays while others go. */
export interface RowPlace {
  readonly epoch: number;
  /** Number of the inode, or of the directory. */
  readonly inode: number;
}

/** How much of a segment is in use. */
export interface SegmentUse {
  readonly segment: number;
  readonly live: number;
  readonly used: number;
}

const TABLES = ["inode_version", "dentry_version", "extent", "kept"] as const;
/** How many of them an arbiter has rows in. */
const OF_ARBITER = 2;

/** Methods throw what SQLite throws. */
export class CopyRows {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly turn: TurnRows;

  constructor(database: DatabaseSync) {
    this.#db = database;
    this.turn = new TurnRows(database);
  }

  /** How many rows there are of epochs before `until` for the other copy. */
  count(until: number, { isArbiter }: Pick<CopyTarget, "isArbiter">): number {
    const tables = isArbiter ? TABLES.slice(0, OF_ARBITER) : TABLES;
    const counts = tables.map((table) =>
      `(SELECT count(*) FROM ${table} WHERE epoch > 0 AND epoch < ${Math.floor(until)})`
    );
    return this.#statement(`SELECT ${counts.join(" + ")} AS rows`).get()!["rows"] as number;
  }

  /** Whether anything is on its way. */
  get any(): boolean {
    return TABLES.some((table) =>
      this.#statement(`SELECT 1 FROM ${table} WHERE epoch < 0 LIMIT 1`).get() !== undefined
    );
  }

  state({ inode, epoch }: RowPlace): Uint8Array | undefined {
    const row = this.#statement("SELECT state FROM inode_version WHERE inode = ? AND epoch = ?")
      .get(inode, epoch);
    return row && row["state"] as Uint8Array;
  }

  /** The gfid of a number; undefined: there is none that makes sense. */
  gfidOf(inode: number): Gfid | undefined {
    const bytes = this.#statement("SELECT gfid FROM inode WHERE id = ?").get(inode)?.["gfid"];
    return bytes instanceof Uint8Array && bytes.length === 16 ? gfidFromBytes(bytes) : undefined;
  }

  /** Bytes of each segment: as they are counted, and as rows name them. */
  segmentsUsed(segmentBytes: number, unit: number): SegmentUse[] {
    return this.#statement(
      "SELECT coalesce(s.id, e.id) AS segment, coalesce(s.live, 0) AS live, " +
        `coalesce(e.used, 0) AS used FROM segment s FULL JOIN (SELECT ` +
        `place / ${segmentBytes} + 1 AS id, sum(units) * ${unit} AS used FROM extent WHERE place >= 0 ` +
        "GROUP BY 1) e ON e.id = s.id",
    ).all() as unknown as SegmentUse[];
  }

  /** Rows of data of one epoch that begin from `start` to before `end`, in units. */
  extents(inode: number, epoch: number, start: number, end: number): Extent[] {
    return this.#statement(
      "SELECT * FROM extent WHERE inode = ? AND epoch = ? AND start >= ? AND start < ? ORDER BY start",
    ).all(inode, epoch, start, end) as unknown as Extent[];
  }

  /** Forgets names and states that are on their way, or had their place taken. */
  dropNames(): void {
    for (const table of ["inode_version", "dentry_version"]) {
      this.#statement(`DELETE FROM ${table} WHERE epoch < 0`).run();
    }
  }

  /** Rows of these epochs are to be looked through for what nobody needs. */
  toCollect(epochs: readonly number[]): void {
    const statement = this.#statement("INSERT OR IGNORE INTO removed VALUES (?)");
    for (const epoch of epochs) statement.run(epoch);
  }

  #statement(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (!statement) this.#statements.set(text, statement = this.#db.prepare(text));
    return statement;
  }
}
