/**
 * Is the disk still there? Every so often a line is written to `.glusterfs/health_check` and read
 * back, on another thread: a dead disk makes calls fail, a hanging one makes them not come back. Either
 * way one line is logged and the graph is told that this layer is failing; ending the process is
 * not decided here.
 */

import type { Timer } from "core/env.ts";
import { fopError } from "core/errno.ts";
import { O_CREAT, O_RDWR } from "core/fops.ts";
import { encodeName } from "core/lib/bytes.ts";
import { cstring, LOCAL_O_NOFOLLOW, O_CLOEXEC, sys } from "core/sys/calls.ts";
import type { Brick } from "xlators/storage/posix/brick.ts";

const FILE = cstring("health_check");

/** Trial writes at an interval. */
export class HealthCheck {
  #timer: Timer | undefined;
  #limit: Timer | undefined;
  #busy = false;
  #failed = false;
  #lastAt: number | undefined;

  /** `failing` is called once, with what went wrong. */
  constructor(private readonly brick: Brick, private readonly failing: (reason: string) => void) {}

  /** Milliseconds since 1970 of the last trial that succeeded. */
  get lastAt(): number | undefined {
    return this.#lastAt;
  }

  /** Starts, or takes over new options. */
  start(): void {
    this.stop();
    const seconds = this.brick.options["health-check-interval"];
    if (seconds <= 0) return;
    this.#timer = this.brick.env.clock.every(seconds * 1000, () => void this.check());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#limit?.cancel();
  }

  /** One trial. A trial that is under way counts for the next one too. */
  async check(): Promise<void> {
    if (this.#busy || this.#failed) return;
    this.#busy = true;
    const limit = this.brick.options["health-check-timeout"];
    if (limit > 0) {
      this.#limit = this.brick.env.clock.after(
        limit * 1000,
        () => this.#fail(`no answer for ${limit} s`),
      );
    }
    try {
      const problem = await this.#trial();
      if (problem) this.#fail(problem);
      else this.#lastAt = this.brick.env.clock.now();
    } finally {
      this.#busy = false;
      this.#limit?.cancel();
    }
  }

  async #trial(): Promise<string | undefined> {
    const flags = O_RDWR | O_CREAT | LOCAL_O_NOFOLLOW | O_CLOEXEC;
    const fd = await sys.openatAsync(this.brick.hidden, FILE, flags, 0o644);
    if (fd < 0) return `open: ${fopError(fd).message}`;
    try {
      const line = encodeName(new Date(this.brick.env.clock.now()).toISOString());
      const wrote = await sys.pwriteAsync(fd, line, line.length, 0);
      if (wrote !== line.length) {
        return `write: ${wrote < 0 ? fopError(wrote).message : "cut short"}`;
      }
      const back = new Uint8Array(line.length);
      const got = await sys.preadAsync(fd, back, back.length, 0);
      if (got !== line.length) return `read: ${got < 0 ? fopError(got).message : "cut short"}`;
      return back.every((byte, i) => byte === line[i]) ? undefined : "read back something else";
    } finally {
      await sys.closeAsync(fd);
    }
  }

  #fail(problem: string): void {
    if (this.#failed) return;
    this.#failed = true;
    this.stop();
    const reason = `brick "${this.brick.path}" failed its health check: ${problem}`;
    this.brick.env.log.error("health check failed", { brick: this.brick.path, problem });
    this.failing(reason);
  }
}
