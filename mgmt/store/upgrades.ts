/**
 * Versions of the store's file. The file says its version (`user_version`); step N makes version
 * N of version N-1, and all steps that are missing run in one transaction, so a crash leaves the old
 * version. A step never changes after its release: a change of records is a new step.
 */

import type { DatabaseSync } from "node:sqlite";

/** One step. */
export interface Upgrade {
  /** What it does, for the log. */
  readonly summary: string;
  readonly apply: (database: DatabaseSync) => void;
}

/** Step 1 begins with an empty file. */
export const UPGRADES: readonly Upgrade[] = [
  {
    summary: "records by key",
    apply: (database) =>
      database.exec(
        "CREATE TABLE records (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
      ),
  },
  {
    // Nothing has to change. An older daemon must not open it: it would let a volume with snapshots go.
    summary: "records of snapshots",
    apply: () => {},
  },
];
