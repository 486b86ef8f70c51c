/**
 * Ends split-brains by the volume's `favorite-child-policy` when somebody wants to read or change the
 * file, as GlusterFS's clients do: nobody has to wait for a healer. Under the lock of changes, with all
 * copies there, what blames the favourite is taken off; the others stay blamed and are healed by it.
 */

import { FopError } from "core/errno.ts";
import type { Inode } from "core/inode.ts";
import { isRegular } from "core/iatt.ts";
import type { Copies } from "xlators/cluster/replicate/copies.ts";
import { directionOf, favoriteOf } from "xlators/cluster/replicate/heal_direction.ts";
import { healNameOf } from "xlators/cluster/replicate/heal_entry.ts";
import { inspect, unmark } from "xlators/cluster/replicate/heal_inspect.ts";
import { ALL_DATA, ATTRIBUTES, lockRange } from "xlators/cluster/replicate/heal_locks.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";

const RANGES = { data: ALL_DATA, metadata: ATTRIBUTES } as const;

/** See the head of this file. */
export class Favorites {
  /** Decisions under way: whoever comes meanwhile waits for the same one. */
  readonly #deciding = new Map<Inode, Promise<boolean>>();

  constructor(readonly copies: Copies, readonly set: HealSet) {}

  /** True if the file has a right copy now that it had not before. */
  decide(inode: Inode): Promise<boolean> {
    if (this.set.favorite === "none" || this.copies.up.includes(false)) {
      return Promise.resolve(false);
    }
    let deciding = this.#deciding.get(inode);
    if (!deciding) {
      deciding = this.#decide(inode).finally(() => this.#deciding.delete(inode));
      this.#deciding.set(inode, deciding);
    }
    return deciding;
  }

  async #decide(inode: Inode): Promise<boolean> {
    const data = await this.#decidePart(inode, "data");
    const metadata = await this.#decidePart(inode, "metadata");
    if (data || metadata) this.copies.stateOf(inode).doubt();
    return data || metadata;
  }

  /** True if copies agree now on what `name` stands for, as they did not. */
  async decideName(parent: Inode, name: string): Promise<boolean> {
    if (this.set.favorite === "none" || this.copies.up.includes(false)) return false;
    try {
      return await healNameOf(this.set, parent, name, { found: new Set() }) === "healed";
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      return false;
    }
  }

  async #decidePart(inode: Inode, part: keyof typeof RANGES): Promise<boolean> {
    const { set } = this;
    await using locked = await lockRange(set, set.name, inode, RANGES[part]).wait();
    if (locked.on.length < set.count) return false;
    const { told } = await inspect(set, inode, locked.on);
    if (told.includes(undefined)) return false;
    // Names are merged, not chosen.
    if (part === "data" && !isRegular(told[0]!.stat)) return false;
    const { arbiter } = set;
    const { sources } = directionOf(told, part, { arbiter, differ: () => false });
    if (sources.length) return false;
    const favorite = favoriteOf(told, set.favorite, part === "data" ? arbiter : undefined);
    if (favorite === undefined) return false;
    set.env.log.warn("split-brain is decided by the volume's policy", {
      gfid: inode.gfid,
      part,
      policy: set.favorite,
      copy: set.copyNames[favorite],
    });
    return await unmark(set, inode, part, told, { healed: [favorite], clean: false });
  }
}
