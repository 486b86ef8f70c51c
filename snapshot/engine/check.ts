/**
 * Whether a brick's history is whole: its index, old data that rows name, kept files. It only looks,
 * and trusts nothing that it reads. A brick that is running may change things meanwhile: what looks
 * wrong is looked at again.
 */

import { crc32 } from "node:zlib";
import { ENOENT, FopError } from "core/errno.ts";
import { exists } from "core/lib/files.ts";
import type { Gfid } from "core/inode.ts";
import { SEGMENT_BYTES, segmentOf, Segments } from "snapshot/engine/segments.ts";
import { unpackState } from "snapshot/engine/state.ts";
import { type Extent, HistoryError, HistoryStore, ZEROS } from "snapshot/engine/store.ts";
import { EXTENT_UNITS_MAX, UNIT } from "snapshot/engine/units.ts";
import { refuseUnkept } from "snapshot/engine/unkept.ts";

/** What is wrong with old states of one thing. */
export interface Damage {
  /** The file or directory; undefined: it is not of one. */
  readonly gfid: Gfid | undefined;
  readonly what: string;
  /** Names of the snapshots that may see it, oldest first; none: all of them. */
  readonly snapshots: readonly string[];
}

/** What there is, and what is wrong with it. */
export interface Checked {
  readonly readers: number;
  readonly rows: number;
  /** Bytes of old data that were read. */
  readonly bytes: number;
  /** Snapshots are not what they should be. */
  readonly damage: readonly Damage[];
  /** More of it than that. */
  readonly more: number;
  /** A line each: room that nobody uses. */
  readonly leftovers: readonly string[];
}

const ROWS_AT_ONCE = 256, DAMAGE_MAX = 1000;
const FIRST = -Number.MAX_SAFE_INTEGER, LAST = Number.MAX_SAFE_INTEGER;

/** Looks at the history in `directory`. Throws HistoryError: it cannot be opened at all. */
export async function check(directory: string): Promise<Checked> {
  refuseUnkept(directory);
  const store = HistoryStore.look(`${directory}/index.sqlite`);
  try {
    return await new Check(store, directory).all();
  } catch (error) {
    const isOfIndex = error instanceof Error && "errcode" in error;
    if (!isOfIndex && !(error instanceof Deno.errors.NotFound)) throw error;
    throw new HistoryError(`the history "${directory}" cannot be read (${error.message})`, {
      cause: error,
    });
  } finally {
    store.close();
  }
}

class Check {
  readonly #store: HistoryStore;
  readonly #directory: string;
  readonly #damage: Damage[] = [];
  #more = 0;
  readonly #leftovers: string[] = [];
  #bytes = 0;

  constructor(store: HistoryStore, directory: string) {
    this.#store = store;
    this.#directory = directory;
  }

  async all(): Promise<Checked> {
    const store = this.#store, broken = store.damage();
    for (const line of broken) this.#found(undefined, `the index: ${line}`);
    let readers = 0, rows = 0;
    // What a broken index says is not worth following.
    if (!broken.length) {
      readers = store.readers().length;
      rows = store.rows();
      this.#states();
      await this.#extents();
      this.#segments();
      this.#kept();
    }
    const [damage, more, leftovers] = [this.#damage, this.#more, this.#leftovers];
    return { readers, rows, bytes: this.#bytes, damage, more, leftovers };
  }

  #found(inode: number | undefined, what: string, epoch?: number): void {
    if (this.#damage.length >= DAMAGE_MAX) return void this.#more++;
    const gfid = inode === undefined ? undefined : this.#store.copies.gfidOf(inode);
    const of = inode !== undefined && !gfid ? `number ${inode}, which is no file: ` : "";
    const snapshots = epoch === undefined ? [] : this.#store.readers()
      .filter((reader) => reader.kind === "snapshot" && reader.epoch <= epoch)
      .filter(({ file }) => file === undefined || file === gfid).map(({ name }) => name);
    this.#damage.push({ gfid, what: of + what, snapshots });
  }

  #states(): void {
    const { copies } = this.#store;
    for (
      let after, rows;
      (rows = this.#store.versionsOfEpochs(FIRST, LAST, after, ROWS_AT_ONCE));
    ) {
      if (!rows.length) return;
      for (const key of rows) {
        const state = copies.state(key);
        if (!state?.length || isState(state)) continue;
        this.#found(key.inode, `what it was until epoch ${key.epoch} cannot be read`, key.epoch);
      }
      after = rows.at(-1);
    }
  }

  async #extents(): Promise<void> {
    const path = `${this.#directory}/segments`;
    // Opening makes what is not there.
    using segments = exists(path) ? Segments.open(path) : undefined;
    for (let after, rows; (rows = this.#store.extentsOfEpochs(FIRST, LAST, after, ROWS_AT_ONCE));) {
      if (!rows.length) return;
      for (const extent of rows) await this.#extent(extent, segments);
      after = rows.at(-1);
    }
  }

  async #extent(extent: Extent, segments: Segments | undefined): Promise<void> {
    const { inode, start, units, epoch, place } = extent;
    const where = `bytes ${start * UNIT}+${units * UNIT} of epoch ${epoch}`;
    const numbers = [start, units, epoch, place].every(Number.isSafeInteger);
    if (!numbers || start < 0 || units < 1 || units > EXTENT_UNITS_MAX || place < ZEROS) {
      return this.#found(inode, `${where} make no sense`, epoch);
    }
    if (place === ZEROS) return;
    this.#bytes += units * UNIT;
    if (!await wrongWith(extent, segments)) return;
    const [now] = this.#store.copies.extents(inode, epoch, start, start + 1);
    if (!now || now.place !== place || now.units !== units) return;
    const why = await wrongWith(extent, segments);
    if (why) this.#found(inode, `${where} ${why}`, epoch);
  }

  #segments(): void {
    for (const { segment, live, used } of this.#store.copies.segmentsUsed(SEGMENT_BYTES, UNIT)) {
      if (live === used) continue;
      this.#found(undefined, `segments/${segment}: ${live} bytes are in use, ${used} in rows`);
    }
    const path = `${this.#directory}/segments`;
    const names = exists(path) ? [...Deno.readDirSync(path)].map(({ name }) => name) : [];
    const newest = Math.max(0, ...names.map((name) => Number(name) || 0));
    const used = this.#store.segments();
    for (const name of names) {
      // What is kept next goes to the newest.
      if (Number(name) === newest || used.has(Number(name))) continue;
      this.#leftovers.push(`segments/${name}: no row names it`);
    }
  }

  #kept(): void {
    const path = `${this.#directory}/kept`;
    const files = new Set(exists(path) ? [...Deno.readDirSync(path)].map(({ name }) => name) : []);
    for (const { inode, epoch } of this.#store.allKept()) {
      const name = `${this.#store.copies.gfidOf(inode)}.${epoch}`;
      // It may have come, or gone, after the files were listed.
      if (files.delete(name) || exists(`${path}/${name}`)) continue;
      if (this.#store.kept(inode, epoch) !== epoch) continue;
      this.#found(inode, `kept/${name} is not there: it had lost its last name`, epoch);
    }
    for (const name of files) this.#leftovers.push(`kept/${name}: no row names it`);
    if (this.#store.copies.any) {
      this.#leftovers.push("old states that come from another copy, and are not all there yet");
    }
  }
}

function isState(bytes: Uint8Array): boolean {
  try {
    return typeof unpackState(bytes).iatt.size === "number";
  } catch {
    return false;
  }
}

async function wrongWith(
  extent: Extent,
  segments: Segments | undefined,
): Promise<string | undefined> {
  const name = `segments/${segmentOf(extent.place)}`;
  if (!segments) return `are in ${name}, which is not there`;
  const data = new Uint8Array(extent.units * UNIT);
  try {
    await segments.read(extent.place, data);
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    return ENOENT.matches(error)
      ? `are in ${name}, which is not there`
      : `cannot be read from ${name}`;
  }
  return crc32(data) === extent.crc ? undefined : `in ${name} are not what was kept`;
}
