/** What happened in a run, as lines for people. */

const LINES_KEPT = 400;

/** See the head of this file. */
export class Trace {
  #lines: string[] = [];

  /** `keepAll` keeps every line, for a replay that is read from its beginning. */
  constructor(readonly keepAll = false) {}

  add(line: string): void {
    this.#lines.push(line);
    if (!this.keepAll && this.#lines.length > 2 * LINES_KEPT) this.#lines.splice(0, LINES_KEPT);
  }

  /** The last lines, or all. */
  get lines(): readonly string[] {
    return this.keepAll ? this.#lines : this.#lines.slice(-LINES_KEPT);
  }
}
