/** A daemon's lasting connection to a management daemon: lost, it is made again. */

import type { Env } from "core/env.ts";
import { ETIMEDOUT } from "core/errno.ts";
import { plain } from "mgmt/plain.ts";
import { Connection } from "rpc/connection.ts";
import { callbackProgram, fetchSpec, onCallback } from "rpc/programs/callback.ts";
import { connectTo, type Endpoint, endpointText } from "rpc/transport.ts";

/**
 * Pauses between tries, each twice the one before: a daemon that was started again hardly shows, and one
 * that stays away costs little. A connection costs the daemon 1 ms.
 */
const RETRY_MS = 100, RETRY_MAX_MS = 1000;
/** How long connecting may take: the kernel would wait for minutes for a machine that is off. */
const CONNECT_MS = 20_000;

/** What the daemon wants to hear. */
export interface LinkEars {
  /** A connection was made, the first or a later one. What it throws is logged, not fatal. */
  readonly connected: (connection: Connection) => Promise<void>;
  /** The volfile changed. */
  readonly volfileChanged: () => void;
}

/** See the head of this file. */
export class ManagementLink {
  readonly #env: Env;
  readonly #endpoints: readonly Endpoint[];
  readonly #stopped = new AbortController();
  /** Which of the endpoints answered last, or is tried next. */
  #at = 0;
  #ears: LinkEars | undefined;
  #connection: Connection | undefined;
  #keeping: Promise<void> | undefined;

  /** At least one endpoint; the others are for when one does not answer. */
  constructor(env: Env, ...endpoints: readonly Endpoint[]) {
    this.#env = env;
    this.#endpoints = endpoints;
  }

  /** Where the management daemon is, as text. */
  get where(): string {
    return endpointText(this.#endpoints[this.#at]!);
  }

  /** The same as an address. */
  get endpoint(): Endpoint {
    return this.#endpoints[this.#at]!;
  }

  /** How many endpoints there are. */
  get servers(): number {
    return this.#endpoints.length;
  }

  /** Whoever answered last does not any more: the next one is asked from now on. */
  giveUp(why: string): void {
    this.#at = (this.#at + 1) % this.#endpoints.length;
    this.#connection?.close(why);
  }

  /** The connection, if there is one now. */
  get connection(): Connection | undefined {
    return this.#connection?.open ? this.#connection : undefined;
  }

  /** Connects once to the first that answers. Throws what Deno throws for the last. */
  async connect(): Promise<Connection> {
    for (let left = this.#endpoints.length;; left--) {
      try {
        return await this.#connectTo(this.#endpoints[this.#at]!);
      } catch (error) {
        this.#at = (this.#at + 1) % this.#endpoints.length;
        if (left === 1) throw error;
      }
    }
  }

  async #connectTo(endpoint: Endpoint): Promise<Connection> {
    const late = new AbortController();
    const timer = this.#env.clock.after(CONNECT_MS, () => late.abort(ETIMEDOUT));
    const connecting = connectTo(endpoint, { keepAlive: true }, late.signal);
    const transport = await connecting.finally(() => timer.cancel());
    const ear = onCallback(fetchSpec, () => this.#ears?.volfileChanged());
    return this.#connection = new Connection(transport, this.#env, {
      programs: [callbackProgram([ear])],
    });
  }

  /** From now on tells `ears`, and connects again whenever the connection is lost, until `stop`. */
  keep(ears: LinkEars): void {
    this.#ears = ears;
    this.#keeping = this.#keep(ears).catch((error) => {
      if (!this.#stopped.signal.aborted) throw error;
    });
  }

  async #keep(ears: LinkEars): Promise<void> {
    let complained = false, pause = RETRY_MS;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        const connection = this.connection ?? await this.connect();
        if (signal.aborted) break;
        complained = false;
        await ears.connected(connection);
        pause = RETRY_MS;
        const why = await connection.closed;
        if (signal.aborted) break;
        this.#env.log.warn("management daemon is away", { where: this.where, why });
      } catch (error) {
        this.#connection?.close("gave up");
        if (!complained) {
          this.#env.log.warn("management daemon is not reached", {
            where: this.where,
            why: plain(error),
          });
        }
        complained = true;
      }
      await this.#env.clock.delay(pause, signal);
      pause = Math.min(2 * pause, RETRY_MAX_MS);
    }
  }

  /** Closes the connection for good. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#connection?.close("stopping");
    await this.#keeping;
  }
}
