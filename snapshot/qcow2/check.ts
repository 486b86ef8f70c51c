/**
 * Checking an image: every cluster of the file is counted as the tables use it, and the count compared
 * with what the refcounts say. A count above is a leak, which costs room; a count below is dangerous,
 * since somebody may be given a cluster that is in use. `repair` sets the counts right and clears the
 * dirty bit; what the tables themselves have wrong is reported, not guessed at.
 */

import { readBitmaps } from "snapshot/qcow2/bitmaps.ts";
import { Qcow2Error, refused } from "snapshot/qcow2/failures.ts";
import { CORRUPT, DIRTY, EXT_BITMAPS, extension, EXTERNAL_DATA } from "snapshot/qcow2/header.ts";
import type { Image } from "snapshot/qcow2/image.ts";
import { emptyRun, type L1Table } from "snapshot/qcow2/mapping.ts";
import { COMPRESSED_HIGH, COPIED_HIGH, offsetOf, readU64, viewOf } from "snapshot/qcow2/numbers.ts";
import { Refcounts, STAGE_FREED, STAGE_NEW, STAGE_TABLE } from "snapshot/qcow2/refcounts.ts";

/** What a check found. Clusters by their number in the file. */
export interface CheckReport {
  /** Clusters that count as used more often than they are. */
  leaks: number;
  /** Clusters that are used more often than they count. */
  tooLow: number;
  /** Other things that are wrong, for people; the first hundred. */
  readonly errors: string[];
  /** Clusters that hold something. */
  used: number;
}

const ERRORS_MAX = 100, CHUNK = 1 << 14;

/** How often each cluster is used; memory only for parts of the file that are. */
class Uses {
  readonly #chunks = new Map<number, Uint32Array>();

  add(cluster: number): void {
    const number = Math.floor(cluster / CHUNK);
    let chunk = this.#chunks.get(number);
    if (!chunk) this.#chunks.set(number, chunk = new Uint32Array(CHUNK));
    chunk[cluster % CHUNK]!++;
  }

  addRange(offset: number, size: number, clusterSize: number): void {
    const first = Math.floor(offset / clusterSize), end = Math.ceil((offset + size) / clusterSize);
    for (let cluster = first; cluster < end; cluster++) this.add(cluster);
  }

  *all(): Generator<number> {
    for (const [number, chunk] of this.#chunks) {
      for (let each = 0; each < CHUNK; each++) if (chunk[each]) yield number * CHUNK + each;
    }
  }

  get(cluster: number): number {
    return this.#chunks.get(Math.floor(cluster / CHUNK))?.[cluster % CHUNK] ?? 0;
  }
}

/** Checks an image; reads all of its tables. */
export async function checkImage(image: Image): Promise<CheckReport> {
  return await new Checker(image).check();
}

/**
 * Sets refcounts to what the tables use, and clears the dirty bit: counts that are too low first.
 * Refuses if the tables contradict themselves. The image must be writable and used by nobody.
 */
export async function repairImage(image: Image): Promise<CheckReport> {
  const { file, header, pages } = image.parts;
  const checker = new Checker(image);
  const report = await checker.check();
  if (report.errors.length) {
    throw refused(`The image has what no recount mends: ${report.errors[0]}`);
  }
  const refcounts = checker.refcounts;
  // A new refcount block is not put where somebody is whom no count protects yet.
  for (const { cluster, counted } of checker.wrong) {
    if (counted === 0) refcounts.guarded.add(cluster);
  }
  // In two rounds: room for new refcount blocks is only looked for among what is really free.
  for (const rise of [true, false]) {
    for (const { cluster, counted, used } of checker.wrong) {
      if (counted < used === rise) await refcounts.set(cluster, used);
    }
    await pages.writeStage(STAGE_NEW);
    await file.store.flush();
    await pages.writeStage(STAGE_TABLE);
    await pages.writeStage(STAGE_FREED);
    await file.store.flush();
  }
  await refcounts.punchFreed();
  if (header.version === 3 && header.incompatible.low & (DIRTY | CORRUPT)) {
    header.incompatible.low &= ~(DIRTY | CORRUPT);
    const low = new Uint8Array(4);
    viewOf(low).setUint32(0, header.incompatible.low);
    await file.store.write(76, low);
    await file.store.flush();
  }
  return report;
}

class Checker {
  readonly #image: Image;
  readonly #uses = new Uses();
  readonly #report: CheckReport = { leaks: 0, tooLow: 0, errors: [], used: 0 };
  /** Counts that are not what they should be. */
  readonly wrong: { cluster: number; counted: number; used: number }[] = [];
  refcounts!: Refcounts;

  constructor(image: Image) {
    this.#image = image;
  }

  #error(text: string): void {
    if (this.#report.errors.length < ERRORS_MAX) this.#report.errors.push(text);
  }

  async check(): Promise<CheckReport> {
    const { header, file, pages, mapping, snapshots, snapshotBytes } = this.#image.parts;
    const { clusterSize } = mapping;
    this.refcounts = await Refcounts.open(file.store, header, pages, mapping);
    this.#uses.addRange(0, 1, clusterSize);
    const tableBytes = header.refcountTableClusters * clusterSize;
    this.#uses.addRange(header.refcountTableOffset, tableBytes, clusterSize);
    for (const block of this.refcounts.blocks) this.#uses.addRange(block, 1, clusterSize);
    if (snapshotBytes) this.#uses.addRange(header.snapshotsOffset, snapshotBytes, clusterSize);
    await this.#table(header, "the active L1 table");
    for (const snapshot of snapshots) {
      await this.#table(snapshot, `the L1 table of snapshot ${snapshot.id}`);
    }
    await this.#bitmaps();
    await this.#compare();
    await this.#flags();
    return this.#report;
  }

  async #table(table: L1Table, what: string): Promise<void> {
    const { pages, mapping } = this.#image.parts;
    this.#uses.addRange(table.l1Offset, table.l1Entries * 8, mapping.clusterSize);
    for (let index = 0; index < table.l1Entries; index++) {
      const at = table.l1Offset + index * 8;
      const page = await pages.load(pages.startOf(at));
      try {
        const l2 = mapping.l2TableAt(page, at - page.offset);
        if (l2) await this.#l2Table(l2, what);
      } catch (failure) {
        if (!(failure instanceof Qcow2Error)) throw failure;
        this.#error(`entry ${index} of ${what}: ${failure.message}`);
      }
    }
  }

  async #l2Table(l2: number, what: string): Promise<void> {
    const { pages, mapping, header } = this.#image.parts;
    const { clusterSize, entrySize, fileSize } = mapping;
    this.#uses.add(l2 / clusterSize);
    const counted = !(header.incompatible.low & EXTERNAL_DATA);
    const run = emptyRun();
    for (let start = l2; start < l2 + clusterSize; start += pages.pageSize) {
      const { view } = await pages.load(start);
      for (let at = 0; at < pages.pageSize; at += entrySize) {
        const high = view.getUint32(at), low = view.getUint32(at + 4);
        if (high & COMPRESSED_HIGH) {
          mapping.compressed(high, low, run);
          if (run.host >= fileSize) this.#error(`a compressed cluster past the end, in ${what}`);
          else this.#uses.addRange(run.host, run.stored, clusterSize);
          continue;
        }
        const host = offsetOf(high, low);
        if (!host || !counted) continue;
        if (host % clusterSize) this.#error(`a cluster at ${host}, in ${what}`);
        else if (host >= fileSize) this.#error(`a cluster at ${host}, past the end, in ${what}`);
        else this.#uses.add(host / clusterSize);
      }
    }
  }

  // The directory, the tables and the bits of bitmaps; whether they are trusted or not, they are there.
  async #bitmaps(): Promise<void> {
    const { file, header, mapping } = this.#image.parts;
    const area = extension(header, EXT_BITMAPS);
    const bitmaps = await readBitmaps(file.store, header, mapping.fileSize);
    if (!bitmaps.length || !area) return;
    const size = mapping.clusterSize;
    this.#uses.addRange(readU64(viewOf(area), 16), readU64(viewOf(area), 8), size);
    for (const { tableOffset, tableEntries, name } of bitmaps) {
      const table = new Uint8Array(tableEntries * 8), view = viewOf(table);
      this.#uses.addRange(tableOffset, table.length, size);
      await file.store.read(tableOffset, table);
      for (let at = 0; at < table.length; at += 8) {
        const host = offsetOf(view.getUint32(at), view.getUint32(at + 4));
        if (host % size || host > mapping.fileSize) this.#error(`bitmap "${name}": ${host}`);
        else if (host) this.#uses.add(host / size);
      }
    }
  }

  // Only what a refcount block describes or what is used: a file may be large and have neither.
  async #compare(): Promise<void> {
    const { fileSize, clusterSize } = this.#image.parts.mapping;
    const end = Math.ceil(fileSize / clusterSize);
    for (const [first, count] of this.refcounts.described()) {
      for (let cluster = first; cluster < Math.min(first + count, end); cluster++) {
        this.#compareOne(cluster, await this.refcounts.get(cluster));
      }
    }
    for (const cluster of this.#uses.all()) {
      if (cluster < end && this.refcounts.describes(cluster)) continue;
      this.#compareOne(cluster, 0);
    }
  }

  #compareOne(cluster: number, counted: number): void {
    const used = this.#uses.get(cluster);
    if (used) this.#report.used++;
    if (counted === used) return;
    if (counted > used) this.#report.leaks++;
    else this.#report.tooLow++;
    this.wrong.push({ cluster, counted, used });
  }

  // Beside each reference of the active tables stands whether it is the only one.
  async #flags(): Promise<void> {
    const { header, mapping, pages } = this.#image.parts;
    const { clusterSize, entrySize } = mapping;
    if (header.incompatible.low & EXTERNAL_DATA) return;
    for (let index = 0; index < header.l1Entries; index++) {
      const l1At = header.l1Offset + index * 8;
      const page = await pages.load(pages.startOf(l1At));
      const high = page.view.getUint32(l1At - page.offset);
      const l2 = offsetOf(high, page.view.getUint32(l1At - page.offset + 4));
      if (!l2 || l2 % clusterSize || l2 + clusterSize > mapping.fileSize) continue;
      this.#flag(high, l2);
      for (let at = l2; at < l2 + clusterSize; at += entrySize) {
        const start = pages.startOf(at);
        const { view } = pages.get(start) ?? await pages.load(start);
        const flags = view.getUint32(at - start);
        const host = flags & COMPRESSED_HIGH ? 0 : offsetOf(flags, view.getUint32(at - start + 4));
        if (host) this.#flag(flags, host);
      }
    }
  }

  #flag(high: number, host: number): void {
    const uses = this.#uses.get(host / this.#image.parts.mapping.clusterSize);
    // Once too often is harmless: it is copied before it is written to.
    if (high & COPIED_HIGH && uses > 1) {
      this.#error(`the cluster at ${host} counts as used once, and is used ${uses} times`);
    }
  }
}
