/** GlusterFS's numbers of log levels, of which there are more than ours. */

import type { LogLevel } from "core/env.ts";

/** None, emergency, alert, critical, error, warning, notice, info, debug, trace. */
const LEVELS: readonly LogLevel[] = [
  ...["none", "error", "error", "error", "error"] as const,
  ...["warn", "info", "info", "debug", "debug"] as const,
];

/** The number of something's level; it is remembered as it was set. */
export class LogLevels {
  readonly #of: { logLevel: LogLevel };
  #set: number | undefined;

  constructor(of: { logLevel: LogLevel }) {
    this.#of = of;
  }

  /** 0 to 9. */
  get number(): number {
    const { logLevel } = this.#of;
    if (this.#set !== undefined && LEVELS[this.#set] === logLevel) return this.#set;
    return { none: 0, error: 4, warn: 5, info: 7, debug: 8 }[logLevel];
  }

  set number(number: number) {
    this.#set = number;
    this.#of.logLevel = LEVELS[number]!;
  }
}
