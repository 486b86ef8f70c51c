/**
 * Brings the old states of one copy of a brick to another, by the orders of `core/history_copies.ts`:
 * first it is made sure that both see the same files, then rows and data go over in pieces.
 *
 * Every so often what was brought is made to last, and how far that is, is told: who begins again goes
 * on from there.
 */

import type { CopyTarget, HistoryCopies, OldData, OldFile, OldRow } from "core/history_copies.ts";
import { S_IFDIR } from "core/iatt.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";

/** How far it is. */
export interface CopyPlace {
  /** Files were compared. */
  readonly compared: boolean;
  /** Where rows go on; "" is the beginning. */
  readonly after: string;
  readonly done: number;
  readonly total: number;
}

/** What is to be brought. */
export interface HistoryCopy {
  readonly from: HistoryCopies;
  readonly to: HistoryCopies;
  /** The reader that began at both at one moment. */
  readonly id: string;
  readonly epoch: number;
  readonly target: CopyTarget;
  /** As far as `note` was told. */
  readonly place?: CopyPlace;
  readonly note: (place: CopyPlace) => Promise<void>;
}

const BEGIN: CopyPlace = { compared: false, after: "", done: 0, total: 0 };
const UNIT = 4096, DATA_BYTES = 1024 * 1024;
/** Pages between two notes of how far it is. */
const PAGES_PER_NOTE = 16;

/** See the head of this file. Throws what the orders throw, and the signal's reason. */
export async function copyHistory(copy: HistoryCopy, signal: AbortSignal): Promise<void> {
  const { from, to, epoch, target, note } = copy;
  let { compared, after, done, total } = copy.place ?? BEGIN;
  if (!compared) {
    await to.begin();
    await compareTrees(copy, signal);
    await to.keep();
    await note({ compared: true, after, done, total });
    compared = true;
  }
  for (let page = 1, next: string | undefined = after; next !== undefined; page++) {
    signal.throwIfAborted();
    const answer = await from.rows(epoch, next, target);
    total ||= answer.total;
    await bring(copy, answer.rows, signal);
    done += answer.rows.length;
    next = answer.next;
    if (next === undefined || page % PAGES_PER_NOTE) continue;
    await to.keep();
    await note({ compared, after: next, done, total });
  }
}

async function compareTrees(
  { from, to, id, target }: HistoryCopy,
  signal: AbortSignal,
): Promise<void> {
  const directories: Gfid[] = [ROOT_GFID];
  for (let directory; (directory = directories.pop()) !== undefined;) {
    for (let after: string | undefined, more = true; more;) {
      signal.throwIfAborted();
      const page = await from.seen(id, directory, after, target);
      await to.compare(id, directory, after, page);
      for (const { name, gfid, type } of page.entries) {
        if (type === S_IFDIR && name !== "") directories.push(gfid);
      }
      ({ more } = page);
      after = page.entries.at(-1)?.name;
    }
  }
}

async function bring(
  { from, to }: HistoryCopy,
  rows: readonly OldRow[],
  signal: AbortSignal,
): Promise<void> {
  const wanted = (await to.offer(rows)).map((index) => rows[index]);
  const data = wanted.filter((row): row is OldData => row?.kind === "data");
  for (const batch of batches(data)) {
    signal.throwIfAborted();
    await to.putData(await from.data(batch));
  }
  const files = wanted.filter((row): row is OldFile => row?.kind === "file");
  for (const { gfid, epoch } of files) {
    for (let offset: number | undefined = 0; offset !== undefined;) {
      signal.throwIfAborted();
      const piece = await from.file(gfid, epoch, offset);
      if (!piece) break;
      await to.putFile(gfid, epoch, piece);
      offset = piece.next;
    }
  }
}

function* batches(rows: readonly OldData[]): Generator<OldData[]> {
  let batch: OldData[] = [], bytes = 0;
  for (const row of rows) {
    if (bytes + row.units * UNIT > DATA_BYTES) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(row);
    bytes += row.units * UNIT;
  }
  if (batch.length) yield batch;
}
