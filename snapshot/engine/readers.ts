/**
 * Who reads old states, in memory: which epoch has to be preserved for a file. What comes or goes is
 * put in its place: with thousands of readers another one costs no more than the first.
 */

import type { Gfid } from "core/inode.ts";
import type { Reader } from "snapshot/engine/store.ts";

/** The readers of a brick's history. */
export class Readers {
  #all = new Map<string, Reader>();
  /** By epoch, then id. */
  #sorted: Reader[] = [];
  /** Epochs of readers of the volume, in order. */
  #epochs: number[] = [];
  /** Epochs of readers that see a file, in order, of files that have readers of their own. */
  #files = new Map<Gfid, number[]>();
  /** Epoch of the newest reader of the whole volume, 0 if there is none. */
  volume = 0;
  /** Another number whenever a reader came, went or changed. */
  version = 0;
  /** Whether another process looks at the index: for a clone of the volume. */
  haveOthers = false;

  /** Replaces all by these, which are in order. */
  set(readers: readonly Reader[]): void {
    this.#all = new Map(readers.map((reader) => [reader.id, reader]));
    this.#sorted = [...readers];
    this.#count();
  }

  /** One comes, or changes its name, kind, or whether it may be looked at. */
  put(reader: Reader): void {
    this.haveOthers ||= isOther(reader);
    const known = this.#all.get(reader.id);
    this.#all.set(reader.id, reader);
    this.version++;
    if (known) {
      this.#sorted[this.#sorted.indexOf(known)] = reader;
      return;
    }
    const { epoch, file } = reader;
    this.#sorted.splice(placeOf(this.#sorted, reader), 0, reader);
    if (file === undefined) {
      insert(this.#epochs, epoch);
      for (const epochs of this.#files.values()) insert(epochs, epoch);
      this.volume = this.#epochs.at(-1)!;
      return;
    }
    const epochs = this.#files.get(file);
    if (epochs) insert(epochs, epoch);
    else this.#files.set(file, [...this.#epochs, epoch].sort(byNumber));
  }

  /** These go; those that are not there are fine. */
  remove(ids: readonly string[]): void {
    for (const id of ids) this.#all.delete(id);
    this.#sorted = this.#sorted.filter(({ id }) => this.#all.has(id));
    this.#count();
  }

  #count(): void {
    this.version++;
    const sorted = this.#sorted;
    this.haveOthers = sorted.some(isOther);
    this.#epochs = sorted.filter(({ file }) => file === undefined).map(({ epoch }) => epoch);
    this.volume = this.#epochs.at(-1) ?? 0;
    const own = Map.groupBy(sorted.filter(({ file }) => file !== undefined), ({ file }) => file!);
    this.#files = new Map(
      [...own].map(([file, readers]) => {
        const epochs = [...this.#epochs, ...readers.map(({ epoch }) => epoch)];
        return [file, epochs.sort(byNumber)];
      }),
    );
  }

  /** Epoch of the newest reader that sees the file, 0 if there is none. */
  newest(gfid: Gfid): number {
    if (this.#files.size === 0) return this.volume;
    return this.#files.get(gfid)?.at(-1) ?? this.volume;
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
    return [...this.#sorted];
  }

  /** Epochs of the readers that see the file, in order; undefined file: of the volume's. */
  epochs(gfid: Gfid | undefined): readonly number[] {
    return gfid !== undefined && this.#files.get(gfid) || this.#epochs;
  }

  /** Epoch of the newest of these that is not newer than `epoch`; undefined: there is none. */
  upTo(gfid: Gfid | undefined, epoch: number): number | undefined {
    const epochs = this.epochs(gfid);
    return epochs[firstAfter(epochs, epoch) - 1];
  }

  /** Epoch of the oldest of the volume's that is newer than `epoch`; undefined: there is none. */
  after(epoch: number): number | undefined {
    return this.#epochs[firstAfter(this.#epochs, epoch)];
  }
}

/** Index of the first of the sorted `epochs` that is greater. */
export function firstAfter(epochs: readonly number[], epoch: number): number {
  let low = 0, high = epochs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (epochs[middle]! <= epoch) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isOther({ kind, file }: Reader): boolean {
  return kind === "clone" && file === undefined;
}

function byNumber(one: number, other: number): number {
  return one - other;
}

// New ones are the newest, as a rule.
function insert(epochs: number[], epoch: number): void {
  if (epoch >= (epochs.at(-1) ?? 0)) epochs.push(epoch);
  else epochs.splice(firstAfter(epochs, epoch), 0, epoch);
}

function placeOf(sorted: readonly Reader[], { epoch, id }: Reader): number {
  let at = sorted.length;
  for (let before; (before = sorted[at - 1]); at--) {
    if (before.epoch < epoch || (before.epoch === epoch && before.id < id)) break;
  }
  return at;
}
