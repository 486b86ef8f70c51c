/** One direction of a connection: what is sent arrives later, in order, unless it is cut off. */

import type { Sim } from "tests/sim/sim.ts";

/** A cut may end early: how often to look, in milliseconds. */
const LOOK_MS = 500;

/** See the head of this file. */
export class Pipe<T> {
  #under: { at: number; readonly item: T }[] = [];
  #last = 0;
  #ringing = false;
  #closed = false;

  /** `path` knows until when nothing gets through, in simulated milliseconds. */
  constructor(
    readonly sim: Sim,
    readonly deliver: (item: T) => void,
    readonly path: { readonly cutUntil: number },
  ) {}

  /** `item` arrives after `delayMs`, not before what was sent earlier. */
  send(item: T, delayMs: number): void {
    if (this.#closed) return;
    this.#last = Math.max(this.#last, this.sim.now + delayMs);
    this.#under.push({ at: this.#last, item });
    this.#ring();
  }

  /** Nothing arrives any more; what was under way is answered. */
  close(): T[] {
    this.#closed = true;
    return this.#under.splice(0).map(({ item }) => item);
  }

  #ring(): void {
    const first = this.#under[0];
    if (this.#ringing || !first) return;
    this.#ringing = true;
    const cut = Math.min(this.path.cutUntil, this.sim.now + LOOK_MS);
    this.sim.after(Math.max(first.at, cut) - this.sim.now, this.#rung);
  }

  readonly #rung = () => {
    this.#ringing = false;
    const head = this.#under[0];
    if (head && this.path.cutUntil <= this.sim.now) {
      this.#under.shift();
      this.deliver(head.item);
    }
    this.#ring();
  };
}
