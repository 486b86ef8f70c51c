/**
 * Brings the transactions of a volume's sets of copies to rest, so that a snapshot finds all copies
 * equal. How bricks help: `core/quiet_orders.ts`.
 *
 * A client that does not give its locks back is not waited for: the snapshot is then still all that
 * was acknowledged, and copies may differ in what was not, as after a crash of that client.
 */

import type { Signature } from "rpc/program.ts";
import { heldLocks, quiesceLocks, resumeLocks } from "rpc/programs/quiet_ops.ts";

/** A brick that can be asked. */
export interface AskedBrick {
  /** Throws if it does not answer. */
  ask<A, R>(signature: Signature<A, R>, args: A): Promise<R>;
}

/** Bricks that hold copies of the same. */
export interface CopySet {
  /** The name of the set's layer in clients' graphs, which is the domain of its locks. */
  readonly domain: string;
  readonly bricks: readonly AskedBrick[];
}

/** One quiet time. Its methods throw nothing: bricks that do not answer are left out. */
export class QuietTime {
  readonly #id: string;
  #sets: readonly CopySet[];

  /** `id`: one of a kind. */
  constructor(sets: readonly CopySet[], id: string) {
    this.#sets = sets;
    this.#id = id;
  }

  /** Bricks grant no new locks from now on, for `timeoutMs` at most, whatever becomes of us. */
  async begin(timeoutMs: number): Promise<void> {
    this.#sets = await Promise.all(this.#sets.map(async ({ domain, bricks }) => {
      const order = { id: this.#id, domains: [domain], timeoutMs };
      const answers = await Promise.all(
        bricks.map((brick) => orUndefined(brick.ask(quiesceLocks, order))),
      );
      return { domain, bricks: bricks.filter((_, index) => answers[index]?.errno === 0) };
    }));
  }

  /**
   * Whether nothing is under way. Looks twice: a transaction that goes from one lock to the next may
   * be seen with another at each brick. Sure only while bricks hold changes back.
   */
  async rests(): Promise<boolean> {
    for (let look = 0; look < 2; look++) {
      const free = await Promise.all(this.#sets.map(({ bricks }) => this.#isFree(bricks)));
      if (free.includes(false)) return false;
    }
    return true;
  }

  /** Bricks grant locks again. */
  async end(): Promise<void> {
    const bricks = this.#sets.flatMap((set) => set.bricks);
    const order = { id: this.#id };
    await Promise.all(bricks.map((brick) => orUndefined(brick.ask(resumeLocks, order))));
  }

  async #isFree(bricks: readonly AskedBrick[]): Promise<boolean> {
    const answers = await Promise.all(
      bricks.map((brick) => orUndefined(brick.ask(heldLocks, { id: this.#id }))),
    );
    const [first, ...others] = answers.filter((answer) => answer?.errno === 0)
      .map((answer) => new Map(answer!.held.map(({ lock, changes }) => [lock, changes])));
    // With one brick there is nobody to be unequal to.
    if (!first || !others.length) return true;
    for (const [lock, changes] of first) {
      const elsewhere = others.map((held) => held.get(lock));
      if (elsewhere.includes(undefined)) continue;
      if (elsewhere.some((count) => count !== changes)) return false;
    }
    return true;
  }
}

async function orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch {
    return undefined;
  }
}
