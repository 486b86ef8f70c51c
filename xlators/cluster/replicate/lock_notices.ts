/**
 * Which copies' bricks tell the holder of an entry lock that somebody waits for it
 * (`features.locks-notify-contention`). A brick does not say so; it is asked twice for the lock of a name
 * that nobody uses, and then it tells of that, or does not. GlusterFS 10.3's bricks never do, whatever
 * the option says (`new_entrylk_lock` does not set up the list by which a notice is known to be due).
 */

import { ROOT } from "core/call.ts";
import type { Timer } from "core/env.ts";
import type { EntrylkContention } from "core/events.ts";
import { toHex } from "core/lib/bytes.ts";
import { settle } from "core/xlator.ts";
import { type Copies, isTaken } from "xlators/cluster/replicate/copies.ts";

/** Milliseconds that a brick may take to tell. */
const TELL_MS = 1000;

/** See the head of this file. */
export class Notices {
  readonly #copies: Copies;
  /** By copy: how often it had come and gone when it was asked; undefined if it never was. */
  readonly #askedAt: (number | undefined)[];
  readonly #tells: boolean[];
  /** By name that was asked for. */
  readonly #asking = new Map<string, () => void>();

  constructor(copies: Copies) {
    this.#copies = copies;
    this.#askedAt = copies.all.map(() => undefined);
    this.#tells = copies.all.map(() => false);
  }

  /**
   * True if all copies tell. Asks those that were not asked since they came; until they have answered,
   * they do not tell.
   */
  get everywhere(): boolean {
    const { turns } = this.#copies;
    for (const [index, turn] of turns.entries()) {
      if (this.#askedAt[index] === turn) continue;
      this.#askedAt[index] = turn;
      this.#tells[index] = false;
      this.#copies.behind(this.#ask(index, turn));
    }
    return !this.#tells.includes(false);
  }

  /** Hears a brick; false if it does not answer a question of this class. */
  heard({ domain, name }: EntrylkContention): boolean {
    if (domain !== this.#domain) return false;
    this.#asking.get(name)?.();
    return true;
  }

  get #domain(): string {
    return `${this.#copies.name}:notice`;
  }

  async #ask(index: number, turn: number): Promise<void> {
    const copies = this.#copies, { clock, random } = copies.env;
    const name = toHex(random.bytes(8));
    const entry = { inode: copies.inodes.root, domain: this.#domain, name } as const;
    const lock = { ...entry, type: "write" } as const;
    const holder = copies.asLocker(ROOT), other = copies.asLocker(ROOT);
    const to = copies.all[index]!;
    let timer: Timer | undefined;
    const told = new Promise<boolean>((resolve) => {
      this.#asking.set(name, () => resolve(true));
      timer = clock.after(TELL_MS, () => resolve(false));
    });
    try {
      const [held] = await settle([to.entrylk(holder, { ...lock, cmd: "try-lock" })]);
      if (!held!.ok) return;
      const [met] = await settle([to.entrylk(other, { ...lock, cmd: "try-lock" })]);
      const tells = !met!.ok && isTaken(met!.error) && await told;
      if (this.#askedAt[index] === turn) this.#tells[index] = tells;
      await settle([to.entrylk(holder, { ...lock, cmd: "unlock" })]);
    } finally {
      timer?.cancel();
      this.#asking.delete(name);
    }
  }
}
