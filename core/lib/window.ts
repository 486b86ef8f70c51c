/** Bounded parallel work. */

/**
 * Runs tasks, at most `limit` of them at once; whoever comes when it is full waits its turn.
 *
 * ```ts
 * import { Window } from "core/lib/window.ts";
 * const window = new Window(4);
 * await Promise.all([1, 2, 3, 4, 5].map((n) => window.run(() => Promise.resolve(n))));
 * ```
 */
export class Window {
  #running = 0;
  #waiting: (() => void)[] = [];

  constructor(readonly limit: number) {
    if (!(limit >= 1)) throw new RangeError(`Cannot make a window of ${limit}: at least 1`);
  }

  /** How many tasks run now. */
  get running(): number {
    return this.#running;
  }

  /** What `task` answers, once there was room for it. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running < this.limit) this.#running++;
    // The one that leaves hands its place over: no newcomer gets in between.
    else await new Promise<void>((turn) => this.#waiting.push(turn));
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}
