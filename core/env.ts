/**
 * Everything that is not deterministic comes in through `Env`: clock, timers, randomness, log,
 * metrics. Production code never calls `Date.now`, `Math.random` or `setTimeout` itself (a lint rule
 * says so), therefore a whole cluster runs under a seeded simulator.
 */

/** Cancels a timer or stops a repetition; harmless after it fired. */
export interface Timer {
  cancel(): void;
}

/** Time and timers. */
export interface Clock {
  /** Milliseconds since 1970, fractions allowed. */
  now(): number;
  /** Milliseconds that only grow; for durations and deadlines. */
  monotonic(): number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason if that comes first. */
  delay(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `ms`. Does not keep the process alive. */
  after(ms: number, run: () => void): Timer;
  /** Calls `run` every `ms`. Does not keep the process alive. */
  every(ms: number, run: () => void): Timer;
}

/** Chance, for ids and choices; the kernel's in production, a seed's in simulations. */
export interface Random {
  /** A whole number from 0 to `below` - 1. */
  int(below: number): number;
  /** Fresh bytes. */
  bytes(size: number): Uint8Array<ArrayBuffer>;
  /** A version 4 UUID as text. */
  uuid(): string;
}

/** Details of a log line: short names, values that print on one line. */
export type LogFields = Readonly<Record<string, string | number | bigint | boolean | undefined>>;

/** A log: a constant phrase to grep for, then fields. Nothing in a hot path that succeeds. */
export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** The same log with fields that every line gets. */
  with(fields: LogFields): Log;
}

/** Counters and gauges that only their owner knows, by declared name. */
export interface Metrics {
  /** A number that only grows; `unit` is for people ("bytes", "locks"). */
  counter(name: string, unit: string): { add(amount: number): void };
  /** A number that is read when somebody asks. */
  gauge(name: string, unit: string, read: () => number): void;
}

/** A descriptor that is waited for. */
export interface Watch {
  /** Events of epoll that count from now on; 0: none. */
  want(events: number): void;
  /** Waits no longer; before the descriptor is closed. */
  close(): void;
}

/** Waits for file descriptors, at a lower price than Deno's own sockets have. */
export interface Descriptors {
  /** Resolves when `take` can answer for good. */
  readonly started: Promise<void>;
  /** Calls `ready`, which must not fail, as long as any of the events is there that `want` names. */
  watch(fd: number, ready: (events: number) => void): Watch;
  /** Takes a socket that Deno waits for; undefined if it has to stay with Deno. */
  take(fd: number): Taken | undefined;
}

/** A socket that Deno does not look at. */
export interface Taken {
  /** It does again; necessary before Deno closes it. */
  giveBack(): void;
}

/** The world outside, handed to every layer. */
export interface Env {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Absent: Deno's sockets must do. */
  readonly descriptors?: Descriptors | undefined;
}

export type LogLevel = "error" | "warn" | "info" | "debug" | "none";
const LEVELS: readonly LogLevel[] = ["none", "error", "warn", "info", "debug"];

/** Where lines go, which ones, and how they look. */
export interface LogOptions {
  /** Asked for before each line. */
  readonly level: LogLevel;
  readonly format: "text" | "json";
  /** Where finished lines go, newline included. */
  readonly write: (line: string) => void;
  readonly clock: Pick<Clock, "now">;
}

/**
 * A log that prints `2026-01-31T12:00:00.000Z W message key=value` or one JSON object a line. Peers
 * cause lines, so a message (debugging aside) is printed 60 times a minute, and long text is cut.
 */
export function makeLog(options: LogOptions, fields: LogFields = {}): Log {
  return logWith(options, fields, new Repeats());
}

/** Lines of one message per minute, and characters of one value. */
const LINES_MAX = 60, MINUTE_MS = 60_000, VALUE_MAX = 2048;

/** How often each message was printed in its minute. Messages are constants, so they are few. */
class Repeats {
  #messages = new Map<string, { since: number; lines: number }>();

  /** Fields that say what is left out; undefined: this line is. */
  admit(message: string, now: number): LogFields | undefined {
    const known = this.#messages.get(message);
    // A clock that was set back begins a minute, too.
    if (!known || now - known.since >= MINUTE_MS || now < known.since) {
      this.#messages.set(message, { since: now, lines: 1 });
      return known && known.lines > LINES_MAX ? { left_out: known.lines - LINES_MAX } : {};
    }
    known.lines++;
    if (known.lines > LINES_MAX) return undefined;
    return known.lines === LINES_MAX ? { next: "in a minute" } : {};
  }
}

function logWith(options: LogOptions, fields: LogFields, repeats: Repeats): Log {
  const line = (level: LogLevel, message: string, more?: LogFields) => {
    if (LEVELS.indexOf(level) > LEVELS.indexOf(options.level)) return;
    const now = options.clock.now();
    const told = level === "debug" ? {} : repeats.admit(message, now);
    if (!told) return;
    const time = new Date(now).toISOString();
    const all = shortened({ ...fields, ...more, ...told });
    options.write(
      options.format === "json"
        ? JSON.stringify({ time, level, message, ...all }, jsonValue) + "\n"
        : `${time} ${level[0]!.toUpperCase()} ${message}${textFields(all)}\n`,
    );
  };
  return {
    error: (message, more) => line("error", message, more),
    warn: (message, more) => line("warn", message, more),
    info: (message, more) => line("info", message, more),
    debug: (message, more) => line("debug", message, more),
    with: (more) => logWith(options, { ...fields, ...more }, repeats),
  };
}

function shortened(fields: LogFields): LogFields {
  const long = Object.entries(fields).filter(([, value]) =>
    typeof value === "string" && value.length > VALUE_MAX
  );
  if (!long.length) return fields;
  const cut = long.map(([key, value]) => [key, `${(value as string).slice(0, VALUE_MAX - 1)}…`]);
  return { ...fields, ...Object.fromEntries(cut) };
}

function jsonValue(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

function textFields(fields: LogFields): string {
  let text = "";
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const plain = String(value);
    text += ` ${key}=${/^[^\s"=]+$/.test(plain) ? plain : JSON.stringify(plain)}`;
  }
  return text;
}

/** Metrics kept in memory; `read` lists them. */
export class MetricsTable implements Metrics {
  #counters = new Map<string, { unit: string; value: number }>();
  #gauges = new Map<string, { unit: string; read: () => number }>();

  counter(name: string, unit: string): { add(amount: number): void } {
    let entry = this.#counters.get(name);
    if (!entry) this.#counters.set(name, entry = { unit, value: 0 });
    const kept = entry;
    return { add: (amount) => void (kept.value += amount) };
  }

  gauge(name: string, unit: string, read: () => number): void {
    this.#gauges.set(name, { unit, read });
  }

  /** Every metric with its unit and value now. */
  read(): { name: string; unit: string; value: number }[] {
    return [
      ...[...this.#counters].map(([name, { unit, value }]) => ({ name, unit, value })),
      ...[...this.#gauges].map(([name, { unit, read }]) => ({ name, unit, value: read() })),
    ];
  }
}

/** The real world: the system's clock and timers, the kernel's randomness, `log`. */
export function realEnv(log: Log, metrics: Metrics = new MetricsTable()): Env {
  return { clock: realClock, random: realRandom, log, metrics };
}

/** Lets Deno's loop do what it has to, timers and sockets included, then calls `run` by itself. */
export function nextTurn(run: () => void): void {
  setImmediate(run);
}

/** Timers of fewer milliseconds than this have to be on time. */
const SHORT_MS = 20;

/**
 * Timers of less than 20 ms: how many were set so far, and the time (`realClock.monotonic`) when the last
 * of them is over. Who keeps Deno's loop waiting looks here how long it may.
 */
export const shortTimers = { set: 0, over: 0 };

function noteTimer(ms: number): void {
  if (ms >= SHORT_MS) return;
  shortTimers.set++;
  shortTimers.over = Math.max(shortTimers.over, performance.now() + ms);
}

/** The system's clock and timers. */
export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  delay(ms, signal) {
    noteTimer(ms);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const done = () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      };
      const timer = setTimeout(done, ms);
      const abort = () => {
        clearTimeout(timer);
        reject(signal!.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
    });
  },
  after(ms, run) {
    noteTimer(ms);
    const timer = setTimeout(run, ms);
    Deno.unrefTimer(timer);
    return { cancel: () => clearTimeout(timer) };
  },
  every(ms, run) {
    const timer = setInterval(run, ms);
    Deno.unrefTimer(timer);
    return { cancel: () => clearInterval(timer) };
  },
};

/** The kernel's randomness. */
export const realRandom: Random = {
  int: (below) => Math.floor(Math.random() * below),
  bytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
  uuid: () => crypto.randomUUID(),
};
