/** What SQLite's failures mean to people (https://sqlite.org/rescode.html). */

import { plain } from "mgmt/plain.ts";
import { StoreError } from "mgmt/store/store.ts";

const ADVICE: ReadonlyMap<number, string> = new Map([
  [8, "it is read-only; mount the file system for writing and try again"],
  [10, "the disk fails to read or write; look at the kernel's log, replace the disk"],
  [11, "it is damaged; restart the daemon, which keeps it aside and says what to do"],
  [13, "the disk is full; make room and try again"],
  [14, "it cannot be opened; look at its rights and those of its directory"],
  [26, "it is damaged; restart the daemon, which keeps it aside and says what to do"],
]);

const SQLITE_CORRUPT = 11, SQLITE_NOTADB = 26;

/** Number of the failure without what makes it more precise; undefined if it is none of SQLite's. */
function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  if (error.code !== "ERR_SQLITE_ERROR") return undefined;
  return "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : 0;
}

/** "What: why, and what to do" for a failure of SQLite; other errors stay what they are. */
export function storeError(error: unknown, what: string): unknown {
  const code = sqliteCode(error);
  if (code === undefined) return error;
  return new StoreError(`${what}: ${ADVICE.get(code) ?? plain(error)}`, { cause: error });
}

/** Whether the failure says that what the file holds is not a store as we write it. */
export function saysDamaged(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB;
}
