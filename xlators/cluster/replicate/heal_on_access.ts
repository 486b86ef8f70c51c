/**
 * Heals what a client finds in need while it looks at files, reads and changes them: behind the
 * answers, a few files at once, a bounded number waiting. Only parts whose option is on
 * (`data-self-heal` and so on, off as in GlusterFS 10); the healer of the volume finds everything by
 * itself.
 */

import { FopError } from "core/errno.ts";
import type { Inode } from "core/inode.ts";
import type { Part } from "xlators/cluster/replicate/blame.ts";
import type { Copies } from "xlators/cluster/replicate/copies.ts";
import { healNameOf } from "xlators/cluster/replicate/heal_entry.ts";
import { healFile } from "xlators/cluster/replicate/heal_file.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";
import { isOnWord } from "xlators/cluster/replicate/options.ts";

/** Milliseconds until the same file is tried again: a copy may be away, a split-brain stays one. */
const AGAIN_MS = 1000;
/** Tries that are remembered for that. */
const TRIES_KNOWN = 1024;

/** A file to heal, or a name in a directory on which copies disagree. */
interface Heal {
  readonly inode: Inode;
  readonly name?: string;
}

/** See the head of this file. */
export class AccessHeals {
  #waiting = new Map<string, Heal>();
  #running = 0;
  /** When, in monotonic milliseconds, each was begun last; the oldest first. */
  readonly #triedAt = new Map<string, number>();

  constructor(readonly copies: Copies, readonly set: HealSet) {}

  /** Heals that wait or run. */
  get count(): number {
    return this.#waiting.size + this.#running;
  }

  /** `inode` has a copy that misses something. Does nothing if too many wait. */
  need(inode: Inode): void {
    if (this.#parts().size) this.#add({ inode });
  }

  /** Copies disagree on what `name` stands for. */
  needName(inode: Inode, name: string): void {
    if (this.#parts().has("entry")) this.#add({ inode, name });
  }

  #parts(): Set<Part> {
    const { values } = this.copies;
    const parts = new Set<Part>();
    if (isOnWord(values["data-self-heal"])) parts.add("data");
    if (values["metadata-self-heal"]) parts.add("metadata");
    if (values["entry-self-heal"]) parts.add("entry");
    return parts;
  }

  #add(heal: Heal): void {
    const { "background-self-heal-count": most, "heal-wait-queue-length": queue } =
      this.copies.values;
    const key = `${heal.inode.gfid} ${heal.name ?? ""}`;
    if (most === 0 || this.#waiting.has(key) || this.count >= most + queue) return;
    const now = this.copies.env.clock.monotonic();
    const last = this.#triedAt.get(key);
    if (last !== undefined && now < last + AGAIN_MS) return;
    this.#triedAt.delete(key);
    this.#triedAt.set(key, now);
    const [oldest] = this.#triedAt.keys();
    if (this.#triedAt.size > TRIES_KNOWN) this.#triedAt.delete(oldest!);
    this.#waiting.set(key, heal);
    this.#go();
  }

  #go(): void {
    for (const [key, heal] of this.#waiting) {
      if (this.#running >= this.copies.values["background-self-heal-count"]) return;
      this.#waiting.delete(key);
      this.#running++;
      this.copies.behind(
        this.#heal(heal).finally(() => {
          this.#running--;
          this.#go();
        }),
      );
    }
  }

  async #heal({ inode, name }: Heal): Promise<void> {
    const { set, copies } = this;
    const state = copies.stateOf(inode);
    // The heal waits for the lock of changes, which we may have kept.
    state.lock?.yield();
    try {
      const found = new Set<Inode["gfid"]>();
      const outcome = name === undefined
        ? await healFile(set, inode.gfid, { found, only: this.#parts() })
        : await healNameOf(set, inode, name, { found });
      if (outcome === "healed") {
        set.env.log.info("healed", { set: set.name, gfid: inode.gfid, name });
      }
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      set.env.log.warn("cannot be healed", {
        set: set.name,
        gfid: inode.gfid,
        name,
        error: error.message,
      });
    } finally {
      state.doubt();
    }
  }

  /** Nothing is begun any more. */
  stop(): void {
    this.#waiting.clear();
  }
}
