/**
 * Which data of a file changed between two readers, or since one: from the index alone, in time that
 * depends on what changed. A row with epoch `e` is of a change after `e` ended and before the next
 * reader began, so rows from the older side's epoch to before the newer one's tell all; what was made
 * longer has no rows there, and is told by the two sizes. Told are whole units: what was written and
 * is as it was, too; and all of a file that was made anew with the gfid of one that had gone.
 */

import type { RangesPage } from "core/history_orders.ts";
import type { Gfid } from "core/inode.ts";
import { hasNoName, type InodeState, type Live } from "snapshot/engine/live.ts";
import type { HistoryStore } from "snapshot/engine/store.ts";
import { UNIT, type UnitRange } from "snapshot/engine/units.ts";
import type { View } from "snapshot/engine/view.ts";

/** A range of bytes, `end` excluded. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** The two sides of a comparison; `before` need not be the older one. */
export interface Sides {
  readonly store: HistoryStore;
  readonly before: View;
  readonly after: View | Live;
  /** Epochs of rows that tell of changes in between. */
  readonly from: number;
  /** Excluded; endless for the live files. */
  readonly until: number;
  /** The only file that both see; undefined: the volume. */
  readonly file: Gfid | undefined;
}

/** Most ranges of a page. */
const COUNT_MAX = 4096;

/** What one side sees of an inode. */
export async function stateIn(side: View | Live, gfid: Gfid): Promise<InodeState | undefined> {
  const state = await side.inode(gfid);
  return state && hasNoName(state) ? undefined : state;
}

/** Which bytes of a file are not what they were: see `HistoryOrders.changedRanges`. */
export async function rangesPage(
  sides: Sides,
  gfid: Gfid,
  from: number,
  count: number,
): Promise<RangesPage> {
  const { before, after } = sides;
  const [was, is] = [await stateIn(before, gfid), await stateIn(after, gfid)];
  const oldSize = was?.iatt.size, nowSize = is?.iatt.size;
  const size = nowSize ?? 0, same = isAnew(sides, gfid) ? 0 : oldSize ?? 0;
  const most = Math.max(1, Math.min(count, COUNT_MAX));
  const units = { start: Math.floor(from / UNIT), end: Math.ceil(same / UNIT) };
  const { rows, until } = rowsFrom(sides, gfid, units, 2 * most);
  const ranges = rows.map(({ start, end }) => ({ start: start * UNIT, end: end * UNIT }));
  // Where rows may be missing, it is the next page's to tell.
  const limit = Math.min(size, until * UNIT);
  ranges.push({ start: same, end: size });
  const told = merged(
    ranges.map(({ start, end }) => ({ start: Math.max(from, start), end: Math.min(limit, end) }))
      .filter(({ start, end }) => start < end),
  );
  const some = told.slice(0, most);
  const next = some.length < told.length ? some.at(-1)!.end : limit < size ? limit : undefined;
  return {
    ranges: some.map(({ start, end }) => ({ offset: start, length: end - start })),
    ...{ oldSize, nowSize, next },
  };
}

/** All of them, in order and merged; a file that is new is all of it. */
export async function changedRanges(sides: Sides, gfid: Gfid): Promise<ByteRange[]> {
  const all: ByteRange[] = [];
  for (let from: number | undefined = 0; from !== undefined;) {
    const page: RangesPage = await rangesPage(sides, gfid, from, COUNT_MAX);
    all.push(...page.ranges.map(({ offset, length }) => ({ start: offset, end: offset + length })));
    from = page.next;
  }
  return merged(all);
}

/** Whether data of a file, which has had `size` bytes before and after, was written. */
export function isWritten({ store, from, until, ...sides }: Sides, gfid: Gfid, size: number) {
  const id = store.findId(gfid), units = Math.ceil(size / UNIT);
  return id !== undefined && units > 0 && (store.hasExtents(id, units, from, until) ||
    isAnew({ store, from, until, ...sides }, gfid));
}

/** Whether the file that had the gfid went, and another one has it now. */
function isAnew({ store, from, until }: Sides, gfid: Gfid): boolean {
  const id = store.findId(gfid);
  const kept = id === undefined ? undefined : store.kept(id, from);
  return kept !== undefined && kept < until;
}

/**
 * About `count` rows of a range of units, epoch by epoch; all there are of units before `until`, which
 * is beyond the range's start.
 */
function rowsFrom(
  { store, from, until: epochs }: Sides,
  gfid: Gfid,
  { start: first, end }: UnitRange,
  count: number,
): { rows: UnitRange[]; until: number } {
  const id = store.findId(gfid), rows: UnitRange[] = [];
  let until = Infinity;
  if (id === undefined || first >= end) return { rows, until };
  const all = store.extentEpochs(from, epochs);
  const most = Math.max(2, Math.floor(count / Math.max(1, all.length)));
  for (const epoch of all) {
    const some = store.extentsOfEpoch(id, epoch, first, most);
    if (some.length === most) until = Math.min(until, some.at(-1)!.start);
    for (const { start, units } of some) rows.push({ start, end: start + units });
  }
  return { rows, until };
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
