/**
 * A world in one process whose time, chance and order come from a seed.
 *
 * Everything that happens later is an event in a queue, ordered by time and then by arrival. `run`
 * lets all promises settle, takes the next event, moves the clock to it, and so on: nothing waits
 * for real, and a run is a pure function of its seed. If promises are pending and no event is left,
 * nobody will ever wake them: that is a deadlock, and the run says who waits for what.
 */

import {
  type Clock,
  type Env,
  type Log,
  type LogFields,
  MetricsTable,
  type Timer,
} from "core/env.ts";
import { SimRandom } from "tests/sim/random.ts";
import { Trace } from "tests/sim/trace.ts";
import { eachSettled } from "tests/sim/turn.ts";

/** Where simulated calendars begin. */
const EPOCH_MS = Date.UTC(2030, 0, 1);

/** Something that happens later; its own timer. */
class Event implements Timer {
  cancelled = false;
  constructor(readonly at: number, readonly sequence: number, readonly run: () => void) {}
  cancel(): void {
    this.cancelled = true;
  }
}

/** Why a run cannot go on: an invariant is broken, or nothing moves any more. */
export class SimFailure extends Error {
  override readonly name = "SimFailure";
}

/** How long a run may get. */
export interface SimLimits {
  /** Simulated milliseconds. */
  readonly timeMs: number;
  readonly events: number;
}
const LIMITS: SimLimits = { timeMs: 6 * 3600_000, events: 400_000 };

/** See the head of this file. */
export class Sim {
  readonly random: SimRandom;
  /** What happened, if that is written down. */
  readonly trace: Trace | undefined;
  readonly env: Env;
  #queue: Event[] = [];
  #sequence = 0;
  #now = 0;
  #events = 0;
  #waiting = new Map<number, { what: string; since: number }>();
  #failure: unknown;
  #digest = 0x811c9dc5;
  readonly #limits: SimLimits;

  constructor(
    readonly seed: number,
    options: { readonly trace?: Trace; readonly limits?: Partial<SimLimits> } = {},
  ) {
    this.random = new SimRandom(seed);
    this.trace = options.trace;
    this.#limits = { ...LIMITS, ...options.limits };
    this.env = {
      clock: this.#clock(),
      random: this.random.fork(),
      log: new SimLog(this, ""),
      metrics: new MetricsTable(),
    };
  }

  /** Simulated milliseconds since the run began. */
  get now(): number {
    return this.#now;
  }

  /** Events so far. */
  get events(): number {
    return this.#events;
  }

  /** Equal for runs in which the same happened at the same times. */
  get digest(): string {
    return `${this.#events}-${(this.#digest >>> 0).toString(16)}`;
  }

  /**
   * Writes a line of these words into the trace, with the time. Most runs have none: words that
   * cost something to spell belong behind a look at `trace`.
   */
  note(...words: readonly string[]): void {
    this.trace?.add(`${this.#now.toFixed(3)} ${words.join(" ")}`);
  }

  /** Ends the run with this failure. */
  fail(error: unknown): void {
    this.#failure ??= error;
  }

  /** Runs `run` in `ms`. */
  after(ms: number, run: () => void): Timer {
    const event = new Event(this.#now + Math.max(0, ms), this.#sequence++, run);
    push(this.#queue, event);
    return event;
  }

  delay(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** `promise`, named in the report of a run that got stuck while it was pending. */
  waiting<T>(what: string, promise: Promise<T>): Promise<T> {
    const key = this.#sequence++;
    this.#waiting.set(key, { what, since: this.#now });
    const done = () => void this.#waiting.delete(key);
    promise.then(done, done);
    return promise;
  }

  /** Runs `main` to its end. Throws what it throws, or `SimFailure` if it never ends. */
  async run<T>(main: () => Promise<T>, { internal = true } = {}): Promise<T> {
    let outcome: { value: T } | { error: unknown } | undefined;
    Promise.try(main).then(
      (value) => void (outcome = { value }),
      (error) => void (outcome = { error }),
    );
    await eachSettled(() => !outcome && this.#failure === undefined && this.#step(), { internal });
    if (this.#failure !== undefined) throw this.#failure;
    if (outcome && "value" in outcome) return outcome.value;
    throw outcome
      ? outcome.error
      : new SimFailure(`deadlock: nothing is left to happen\n${this.#who()}`);
  }

  // False: there is nothing to do, or no sense in going on.
  #step(): boolean {
    const event = pop(this.#queue);
    if (!event) return false;
    if (event.cancelled) return true;
    if (event.at > this.#limits.timeMs || ++this.#events > this.#limits.events) {
      this.fail(
        new SimFailure(`no end after ${this.#events} events and ${this.#now} ms\n${this.#who()}`),
      );
      return false;
    }
    this.#now = event.at;
    const mixed = this.#digest ^ event.sequence ^ Math.floor(event.at * 1e6);
    this.#digest = Math.imul(mixed, 0x01000193) ^ (mixed >>> 15);
    try {
      event.run();
    } catch (error) {
      this.fail(error);
    }
    return true;
  }

  #who(): string {
    const all = [...this.#waiting.values()].map(({ what, since }) =>
      `  waits since ${since.toFixed(3)}: ${what}`
    );
    return all.join("\n") || "  nobody told what it waits for";
  }

  #clock(): Clock {
    return {
      now: () => EPOCH_MS + this.#now,
      monotonic: () => this.#now,
      after: (ms, run) => this.after(ms, run),
      every: (ms, run) => {
        let timer = this.after(ms, ring);
        const clock = this as Sim;
        function ring(): void {
          timer = clock.after(ms, ring);
          run();
        }
        return { cancel: () => timer.cancel() };
      },
      delay: (ms, signal) =>
        new Promise((resolve, reject) => {
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
        }),
    };
  }
}

/** A log whose lines are part of the trace. */
class SimLog implements Log {
  constructor(readonly sim: Sim, readonly about: string) {}
  #add(level: string, message: string, fields?: LogFields): void {
    if (this.sim.trace) this.sim.note(`log ${level}${this.about} ${message}${textOf(fields)}`);
  }
  error(message: string, fields?: LogFields): void {
    this.#add("E", message, fields);
  }
  warn(message: string, fields?: LogFields): void {
    this.#add("W", message, fields);
  }
  info(message: string, fields?: LogFields): void {
    this.#add("I", message, fields);
  }
  debug(message: string, fields?: LogFields): void {
    this.#add("D", message, fields);
  }
  with(fields: LogFields): Log {
    return this.sim.trace ? new SimLog(this.sim, this.about + textOf(fields)) : this;
  }
}

function textOf(fields: LogFields | undefined): string {
  let text = "";
  for (const [key, value] of Object.entries(fields ?? {})) text += ` ${key}=${value}`;
  return text;
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}

// A binary heap: the earliest is first.
function push(heap: Event[], event: Event): void {
  let at = heap.push(event) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): Event | undefined {
  const first = heap[0], last = heap.pop();
  if (!first || !heap.length) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last!)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last!;
  return first;
}
