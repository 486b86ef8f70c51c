/** Which of several right copies is read. */

import type { Inode } from "core/inode.ts";
import type { Copies } from "xlators/cluster/replicate/copies.ts";

/** What a read counts at least, and how many reads back latencies reach, roughly. */
const LEAST_MS = 0.001, SMOOTHING = 8;

/** See the head of this file. */
export class ReadChoice {
  readonly #reading: number[];
  readonly #local: boolean[];
  /** Milliseconds that reads of a copy took of late; 0: it was never read. */
  readonly #latency: number[];
  /** Tells clients apart, so that not all of them read the same copy. */
  readonly #salt: number;
  #turn = 0;

  constructor(readonly copies: Copies) {
    this.#reading = copies.all.map(() => 0);
    this.#latency = copies.all.map(() => 0);
    this.#local = copies.all.map(() => false);
    this.#salt = copies.env.random.int(1 << 16);
  }

  /** The copy to read among `readable`; undefined if there is none. */
  of(inode: Inode, readable: readonly boolean[]): number | undefined {
    const favoured = this.#favoured(readable);
    if (favoured !== undefined) return favoured;
    const chosen = this.#byMode(inode, readable);
    if (chosen !== undefined && readable[chosen]) return chosen;
    const first = readable.indexOf(true);
    return first < 0 ? undefined : first;
  }

  /** The same for a file that is not known yet: what files there are is spread over the copies. */
  next(readable: readonly boolean[]): number | undefined {
    const favoured = this.#favoured(readable);
    if (favoured !== undefined) return favoured;
    const numbers = readable.flatMap((has, index) => has ? [index] : []);
    return numbers[this.#turn++ % numbers.length];
  }

  #favoured(readable: readonly boolean[]): number | undefined {
    const preferred = this.#preferred();
    if (preferred !== undefined && readable[preferred]) return preferred;
    if (!this.copies.values["choose-local"]) return undefined;
    const local = readable.findIndex((has, index) => has && this.#local[index]);
    return local < 0 ? undefined : local;
  }

  #preferred(): number | undefined {
    const { "read-subvolume": name, "read-subvolume-index": index } = this.copies.values;
    const named = this.copies.all.findIndex((each) => each.name === name);
    return named >= 0 ? named : index >= 0 ? index : undefined;
  }

  #byMode(inode: Inode, readable: readonly boolean[]): number | undefined {
    const mode = this.copies.values["read-hash-mode"];
    if (mode === 0) return undefined;
    if (mode <= 2) {
      const hash = parseInt(inode.gfid.slice(-6), 16) + (mode === 2 ? this.#salt : 0);
      return hash % this.copies.count;
    }
    const cost = (index: number) =>
      mode === 3
        ? this.#reading[index]!
        : this.#latency[index]! * (mode === 4 ? 1 : this.#reading[index]! + 1);
    let least: number | undefined;
    readable.forEach((has, index) => {
      if (has && (least === undefined || cost(index) < cost(least))) least = index;
    });
    return least;
  }

  /** Counts a read of copy `index` while it is under way. */
  async counting<R>(index: number, read: () => Promise<R>): Promise<R> {
    const { clock } = this.copies.env;
    const began = clock.monotonic();
    this.#reading[index]!++;
    try {
      return await read();
    } finally {
      this.#reading[index]!--;
      const took = Math.max(clock.monotonic() - began, LEAST_MS), last = this.#latency[index]!;
      this.#latency[index] = last === 0 ? took : last + (took - last) / SMOOTHING;
    }
  }

  /** Learns from a brick's `pathinfo` whether it is on this host. */
  place(index: number, pathinfo: string): void {
    // "<POSIX(directory):host:path>"
    const host = /\):([^:>]+):/.exec(pathinfo)?.[1];
    this.#local[index] = host !== undefined && host === Deno.hostname();
  }
}
