/**
 * Whether the brick lives. A process that stands still keeps its sockets, and a cable that was cut
 * ends none: only that nothing comes shows it. After half the time-out without a byte from the brick
 * it is sent a ping, after all of it the connection is closed. Anything that comes is a sign of
 * life, so a busy connection carries no pings.
 */

import type { Clock, Timer } from "core/env.ts";
import type { Connection } from "rpc/connection.ts";
import { ping } from "rpc/programs/dump.ts";

/** How often is looked: that part of the time-out, between these bounds in milliseconds. */
const PARTS = 8, LOOK_MIN_MS = 10, LOOK_MAX_MS = 1000;

/** Feels the pulse of `connection` until it ends. `timeoutMs` is asked each time; 0: not now. */
export class Pulse {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #timeoutMs: () => number;
  #timer: Timer | undefined;
  #received = 0;
  #heardAt: number;
  #lookedAt: number;
  #asked = false;

  constructor(connection: Connection, clock: Clock, timeoutMs: () => number) {
    this.#connection = connection;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#heardAt = this.#lookedAt = clock.monotonic();
    connection.closed.then(() => this.#timer?.cancel());
    this.#later();
  }

  #later(): void {
    this.#timer = this.#clock.after(this.#pauseMs(), () => this.#look());
  }

  #pauseMs(): number {
    const timeout = this.#timeoutMs() || Infinity;
    return Math.max(LOOK_MIN_MS, Math.min(LOOK_MAX_MS, timeout / PARTS));
  }

  #look(): void {
    const connection = this.#connection;
    if (!connection.open) return;
    const now = this.#clock.monotonic(), timeout = this.#timeoutMs();
    const { bytesReceived } = connection.state();
    // If we stood still ourselves, what came meanwhile is not read yet.
    const lost = now - this.#lookedAt - 2 * this.#pauseMs();
    if (lost > 0) this.#heardAt += lost;
    this.#lookedAt = now;
    if (bytesReceived !== this.#received || !timeout) {
      this.#received = bytesReceived;
      this.#heardAt = now;
    } else if (now - this.#heardAt >= timeout) {
      return connection.close(`no answer to a ping in ${timeout / 1000} s`);
    } else if (!this.#asked && now - this.#heardAt >= timeout / 2) {
      this.#asked = true;
      const answered = () => void (this.#asked = false);
      connection.ask(ping, undefined).then(answered, answered);
    }
    this.#later();
  }
}
