/**
 * A history as another copy of the brick gets it: `core/history_copies.ts` says how.
 *
 * Rows are answered by table, each in the order of its index on epochs. The collector may take rows
 * away meanwhile, or leave parts of them: what is left of a row is looked up when its data is asked for.
 */

import { crc32 } from "node:zlib";
import { EINVAL, EIO, ENOENT } from "core/errno.ts";
import type {
  CopyTarget,
  OldData,
  OldFilePiece,
  OldPart,
  OldRow,
  OldRowsPage,
  SeenEntry,
  SeenPage,
} from "core/history_copies.ts";
import { isRegular, S_IFDIR } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import type { Entry, InodeState } from "snapshot/engine/live.ts";
import type { Readers } from "snapshot/engine/readers.ts";
import type { Segments } from "snapshot/engine/segments.ts";
import { packState, unpackState } from "snapshot/engine/state.ts";
import {
  type EntryKey,
  type Extent,
  type HistoryStore,
  type VersionKey,
  ZEROS,
} from "snapshot/engine/store.ts";
import { EXTENT_UNITS_MAX, UNIT } from "snapshot/engine/units.ts";
import type { View } from "snapshot/engine/view.ts";

/** The parts of a history that this uses. */
export interface CopyOutParts {
  readonly store: HistoryStore;
  readonly segments: Segments;
  readonly readers: Readers;
  /** What a reader sees; undefined: there is none with this id. */
  readonly view: (id: string) => View | undefined;
}

/** Rows, and about so many bytes, of one page. */
const ROWS = 512, PAGE_BYTES = 512 * 1024;
/** Bytes of old data of one answer. */
const DATA_BYTES = 1024 * 1024;
const TABLES = ["state", "name", "data", "file"] as const;
const OF_ARBITER: readonly Table[] = ["state", "name"];

type Table = typeof TABLES[number];

/** Where a page goes on. */
interface Place {
  readonly table: Table;
  readonly after?: VersionKey | EntryKey | Extent;
}

/** See the head of this file. Methods throw FopError. */
export class CopyOut {
  readonly #parts: CopyOutParts;
  /** Most rows of one page. */
  rowsAtOnce = ROWS;
  /** The listing that pages are taken from. */
  #listed: { key: string; entries: readonly Entry[] } | undefined;

  constructor(parts: CopyOutParts) {
    this.#parts = parts;
  }

  rows(until: number, after: string, target: CopyTarget): OldRowsPage {
    const { store } = this.#parts;
    const total = after === "" ? store.copies.count(until, target) : 0;
    let place: Place | undefined = after === "" ? { table: TABLES[0] } : placeOf(after);
    let rows: OldRow[] = [];
    while (place && !rows.length) ({ rows, place } = this.#page(until, place, target));
    return { rows, next: place && JSON.stringify(place), total };
  }

  #page(
    until: number,
    { table, after }: Place,
    target: CopyTarget,
  ): { rows: OldRow[]; place: Place | undefined } {
    const tables = target.isArbiter ? OF_ARBITER : TABLES;
    const following = tables[tables.indexOf(table) + 1];
    const over = following && { table: following };
    if (table === "file") return { rows: this.#files(until), place: undefined };
    if (table === "state") return this.#states(until, after as VersionKey, target, over);
    const { store } = this.#parts;
    if (table === "name") {
      const names = store.entriesOfEpochs(1, until, after as EntryKey, this.rowsAtOnce);
      const rows = names.map(({ parent, name, epoch, gfid, type }): OldRow => ({
        ...{ kind: "name", parent: store.gfidOf(parent), name, epoch, gfid, type },
      }));
      return { rows, place: names.length ? { table, after: names.at(-1)! } : over };
    }
    const extents = store.extentsOfEpochs(1, until, after as Extent, this.rowsAtOnce);
    const rows = extents.map((extent) => this.#row(store.gfidOf(extent.inode), extent));
    return { rows, place: extents.length ? { table, after: extents.at(-1)! } : over };
  }

  #states(
    until: number,
    after: VersionKey | undefined,
    target: CopyTarget,
    over: Place | undefined,
  ): { rows: OldRow[]; place: Place | undefined } {
    const { store } = this.#parts, rows: OldRow[] = [];
    let bytes = 0, last = after;
    for (const key of store.versionsOfEpochs(1, until, after, this.rowsAtOnce)) {
      last = key;
      const found = store.copies.state(key);
      if (!found) continue;
      const state = found.length ? packed(unpackState(found), target) : found;
      rows.push({ kind: "state", gfid: store.gfidOf(key.inode), epoch: key.epoch, state });
      if ((bytes += state.length) >= PAGE_BYTES) break;
    }
    return { rows, place: last === after ? over : { table: "state", after: last! } };
  }

  #row(gfid: Gfid, { epoch, start, units, place, crc }: Extent): OldData {
    return { kind: "data", gfid, epoch, start, units, zeros: place === ZEROS, crc };
  }

  #files(until: number): OldRow[] {
    const { store } = this.#parts;
    return store.allKept().filter(({ epoch }) => epoch > 0 && epoch < until)
      .map(({ inode, epoch }) => ({ kind: "file", gfid: store.gfidOf(inode), epoch }));
  }

  async data(rows: readonly OldData[]): Promise<OldPart[]> {
    const { store } = this.#parts, parts: OldPart[] = [];
    let bytes = 0;
    for (const row of rows) {
      if (row.units > EXTENT_UNITS_MAX) throw EINVAL;
      const inode = store.findId(row.gfid);
      const left = inode === undefined ? [] : await this.#left(row, inode);
      for (const part of left) if ((bytes += part.bytes.length) > DATA_BYTES) throw EINVAL;
      parts.push(...left);
    }
    return parts;
  }

  async #left(row: OldData, inode: number): Promise<OldPart[]> {
    const { store, segments } = this.#parts, { gfid, epoch, start, units } = row;
    const parts: OldPart[] = [];
    for (const extent of store.copies.extents(inode, epoch, start, start + units)) {
      const { place, crc } = extent;
      const bytes = new Uint8Array(place === ZEROS ? 0 : extent.units * UNIT);
      if (bytes.length) await segments.read(place, bytes);
      if (bytes.length && crc32(bytes) !== crc) {
        const [now] = store.copies.extents(inode, epoch, extent.start, extent.start + 1);
        if (now?.units === extent.units && now.place === place) throw EIO;
        // Its room was given back while it was read.
        return await this.#left(row, inode);
      }
      parts.push({ row: this.#row(gfid, extent), bytes });
    }
    return parts;
  }

  /**
   * As the newest reader that needs it sees the file: who has it open still may change it, and what
   * that preserves is of older epochs than rows that were answered before.
   */
  async file(gfid: Gfid, epoch: number, from: number): Promise<OldFilePiece | undefined> {
    const reader = this.#parts.readers.list().findLast((each) =>
      each.epoch <= epoch && [undefined, gfid].includes(each.file)
    );
    const view = reader && this.#parts.view(reader.id);
    const state = await view?.inode(gfid);
    if (!view || !state) return undefined;
    const { size } = state.iatt;
    const offset = await view.nextData(gfid, from) ?? size;
    const data = new Uint8Array(Math.min(DATA_BYTES, Math.max(0, size - offset)));
    const read = await view.read(gfid, offset, data);
    if (read !== data.length) throw EIO;
    const end = offset + read;
    return { size, from, offset, data, next: end < size ? end : undefined };
  }

  async seen(
    id: string,
    directory: Gfid,
    after: string | undefined,
    target: CopyTarget,
  ): Promise<SeenPage> {
    const view = this.#parts.view(id);
    if (!view) throw ENOENT;
    const key = `${id}/${directory}`;
    if (this.#listed?.key !== key || after === undefined) {
      this.#listed = { key, entries: await sorted(view, directory) };
    }
    const { entries: all } = this.#listed;
    const first = after === undefined ? 0 : all.findIndex(({ name }) => name > after);
    const rest = first < 0 ? [] : all.slice(first, first + this.rowsAtOnce);
    const entries: SeenEntry[] = [];
    let bytes = 0;
    for (const { name, gfid, type } of rest) {
      const state = type === S_IFDIR && name !== "" ? undefined : await view.inode(gfid);
      const packing = state ? packed(state, target) : new Uint8Array();
      entries.push({ name, gfid, type, state: packing });
      if ((bytes += packing.length) >= PAGE_BYTES) break;
    }
    const last = entries.at(-1)?.name;
    return { entries, more: last !== undefined && last !== all.at(-1)!.name };
  }
}

/** What a reader sees in a directory, by name; the directory itself first. */
export async function sorted(view: View, directory: Gfid): Promise<Entry[]> {
  const entries = await view.entries(directory);
  entries.push({ name: "", gfid: directory, type: S_IFDIR });
  return entries.sort((a, b) => a.name < b.name ? -1 : 1);
}

/** As the other copy has it. */
function packed(state: InodeState, { without, isArbiter }: CopyTarget): Uint8Array {
  const isEmpty = isArbiter && isRegular(state.iatt);
  if (!isEmpty && !state.xattrs.has(without)) return packState(state);
  const iatt = isEmpty ? { ...state.iatt, size: 0, blocks: 0 } : state.iatt;
  const xattrs = new Map(state.xattrs);
  xattrs.delete(without);
  return packState({ ...state, iatt, xattrs });
}

/** What an earlier page answered; EINVAL: it is something else. */
function placeOf(text: string): Place {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw EINVAL;
  }
  const { table, after } = (value ?? {}) as Partial<Place>;
  if (!TABLES.includes(table!)) throw EINVAL;
  if (after === undefined) return { table: table! };
  const { epoch, inode, parent, start, name } = after as Partial<EntryKey & Extent>;
  const numbers = [epoch, table === "name" ? parent : inode, ...table === "data" ? [start] : []];
  if (!numbers.every(Number.isSafeInteger)) throw EINVAL;
  if (table === "name" && typeof name !== "string") throw EINVAL;
  return { table: table!, after: after as Extent };
}
