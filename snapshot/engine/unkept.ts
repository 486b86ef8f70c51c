/**
 * A mark that files changed while their history could not be used: what they were is lost to its
 * snapshots, which must not be taken for exact when it can be used again.
 */

import { exists } from "core/lib/files.ts";
import { HistoryError } from "snapshot/engine/store.ts";

const MARK = "unkept";

/** Leaves the mark in a history's directory; a directory that is not there has no snapshots. */
export function markUnkept(directory: string): void {
  try {
    Deno.writeTextFileSync(`${directory}/${MARK}`, "");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Throws HistoryError if the mark is there. */
export function refuseUnkept(directory: string): void {
  if (!exists(`${directory}/${MARK}`)) return;
  throw new HistoryError(
    `files changed while the history "${directory}" could not be used, so its snapshots are not ` +
      `exact; remove "${directory}/${MARK}" to use them as they are, or the directory to be rid of them`,
  );
}
