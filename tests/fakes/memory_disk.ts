/** A disk in memory for tests of NBD: what was written, what a flush covered, and failures on order. */

import type { FopError } from "core/errno.ts";
import { ALLOCATION, type Disk, type Exports, type Extent, HOLE, ZERO } from "gateways/nbd/disk.ts";

const GRAIN = 4096;

/** See the head of this file. */
export class MemoryDisk implements Disk {
  readonly bytes: Uint8Array;
  readonly description = "a disk in memory";
  readonly preferredBlock = GRAIN;
  readonly contexts = new Map([
    [ALLOCATION, (offset: number, length: number) => this.#extents(offset, length)],
    ["test:all", (_offset: number, length: number) => Promise.resolve([{ length, flags: 7 }])],
  ]);
  /** Bytes as the last flush found them. */
  flushed: Uint8Array;
  open = 0;
  /** How often it was opened. */
  opened = 0;
  /** What the next change fails with. */
  failure: FopError | undefined;
  /** What reads wait for. */
  held: Promise<void> | undefined;

  constructor(readonly size: number, readonly readOnly = false) {
    this.bytes = new Uint8Array(size);
    this.flushed = new Uint8Array(size);
  }

  async read(offset: number, size: number): Promise<Uint8Array> {
    await this.held;
    return this.bytes.slice(offset, offset + size);
  }

  write(offset: number, data: Uint8Array): Promise<void> {
    return this.#change(() => this.bytes.set(data, offset));
  }

  zero(offset: number, length: number): Promise<void> {
    return this.#change(() => void this.bytes.fill(0, offset, offset + length));
  }

  trim(offset: number, length: number): Promise<void> {
    return this.zero(offset, length);
  }

  flush(): Promise<void> {
    this.flushed = this.bytes.slice();
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.open--;
    return Promise.resolve();
  }

  #change(make: () => void): Promise<void> {
    const { failure } = this;
    this.failure = undefined;
    if (failure) return Promise.reject(failure);
    make();
    return Promise.resolve();
  }

  #extents(offset: number, length: number): Promise<readonly Extent[]> {
    const extents: { length: number; flags: number }[] = [];
    for (let at = offset; at < offset + length;) {
      const until = Math.min(offset + length, (Math.floor(at / GRAIN) + 1) * GRAIN);
      const flags = this.bytes.subarray(at, until).some((byte) => byte) ? 0 : HOLE | ZERO;
      const last = extents.at(-1);
      if (last?.flags === flags) last.length += until - at;
      else extents.push({ length: until - at, flags });
      at = until;
    }
    return Promise.resolve(extents);
  }
}

/** Disks by name. */
export class MemoryExports implements Exports {
  constructor(readonly disks: ReadonlyMap<string, MemoryDisk>) {}

  list(): { name: string; description: string }[] {
    return [...this.disks].map(([name, { description }]) => ({ name, description }));
  }

  open(name: string): Promise<Disk | undefined> {
    const disk = this.disks.get(name);
    if (disk) {
      disk.open++;
      disk.opened++;
    }
    return Promise.resolve(disk);
  }
}
