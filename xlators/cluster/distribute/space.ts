/** How full the subvolumes are, asked now and then, for choosing where new files go. */

import type { Call } from "core/call.ts";
import type { Statfs } from "core/fops.ts";
import { settle } from "core/xlator.ts";
import type { Layout } from "xlators/cluster/distribute/layout.ts";
import type { Subvolumes } from "xlators/cluster/distribute/subvolumes.ts";

/** Milliseconds that figures are believed. */
const FRESH_MS = 30_000;
const MIB = 1 << 20;

/** See the head of this file. */
export class Space {
  readonly #subvolumes: Subvolumes;
  #figures: readonly (Statfs | undefined)[] = [];
  #asked = -Infinity;
  #asking: Promise<void> | undefined;

  constructor(subvolumes: Subvolumes) {
    this.#subvolumes = subvolumes;
  }

  /** Asks again if the figures are old. One question at a time. */
  refresh(call: Call): Promise<void> {
    if (this.#subvolumes.env.clock.monotonic() - this.#asked < FRESH_MS) return Promise.resolve();
    return this.#asking ??= this.#ask(call).finally(() => this.#asking = undefined);
  }

  async #ask(call: Call): Promise<void> {
    const { all, inodes, env } = this.#subvolumes;
    const answers = await settle(all.map((to) => to.statfs(call, { inode: inodes.root })));
    this.#figures = answers.map((answer) => answer.ok ? answer.value.statfs : undefined);
    this.#asked = env.clock.monotonic();
  }

  /** What each subvolume may get of a new directory: its size in MiB, or the same for all. */
  weights(): number[] {
    const { count, values } = this.#subvolumes;
    const sizes = Array.from({ length: count }, (_, index) => {
      const figures = this.#figures[index];
      return figures ? Math.ceil(figures.blocks * figures.frsize / MIB) : 0;
    });
    return values["weighted-rebalance"] && sizes.every((size) => size > 0)
      ? sizes
      : sizes.map(() => 1);
  }

  /**
   * Where a new file goes that belongs on `hashed`: there, unless that is short of space and another of
   * the layout is not.
   */
  placeFor(hashed: number, layout: Layout): number {
    if (!this.#isFull(hashed)) return hashed;
    let best = hashed, most = 0;
    for (const index of this.#subvolumes.all.keys()) {
      const figures = this.#figures[index];
      if (!figures || !layout.has(index) || this.#isFull(index)) continue;
      const free = figures.bavail / Math.max(1, figures.blocks);
      if (free > most) [best, most] = [index, free];
    }
    return best;
  }

  #isFull(index: number): boolean {
    const figures = this.#figures[index];
    if (!figures) return false;
    const { "min-free-disk": disk, "min-free-inodes": inodes } = this.#subvolumes.values;
    const { bavail, blocks, frsize, favail, files } = figures;
    // File systems that make inodes as they go tell none.
    if (files > 0 && 100 * favail / files < inodes) return true;
    return "percent" in disk
      ? blocks > 0 && 100 * bavail / blocks < disk.percent
      : bavail * frsize < disk.bytes;
  }
}
