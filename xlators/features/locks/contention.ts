/**
 * Tells holders that somebody waits for their lock, so that those who keep a lock for later (eager
 * locks of replicate and disperse) give it up. At most one notice per lock and delay.
 */

import type { Clock } from "core/env.ts";
import type { GraphEvent } from "core/events.ts";

/** `T` is a granted lock; compared by identity. */
export class Contention<T extends object> {
  readonly #clock: Clock;
  readonly #emit: (event: GraphEvent) => void;
  readonly #notice: (held: T) => GraphEvent;
  #told = new WeakMap<T, number>();
  #pending = new Set<T>();

  constructor(
    clock: Clock,
    emit: (event: GraphEvent) => void,
    /** What to tell the holder. */
    notice: (held: T) => GraphEvent,
  ) {
    this.#clock = clock;
    this.#emit = emit;
    this.#notice = notice;
  }

  /** A request met `held`. */
  saw(held: T): void {
    this.#pending.add(held);
  }

  /** Sends what is due. Called when an operation on locks is complete: the tables are steady then. */
  tell({ notify, notifyDelaySec }: { notify: boolean; notifyDelaySec: number }): void {
    if (!this.#pending.size) return;
    const pending = [...this.#pending];
    this.#pending.clear();
    if (!notify) return;
    const now = this.#clock.monotonic();
    for (const held of pending) {
      const last = this.#told.get(held) ?? -Infinity;
      if (now - last < notifyDelaySec * 1000) continue;
      this.#told.set(held, now);
      this.#emit(this.#notice(held));
    }
  }

  /** Sends one for `held`, whenever the last was. */
  tellAtOnce(held: T): void {
    this.#told.set(held, this.#clock.monotonic());
    this.#emit(this.#notice(held));
  }
}
