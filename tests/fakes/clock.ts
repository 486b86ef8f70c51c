/** A clock that stands still until a test moves it. */

import type { Clock, Timer } from "core/env.ts";

interface Alarm {
  at: number;
  readonly every: number | undefined;
  readonly run: () => void;
}

/** Starts at 2030-01-01 (`now`) and at 0 (`monotonic`). */
export class FakeClock implements Clock {
  #elapsed = 0;
  #alarms = new Set<Alarm>();

  now(): number {
    return Date.UTC(2030, 0, 1) + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
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

  after(ms: number, run: () => void): Timer {
    return this.#set({ at: this.#elapsed + ms, every: undefined, run });
  }

  every(ms: number, run: () => void): Timer {
    return this.#set({ at: this.#elapsed + ms, every: ms, run });
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#alarms.size;
  }

  /** Moves on by `ms`, ringing what is due in order of time. */
  advance(ms: number): void {
    const until = this.#elapsed + ms;
    for (;;) {
      let next: Alarm | undefined;
      for (const alarm of this.#alarms) {
        if (alarm.at <= until && (!next || alarm.at < next.at)) next = alarm;
      }
      if (!next) break;
      this.#elapsed = next.at;
      if (next.every === undefined) this.#alarms.delete(next);
      else next.at += next.every;
      next.run();
    }
    this.#elapsed = until;
  }

  #set(alarm: Alarm): Timer {
    this.#alarms.add(alarm);
    return { cancel: () => void this.#alarms.delete(alarm) };
  }
}
