/** Syncs of a file that many write to: what was written before one began is on the disk after it. */

import { fopError } from "core/errno.ts";

/** See above. */
export class SharedSync {
  readonly #sync: () => Promise<number>;
  #isWritten = false;
  #underWay: Promise<void> | undefined;

  /** `sync` answers what the kernel did. */
  constructor(sync: () => Promise<number>) {
    this.#sync = sync;
  }

  /** Something was written. */
  wrote(): void {
    this.#isWritten = true;
  }

  /**
   * Resolves when all that was written until now is on the disk; undefined: it is. What another one
   * began to sync may not be there yet: that is waited for as well. Throws FopError.
   */
  done(): Promise<void> | undefined {
    if (!this.#isWritten) return this.#underWay;
    this.#isWritten = false;
    const syncing = this.#after(this.#underWay).finally(() => {
      if (this.#underWay === syncing) this.#underWay = undefined;
    });
    return this.#underWay = syncing;
  }

  async #after(before: Promise<void> | undefined): Promise<void> {
    const synced = this.#sync();
    const results = await Promise.allSettled([before, synced]);
    for (const result of results) if (result.status === "rejected") throw result.reason;
    const result = await synced;
    if (result < 0) throw fopError(result);
  }
}
