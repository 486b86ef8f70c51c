/** The clones of a brick in the index of its history. */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { type Gfid, gfidFromBytes } from "core/inode.ts";
import { FOREIGN } from "core/foreign.ts";
import {
  hasUnit,
  OWN_PIECE_BYTES,
  OWN_PIECE_UNITS,
  piecesOf,
  setUnits,
} from "snapshot/engine/own_units.ts";

/** A file that begins as another's old state. */
export interface CloneRow {
  /** Short number of the file. */
  readonly inode: number;
  readonly gfid: Gfid;
  /** Epoch with which it was kept when it lost its last name; 0: it is alive. */
  readonly kept: number;
  /** The reader that says whose state it began as. */
  readonly reader: string;
  /** Units from there on are all its own. */
  readonly units: number;
  /** Blocks of 512 bytes that the origin had. */
  readonly blocks: number;
}

/** A bitmap of own units; those of `holes` may be holes of the file, or have some; the others have data. */
export interface OwnRow {
  readonly piece: number;
  readonly own: Uint8Array;
  readonly holes: Uint8Array;
}

type Key = Pick<CloneRow, "inode" | "kept">;

/** Methods throw what SQLite throws. */
export class CloneRows {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#db = database;
  }

  /** All but those that began as foreign files. */
  all(): CloneRow[] {
    return this.#rows("<>");
  }

  /** Those that began as foreign files, and have something of their own. */
  foreign(): CloneRow[] {
    return this.#rows("=");
  }

  #rows(compared: "=" | "<>"): CloneRow[] {
    const rows = this.#statement(
      "SELECT c.*, i.gfid FROM clone c JOIN inode i ON i.id = c.inode " +
        `WHERE c.reader ${compared} '${FOREIGN}'`,
    ).all() as unknown as (Omit<CloneRow, "gfid"> & { gfid: Uint8Array })[];
    return rows.map((row) => ({ ...row, gfid: gfidFromBytes(row.gfid) }));
  }

  /** Undefined: there is none. */
  find({ inode, kept }: Key): Omit<CloneRow, "gfid"> | undefined {
    return this.#statement("SELECT * FROM clone WHERE inode = ? AND kept = ?")
      .get(inode, kept) as unknown as Omit<CloneRow, "gfid"> | undefined;
  }

  /** Removes those of kept files that are not kept any more. */
  sweep(): void {
    const unkept = "kept <> 0 AND NOT EXISTS (SELECT 1 FROM kept k WHERE k.inode = ";
    for (const table of ["clone", "own"]) {
      this.#statement(
        `DELETE FROM ${table} WHERE ${unkept}${table}.inode AND k.epoch = ${table}.kept)`,
      ).run();
    }
  }

  put({ inode, kept, reader, units, blocks }: Omit<CloneRow, "gfid">): void {
    this.#statement("INSERT OR REPLACE INTO clone VALUES (?, ?, ?, ?, ?)")
      .run(inode, kept, reader, units, blocks);
  }

  remove({ inode, kept }: Key): void {
    for (const table of ["clone", "own"]) {
      this.#statement(`DELETE FROM ${table} WHERE inode = ? AND kept = ?`).run(inode, kept);
    }
  }

  /** The file lost its last name and was kept. */
  keep({ inode, kept }: Key, epoch: number): void {
    for (const table of ["clone", "own"]) {
      this.#statement(`UPDATE ${table} SET kept = ? WHERE inode = ? AND kept = ?`)
        .run(epoch, inode, kept);
    }
  }

  own({ inode, kept }: Key, piece: number): OwnRow | undefined {
    return this.#statement(
      "SELECT piece, own, holes FROM own WHERE inode = ? AND kept = ? AND piece = ?",
    ).get(inode, kept, piece) as OwnRow | undefined;
  }

  owns({ inode, kept }: Key): OwnRow[] {
    return this.#statement(
      "SELECT piece, own, holes FROM own WHERE inode = ? AND kept = ? ORDER BY piece",
    ).all(inode, kept) as unknown as OwnRow[];
  }

  /** Units become its own; `holes`: they need not have data. */
  addOwn(clone: Key, start: number, end: number, holes: boolean): void {
    for (const piece of piecesOf(start, end)) {
      const empty = () => new Uint8Array(OWN_PIECE_BYTES);
      const row = this.own(clone, piece) ?? { piece, own: empty(), holes: empty() };
      setUnits(row.own, piece, start, end);
      if (holes) setUnits(row.holes, piece, start, end);
      this.putOwn(clone, row);
    }
  }

  /** Whether units are all its own and need not have data. */
  mayHaveHoles(clone: Key, start: number, end: number): boolean {
    for (let at = start, row: OwnRow | undefined; at < end; at++) {
      const piece = Math.floor(at / OWN_PIECE_UNITS);
      if (row?.piece !== piece) row = this.own(clone, piece);
      if (!row || !hasUnit(row.holes, at % OWN_PIECE_UNITS)) return false;
    }
    return true;
  }

  putOwn({ inode, kept }: Key, { piece, own, holes }: OwnRow): void {
    this.#statement("INSERT OR REPLACE INTO own VALUES (?, ?, ?, ?, ?)")
      .run(inode, kept, piece, own, holes);
  }

  #statement(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (!statement) this.#statements.set(text, statement = this.#db.prepare(text));
    return statement;
  }
}
