/** What happened in a run, as lines: the last of them for people, a hash of all for comparison. */

const LINES_KEPT = 400;

/** See the head of this file. */
export class Trace {
  #hash = 0x811c9dc5;
  #count = 0;
  #lines: string[] = [];

  /** `keepAll` keeps every line, for a replay that a person reads. */
  constructor(readonly keepAll = false) {}

  add(line: string): void {
    this.#count++;
    for (let i = 0; i < line.length; i++) {
      this.#hash = Math.imul(this.#hash ^ line.charCodeAt(i), 0x01000193);
    }
    this.#lines.push(line);
    if (!this.keepAll && this.#lines.length > 2 * LINES_KEPT) this.#lines.splice(0, LINES_KEPT);
  }

  /** Equal for runs in which the same happened in the same order. */
  get digest(): string {
    return `${this.#count}-${(this.#hash >>> 0).toString(16)}`;
  }

  /** The last lines, or all. */
  get lines(): readonly string[] {
    return this.keepAll ? this.#lines : this.#lines.slice(-LINES_KEPT);
  }
}
