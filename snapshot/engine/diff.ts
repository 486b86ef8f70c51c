/**
 * What changed between two readers, or since one: from the index alone, in time that depends on what
 * changed. A row with epoch `e` is of a change after `e` ended and before the next reader began, so
 * rows from the old reader's epoch to before the new one's tell all; what was made longer has no
 * rows there, and is told by the two sizes.
 */

import type { Gfid } from "core/inode.ts";
import type { Entry } from "snapshot/engine/live.ts";
import type { EntryKey, Extent, HistoryStore, VersionKey } from "snapshot/engine/store.ts";
import { UNIT } from "snapshot/engine/units.ts";
import type { View } from "snapshot/engine/view.ts";

/** A range of bytes, `end` excluded. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A name that is not what it was. */
export interface ChangedName {
  readonly parent: Gfid;
  readonly name: string;
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
}

/** The two sides of a comparison: `until` is the new reader's epoch, endless for the live files. */
export interface Sides {
  readonly store: HistoryStore;
  readonly before: View;
  readonly after: Pick<View, "inode" | "entry">;
  readonly until: number;
}

/** Rows of one question. */
const ROWS = 1024;

/** Which bytes of a file are not what they were, in order and merged; a file that is new is all of it. */
export async function changedRanges(sides: Sides, gfid: Gfid): Promise<ByteRange[]> {
  const { store, before, after, until } = sides;
  const [was, is] = [await before.inode(gfid), await after.inode(gfid)];
  const size = is?.iatt.size ?? 0, oldSize = was?.iatt.size ?? 0;
  const id = store.findId(gfid);
  const rows = id === undefined
    ? []
    : store.extents(id, 0, Number.MAX_SAFE_INTEGER, before.epoch).filter((row) =>
      row.epoch < until
    );
  const ranges = rows.map(({ start, units }) => ({
    start: start * UNIT,
    end: Math.min(size, (start + units) * UNIT),
  }));
  ranges.push({ start: oldSize, end: size });
  return merged(ranges.filter(({ start, end }) => start < end));
}

/** Files and directories whose data or attributes changed. */
export function* changedInodes({ store, before, until }: Sides): Generator<Gfid> {
  const seen = new Set<number>();
  const from = before.epoch;
  for (const { inode } of all<Extent>((last) => store.extentsOfEpochs(from, until, last, ROWS))) {
    seen.add(inode);
  }
  for (
    const { inode } of all<VersionKey>((last) => store.versionsOfEpochs(from, until, last, ROWS))
  ) {
    seen.add(inode);
  }
  for (const inode of seen) yield store.gfidOf(inode);
}

/** Names that came, went, or lead to another inode. */
export async function* changedNames(sides: Sides): AsyncGenerator<ChangedName> {
  const { store, before, after, until } = sides;
  const seen = new Set<string>();
  for (
    const { parent, name } of all<EntryKey>((last) =>
      store.entriesOfEpochs(before.epoch, until, last, ROWS)
    )
  ) {
    const key = `${parent}/${name}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const gfid = store.gfidOf(parent);
    const [was, is] = [await before.entry(gfid, name), await after.entry(gfid, name)];
    if (was?.gfid !== is?.gfid) yield { parent: gfid, name, before: was, after: is };
  }
}

/** All rows that `next` answers in parts, each the ones after the last of the part before. */
function* all<T>(next: (last: T | undefined) => readonly T[]): Generator<T> {
  for (let rows = next(undefined); rows.length; rows = next(rows.at(-1))) yield* rows;
}

function merged(ranges: readonly ByteRange[]): ByteRange[] {
  const all: { start: number; end: number }[] = [];
  for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = all.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else all.push({ start, end });
  }
  return all;
}
