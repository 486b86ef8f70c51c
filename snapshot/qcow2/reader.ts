/**
 * Reading: the guest's view through an L1 table, whichever: the active one or a snapshot's. Each run
 * that the mapping finds is one read of the file; what is not allocated is the backing disk's.
 */

import { decompress } from "snapshot/qcow2/compressed.ts";
import type { Disk, Extent } from "snapshot/qcow2/disk.ts";
import { corrupt } from "snapshot/qcow2/failures.ts";
import {
  COMPRESSED,
  DATA,
  emptyRun,
  type L1Table,
  type Mapping,
  type Run,
  UNALLOCATED,
  ZERO,
} from "snapshot/qcow2/mapping.ts";
import type { Pages } from "snapshot/qcow2/pages.ts";
import type { Store } from "snapshot/qcow2/store.ts";

/** Clusters that are kept after they were decompressed: a guest reads them in small pieces. */
const DECOMPRESSED_MAX = 4;

/** What all views of one image share. */
export interface Source {
  readonly store: Store;
  /** Where data clusters are: the image itself, or its external data file. */
  readonly data: Store;
  readonly pages: Pages;
  readonly mapping: Mapping;
  readonly compression: "zlib" | "zstd";
  readonly backing: Disk | undefined;
}

/** Reads one image's disks. */
export class Reader {
  readonly #source: Source;
  readonly #decompressed = new Map<string, Uint8Array>();

  constructor(source: Source) {
    this.#source = source;
  }

  /** Fills `into` from `offset` of the disk that `table` describes. */
  async read(table: L1Table, offset: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    const { mapping, pages } = this.#source;
    const run = emptyRun();
    const end = offset + into.length;
    for (let at = offset; at < end;) {
      const missing = mapping.locate(table, at, end, run);
      if (missing >= 0) {
        await pages.load(missing);
        continue;
      }
      const { length } = run;
      const part = length === into.length ? into : into.subarray(at - offset, at - offset + length);
      await this.#fill(run, at, part);
      at += length;
    }
  }

  async #fill(run: Run, offset: number, part: Uint8Array<ArrayBuffer>): Promise<void> {
    const { data, backing, mapping } = this.#source;
    if (run.kind === DATA) {
      // A file may end within its last cluster, or before clusters that were only reserved.
      const got = await data.read(run.host, part);
      if (got < part.length) part.fill(0, got);
    } else if (run.kind === UNALLOCATED && backing) {
      await backing.read(offset, part);
    } else if (run.kind === COMPRESSED) {
      const cluster = await this.#decompress(run.host, run.stored);
      const within = offset % mapping.clusterSize;
      part.set(cluster.subarray(within, within + part.length));
    } else {
      part.fill(0);
    }
  }

  async #decompress(host: number, stored: number): Promise<Uint8Array> {
    const key = `${host}+${stored}`;
    const known = this.#decompressed.get(key);
    if (known) return known;
    const { store, mapping, compression } = this.#source;
    const packed = new Uint8Array(Math.max(0, Math.min(stored, mapping.fileSize - host)));
    if (packed.length === 0) throw corrupt(`A compressed cluster at ${host}, past the file's end`);
    const got = await store.read(host, packed);
    const cluster = decompress(compression, packed.subarray(0, got), mapping.clusterSize);
    if (this.#decompressed.size >= DECOMPRESSED_MAX) {
      this.#decompressed.delete(this.#decompressed.keys().next().value!);
    }
    this.#decompressed.set(key, cluster);
    return cluster;
  }

  /** Forgets decompressed clusters: their places may hold something else now. */
  forget(): void {
    this.#decompressed.clear();
  }

  /** The stretches of the disk that `table` describes, `offset` to `end`. */
  async *extents(table: L1Table, offset: number, end: number): AsyncGenerator<Extent> {
    const { backing } = this.#source;
    for await (const extent of this.ownExtents(table, offset, end)) {
      if (extent.kind !== "hole" || !backing) yield extent;
      else yield* backing.extents(extent.offset, extent.offset + extent.length);
    }
  }

  /** The same without what is below: a hole is what this image has nothing to say of. */
  async *ownExtents(table: L1Table, offset: number, end: number): AsyncGenerator<Extent> {
    const { mapping, pages } = this.#source;
    const run = emptyRun();
    for (let at = offset; at < end;) {
      const missing = mapping.locate(table, at, end, run);
      if (missing >= 0) {
        await pages.load(missing);
        continue;
      }
      const { kind, length } = run;
      const named = kind === UNALLOCATED ? "hole" : kind === ZERO ? "zero" : "data";
      yield { offset: at, length, kind: named };
      at += length;
    }
  }
}
