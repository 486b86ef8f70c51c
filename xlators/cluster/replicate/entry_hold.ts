/** One time that all names of a directory are locked, for as many changes as come meanwhile. */

import type { Timer } from "core/env.ts";
import type { Copies } from "xlators/cluster/replicate/copies.ts";
import type { Held } from "xlators/cluster/replicate/locking.ts";

/** Milliseconds after which a lock is given up though nobody said that he waits. */
const HELD_MAX_MS = 10_000;

/** Stands for all names. */
export const ALL_NAMES = "";

/** See the head of this file. */
export class EntryHold {
  /** Resolves when the lock is given up. */
  readonly over: Promise<void>;
  /** Nobody joins any more. */
  ending = false;
  readonly #copies: Copies;
  readonly #locks: Held;
  readonly #generation: number;
  readonly #since: number;
  /** By name that is being changed, or by all of them, when that is done. */
  readonly #busy = new Map<string, Promise<void>>();
  #uses = 0;
  #lastUse: number;
  #timer: Timer | undefined;
  #leaving = false;
  #overDone!: () => void;

  /** `locks` are those of all names, on all copies; `generation` is when they were asked for. */
  constructor(copies: Copies, locks: Held, generation: number, readonly idleMs: number) {
    this.#copies = copies;
    this.#locks = locks;
    this.#generation = generation;
    this.#since = this.#lastUse = copies.env.clock.monotonic();
    this.over = new Promise((resolve) => this.#overDone = resolve);
  }

  /**
   * True if a lock may be lost: a copy came or went. And if it was kept for long: a brick that was told
   * to tell of others no more (`features.locks-notify-contention`) does not tell that either.
   */
  get stale(): boolean {
    const { generation, env } = this.#copies;
    return this.#generation !== generation || env.clock.monotonic() - this.#since >= HELD_MAX_MS;
  }

  /**
   * Lets a change of `names` in, once no other changes one of them; with all of them, it is the last.
   * Answers undefined if the lock is given up, or became stale.
   */
  async use(names: readonly string[]): Promise<Held | undefined> {
    if (this.ending) return undefined;
    const all = names.includes(ALL_NAMES);
    if (all) this.ending = true;
    this.#uses++;
    for (let other = this.#inTheWay(names, all); other; other = this.#inTheWay(names, all)) {
      await other;
    }
    if (this.stale) {
      this.ending = true;
      this.#used();
      return undefined;
    }
    let free!: () => void;
    const done = new Promise<void>((resolve) => free = resolve);
    for (const name of names) this.#busy.set(name, done);
    const release = () => {
      for (const name of names) this.#busy.delete(name);
      free();
      this.#used();
      return all ? this.over : RELEASED;
    };
    return { on: this.#locks.on, release };
  }

  #inTheWay(names: readonly string[], all: boolean): Promise<void> | undefined {
    if (all) { for (const each of this.#busy.values()) return each; }
    for (const name of names) {
      const other = this.#busy.get(name);
      if (other) return other;
    }
    return this.#busy.get(ALL_NAMES);
  }

  #used(): void {
    this.#uses--;
    this.#lastUse = this.#copies.env.clock.monotonic();
    this.#rest();
  }

  /** Gives the lock up as soon as the changes that were let in are done. */
  end(): void {
    this.ending = true;
    this.#rest();
  }

  #rest(): void {
    if (this.#uses || this.#leaving) return;
    if (!this.ending) {
      this.#timer ??= this.#copies.env.clock.after(this.idleMs, () => this.#look());
      return;
    }
    this.#leaving = true;
    this.#timer?.cancel();
    this.#copies.behind(this.#locks.release().finally(this.#overDone));
  }

  // One timer while the lock is held, not one for each change.
  #look(): void {
    this.#timer = undefined;
    const { clock } = this.#copies.env;
    const left = this.#lastUse + this.idleMs - clock.monotonic();
    if (this.#uses || left <= 0) {
      if (!this.#uses) this.end();
      return;
    }
    this.#timer = clock.after(left, () => this.#look());
  }
}

const RELEASED = Promise.resolve();
