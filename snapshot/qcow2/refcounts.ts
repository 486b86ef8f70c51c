/**
 * Who uses which cluster of the file, and finding free ones (qcow2.txt "Host cluster management").
 *
 * A change of the tables is written in stages, with a flush between them, so that whatever a crash
 * leaves refers only to what is there before it:
 *
 *  1. new data, new tables that nothing refers to yet, and refcounts that grew;
 *  2. the refcount table's entries for new refcount blocks;
 *  3. entries of L1 and L2 tables, by which the new becomes what the guest sees;
 *  4. refcounts that fell, of what nothing refers to any more.
 *
 * So a cluster's count is never below its uses: a crash leaves clusters that count as used and are not,
 * and nothing worse. Counts that fall wait in a list until stage 3 is on disk; until then their
 * clusters are not given out again.
 *
 * What has to change many counts and the flags that go with them at once (`shadowed`) leaves the
 * blocks in the file as they are and works on copies in new places, table included; one write of the
 * header takes the image from the old set to the new.
 */

import { FopError } from "core/errno.ts";
import { corrupt, unsupported } from "snapshot/qcow2/failures.ts";
import type { Header } from "snapshot/qcow2/header.ts";
import type { Mapping } from "snapshot/qcow2/mapping.ts";
import { offsetOf, roundUp, viewOf, writeU64 } from "snapshot/qcow2/numbers.ts";
import type { Page, Pages } from "snapshot/qcow2/pages.ts";
import type { Store } from "snapshot/qcow2/store.ts";

// QEMU's limit.
const TABLE_MAX = 8 << 20;

export const STAGE_NEW = 1, STAGE_TABLE = 2, STAGE_MAPPING = 3, STAGE_FREED = 4;

/** Room is given back in pieces of whole blocks of file systems. */
const BLOCK = 4096;
/** So many ranges of clusters are remembered to be given back; what is more stays taken. */
const FREED_MAX = 65_536;

/** Counts of one image that is written to. */
export class Refcounts {
  readonly #store: Store;
  readonly #header: Header;
  readonly #pages: Pages;
  readonly #mapping: Mapping;
  readonly #clusterSize: number;
  /** Clusters that one refcount block describes. */
  readonly #perBlock: number;
  /** Where each refcount block is; 0: there is none, and all of its counts are 0. */
  #table: Float64Array<ArrayBuffer>;
  /** No cluster before this one is free. */
  #firstFree = 0;
  /** Clusters whose count falls by one once nothing on disk refers to them. */
  #falling: number[] = [];
  /** Blocks that were copied to a new place; undefined: changes go into the file's own blocks. */
  #shadow: Set<number> | undefined;
  /** Ranges that became free, in the order in which they did; some may be in use again. */
  #freed: { first: number; end: number }[] = [];
  /** Clusters that a shadow has no use for, and the file still has. */
  readonly #kept = new Set<number>();

  constructor(
    store: Store,
    header: Header,
    pages: Pages,
    mapping: Mapping,
    table: Float64Array<ArrayBuffer>,
  ) {
    this.#store = store;
    this.#header = header;
    this.#pages = pages;
    this.#mapping = mapping;
    this.#clusterSize = mapping.clusterSize;
    this.#perBlock = mapping.clusterSize * 8 / header.refcountBits;
    this.#table = table;
  }

  /** The counts of that image; reads the refcount table, 8 MiB at most. */
  static async open(
    store: Store,
    header: Header,
    pages: Pages,
    mapping: Mapping,
  ): Promise<Refcounts> {
    const { clusterSize, fileSize } = mapping;
    const bytes = new Uint8Array(header.refcountTableClusters * clusterSize);
    await store.read(header.refcountTableOffset, bytes);
    const view = viewOf(bytes);
    const table = new Float64Array(bytes.length / 8);
    const seen = new Set<number>();
    for (let index = 0; index < table.length; index++) {
      const offset = offsetOf(view.getUint32(index * 8), view.getUint32(index * 8 + 4)) +
        (view.getUint32(index * 8) >>> 24) * 2 ** 56;
      if (offset % clusterSize || (offset && offset + clusterSize > fileSize)) {
        throw corrupt(`A refcount block at ${offset}, where none can be`);
      }
      if (offset && seen.has(offset)) throw corrupt(`The refcount block at ${offset} comes twice`);
      seen.add(offset);
      table[index] = offset;
    }
    return new Refcounts(store, header, pages, mapping, table);
  }

  /** Where the refcount blocks are. */
  get blocks(): readonly number[] {
    return [...this.#table].filter((offset) => offset !== 0);
  }

  /** The clusters that blocks describe: first and how many, for each block. */
  *described(): Generator<[number, number]> {
    for (let number = 0; number < this.#table.length; number++) {
      if (this.#table[number]) yield [number * this.#perBlock, this.#perBlock];
    }
  }

  /** Whether there is a block for that cluster. */
  describes(cluster: number): boolean {
    return !!this.#table[Math.floor(cluster / this.#perBlock)];
  }

  /** The largest count that this image can hold. */
  get most(): number {
    const bits = this.#header.refcountBits;
    return bits >= 53 ? Number.MAX_SAFE_INTEGER : 2 ** bits - 1;
  }

  /** How many uses the cluster with that number has. */
  async get(cluster: number): Promise<number> {
    const block = this.#table[Math.floor(cluster / this.#perBlock)];
    if (!block) return 0;
    const index = cluster % this.#perBlock;
    return this.#value(await this.#page(block, index), index);
  }

  #page(block: number, index: number): Promise<Page> {
    const at = block + Math.floor(index * this.#header.refcountBits / 8);
    return this.#pages.load(this.#pages.startOf(at));
  }

  #value(page: Page, index: number): number {
    const bits = this.#header.refcountBits;
    const at = Math.floor(index * bits / 8) % this.#pages.pageSize;
    if (bits === 16) return page.view.getUint16(at);
    if (bits === 64) return page.view.getUint32(at) * 2 ** 32 + page.view.getUint32(at + 4);
    if (bits === 32) return page.view.getUint32(at);
    if (bits === 8) return page.bytes[at]!;
    return page.bytes[at]! >> index * bits % 8 & ((1 << bits) - 1);
  }

  #setValue(page: Page, index: number, value: number): void {
    const bits = this.#header.refcountBits;
    const at = Math.floor(index * bits / 8) % this.#pages.pageSize;
    if (bits === 16) page.view.setUint16(at, value);
    else if (bits === 64) writeU64(page.view, at, value);
    else if (bits === 32) page.view.setUint32(at, value);
    else if (bits === 8) page.bytes[at] = value;
    else {
      const shift = index * bits % 8, mask = ((1 << bits) - 1) << shift;
      page.bytes[at] = (page.bytes[at]! & ~mask) | value << shift;
    }
  }

  /** One more or one fewer use of a cluster, at once; `stage` says when it goes to the file. */
  async #add(cluster: number, by: 1 | -1, stage: number): Promise<number> {
    const block = await this.#blockFor(Math.floor(cluster / this.#perBlock));
    const index = cluster % this.#perBlock;
    const page = await this.#page(block, index);
    const value = this.#value(page, index) + by;
    if (value < 0) throw corrupt(`Cluster ${cluster} is used, but its refcount is 0`);
    if (value > this.most) {
      throw unsupported(
        `A cluster would have ${value} uses; refcounts of ${this.#header.refcountBits} bits end before`,
      );
    }
    this.#setValue(page, index, value);
    this.#pages.change(page, stage);
    if (value === 0) this.#firstFree = Math.min(this.#firstFree, cluster);
    return value;
  }

  /** Clusters that hold tables: data never goes there, whatever an entry or a count says. */
  readonly guarded = new Set<number>();

  #checkGuard(cluster: number): void {
    if (!this.guarded.has(cluster)) return;
    throw corrupt(`Cluster ${cluster} holds a table, but its refcount is 0: repair the image`);
  }

  /** One more use of a cluster. */
  async rise(cluster: number): Promise<void> {
    await this.#add(cluster, 1, STAGE_NEW);
  }

  /** One use fewer of each of `count` clusters from `offset` on, once the tables on disk say so. */
  fallLater(offset: number, count = 1): void {
    const first = offset / this.#clusterSize;
    for (let each = 0; each < count; each++) this.#falling.push(first + each);
  }

  /** Whether counts are still to fall. */
  get anyFalling(): boolean {
    return this.#falling.length > 0;
  }

  /** Stage 4, in memory: the counts that waited fall. */
  async fall(): Promise<void> {
    const falling = this.#falling;
    this.#falling = [];
    for (const cluster of falling) {
      if (await this.#add(cluster, -1, STAGE_FREED) === 0) this.#isFree(cluster);
    }
  }

  // Nothing refers to it any more, in the file neither.
  #isFree(cluster: number): void {
    this.guarded.delete(cluster);
    this.#pages.forget(cluster * this.#clusterSize, this.#clusterSize);
    const last = this.#freed.at(-1);
    if (last?.end === cluster) last.end++;
    else if (this.#freed.length < FREED_MAX) this.#freed.push({ first: cluster, end: cluster + 1 });
  }

  /**
   * Gives the room of clusters that became free back to whoever keeps the file. Everything has to be on
   * stable storage: a crash must not bring counts or entries back for bytes that are gone. What fails
   * costs room and nothing else.
   */
  async punchFreed(): Promise<void> {
    const freed = this.#freed.sort((one, other) => one.first - other.first);
    this.#freed = [];
    let first = 0, end = 0;
    try {
      for (const range of freed) {
        for (let cluster = Math.max(range.first, end); cluster < range.end; cluster++) {
          const block = this.#table[Math.floor(cluster / this.#perBlock)];
          if (!block || this.guarded.has(cluster) || await this.#used(block, cluster)) continue;
          if (cluster !== end) {
            await this.#punch(first, end);
            first = cluster;
          }
          end = cluster + 1;
        }
      }
      await this.#punch(first, end);
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
    }
  }

  async #punch(first: number, end: number): Promise<void> {
    const from = roundUp(first * this.#clusterSize, BLOCK);
    const to = Math.floor(end * this.#clusterSize / BLOCK) * BLOCK;
    if (to > from) await this.#store.punch(from, to - from);
  }

  /**
   * One use fewer at once, in a shadow: the file's own tables still use the cluster, so that it is not
   * given out again before the header has changed.
   */
  async fallNow(cluster: number): Promise<void> {
    if (await this.#add(cluster, -1, STAGE_NEW) === 0) this.#kept.add(cluster);
  }

  /**
   * Sets a count as a check found it: up before anything else is written, down afterwards.
   */
  async set(cluster: number, value: number): Promise<void> {
    const block = await this.#blockFor(Math.floor(cluster / this.#perBlock));
    const index = cluster % this.#perBlock;
    const page = await this.#page(block, index);
    const before = this.#value(page, index);
    this.#setValue(page, index, Math.min(value, this.most));
    this.#pages.change(page, value > before ? STAGE_NEW : STAGE_FREED);
    if (value > 0) return;
    this.#firstFree = Math.min(this.#firstFree, cluster);
    this.#isFree(cluster);
  }

  /** Takes `count` clusters side by side that nobody uses; answers where they begin. */
  async allocate(count = 1): Promise<number> {
    let first = await this.#findFree(count);
    // A block that has to be copied takes a place itself, perhaps the very one that was found.
    while (await this.#copyBlocks(first, count)) first = await this.#findFree(count);
    for (let each = 0; each < count; each++) {
      this.#checkGuard(first + each);
      await this.rise(first + each);
    }
    // What was found first is still free if more than one was wanted.
    if (first <= this.#firstFree) this.#firstFree = first + count;
    const end = (first + count) * this.#clusterSize;
    this.#mapping.fileSize = Math.max(this.#mapping.fileSize, end);
    return first * this.#clusterSize;
  }

  // Makes the blocks of these clusters such that they may be changed; true if that changed anything.
  async #copyBlocks(first: number, count: number): Promise<boolean> {
    if (!this.#shadow) return false;
    let copied = false;
    const last = Math.floor((first + count - 1) / this.#perBlock);
    for (let number = Math.floor(first / this.#perBlock); number <= last; number++) {
      if (this.#shadow.has(number)) continue;
      await this.#blockFor(number);
      copied = true;
    }
    return copied;
  }

  async #findFree(count: number): Promise<number> {
    for (;;) {
      const room = this.#table.length * this.#perBlock;
      let start = this.#firstFree, known = false;
      for (let cluster = start; cluster < room; cluster++) {
        const number = Math.floor(cluster / this.#perBlock);
        const block = this.#table[number]!;
        if (block === 0) {
          // Nothing is described here: room for a run, behind the blocks that will describe it.
          if (!await this.#newBlocks(number, count)) break;
        }
        if (block === 0 || await this.#used(block, cluster)) {
          start = cluster + 1;
          continue;
        }
        if (!known) [this.#firstFree, known] = [cluster, true];
        if (cluster - start + 1 === count) return start;
      }
      await this.#growTable(count);
    }
  }

  // Synchronous as long as the page is here: a search passes many.
  #used(block: number, cluster: number): boolean | Promise<boolean> {
    if (this.#kept.has(cluster)) return true;
    const index = cluster % this.#perBlock;
    const at = block + Math.floor(index * this.#header.refcountBits / 8);
    const page = this.#pages.get(this.#pages.startOf(at));
    if (page) return this.#value(page, index) !== 0;
    return this.#page(block, index).then((loaded) => this.#value(loaded, index) !== 0);
  }

  // The block with that number, made if there is none, copied if the file's is to stay as it is.
  async #blockFor(number: number): Promise<number> {
    const known = this.#table[number];
    if (known === undefined) throw corrupt("A cluster beyond what the refcount table describes");
    if (known && !(this.#shadow && !this.#shadow.has(number))) return known;
    if (!known) {
      await this.#newBlocks(number, 1);
      return this.#table[number]!;
    }
    this.#shadow!.add(number);
    const place = await this.allocate();
    // Taking the place may have changed counts of this very block: it is copied as it is now.
    this.#pages.fresh(place, this.#clusterSize, STAGE_NEW);
    for (let at = 0; at < this.#clusterSize; at += this.#pages.pageSize) {
      const from = await this.#pages.load(known + at), to = await this.#pages.load(place + at);
      to.bytes.set(from.bytes);
    }
    this.#pages.forget(known, this.#clusterSize);
    this.#table[number] = place;
    this.fallLater(known);
    return place;
  }

  /**
   * New blocks from that number on, enough for a run of `count` clusters and for themselves: they are
   * the first clusters of what they describe, which is free, since nothing described it. False if the
   * table has no room for them.
   */
  async #newBlocks(number: number, count: number): Promise<boolean> {
    let blocks = 1;
    while (blocks * this.#perBlock < count + blocks) blocks++;
    const free = this.#table.subarray(number, number + blocks);
    if (number + blocks > this.#table.length || free.some((offset) => offset !== 0)) {
      return blocks === 1 || await this.#newBlocks(number, 1);
    }
    const first = number * this.#perBlock, size = this.#clusterSize;
    if (first === 0) throw corrupt("No refcount block describes the image's header");
    for (let each = 0; each < blocks; each++) {
      this.#checkGuard(first + each);
      this.#table[number + each] = (first + each) * size;
      this.#pages.fresh((first + each) * size, size, STAGE_NEW);
      this.#shadow?.add(number + each);
      if (!this.#shadow) await this.#writeTableEntry(number + each);
    }
    for (let each = 0; each < blocks; each++) await this.rise(first + each);
    this.#mapping.fileSize = Math.max(this.#mapping.fileSize, (first + blocks) * size);
    return true;
  }

  async #writeTableEntry(number: number): Promise<void> {
    const at = this.#header.refcountTableOffset + number * 8;
    const page = await this.#pages.load(this.#pages.startOf(at));
    writeU64(page.view, at - page.offset, this.#table[number]!);
    this.#pages.change(page, STAGE_TABLE);
  }

  /**
   * Every change from here to `commitShadow` goes to copies. Nothing of the file may be waiting to be
   * written.
   */
  beginShadow(): void {
    this.#shadow = new Set();
  }

  /** The table of a shadow gets a place of its own; the header then has to name it. */
  async placeShadow(): Promise<void> {
    if (!this.#grew) {
      const old = this.#header.refcountTableOffset, clusters = this.#header.refcountTableClusters;
      const place = await this.allocate(clusters);
      // Making room may have needed a larger table: then that is the new place.
      if (this.#grew) this.fallLater(place, clusters);
      else {
        this.fallLater(old, clusters);
        this.#pages.forget(old, clusters * this.#clusterSize);
        this.#header.refcountTableOffset = place;
      }
    }
    this.#grew = false;
    await this.#writeTable();
  }

  async #writeTable(): Promise<void> {
    const { refcountTableOffset, refcountTableClusters } = this.#header;
    const bytes = new Uint8Array(refcountTableClusters * this.#clusterSize);
    const view = viewOf(bytes);
    this.#table.forEach((offset, index) => writeU64(view, index * 8, offset));
    await this.#store.write(refcountTableOffset, bytes);
  }

  /** The header names the new set: from here on it is the file's own. */
  endShadow(): void {
    this.#shadow = undefined;
    for (const cluster of this.#kept) {
      this.#isFree(cluster);
      this.#firstFree = Math.min(this.#firstFree, cluster);
    }
    this.#kept.clear();
  }

  /**
   * A larger table, behind everything that the old one can describe, with the blocks that describe
   * its own clusters. Nothing refers to either until the header does, in one write.
   */
  async #growTable(count: number): Promise<void> {
    const size = this.#clusterSize, perBlock = this.#perBlock;
    const first = this.#table.length * perBlock;
    let tableClusters = 0, blocks = 0, entries = 0;
    // Until the table and its blocks, and what was asked for, fit what they describe.
    for (let last = -1; last !== tableClusters + blocks;) {
      last = tableClusters + blocks;
      const end = first + last + 2 * count + perBlock;
      const most = Math.min(Math.ceil(this.#table.length * 1.5), TABLE_MAX / 8);
      entries = Math.max(most, Math.ceil(end / perBlock) + 1);
      tableClusters = roundUp(entries * 8, size) / size;
      blocks = Math.ceil((tableClusters + blocks) / perBlock) || 1;
    }
    if (tableClusters * size > TABLE_MAX) {
      throw unsupported("The image is as large as its cluster size and refcount width allow");
    }
    const table = new Float64Array(tableClusters * size / 8);
    table.set(this.#table);
    const place = first * size, used = tableClusters + blocks;
    for (let each = 0; each < blocks; each++) {
      const offset = place + (tableClusters + each) * size;
      table[this.#table.length + each] = offset;
      this.#pages.fresh(offset, size, STAGE_NEW);
      this.#shadow?.add(this.#table.length + each);
    }
    const old = {
      offset: this.#header.refcountTableOffset,
      clusters: this.#header.refcountTableClusters,
    };
    this.#table = table;
    for (let each = 0; each < used; each++) await this.rise(first + each);
    this.#mapping.fileSize = Math.max(this.#mapping.fileSize, place + used * size);
    this.#pages.forget(old.offset, old.clusters * size);
    this.#header.refcountTableOffset = place;
    this.#header.refcountTableClusters = tableClusters;
    await this.#writeTable();
    this.#grew = true;
    this.fallLater(old.offset, old.clusters);
  }

  #grew = false;

  /** True once after the table got a new place: stage 2 is then a write of the header. */
  takeGrown(): boolean {
    const grew = this.#grew;
    this.#grew = false;
    return grew;
  }
}
