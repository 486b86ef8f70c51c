/**
 * The tables of an image that is written to: L1 and L2 entries that may be changed, room for new
 * clusters, and `sync`, which takes what changed to the file in the order that `refcounts.ts` explains.
 */

import type { Bitmap } from "snapshot/qcow2/bitmaps.ts";
import { corrupt, refused, usage } from "snapshot/qcow2/failures.ts";
import {
  BITMAPS,
  CORRUPT,
  EXTERNAL_DATA,
  FIXED_FIELDS_AT,
  fixedFields,
  packHeader,
  RAW_EXTERNAL,
} from "snapshot/qcow2/header.ts";
import type { Image, Parts } from "snapshot/qcow2/image.ts";
import { emptyRun } from "snapshot/qcow2/mapping.ts";
import {
  COMPRESSED_HIGH,
  COPIED_HIGH,
  offsetOf,
  viewOf,
  writeU64,
} from "snapshot/qcow2/numbers.ts";
import type { Page } from "snapshot/qcow2/pages.ts";
import { Recorder } from "snapshot/qcow2/recorder.ts";
import {
  Refcounts,
  STAGE_FREED,
  STAGE_MAPPING,
  STAGE_NEW,
  STAGE_TABLE,
} from "snapshot/qcow2/refcounts.ts";
import type { Store } from "snapshot/qcow2/store.ts";

/** Changed tables are written once they are that large, asked or not. */
const CHANGED_MAX = 2 << 20;

/** An L2 entry where it is in memory. */
export interface Entry {
  readonly page: Page;
  readonly at: number;
}

/** The tables of one image. One change at a time: `Editor` sees to that. */
export class Tables {
  readonly parts: Parts;
  readonly refcounts: Refcounts;
  /** Those that the image has, and was opened with. */
  readonly bitmaps: readonly Bitmap[];
  /** Whoever changes what the guest sees says so here first. */
  readonly recorder: Recorder;
  readonly clusterSize: number;
  readonly #store: Store;
  #dataWritten = false;

  constructor(parts: Parts, refcounts: Refcounts, bitmaps: readonly Bitmap[]) {
    this.parts = parts;
    this.clusterSize = parts.mapping.clusterSize;
    this.refcounts = refcounts;
    this.bitmaps = bitmaps;
    this.recorder = new Recorder(this, bitmaps);
    this.#store = parts.file.store;
  }

  /** The tables of an image that is sound enough to be written to; throws for one that is not. */
  static async open(image: Image): Promise<Tables> {
    const { parts } = image;
    const { file, header, pages, mapping } = parts;
    if (header.incompatible.low & CORRUPT) {
      throw refused("The image is marked as corrupt: repair it before it is written to");
    }
    if (image.dirty) {
      throw refused("The image was not closed by its last user: repair it before it is written to");
    }
    const bitmaps = await image.bitmaps();
    const refcounts = await Refcounts.open(file.store, header, pages, mapping);
    const tables = new Tables(parts, refcounts, bitmaps);
    await tables.#guard();
    await tables.#clearUnknown();
    return tables;
  }

  // Where tables are, so that no entry and no count, however wrong, makes data of them.
  async #guard(): Promise<void> {
    const { header, snapshots, mapping, pages } = this.parts;
    const guard = (offset: number, size: number) => {
      const first = Math.floor(offset / this.clusterSize);
      const count = Math.ceil(size / this.clusterSize);
      for (let each = 0; each < count; each++) this.refcounts.guarded.add(first + each);
    };
    guard(0, 1);
    guard(header.l1Offset, header.l1Entries * 8);
    guard(header.refcountTableOffset, header.refcountTableClusters * this.clusterSize);
    if (header.snapshotCount) guard(header.snapshotsOffset, 1);
    for (const { l1Offset, l1Entries } of snapshots) guard(l1Offset, l1Entries * 8);
    for (const block of this.refcounts.blocks) guard(block, 1);
    for (let index = 0; index < header.l1Entries; index++) {
      const at = header.l1Offset + index * 8;
      const page = await pages.load(pages.startOf(at));
      const offset = mapping.l2TableAt(page, at - page.offset);
      if (offset) guard(offset, 1);
    }
  }

  // Whoever writes clears the auto-clear bits that he does not know.
  async #clearUnknown(): Promise<void> {
    const { autoclear } = this.parts.header;
    const known = BITMAPS | RAW_EXTERNAL;
    if (!autoclear.high && !(autoclear.low & ~known)) return;
    autoclear.high = 0;
    autoclear.low &= known;
    await this.writeHeader();
  }

  /** Data is the image's own; false: it lies in an external file and is not counted. */
  get counted(): boolean {
    return !(this.parts.header.incompatible.low & EXTERNAL_DATA);
  }

  /** Where data goes. */
  get data(): Store {
    return this.parts.dataFile?.store ?? this.#store;
  }

  /** Writes guest data to `host`. Refuses what would hit a table. */
  async writeData(host: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.counted) await this.#checkPlace(host, bytes.length);
    this.#dataWritten = true;
    await this.data.write(host, bytes);
  }

  // What was allocated is within the file as `mapping` knows it, written or not yet.
  async #checkPlace(host: number, length: number): Promise<void> {
    const { mapping } = this.parts;
    const last = Math.floor((host + length - 1) / this.clusterSize);
    let wrong = last >= Math.ceil(mapping.fileSize / this.clusterSize);
    for (let each = Math.floor(host / this.clusterSize); !wrong && each <= last; each++) {
      wrong = this.refcounts.guarded.has(each);
    }
    if (!wrong) return;
    await this.markCorrupt();
    throw corrupt(`A data cluster at ${host}, where there is a table, or no file`);
  }

  /** Sets the corrupt bit, where the version has one: nobody writes before a repair. */
  async markCorrupt(): Promise<void> {
    const { header } = this.parts;
    if (header.version < 3) return;
    header.incompatible.low |= CORRUPT;
    await this.writeHeader();
  }

  /** The L1 entry for `offset` of the disk. */
  async #l1Entry(offset: number): Promise<Entry> {
    const { header, mapping, pages } = this.parts;
    const index = Math.floor(offset / mapping.l2Covers);
    if (index >= header.l1Entries) throw usage(`Offset ${offset} is past the end of the disk`);
    const at = header.l1Offset + index * 8;
    const page = await pages.load(pages.startOf(at));
    return { page, at: at - page.offset };
  }

  /** The L2 entry for `offset` of the disk, or undefined if there is no L2 table yet. */
  async entry(offset: number): Promise<Entry | undefined> {
    const { page, at } = await this.#l1Entry(offset);
    const table = this.parts.mapping.l2TableAt(page, at);
    return table === 0 ? undefined : await this.#inTable(table, offset);
  }

  async #inTable(table: number, offset: number): Promise<Entry> {
    const { mapping, pages } = this.parts;
    const index = Math.floor(offset % mapping.l2Covers / this.clusterSize);
    const at = table + index * mapping.entrySize;
    const page = await pages.load(pages.startOf(at));
    return { page, at: at - page.offset };
  }

  /** The same in a table that may be changed: a new one, or a copy of one that a snapshot has, too. */
  async entryToChange(offset: number): Promise<Entry> {
    const { page, at } = await this.#l1Entry(offset);
    const table = this.parts.mapping.l2TableAt(page, at);
    if (table && page.view.getUint32(at) & COPIED_HIGH) return await this.#inTable(table, offset);
    const place = await this.refcounts.allocate();
    await this.#copyTable(table, place);
    // Again: loading pages may have dropped the first.
    const l1 = await this.#l1Entry(offset);
    writeU64(l1.page.view, l1.at, place);
    l1.page.view.setUint32(l1.at, (l1.page.view.getUint32(l1.at) | COPIED_HIGH) >>> 0);
    this.parts.pages.change(l1.page, STAGE_MAPPING);
    if (table) this.refcounts.fallLater(table);
    return await this.#inTable(place, offset);
  }

  async #copyTable(from: number, to: number): Promise<void> {
    const { pages } = this.parts;
    pages.fresh(to, this.clusterSize, STAGE_NEW);
    for (let at = 0; from && at < this.clusterSize; at += pages.pageSize) {
      const source = await pages.load(from + at);
      (await pages.load(to + at)).bytes.set(source.bytes);
    }
  }

  /** Says that an entry was changed. */
  changed(entry: Entry): void {
    this.parts.pages.change(entry.page, STAGE_MAPPING);
  }

  /** What an entry refers to is used once less, as soon as the file does not say so any more. */
  release(high: number, low: number): void {
    if (!this.counted) return;
    if (high & COMPRESSED_HIGH) {
      const { first, count } = this.compressedClusters(high, low);
      this.refcounts.fallLater(first * this.clusterSize, count);
      this.parts.reader.forget();
      return;
    }
    const host = offsetOf(high, low);
    if (host) this.refcounts.fallLater(host);
  }

  /** The clusters of the file that a compressed cluster lies in. */
  compressedClusters(high: number, low: number): { first: number; count: number } {
    const run = emptyRun();
    this.parts.mapping.compressed(high, low, run);
    const first = Math.floor(run.host / this.clusterSize);
    const last = Math.floor((run.host + run.stored - 1) / this.clusterSize);
    return { first, count: last - first + 1 };
  }

  /** So much waits to be written that it should be, asked or not. */
  get changedMuch(): boolean {
    return this.parts.pages.changedBytes >= CHANGED_MAX;
  }

  /**
   * Runs a change that takes the image from one set of tables to another in one write of the header:
   * what is in the file stays as it is until then. `change` places new tables, counts with `rise` and
   * `fallNow`, and sets the header's fields.
   */
  async switch(change: () => Promise<void>): Promise<void> {
    const { pages } = this.parts;
    await this.sync();
    this.refcounts.beginShadow();
    await change();
    await this.refcounts.placeShadow();
    await pages.writeStage(STAGE_NEW);
    await this.#store.flush();
    await this.writeFields();
    this.#dataWritten = false;
    this.refcounts.endShadow();
    this.parts.reader.forget();
    await this.refcounts.fall();
    await pages.writeStage(STAGE_FREED);
  }

  /** Within `switch`: tables that nothing refers to yet may go to the file at any time. */
  async spill(): Promise<void> {
    if (this.changedMuch) await this.parts.pages.writeStage(STAGE_NEW);
  }

  /** Takes what changed to the file; whatever stops it on the way leaves leaked clusters at worst. */
  async sync(): Promise<void> {
    const { pages, dataFile } = this.parts;
    const fresh = await pages.writeStage(STAGE_NEW);
    if (this.#dataWritten && dataFile) await dataFile.store.flush();
    if (fresh || this.#dataWritten) await this.#store.flush();
    this.#dataWritten = false;
    const tables = await pages.writeStage(STAGE_TABLE);
    const grew = this.refcounts.takeGrown();
    if (tables && grew) await this.#store.flush();
    if (grew) await this.writeFields();
    else if (tables) await this.#store.flush();
    const mapped = await pages.writeStage(STAGE_MAPPING);
    if (mapped) await this.#store.flush();
    if (!this.refcounts.anyFalling) return;
    await this.refcounts.fall();
    await pages.writeStage(STAGE_FREED);
  }

  /** The fields that name the tables, in one write, and onto the disk. */
  async writeFields(): Promise<void> {
    await this.#store.write(FIXED_FIELDS_AT, fixedFields(this.parts.header));
    await this.#store.flush();
  }

  /** The whole header, extensions included, and onto the disk. */
  async writeHeader(): Promise<void> {
    const bytes = packHeader(this.parts.header);
    // The rest of what was written before is not to be taken for an extension.
    const cluster = new Uint8Array(Math.max(bytes.length, Math.min(this.clusterSize, 4096)));
    cluster.set(bytes);
    await this.#store.write(0, cluster);
    await this.#store.flush();
  }

  /** A contiguous table of its own: takes room, writes it, answers where; nothing refers to it yet. */
  async place(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    const clusters = Math.ceil(bytes.length / this.clusterSize);
    const offset = await this.refcounts.allocate(clusters);
    const padded = new Uint8Array(clusters * this.clusterSize);
    padded.set(bytes);
    this.parts.pages.forget(offset, padded.length);
    await this.#store.write(offset, padded);
    this.#dataWritten = true;
    for (let each = 0; each < clusters; each++) {
      this.refcounts.guarded.add(offset / this.clusterSize + each);
    }
    return offset;
  }

  /** All of an L1 table. */
  async readL1(l1Offset: number, l1Entries: number): Promise<DataView> {
    const bytes = new Uint8Array(l1Entries * 8);
    await this.#store.read(l1Offset, bytes);
    return viewOf(bytes);
  }
}
