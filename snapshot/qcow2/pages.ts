/**
 * The cache of metadata: pages of L1, L2 and refcount tables, at most 4 KiB each and never across a
 * cluster, so that a page belongs to one table. `get` answers at once; only what is not here costs a
 * promise. Room is bounded: when it is full, pages that were not used since the last round go
 * (second chance). Changed pages stay until `staged` writes took them.
 */

import type { Store } from "snapshot/qcow2/store.ts";
import { viewOf } from "snapshot/qcow2/numbers.ts";

/** A piece of a table in memory. */
export interface Page {
  readonly offset: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  used: boolean;
  /** When it has to be written; 0: as in the file. */
  stage: number;
}

const PAGE_MAX = 4096;

/** Pages of one file's tables. */
export class Pages {
  readonly pageSize: number;
  readonly #store: Store;
  readonly #most: number;
  readonly #pages = new Map<number, Page>();
  readonly #loads = new Map<number, Promise<Page>>();
  readonly #changed = new Set<Page>();

  /** `bytesMax` is how much of the tables is kept; at least 16 pages are. */
  constructor(store: Store, clusterSize: number, bytesMax: number) {
    this.#store = store;
    this.pageSize = Math.min(PAGE_MAX, clusterSize);
    this.#most = Math.max(16, Math.floor(bytesMax / this.pageSize));
  }

  /** Where the page begins that has the byte at `offset`. */
  startOf(offset: number): number {
    return offset - offset % this.pageSize;
  }

  /** The page that begins at `start` if it is here. */
  get(start: number): Page | undefined {
    const page = this.#pages.get(start);
    if (page) page.used = true;
    return page;
  }

  /** The page that begins at `start`, from the file if it must be. Past the end are zeros. */
  load(start: number): Promise<Page> {
    const page = this.get(start);
    if (page) return Promise.resolve(page);
    let loading = this.#loads.get(start);
    if (!loading) {
      loading = this.#read(start).finally(() => this.#loads.delete(start));
      this.#loads.set(start, loading);
    }
    return loading;
  }

  async #read(start: number): Promise<Page> {
    const bytes = new Uint8Array(this.pageSize);
    await this.#store.read(start, bytes);
    // Somebody may have put a new table here meanwhile.
    return this.#pages.get(start) ?? this.#add(start, bytes);
  }

  #add(start: number, bytes: Uint8Array<ArrayBuffer>): Page {
    this.#makeRoom();
    const page: Page = { offset: start, bytes, view: viewOf(bytes), used: true, stage: 0 };
    this.#pages.set(start, page);
    return page;
  }

  #makeRoom(): void {
    // A page that was used goes to the end of the line once, without its mark. Changed ones stay, so
    // that many of them let the cache grow: whoever changes pages bounds how many. A few tries for each
    // page that comes: a line of changed pages is not walked again and again.
    for (let tries = 8; tries > 0 && this.#pages.size >= this.#most; tries--) {
      const [start, page] = this.#pages.entries().next().value!;
      this.#pages.delete(start);
      if (!page.used && !page.stage) continue;
      page.used = false;
      this.#pages.set(start, page);
    }
  }

  /** A table that begins as zeros, one cluster at `offset`: its pages, to be written in `stage`. */
  fresh(offset: number, size: number, stage: number): void {
    for (let at = offset; at < offset + size; at += this.pageSize) {
      const known = this.#pages.get(at);
      if (known) known.bytes.fill(0);
      this.change(known ?? this.#add(at, new Uint8Array(this.pageSize)), stage);
    }
  }

  /** Says that `page` was changed and is to be written in `stage`, or earlier if it already is. */
  change(page: Page, stage: number): void {
    page.stage = page.stage ? Math.min(page.stage, stage) : stage;
    this.#changed.add(page);
  }

  /** How many bytes wait to be written. */
  get changedBytes(): number {
    return this.#changed.size * this.pageSize;
  }

  /** Writes what waits for `stage`, in order of offset, neighbours in one write; true if any did. */
  async writeStage(stage: number): Promise<boolean> {
    const pages = [...this.#changed].filter((page) => page.stage === stage)
      .sort((a, b) => a.offset - b.offset);
    for (let first = 0; first < pages.length;) {
      let end = first + 1;
      while (end < pages.length && pages[end]!.offset === pages[end - 1]!.offset + this.pageSize) {
        end++;
      }
      await this.#writeRun(pages.slice(first, end));
      first = end;
    }
    return pages.length > 0;
  }

  async #writeRun(run: readonly Page[]): Promise<void> {
    const bytes = new Uint8Array(run.length * this.pageSize);
    run.forEach((page, index) => bytes.set(page.bytes, index * this.pageSize));
    await this.#store.write(run[0]!.offset, bytes);
    for (const page of run) {
      page.stage = 0;
      this.#changed.delete(page);
    }
  }

  /** Forgets what is known of a cluster that is not a table any more. */
  forget(offset: number, size: number): void {
    for (let at = offset; at < offset + size; at += this.pageSize) {
      const page = this.#pages.get(at);
      if (!page) continue;
      this.#changed.delete(page);
      this.#pages.delete(at);
    }
  }

  /** Forgets everything, changes included: the file was changed behind the cache. */
  clear(): void {
    this.#pages.clear();
    this.#changed.clear();
  }
}
