/**
 * Files of a volume as stores, and the files that images name looked for in the same volume: names
 * are resolved from its root by the volume itself, so that none leads out of it.
 */

import { EINVAL, ENOENT, EOPNOTSUPP } from "core/errno.ts";
import { type Iatt, isRegular } from "core/iatt.ts";
import type { Volume } from "core/volume.ts";
import { CHUNK_BYTES, CHUNKS_PARALLEL, type VolumeFile } from "core/volume_file.ts";
import { refused } from "snapshot/qcow2/failures.ts";
import type { ImageFile, Resolver } from "snapshot/qcow2/resolve.ts";
import type { Store } from "snapshot/qcow2/store.ts";

/** Reads a part of at most 1 MiB; the answer may lie in `into`. */
export type ReadPart = (offset: number, into: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>;

/** An open file of a volume, which the store owns from then on. */
export class VolumeStore implements Store {
  readonly #read: ReadPart;
  #punches = true;

  /** `read` stands in for the file's own, for who wants to hear of what is read. */
  constructor(
    readonly file: VolumeFile,
    read: ReadPart = (offset, into) => file.read(offset, into.length),
  ) {
    this.#read = read;
  }

  async size(): Promise<number> {
    return (await this.file.stat()).size;
  }

  async read(offset: number, into: Uint8Array<ArrayBuffer>): Promise<number> {
    if (into.length <= CHUNK_BYTES) return await this.#part(offset, into);
    let got = 0;
    while (got < into.length) {
      // Several parts at once: each is a round trip.
      const parts: Uint8Array<ArrayBuffer>[] = [];
      for (let at = got; at < into.length && parts.length < CHUNKS_PARALLEL; at += CHUNK_BYTES) {
        parts.push(into.subarray(at, at + CHUNK_BYTES));
      }
      const counts = await Promise.all(
        parts.map((part, index) => this.#part(offset + got + index * CHUNK_BYTES, part)),
      );
      for (const [index, count] of counts.entries()) {
        got += count;
        if (count < parts[index]!.length) return got;
      }
    }
    return got;
  }

  async #part(offset: number, into: Uint8Array<ArrayBuffer>): Promise<number> {
    const data = await this.#read(offset, into);
    if (data.buffer !== into.buffer || data.byteOffset !== into.byteOffset) into.set(data);
    return data.length;
  }

  write(offset: number, data: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.file.write(offset, data);
  }

  async truncate(size: number): Promise<void> {
    if (!Number.isSafeInteger(size) || size < 0) throw EINVAL;
    await this.file.truncate(size);
  }

  async punch(offset: number, length: number): Promise<void> {
    if (!this.#punches) return;
    try {
      await this.file.discard(offset, length);
    } catch (error) {
      if (!EOPNOTSUPP.matches(error)) throw error;
      this.#punches = false;
    }
  }

  flush(): Promise<void> {
    return this.file.sync({ dataOnly: true });
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/** How a file of the volume, with attributes from when it was open, becomes a store. */
export type MakeStore = (file: VolumeFile, stat: Iatt) => Store;

/** Files of one volume, and nothing else. Paths of images are from the volume's root. */
export class VolumeResolver implements Resolver {
  readonly #volume: Volume;
  readonly #store: MakeStore;

  constructor(volume: Volume, store: MakeStore = (file) => new VolumeStore(file)) {
    this.#volume = volume;
    this.#store = store;
  }

  /** An absolute name begins at the volume's root, as symbolic links in it do. */
  async open(name: string, from: string, { writable }: { writable: boolean }): Promise<ImageFile> {
    const path = name.startsWith("/") ? name : `${from.slice(0, from.lastIndexOf("/") + 1)}${name}`;
    const { stat } = await this.#volume.lookup(path).catch((error) => {
      if (!ENOENT.matches(error)) throw error;
      throw refused(`There is no file "${name}" in the volume`);
    });
    if (!isRegular(stat)) throw refused(`"${name}" is not a file`);
    const file = await this.#volume.open(path, { read: true, write: writable });
    try {
      const now = await file.stat();
      return { store: this.#store(file, now), id: now.gfid, path };
    } catch (error) {
      await file.abandon();
      throw error;
    }
  }
}
