/** The system's clock with timers of our own: whoever waits for something else asks when the next is due. */

import { type Clock, realClock, type Timer } from "core/env.ts";

/** A timer in the heap; `at`: its place there, -1 outside. */
interface Entry {
  due: number;
  at: number;
  readonly run: () => void;
}

/** Nothing fires by itself: `fire` does it. Timers of the same moment fire in any order. */
export class PolledClock implements Clock {
  readonly now = realClock.now;
  // A binary heap: each is due no earlier than the one at half its place.
  readonly #heap: Entry[] = [];

  /** `monotonic` is for tests. */
  constructor(readonly monotonic: () => number = realClock.monotonic) {}

  after(ms: number, run: () => void): Timer {
    return this.#timer({ due: this.monotonic() + ms, at: -1, run });
  }

  every(ms: number, run: () => void): Timer {
    const entry: Entry = {
      due: this.monotonic() + ms,
      at: -1,
      run: () => {
        entry.due = this.monotonic() + ms;
        this.#add(entry);
        run();
      },
    };
    return this.#timer(entry);
  }

  delay(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = () => {
        timer.cancel();
        reject(signal!.reason);
      };
      const timer = this.after(ms, () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      });
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  /** Milliseconds until the next timer is due: 0 if one is, Infinity if there is none. */
  untilNext(): number {
    const next = this.#heap[0];
    return next ? Math.max(0, next.due - this.monotonic()) : Infinity;
  }

  /** Fires what is due. */
  fire(): void {
    const now = this.monotonic();
    for (;;) {
      const next = this.#heap[0];
      if (!next || next.due > now) return;
      this.#remove(next);
      next.run();
    }
  }

  #timer(entry: Entry): Timer {
    this.#add(entry);
    return { cancel: () => this.#remove(entry) };
  }

  #add(entry: Entry): void {
    this.#put(entry, this.#heap.length);
    this.#rise(entry);
  }

  #remove(entry: Entry): void {
    const { at } = entry;
    if (at < 0) return;
    entry.at = -1;
    const last = this.#heap.pop()!;
    if (last === entry) return;
    this.#put(last, at);
    this.#rise(last);
    this.#sink(last);
  }

  #rise(entry: Entry): void {
    while (entry.at > 0) {
      const above = this.#heap[(entry.at - 1) >> 1]!;
      if (above.due <= entry.due) return;
      this.#swap(above, entry);
    }
  }

  #sink(entry: Entry): void {
    for (;;) {
      const left = this.#heap[2 * entry.at + 1], right = this.#heap[2 * entry.at + 2];
      const least = right && right.due < left!.due ? right : left;
      if (!least || least.due >= entry.due) return;
      this.#swap(entry, least);
    }
  }

  #swap(one: Entry, other: Entry): void {
    const { at } = one;
    this.#put(one, other.at);
    this.#put(other, at);
  }

  #put(entry: Entry, at: number): void {
    entry.at = at;
    this.#heap[at] = entry;
  }
}
