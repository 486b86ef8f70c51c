/**
 * From an offset of the guest's disk to where its bytes are: L1 table, L2 table, descriptor (qcow2.txt
 * "Cluster mapping", "Extended L2 Entries"). `locate` is synchronous over the pages that are cached,
 * and says which one is missing otherwise; runs as long as a page of L2 entries has are found at once.
 */

import { corrupt } from "snapshot/qcow2/failures.ts";
import { EXTENDED_L2, EXTERNAL_DATA, type Header, l2EntrySize } from "snapshot/qcow2/header.ts";
import { COMPRESSED_HIGH, COPIED_HIGH, offsetOf, ZERO_LOW } from "snapshot/qcow2/numbers.ts";
import type { Page, Pages } from "snapshot/qcow2/pages.ts";

/** Bytes come from the backing file, or are zeros if there is none. */
export const UNALLOCATED = 0;
/** Zeros, whatever a backing file has. */
export const ZERO = 1;
/** Bytes are at `host` of the image or of its external data file. */
export const DATA = 2;
/** `length` is within one cluster, compressed in `stored` bytes at `host`. */
export const COMPRESSED = 3;

/** What `locate` found; its owner keeps one and has it filled again and again. */
export interface Run {
  kind: number;
  length: number;
  /** Where in the file; of a compressed cluster: where its compressed form begins. */
  host: number;
  /** Bytes that a compressed cluster has in the file, up to the end of its last sector. */
  stored: number;
}

/** An L1 table: the active one or a snapshot's. */
export interface L1Table {
  readonly l1Offset: number;
  readonly l1Entries: number;
}

/** Where everything is in an image of that header. Knows no state but the pages. */
export class Mapping {
  readonly clusterSize: number;
  readonly entrySize: number;
  /** L2 entries in one table. */
  readonly l2Entries: number;
  /** Bytes of the disk that one L2 table describes. */
  readonly l2Covers: number;
  readonly subclusterSize: number;
  readonly extended: boolean;
  readonly external: boolean;
  readonly #pages: Pages;
  readonly #zeroBit: boolean;
  readonly #offsetShift: number;
  /** Size of the file: tables lie below it. Whoever lets the file grow says so here. */
  fileSize: number;

  constructor(header: Header, pages: Pages, fileSize: number) {
    this.#pages = pages;
    this.fileSize = fileSize;
    this.clusterSize = 1 << header.clusterBits;
    this.entrySize = l2EntrySize(header);
    this.l2Entries = this.clusterSize / this.entrySize;
    this.l2Covers = this.l2Entries * this.clusterSize;
    this.extended = (header.incompatible.low & EXTENDED_L2) !== 0;
    this.external = (header.incompatible.low & EXTERNAL_DATA) !== 0;
    this.subclusterSize = this.extended ? this.clusterSize / 32 : this.clusterSize;
    this.#zeroBit = header.version === 3 && !this.extended;
    this.#offsetShift = 62 - (header.clusterBits - 8) - 32;
  }

  /**
   * What is at `offset` of the disk, up to `end` at most, into `run`. Answers -1, or the beginning of
   * the page that has to be loaded first.
   */
  locate(table: L1Table, offset: number, end: number, run: Run): number {
    const l1Index = Math.floor(offset / this.l2Covers);
    const within = offset - l1Index * this.l2Covers;
    const untilEnd = Math.min(end - offset, this.l2Covers - within);
    if (l1Index >= table.l1Entries) {
      set(run, UNALLOCATED, end - offset, 0);
      return -1;
    }
    const l1At = table.l1Offset + l1Index * 8;
    const l1Start = this.#pages.startOf(l1At);
    const l1Page = this.#pages.get(l1Start);
    if (!l1Page) return l1Start;
    const l2Offset = this.l2TableAt(l1Page, l1At - l1Start);
    if (l2Offset === 0) {
      set(run, UNALLOCATED, untilEnd, 0);
      return -1;
    }
    const index = Math.floor(within / this.clusterSize);
    const at = l2Offset + index * this.entrySize;
    const start = this.#pages.startOf(at);
    const page = this.#pages.get(start);
    if (!page) return start;
    this.#fromPage(page, at - start, within - index * this.clusterSize, untilEnd, run);
    return -1;
  }

  /** Where the L2 table of an L1 entry is, 0 for none; throws if that is nowhere. */
  l2TableAt(page: Page, at: number): number {
    const offset = offsetOf(page.view.getUint32(at), page.view.getUint32(at + 4));
    if (offset % this.clusterSize || (offset && offset + this.clusterSize > this.fileSize)) {
      throw corrupt(`An L2 table at ${offset}, where none can be`);
    }
    return offset;
  }

  #fromPage(page: Page, at: number, within: number, most: number, run: Run): void {
    this.#one(page, at, within, run);
    const first = run.kind, host = run.host;
    if (first === COMPRESSED) {
      run.length = Math.min(run.length, most);
      return;
    }
    let total = run.length;
    const atEnd = this.#pages.pageSize;
    // Neighbours of the same kind, and of data at the next place of the file, are the same run.
    while (total < most) {
      within += run.length;
      if (within === this.clusterSize) [at, within] = [at + this.entrySize, 0];
      if (at === atEnd) break;
      this.#one(page, at, within, run);
      if (run.kind !== first || (first === DATA && run.host !== host + total)) break;
      total += run.length;
    }
    set(run, first, Math.min(total, most), host);
  }

  // One entry from `within` its cluster on; of an extended one, as far as its subclusters are alike.
  #one(page: Page, at: number, within: number, run: Run): void {
    const high = page.view.getUint32(at), low = page.view.getUint32(at + 4);
    const length = this.clusterSize - within;
    if (high & COMPRESSED_HIGH) {
      this.compressed(high, low, run);
      set(run, COMPRESSED, length, run.host);
      return;
    }
    const host = offsetOf(high, low);
    if (host % this.clusterSize) throw corrupt(`A cluster at ${host}, not where a cluster begins`);
    if (this.extended) {
      this.#subclusters(page, at + 8, within, host, run);
    } else if (this.#zeroBit && low & ZERO_LOW) {
      set(run, ZERO, length, host);
    } else if (host === 0 && !(this.external && high & COPIED_HIGH)) {
      set(run, UNALLOCATED, length, 0);
    } else {
      set(run, DATA, length, host + within);
    }
  }

  #subclusters(page: Page, at: number, within: number, host: number, run: Run): void {
    const zeros = page.view.getUint32(at), allocated = page.view.getUint32(at + 4);
    if (zeros & allocated) throw corrupt("A subcluster is both allocated and zero");
    let index = Math.floor(within / this.subclusterSize);
    const kindOf = (bit: number) =>
      allocated >>> bit & 1 ? DATA : zeros >>> bit & 1 ? ZERO : UNALLOCATED;
    const kind = kindOf(index++);
    if (kind === DATA && host === 0 && !this.external) {
      throw corrupt("A subcluster is allocated, but its cluster is not");
    }
    while (index < 32 && kindOf(index) === kind) index++;
    set(run, kind, index * this.subclusterSize - within, kind === DATA ? host + within : 0);
  }

  /** Where a compressed cluster's bytes are, from the halves of its entry, into `run`. */
  compressed(high: number, low: number, run: Run): void {
    const shift = this.#offsetShift;
    run.host = (high & ((1 << shift) - 1)) * 2 ** 32 + low;
    run.stored = (((high & 0x3fff_ffff) >>> shift) + 1) * 512 - run.host % 512;
  }
}

function set(run: Run, kind: number, length: number, host: number): void {
  run.kind = kind;
  run.length = length;
  run.host = host;
}

/** A run to be filled. */
export function emptyRun(): Run {
  return { kind: UNALLOCATED, length: 0, host: 0, stored: 0 };
}
