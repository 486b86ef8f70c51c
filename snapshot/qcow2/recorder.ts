/**
 * Keeping the dirty bitmaps that are to record every change (qcow2.txt "Bitmaps"). Their bits and the
 * tables of where the bits are lie in the same cache of pages as all other tables, and go to the file
 * with them, new room for bits being counted before anything refers to it. So that nobody trusts a
 * bitmap that lacks a change, its flag "in use" is on stable storage before the first change, and goes
 * when everything is there at a clean end. A crash leaves the flag: such a bitmap says nothing, and
 * whoever relies on it has to begin anew.
 */

import type { Bitmap } from "snapshot/qcow2/bitmaps.ts";
import { corrupt, refused } from "snapshot/qcow2/failures.ts";
import { offsetOf, viewOf, writeU64 } from "snapshot/qcow2/numbers.ts";
import type { Page } from "snapshot/qcow2/pages.ts";
import { STAGE_MAPPING, STAGE_NEW } from "snapshot/qcow2/refcounts.ts";
import type { Tables } from "snapshot/qcow2/tables.ts";

/** Every write marks each: more are refused. */
const RECORDING_MAX = 256;
const IN_USE = 1, FLAGS_AT = 12, ONES_LOW = 1;

/** The bitmaps of one image that record; used by one change of the image at a time. */
export class Recorder {
  readonly #tables: Tables;
  readonly #bitmaps: readonly Bitmap[];
  /** Bits of one cluster. */
  readonly #perCluster: number;
  #begun = false;

  /** `bitmaps`: all that the image has. Throws `refused` for an image with too many that record. */
  constructor(tables: Tables, bitmaps: readonly Bitmap[]) {
    this.#tables = tables;
    this.#bitmaps = bitmaps.filter(({ enabled, inUse }) => enabled && !inUse);
    this.#perCluster = tables.clusterSize * 8;
    if (this.#bitmaps.length <= RECORDING_MAX) return;
    throw refused(
      `${this.#bitmaps.length} bitmaps are to record every write; ${RECORDING_MAX} is the most`,
    );
  }

  /** Whether any is to hear of changes. */
  get wanted(): boolean {
    return this.#bitmaps.length > 0;
  }

  /** Says that bytes of the disk are about to change. */
  async mark(offset: number, length: number): Promise<void> {
    if (length === 0 || !this.wanted) return;
    if (!this.#begun) {
      this.#begun = true;
      await this.#setFlags(IN_USE);
    }
    for (const bitmap of this.#bitmaps) {
      const { granularity } = bitmap;
      const last = Math.floor((offset + length - 1) / granularity);
      for (let bit = Math.floor(offset / granularity); bit <= last;) {
        const index = Math.floor(bit / this.#perCluster), start = index * this.#perCluster;
        const end = Math.min(last + 1, start + this.#perCluster);
        await this.#markCluster(bitmap, index, bit - start, end - start);
        bit = end;
        if (this.#tables.changedMuch) await this.#tables.sync();
      }
    }
  }

  // Bits from `first` to `end` of the bitmap's cluster with that number.
  async #markCluster(bitmap: Bitmap, index: number, first: number, end: number): Promise<void> {
    const { pages } = this.#tables.parts;
    const entry = await this.#entry(bitmap, index);
    const low = entry.page.view.getUint32(entry.at + 4);
    let host = offsetOf(entry.page.view.getUint32(entry.at), low);
    if (host === 0 && low & ONES_LOW) return;
    if (host === 0) host = await this.#place(bitmap, index);
    else await this.#check(bitmap, host);
    const perPage = pages.pageSize * 8;
    for (let bit = first; bit < end;) {
      const start = bit - bit % perPage, stop = Math.min(end, start + perPage);
      const at = host + start / 8;
      const page = pages.get(at) ?? await pages.load(at);
      if (setBits(page.bytes, bit - start, stop - start)) pages.change(page, STAGE_NEW);
      bit = stop;
    }
  }

  async #entry({ tableOffset }: Bitmap, index: number): Promise<{ page: Page; at: number }> {
    const { pages } = this.#tables.parts;
    const at = tableOffset + index * 8, start = pages.startOf(at);
    return { page: pages.get(start) ?? await pages.load(start), at: at - start };
  }

  async #place(bitmap: Bitmap, index: number): Promise<number> {
    const { refcounts, parts: { pages }, clusterSize } = this.#tables;
    const host = await refcounts.allocate();
    pages.fresh(host, clusterSize, STAGE_NEW);
    const { page, at } = await this.#entry(bitmap, index);
    writeU64(page.view, at, host);
    pages.change(page, STAGE_MAPPING);
    return host;
  }

  // It is written in place: nothing else may be there.
  async #check(bitmap: Bitmap, host: number): Promise<void> {
    const { refcounts, parts: { mapping }, clusterSize } = this.#tables;
    const cluster = host / clusterSize;
    const wrong = host % clusterSize || host + clusterSize > mapping.fileSize ||
      refcounts.guarded.has(cluster) || await refcounts.get(cluster) !== 1;
    if (!wrong) return;
    throw corrupt(
      `Bitmap "${bitmap.name}" has a cluster at ${host}, which is not its own`,
    );
  }

  // One write of four bytes within a sector each, and onto the disk.
  async #setFlags(inUse: number): Promise<void> {
    const { store } = this.#tables.parts.file;
    for (const { entryOffset, flags } of this.#bitmaps) {
      const bytes = new Uint8Array(4);
      viewOf(bytes).setUint32(0, (flags | inUse) >>> 0);
      await store.write(entryOffset + FLAGS_AT, bytes);
    }
    await store.flush();
  }

  /** Everything is on stable storage: what the bitmaps say holds again. */
  async end(): Promise<void> {
    if (!this.#begun) return;
    await this.#setFlags(0);
    this.#begun = false;
  }
}

// Sets the bits from `first` to `end`; true if any was not.
function setBits(bytes: Uint8Array, first: number, end: number): boolean {
  let changed = false;
  const set = (at: number, mask: number) => {
    if ((bytes[at]! & mask) === mask) return;
    bytes[at]! |= mask;
    changed = true;
  };
  const head = first >> 3, tail = end >> 3;
  const from = 0xff << (first & 7) & 0xff, to = (1 << (end & 7)) - 1;
  if (head === tail) {
    set(head, from & to);
    return changed;
  }
  set(head, from);
  for (let at = head + 1; at < tail; at++) set(at, 0xff);
  if (to) set(tail, to);
  return changed;
}
