/** Who reads old states, in memory: which epoch has to be preserved for a file. */

import type { Gfid } from "core/inode.ts";
import type { Reader } from "snapshot/engine/store.ts";

/** The readers of a brick's history. */
export class Readers {
  #all = new Map<string, Reader>();
  #files = new Map<Gfid, number>();
  /** Epoch of the newest reader of the whole volume, 0 if there is none. */
  volume = 0;
  /** Another number whenever a reader came, went or changed. */
  version = 0;

  /** Replaces all by these. */
  set(readers: readonly Reader[]): void {
    this.version++;
    this.#all = new Map(readers.map((reader) => [reader.id, reader]));
    this.volume = 0;
    this.#files = new Map();
    for (const { file, epoch } of readers) {
      if (file === undefined) this.volume = Math.max(this.volume, epoch);
      else this.#files.set(file, Math.max(this.#files.get(file) ?? 0, epoch));
    }
  }

  /** Epoch of the newest reader that sees the file, 0 if there is none. */
  newest(gfid: Gfid): number {
    if (this.#files.size === 0) return this.volume;
    return Math.max(this.volume, this.#files.get(gfid) ?? 0);
  }

  /** Whether there is a reader of anything. */
  get any(): boolean {
    return this.#all.size > 0;
  }

  get(id: string): Reader | undefined {
    return this.#all.get(id);
  }

  /** By epoch, oldest first. */
  list(): Reader[] {
    return [...this.#all.values()];
  }

  /** Epochs of the readers that see the file, in order; undefined file: of the volume's. */
  epochs(gfid: Gfid | undefined): number[] {
    return [...this.#all.values()]
      .filter(({ file }) => file === undefined || file === gfid)
      .map(({ epoch }) => epoch);
  }
}
