/**
 * Writing to an image: the guest's disk, cluster by cluster.
 *
 * A cluster that only this disk uses is written in place. Anything else (nothing there, zeros, a
 * cluster that a snapshot has too, a compressed one) gets a new cluster, with what the write does not
 * cover copied from what the guest sees there. What was acknowledged is on disk after `flush`; before
 * that, table entries are in memory and a crash takes the disk back to the flush before, cluster by
 * cluster. Changes and reads take turns: a read never sees a cluster that was given to somebody else.
 */

import { KeyedLock } from "core/lib/lock.ts";
import { Qcow2Error, usage } from "snapshot/qcow2/failures.ts";
import { RAW_EXTERNAL } from "snapshot/qcow2/header.ts";
import type { Image } from "snapshot/qcow2/image.ts";
import {
  COMPRESSED_HIGH,
  COPIED_HIGH,
  offsetOf,
  writeU64,
  ZERO_LOW,
} from "snapshot/qcow2/numbers.ts";
import { type Entry, Tables } from "snapshot/qcow2/tables.ts";

/** An image that is written to. */
export class Editor {
  readonly image: Image;
  readonly #tables: Tables;
  readonly #turns = new KeyedLock<Editor>();
  #failure: unknown;

  constructor(image: Image, tables: Tables) {
    this.image = image;
    this.#tables = tables;
  }

  /** Takes over `image`, whose store can be written; nobody else may use either meanwhile. */
  static async open(image: Image): Promise<Editor> {
    return new Editor(image, await Tables.open(image));
  }

  /**
   * Runs one change of the tables while nobody else reads or changes. A change that failed half-way
   * leaves tables in memory that must not be written: from then on everything is refused.
   */
  async alone<T>(change: (tables: Tables) => Promise<T>): Promise<T> {
    using _ = await this.#turns.take(this);
    if (this.#failure) throw this.#failure;
    try {
      return await change(this.#tables);
    } catch (failure) {
      // What was refused changed nothing.
      const harmless = failure instanceof Qcow2Error &&
        (failure.reason === "usage" || failure.reason === "refused");
      if (!harmless) this.#failure = failure;
      throw failure;
    }
  }

  /** As `Disk.read`. */
  async read(offset: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    using _ = await this.#turns.take(this);
    await this.image.disk.read(offset, into);
  }

  #check(offset: number, length: number): void {
    const { size } = this.image.disk;
    if (offset >= 0 && length >= 0 && offset + length <= size) return;
    throw usage(`Bytes ${offset} to ${offset + length} of a disk that has ${size}`);
  }

  /** Writes `data` at `offset` of the disk; borrowed until the promise settles. */
  async write(offset: number, data: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#check(offset, data.length);
    await this.alone(async (tables) => {
      if (tables.recorder.wanted) await tables.recorder.mark(offset, data.length);
      await new ClusterWriter(this.image, tables).write(offset, data);
    });
  }

  /** Makes `length` bytes from `offset` read as zeros, with no room of their own where it can be. */
  async zero(offset: number, length: number): Promise<void> {
    this.#check(offset, length);
    await this.alone(async (tables) => {
      await tables.recorder.mark(offset, length);
      await new ClusterWriter(this.image, tables).zero(offset, length);
    });
  }

  /** Gives back whole clusters of the range; they read as zeros from then on. Parts stay as they are. */
  async discard(offset: number, length: number): Promise<void> {
    this.#check(offset, length);
    const size = this.image.parts.mapping.clusterSize;
    const first = Math.ceil(offset / size) * size;
    const atEnd = offset + length === this.image.disk.size;
    const end = atEnd ? offset + length : Math.floor((offset + length) / size) * size;
    if (end > first) await this.zero(first, end - first);
  }

  /** What was written survives a crash once this resolves. */
  async flush(): Promise<void> {
    await this.alone(async (tables) => {
      await tables.sync();
      await tables.data.flush();
      await this.image.parts.file.store.flush();
      await tables.refcounts.punchFreed();
    });
  }

  /** Flushes and closes the image. What failed earlier is not flushed, and thrown here. */
  async close(): Promise<void> {
    try {
      await this.flush();
      await this.alone((tables) => tables.recorder.end());
    } finally {
      await this.image.close();
    }
  }
}

/** One write or zeroing, while nobody else changes the tables. */
export class ClusterWriter {
  readonly #image: Image;
  readonly #tables: Tables;
  readonly #size: number;
  readonly #subclusterSize: number;
  readonly #extended: boolean;
  /** A run of the file that is to be written, collected over neighbouring clusters. */
  #run: { host: number; data: Uint8Array<ArrayBuffer>; from: number; to: number } | undefined;

  constructor(image: Image, tables: Tables) {
    const { mapping } = image.parts;
    this.#image = image;
    this.#tables = tables;
    this.#size = mapping.clusterSize;
    this.#subclusterSize = mapping.subclusterSize;
    this.#extended = mapping.extended;
  }

  async write(offset: number, data: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let at = 0; at < data.length;) {
      const within = (offset + at) % this.#size;
      const length = Math.min(this.#size - within, data.length - at);
      await this.#cluster(offset + at, data, at, at + length);
      at += length;
      if (this.#tables.changedMuch) {
        await this.#finishRun();
        await this.#tables.sync();
      }
    }
    await this.#finishRun();
  }

  // `data` from `from` to `to` is the part of the write that is in one cluster of the guest.
  async #cluster(
    offset: number,
    data: Uint8Array<ArrayBuffer>,
    from: number,
    to: number,
  ): Promise<void> {
    const within = offset % this.#size, start = offset - within;
    const entry = await this.#tables.entryToChange(offset);
    const high = entry.page.view.getUint32(entry.at), low = entry.page.view.getUint32(entry.at + 4);
    const own = !(high & COMPRESSED_HIGH) && (high & COPIED_HIGH) !== 0;
    const host = own ? offsetOf(high, low) : -1;
    if (own && this.#allData(entry, low, within, within + to - from)) {
      await this.#collect(host + within, data, from, to);
      return;
    }
    // The stretch that gets written: whole subclusters of a cluster that is here, else all of it.
    const unit = own && this.#extended ? this.#subclusterSize : this.#size;
    const first = Math.floor(within / unit) * unit;
    const end = Math.ceil((within + to - from) / unit) * unit;
    const covered = first === within && end === within + to - from;
    let bytes = data, bytesFrom = from, bytesTo = to;
    if (!covered) {
      await this.#finishRun();
      bytes = new Uint8Array(end - first);
      await this.#image.disk.read(start + first, bytes);
      bytes.set(data.subarray(from, to), within - first);
      [bytesFrom, bytesTo] = [0, bytes.length];
    }
    const place = own ? host : await this.#place(start);
    await this.#collect(place + first, bytes, bytesFrom, bytesTo);
    if (!own) this.#tables.release(high, low);
    // Again: its page may have been dropped while others were loaded.
    this.#set(await this.#tables.entryToChange(offset), place, own, first, end);
  }

  #place(start: number): Promise<number> {
    return this.#tables.counted ? this.#tables.refcounts.allocate() : Promise.resolve(start);
  }

  // Whether the guest sees the bytes of the cluster itself from `from` to `to` of it.
  #allData({ page, at }: Entry, low: number, from: number, to: number): boolean {
    if (!this.#extended) {
      return !(this.#image.parts.header.version === 3 && low & ZERO_LOW);
    }
    const mask = this.#mask(from, to);
    return (page.view.getUint32(at + 12) & mask) >>> 0 === mask;
  }

  // The bits of the subclusters from `from` to `to` of a cluster.
  #mask(from: number, to: number): number {
    const first = Math.floor(from / this.#subclusterSize);
    const count = Math.ceil(to / this.#subclusterSize) - first;
    return count === 32 ? 0xffff_ffff : (((1 << count) - 1) << first) >>> 0;
  }

  #set(entry: Entry, place: number, own: boolean, first: number, end: number): void {
    const { page, at } = entry;
    writeU64(page.view, at, place);
    page.view.setUint32(at, (page.view.getUint32(at) | COPIED_HIGH) >>> 0);
    if (this.#extended) {
      const mask = this.#mask(first, end);
      const zeros = own ? page.view.getUint32(at + 8) : 0;
      const allocated = own ? page.view.getUint32(at + 12) : 0;
      page.view.setUint32(at + 8, (zeros & ~mask) >>> 0);
      page.view.setUint32(at + 12, (allocated | mask) >>> 0);
    }
    this.#tables.changed(entry);
  }

  async #collect(
    host: number,
    data: Uint8Array<ArrayBuffer>,
    from: number,
    to: number,
  ): Promise<void> {
    const run = this.#run;
    if (run && run.data === data && run.to === from && run.host + run.to - run.from === host) {
      run.to = to;
      return;
    }
    await this.#finishRun();
    this.#run = { host, data, from, to };
  }

  async #finishRun(): Promise<void> {
    const run = this.#run;
    this.#run = undefined;
    if (run) await this.#tables.writeData(run.host, run.data.subarray(run.from, run.to));
  }

  /** Makes the range read as zeros. */
  async zero(offset: number, length: number): Promise<void> {
    const { header } = this.#image.parts;
    const end = offset + length, atDiskEnd = end === header.size;
    for (let at = offset; at < end;) {
      const within = at % this.#size;
      const stop = Math.min(at - within + this.#size, end);
      // The last cluster is whole when the disk ends in it.
      const whole = within === 0 && (stop - at === this.#size || (atDiskEnd && stop === end));
      if (!whole || !await this.#zeroCluster(at)) await this.#zeroPart(at, stop - at);
      at = stop;
      if (this.#tables.changedMuch) await this.#tables.sync();
    }
  }

  async #zeroPart(offset: number, length: number): Promise<void> {
    for await (const extent of this.#image.disk.extents(offset, offset + length)) {
      if (extent.kind !== "data") continue;
      await this.write(extent.offset, new Uint8Array(extent.length));
    }
  }

  // False: this image has no way to say so without writing zeros.
  async #zeroCluster(offset: number): Promise<boolean> {
    const { header, backing } = this.#image.parts;
    if (header.autoclear.low & RAW_EXTERNAL) return false;
    const known = await this.#tables.entry(offset);
    const seesBacking = backing !== undefined && offset < backing.disk.size;
    if (!known && !seesBacking) return true;
    if (header.version === 2 && seesBacking) return false;
    const entry = await this.#tables.entryToChange(offset);
    const { page, at } = entry;
    const high = page.view.getUint32(at), low = page.view.getUint32(at + 4);
    this.#tables.release(high, low);
    page.view.setUint32(at, 0);
    page.view.setUint32(at + 4, header.version === 3 && !this.#extended ? ZERO_LOW : 0);
    if (this.#extended) {
      page.view.setUint32(at + 8, 0xffff_ffff);
      page.view.setUint32(at + 12, 0);
    }
    this.#tables.changed(entry);
    return true;
  }
}
