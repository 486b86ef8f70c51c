/**
 * Whether a brick's history is whole: its index, old data that rows name, kept files. It only looks.
 * A brick that is running may change things meanwhile: then what is told may be over already.
 */

import { crc32 } from "node:zlib";
import { EIO, ENOENT } from "core/errno.ts";
import { segmentOf, Segments } from "snapshot/engine/segments.ts";
import { type Extent, HistoryError, HistoryStore, ZEROS } from "snapshot/engine/store.ts";
import { UNIT } from "snapshot/engine/units.ts";

/** What there is, and what is wrong with it. */
export interface Checked {
  readonly readers: number;
  readonly rows: number;
  /** Bytes of old data that were read. */
  readonly bytes: number;
  /** A line each: snapshots are not what they should be. */
  readonly damage: readonly string[];
  /** A line each: room that nobody uses. */
  readonly leftovers: readonly string[];
}

const ROWS_AT_ONCE = 256;

/** Looks at the history in `directory`. Throws HistoryError: it cannot be opened at all. */
export async function check(directory: string): Promise<Checked> {
  const store = HistoryStore.look(`${directory}/index.sqlite`);
  try {
    const damage = store.damage().map((line) => `the index: ${line}`);
    // What a broken index says is not worth following.
    if (damage.length) return { readers: 0, rows: 0, bytes: 0, damage, leftovers: [] };
    const leftovers: string[] = [];
    const found = { damage, leftovers };
    const used = await checkExtents(store, directory, found);
    const bytes = [...used.values()].reduce((sum, bytes) => sum + bytes, 0);
    checkSegments(store, directory, used, found);
    checkKept(store, directory, found);
    return { readers: store.readers().length, rows: store.rows(), bytes, ...found };
  } catch (error) {
    if (!(error instanceof Error) || !("errcode" in error)) throw error;
    throw new HistoryError(`the history "${directory}" cannot be read (${error.message})`, {
      cause: error,
    });
  } finally {
    store.close();
  }
}

interface Found {
  readonly damage: string[];
  readonly leftovers: string[];
}

/** Answers bytes that rows name, by segment. */
async function checkExtents(
  store: HistoryStore,
  directory: string,
  { damage }: Found,
): Promise<Map<number, number>> {
  using segments = Segments.open(`${directory}/segments`);
  const used = new Map<number, number>();
  let after: Extent | undefined;
  for (;;) {
    const rows = store.extentsOfEpochs(0, Number.MAX_SAFE_INTEGER, after, ROWS_AT_ONCE);
    if (!rows.length) return used;
    for (const extent of rows) {
      if (extent.place === ZEROS) continue;
      const segment = segmentOf(extent.place);
      used.set(segment, (used.get(segment) ?? 0) + extent.units * UNIT);
      const why = await wrongWith(extent, segments);
      if (!why) continue;
      const { start, units, epoch } = extent;
      const where = `${store.gfidOf(extent.inode)}, bytes ${start * UNIT}+${units * UNIT}`;
      damage.push(`old data of ${where}, epoch ${epoch}, ${why}`);
    }
    after = rows.at(-1);
  }
}

async function wrongWith(extent: Extent, segments: Segments): Promise<string | undefined> {
  const data = new Uint8Array(extent.units * UNIT);
  try {
    await segments.read(extent.place, data);
  } catch (error) {
    const segment = segmentOf(extent.place);
    if (ENOENT.matches(error)) return `is in segments/${segment}, which is not there`;
    if (EIO.matches(error)) return `cannot be read from segments/${segment}`;
    throw error;
  }
  return crc32(data) === extent.crc ? undefined : "is not what was kept";
}

function checkSegments(
  store: HistoryStore,
  directory: string,
  used: ReadonlyMap<number, number>,
  { damage, leftovers }: Found,
): void {
  for (const [segment, live] of store.segments()) {
    const bytes = used.get(segment) ?? 0;
    if (bytes !== live) damage.push(`segments/${segment}: ${live} bytes in use, ${bytes} in rows`);
  }
  const names = [...Deno.readDirSync(`${directory}/segments`)].map(({ name }) => name);
  const newest = Math.max(0, ...names.map(Number));
  for (const name of names) {
    // What is kept next goes to the newest.
    if (Number(name) !== newest && !used.has(Number(name))) {
      leftovers.push(`segments/${name}: no row names it`);
    }
  }
}

function checkKept(store: HistoryStore, directory: string, { damage, leftovers }: Found): void {
  const files = new Set([...Deno.readDirSync(`${directory}/kept`)].map(({ name }) => name));
  for (const { inode, epoch } of store.allKept()) {
    const name = `${store.gfidOf(inode)}.${epoch}`;
    if (!files.delete(name)) damage.push(`kept/${name} is not there`);
  }
  for (const name of files) leftovers.push(`kept/${name}: no row names it`);
}
