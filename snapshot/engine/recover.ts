/**
 * After a process that did not close its history: links of kept files, and, in case of a loss of
 * power, old data that was not on the disk yet. A row whose bytes are not what its checksum says is
 * of a preserve that had not ended, so that the overwrite had not begun: the live data is the old
 * data, and the row goes. (With durability `relaxed` the overwrite may have happened.) What is on its
 * way from another copy comes once more. What was noted and is not in the index yet goes there. All is
 * read of the disk: what a process before had only in memory is there by then, or is not to be had
 * after a sync that failed.
 */

import { crc32 } from "node:zlib";
import { EIO, ENOENT } from "core/errno.ts";
import type { KeptFiles } from "snapshot/engine/kept.ts";
import type { Notes } from "snapshot/engine/notes.ts";
import { segmentOf, type Segments } from "snapshot/engine/segments.ts";
import { type Extent, type HistoryStore, ZEROS } from "snapshot/engine/store.ts";
import { UNIT } from "snapshot/engine/units.ts";

const ROWS_AT_ONCE = 256;

/** See the head of this file. Answers how many rows went. */
export async function recover(
  { store, segments, kept }: { store: HistoryStore; segments: Segments; kept: KeptFiles },
): Promise<number> {
  await kept.recover();
  // A reader may have begun when what was kept for the one before was not synced yet.
  const epochs = [...new Set(store.readers().map(({ epoch }) => epoch))];
  return await check(store, segments, epochs.at(-2) ?? 0, Number.MAX_SAFE_INTEGER) +
    await check(store, segments, -Number.MAX_SAFE_INTEGER, 0);
}

/** Puts what was noted into the index, if its data is what was kept, and goes on with what comes. */
export async function putNotes(
  store: HistoryStore,
  segments: Segments,
  notes: Notes,
): Promise<void> {
  const found = notes.after(store.notedUpTo);
  const rows: Extent[] = [];
  for (const { gfid, extent } of found) {
    const row = { ...extent, inode: store.findId(gfid) ?? 0 };
    if (row.inode && await isSound(row, segments)) rows.push(row);
  }
  notes.number = Math.max(store.notedUpTo, found.at(-1)?.number ?? 0);
  store.noted.begin(notes.number);
  if (!found.length) return;
  store.transaction(() => {
    store.putExtents(rows);
    store.notedUpTo = notes.number;
  });
}

/** Takes rows away that are not sound, of epochs from `from` to before `until`; answers how many. */
async function check(
  store: HistoryStore,
  segments: Segments,
  from: number,
  until: number,
): Promise<number> {
  const { synced } = store;
  let gone = 0;
  let after: Extent | undefined;
  for (;;) {
    const rows = store.extentsOfEpochs(from, until, after, ROWS_AT_ONCE);
    if (!rows.length) return gone;
    for (const extent of rows) {
      if (extent.place < synced || await isSound(extent, segments)) continue;
      gone++;
      store.transaction(() => {
        store.removeExtent(extent);
        store.addLive(segmentOf(extent.place), -extent.units * UNIT);
      });
    }
    after = rows.at(-1);
  }
}

/** Whether what is kept of an extent is what was written. */
async function isSound(extent: Extent, segments: Segments): Promise<boolean> {
  if (extent.place === ZEROS) return true;
  const bytes = new Uint8Array(extent.units * UNIT);
  try {
    await segments.read(extent.place, bytes);
  } catch (error) {
    if (EIO.matches(error) || ENOENT.matches(error)) return false;
    throw error;
  }
  return crc32(bytes) === extent.crc;
}
