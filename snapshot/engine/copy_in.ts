/**
 * A history that comes from another copy of the brick: `core/history_copies.ts` says how.
 *
 * Rows come into the index with negative epochs, which no reader sees, and data into the segments. A
 * row that is there is not brought again: whoever does not know how far it came begins anew. When all
 * is there, the rows and the readers take the place of what there was (`turn_rows.ts`); that goes
 * afterwards.
 */

import { crc32 } from "node:zlib";
import type { Clock } from "core/env.ts";
import { EAGAIN, EBADMSG, EBUSY, EINVAL, EIO, ENOENT, ESTALE, fopError } from "core/errno.ts";
import type { OldData, OldFilePiece, OldPart, OldRow, SeenPage } from "core/history_copies.ts";
import { S_IFDIR } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import { equalBytes } from "core/lib/bytes.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, sys } from "core/sys/calls.ts";
import { replaceExtents } from "snapshot/engine/collect.ts";
import { sorted } from "snapshot/engine/copy_out.ts";
import type { Journal } from "snapshot/engine/journal.ts";
import type { KeptFiles } from "snapshot/engine/kept.ts";
import type { Entry, InodeState } from "snapshot/engine/live.ts";
import type { Readers } from "snapshot/engine/readers.ts";
import { segmentOf, type Segments } from "snapshot/engine/segments.ts";
import { unpackState } from "snapshot/engine/state.ts";
import { type Extent, type HistoryStore, type Reader, ZEROS } from "snapshot/engine/store.ts";
import { EXTENT_UNITS_MAX, UNIT } from "snapshot/engine/units.ts";
import type { View } from "snapshot/engine/view.ts";

/** The parts of a history that this uses. */
export interface CopyInParts {
  readonly store: HistoryStore;
  readonly segments: Segments;
  readonly journal: Journal;
  readonly kept: KeptFiles;
  readonly readers: Readers;
  /** What a reader sees; undefined: there is none with this id. */
  readonly view: (id: string) => View | undefined;
  /** Runs what makes other rows of these: nothing else takes rows away meanwhile. */
  readonly resting: (change: () => Promise<void>) => Promise<void>;
  /** Runs what no change of live files may be under way beside. */
  readonly still: (change: () => Promise<void>) => Promise<void>;
  /** Rows of epochs before `until` are to be looked up again before something is preserved. */
  readonly forget: (until: number) => void;
  /** Other readers are there, and rows of epochs before `until` are others. */
  readonly turned: (until: number) => void;
  /** Resolves when nobody reads any more by what was looked up before. */
  readonly read: () => Promise<void>;
  readonly clock: Clock;
}

/** Data in a segment, or zeros. */
interface Placed {
  readonly row: OldData;
  readonly place: number;
  /** 0: zeros. */
  readonly size: number;
  readonly written: Promise<void> | undefined;
}

const ROWS_AT_ONCE = 128;
/** Rows that change places in one transaction, and the time between two: fops go first. */
const TURNED_AT_ONCE = 256, PAUSE_MS = 1;
const O_WRONLY = 1, O_CREAT = 0o100, O_TRUNC = 0o1000, MODE = 0o600;
/** Name of the reader of a history that came, and took effect. */
const ENDED = "ended";
const PENDING = "trusted.afr.";

/** See the head of this file. Methods throw FopError. */
export class CopyIn {
  readonly #parts: CopyInParts;
  /** Rows that change places in one transaction, about. */
  rowsAtOnce = TURNED_AT_ONCE;
  #stopped = false;
  #listed: { key: string; entries: readonly Entry[] } | undefined;

  constructor(parts: CopyInParts) {
    this.#parts = parts;
  }

  /** Forgets what is on its way, or had its place taken. */
  async drop(): Promise<void> {
    const { store, journal, kept, resting } = this.#parts;
    await resting(() => this.#turn());
    for (;;) {
      const extents = store.extentsOfEpochs(-Number.MAX_SAFE_INTEGER, 0, undefined, ROWS_AT_ONCE);
      if (!extents.length) break;
      await replaceExtents(this.#parts, extents.map((extent) => ({ extent, rest: [] })));
    }
    for (const { inode, epoch } of store.allKept()) {
      if (epoch < 0) await kept.remove(store.gfidOf(inode), epoch);
    }
    await journal.add(() => store.copies.dropNames());
  }

  async offer(rows: readonly OldRow[]): Promise<number[]> {
    const { store, journal } = this.#parts;
    if (rows.some(({ epoch }) => !(epoch > 0))) throw EINVAL;
    const wanted: number[] = [], own: OldPart[] = [];
    for (const [index, row] of rows.entries()) {
      if (row.kind === "file") {
        if (!this.#hasFile(row.gfid, -row.epoch)) wanted.push(index);
      } else if (row.kind === "data" && !row.zeros && !this.#hasData(row)) {
        const bytes = await this.#ownData(row);
        if (bytes) own.push({ row, bytes });
        else wanted.push(index);
      }
    }
    await journal.add(() => {
      for (const row of rows) {
        if (row.kind === "state") {
          store.putVersion(store.idOf(row.gfid), -row.epoch, row.state);
        } else if (row.kind === "name") {
          store.putEntry(store.idOf(row.parent), { ...row, epoch: -row.epoch });
        } else if (row.kind === "data" && row.zeros) this.#putExtent(row, ZEROS);
      }
    });
    if (own.length) await this.putData(own);
    return wanted;
  }

  #extent({ gfid, start }: OldData, epoch: number): Extent | undefined {
    const { store } = this.#parts, inode = store.findId(gfid);
    return inode === undefined
      ? undefined
      : store.copies.extents(inode, epoch, start, start + 1)[0];
  }

  // Also as a part of a row that was whole when it was brought: what stays of it comes once more.
  #hasData({ gfid, epoch, start, units }: OldData): boolean {
    const { store } = this.#parts, inode = store.findId(gfid);
    return inode !== undefined &&
      store.copies.extents(inode, -epoch, start - EXTENT_UNITS_MAX, start + 1).some((other) =>
        other.start + other.units >= start + units
      );
  }

  #hasFile(gfid: Gfid, epoch: number): boolean {
    const { store } = this.#parts, inode = store.findId(gfid);
    return inode !== undefined &&
      store.allKept().some((row) => row.inode === inode && row.epoch === epoch);
  }

  // A copy that was away for a while has most of it.
  async #ownData(row: OldData): Promise<Uint8Array | undefined> {
    const own = this.#extent(row, row.epoch);
    if (!own || own.units !== row.units || own.crc !== row.crc || own.place === ZEROS) {
      return undefined;
    }
    const bytes = new Uint8Array(own.units * UNIT);
    await this.#parts.segments.read(own.place, bytes);
    return crc32(bytes) === row.crc ? bytes : undefined;
  }

  #putExtent(row: OldData, place: number): boolean {
    const { store } = this.#parts;
    if (this.#hasData(row)) return false;
    const { gfid, start, units, crc } = row;
    store.putExtent({ inode: store.idOf(gfid), start, units, epoch: -row.epoch, place, crc });
    return true;
  }

  async putData(parts: readonly OldPart[]): Promise<void> {
    const { store, journal, segments } = this.#parts;
    const placed: Placed[] = [];
    try {
      for (const part of parts) {
        const one = this.#append(part);
        if (one) placed.push(one);
        await one?.written;
      }
      await journal.add(() => {
        for (const { row, place, size } of placed) {
          if (this.#putExtent(row, place) && size) store.addLive(segmentOf(place), size);
        }
      });
    } finally {
      for (const { place, size } of placed) if (size) segments.named(place);
    }
  }

  /** Undefined: it is there. */
  #append({ row, bytes }: OldPart): Placed | undefined {
    if (!(row.epoch > 0) || row.units < 1 || row.units > EXTENT_UNITS_MAX) throw EINVAL;
    if (row.zeros) return { row, place: ZEROS, size: 0, written: undefined };
    if (bytes.length !== row.units * UNIT || crc32(bytes) !== row.crc) throw EBADMSG;
    if (this.#hasData(row)) return undefined;
    return {
      row,
      size: bytes.length,
      ...this.#parts.segments.append(bytes as Uint8Array<ArrayBuffer>),
    };
  }

  async putFile(gfid: Gfid, epoch: number, piece: OldFilePiece): Promise<void> {
    const { store, journal, kept } = this.#parts, { data, offset, size, next } = piece;
    if (!(epoch > 0) || offset + data.length > size) throw EINVAL;
    const path = cstring(kept.pathOf(gfid, -epoch));
    const flags = O_WRONLY | O_CLOEXEC | (piece.from === 0 ? O_CREAT | O_TRUNC : 0);
    const fd = sys.openat(AT_FDCWD, path, flags, MODE);
    if (fd < 0) throw fopError(fd);
    try {
      if (data.length) {
        const bytes = data as Uint8Array<ArrayBuffer>;
        const count = await sys.pwriteAsync(fd, bytes, bytes.length, offset);
        if (count !== data.length) throw count < 0 ? fopError(-count) : EIO;
      }
      if (next !== undefined) return;
      for (const result of [sys.ftruncate(fd, size), await sys.fsyncAsync(fd)]) {
        if (result < 0) throw fopError(result);
      }
    } finally {
      sys.close(fd);
    }
    await journal.add(() => store.putKept(store.idOf(gfid), -epoch));
  }

  async compare(
    id: string,
    directory: Gfid,
    after: string | undefined,
    { entries, more }: SeenPage,
  ): Promise<void> {
    const { store, journal, readers } = this.#parts;
    const view = this.#parts.view(id), epoch = readers.get(id)?.epoch;
    if (!view || epoch === undefined || epoch < 2) throw ENOENT;
    const key = `${id}/${directory}`;
    if (this.#listed?.key !== key || after === undefined) {
      this.#listed = { key, entries: await sorted(view, directory) };
    }
    const last = more ? entries.at(-1)?.name : undefined;
    const own = this.#listed.entries.filter(({ name }) =>
      (after === undefined || name > after) && (last === undefined || name <= last)
    );
    if (own.length !== entries.length) throw ESTALE;
    const other: { gfid: Gfid; state: Uint8Array }[] = [];
    for (const [index, { name, gfid, type, state }] of entries.entries()) {
      const mine = own[index]!;
      if (mine.name !== name || mine.gfid !== gfid || mine.type !== type) throw ESTALE;
      if (!state.length) continue;
      const here = await view.inode(gfid);
      if (!here) throw ESTALE;
      if (!alike(here, unpackState(state))) other.push({ gfid, state });
    }
    if (!other.length) return;
    // The epoch before is nobody's.
    await journal.add(() => {
      for (const { gfid, state } of other) store.putVersion(store.idOf(gfid), 1 - epoch, state);
    });
  }

  async keep(): Promise<void> {
    await this.#parts.journal.sync();
  }

  async end(id: string, given: readonly Reader[]): Promise<void> {
    const { journal, resting, store, readers } = this.#parts;
    // Who did not hear the answer asks again, and there is nothing more on its way then.
    if (readers.get(id)?.name === ENDED) return await this.drop();
    await journal.sync();
    // What was found to be needed by nobody may have been a row of another history.
    await resting(async () => {
      if (store.copies.turn.until === undefined) await this.#begin(id, given);
      await this.#turn();
    });
    await journal.sync();
    await this.drop();
  }

  async #begin(id: string, given: readonly Reader[]): Promise<void> {
    const { store, journal, kept, readers } = this.#parts;
    const reader = readers.get(id);
    if (!reader) throw ENOENT;
    const { epoch: until } = reader;
    const known = new Set(given.map((reader) => reader.id));
    const older = readers.list().filter(({ epoch }) => epoch < until);
    if (older.some((reader) => !known.has(reader.id))) throw EBUSY;
    // A clone of a file is an ordinary file in a copy that was healed.
    const fresh = given.filter((reader) =>
      reader.epoch < until && !readers.get(reader.id) &&
      (reader.kind === "snapshot" || reader.file === undefined)
    );
    // A write to an open file without a name would keep what it found by rows that give way now.
    await this.#parts.still(async () => {
      await journal.put(() => {
        store.copies.turn.begin(until);
        for (const each of [...fresh, { ...reader, name: ENDED }]) store.putReader(each);
        store.copies.toCollect([1, ...[...older, ...fresh].map(({ epoch }) => epoch)]);
        // In the same turn: nobody looks in between, and who dies in between does it at the next start.
      });
      kept.turn();
      this.#parts.forget(until);
    });
  }

  async #turn(): Promise<void> {
    const { turned, store } = this.#parts, { until } = store.copies.turn;
    if (until === undefined) return;
    await this.finish();
    turned(until);
    await this.#parts.read();
  }

  /** What began to take the place of something does so, before anybody looks. */
  async finish(): Promise<void> {
    const { store, journal, clock } = this.#parts, { turn } = store.copies;
    while (turn.until !== undefined) {
      if (this.#stopped) throw EAGAIN;
      await journal.addLazily(() => turn.some(this.rowsAtOnce), this.rowsAtOnce);
      await clock.delay(PAUSE_MS);
    }
  }

  /** What is under way ends soon, and goes on at the next start. */
  stop(): void {
    this.#stopped = true;
  }
}

/** Whether readers may see either; marks of replication that are not about this copy aside. */
function alike(one: InodeState, other: InodeState): boolean {
  const isDirectory = (one.iatt.mode & ~0o7777) === S_IFDIR;
  if ((one.iatt.mode & ~0o7777) !== (other.iatt.mode & ~0o7777)) throw ESTALE;
  if (!isDirectory && one.iatt.size !== other.iatt.size) throw ESTALE;
  if (one.target !== other.target) throw ESTALE;
  const facts = ({ iatt }: InodeState) =>
    JSON.stringify({ ...iatt, dev: 0, blksize: 0, blocks: 0 }, Object.keys(iatt).sort());
  if (facts(one) !== facts(other)) return false;
  const values = ({ xattrs }: InodeState) =>
    [...xattrs].filter(([name]) => !name.startsWith(PENDING)).sort(([a], [b]) => a < b ? -1 : 1);
  const mine = values(one), theirs = values(other);
  return mine.length === theirs.length && mine.every(([name, value], index) => {
    const [named, valued] = theirs[index]!;
    return name === named && equalBytes(value, valued);
  });
}
