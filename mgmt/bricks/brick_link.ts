/** The way to a running brick: its unix socket. */

import type { Env } from "core/env.ts";
import { ENOTCONN } from "core/errno.ts";
import { Connection } from "rpc/connection.ts";
import type { Signature } from "rpc/program.ts";
import { connectTo } from "rpc/transport.ts";

/** How long an answer may take; statedumps and statistics of a busy brick take seconds. */
const ANSWER_MS = 30_000;
/** Statistics of many files come as one record. */
const RECORD_MAX = 32 << 20;

/** A connection that is made when it is needed, and kept. */
export class BrickLink {
  readonly #env: Env;
  #connection: Promise<Connection> | undefined;

  constructor(env: Env, readonly socket: string) {
    this.#env = env;
  }

  /** Asks. Throws what Deno throws if there is no brick, and what `Connection.call` throws. */
  async ask<A, R>(signature: Signature<A, R>, args: A): Promise<R> {
    const deadline = this.#env.clock.monotonic() + ANSWER_MS;
    const kept = await this.#connection?.catch(() => undefined);
    if (kept?.open) {
      try {
        return await kept.ask(signature, args, { deadline });
      } catch (error) {
        // Its end may not have been seen yet: the brick of before is gone, and there may be another.
        if (!ENOTCONN.matches(error)) throw error;
      }
    }
    const connection = await (this.#connection = this.#connect());
    return await connection.ask(signature, args, { deadline });
  }

  async #connect(): Promise<Connection> {
    const transport = await connectTo({ kind: "unix", path: this.socket });
    return new Connection(transport, this.#env, { recordBytesMax: RECORD_MAX });
  }

  /** Closes the connection; the next question makes another one. */
  close(): void {
    this.#connection?.then(
      (connection) => connection.close("brick is not asked any more"),
      () => {},
    );
    this.#connection = undefined;
  }
}
