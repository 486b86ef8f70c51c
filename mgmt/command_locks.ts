/**
 * One command at a time changes a volume. Locks live in the daemon's memory and are held by a
 * running command, so a command line that crashed holds none, and a daemon that ended neither.
 */

import type { Clock } from "core/env.ts";
import { Refusal } from "mgmt/cli/managed.ts";

/** What a command changes: one volume, or (undefined) anything. */
interface Claim {
  readonly volume: string | undefined;
  /** The command line, for who has to wait. */
  readonly line: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

interface Waiter extends Claim {
  grant(): void;
}

/** How long a command waits for another one. */
const WAIT_MS = 10_000;

/** See the head of this file. */
export class CommandLocks {
  readonly #clock: Clock;
  readonly #waitMs: number;
  readonly #held = new Set<Claim>();
  readonly #waiters: Waiter[] = [];

  constructor(clock: Clock, waitMs = WAIT_MS) {
    this.#clock = clock;
    this.#waitMs = waitMs;
  }

  /**
   * Waits until nobody else changes `volume` (undefined: anything), in the order of asking. Disposing
   * of the answer lets the next one go. Throws Refusal that names the command in the way.
   */
  async take(volume: string | undefined, line: string): Promise<Disposable> {
    const claim = { volume, line, since: this.#clock.now() };
    if (!this.#inWay(claim)) return this.#hold(claim);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { ...claim, grant: resolve };
    this.#waiters.push(waiter);
    const timer = this.#clock.after(this.#waitMs, () => reject(this.#giveUp(waiter)));
    await promise;
    timer.cancel();
    return this.#disposable(waiter);
  }

  #giveUp(waiter: Waiter): Refusal | undefined {
    const index = this.#waiters.indexOf(waiter);
    if (index < 0) return undefined; // granted in the same turn
    const refusal = new Refusal(busy(waiter.volume, this.#inWay(waiter)));
    this.#waiters.splice(index, 1);
    this.#grantNext();
    return refusal;
  }

  #hold(claim: Claim): Disposable {
    this.#held.add(claim);
    return this.#disposable(claim);
  }

  #disposable(claim: Claim): Disposable {
    return {
      [Symbol.dispose]: () => {
        if (this.#held.delete(claim)) this.#grantNext();
      },
    };
  }

  // Those who asked earlier count, too: a stream of small commands must not keep a large one waiting.
  #inWay(claim: Claim): Claim | undefined {
    const index = this.#waiters.indexOf(claim as Waiter);
    const earlier = index < 0 ? this.#waiters : this.#waiters.slice(0, index);
    return [...this.#held, ...earlier].find((each) => conflict(each, claim));
  }

  #grantNext(): void {
    for (const waiter of [...this.#waiters]) {
      if (this.#inWay(waiter)) continue;
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      this.#held.add(waiter);
      waiter.grant();
    }
  }
}

function conflict(one: Claim, other: Claim): boolean {
  return one.volume === undefined || other.volume === undefined || one.volume === other.volume;
}

// The first sentence is what tools look for, to try again.
function busy(volume: string | undefined, other: Claim | undefined): string {
  const of = volume ?? other?.volume ?? "all volumes";
  const who = other === undefined
    ? ""
    : `: "${other.line}", asked at ${new Date(other.since).toISOString()}`;
  return `Another transaction is in progress for ${of}${who}. ` +
    "Please try again after some time.";
}
