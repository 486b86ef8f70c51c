/** A serving process's place in the portmap of its management daemon. */

import type { Env } from "core/env.ts";
import type { ManagementLink } from "mgmt/management_link.ts";
import { plain } from "mgmt/plain.ts";
import type { Connection } from "rpc/connection.ts";
import { signIn, signOut } from "rpc/programs/portmap.ts";

/**
 * How long a sign-out may take: the portmapper notices the end of the connection anyway, and
 * GlusterFS's answers nobody while it waits for its bricks to end.
 */
const SIGN_OUT_MS = 500;

/** See the head of this file. */
export class PortmapEntry {
  readonly #env: Env;
  readonly #link: ManagementLink;
  readonly #brick: string;
  readonly #port: number;

  /** `brick`: what clients ask for; `port`: where it listens. */
  constructor(env: Env, link: ManagementLink, brick: string, port: number) {
    this.#env = env;
    this.#link = link;
    this.#brick = brick;
    this.#port = port;
  }

  /** Signs in over a connection that was just made. */
  async signIn(connection: Connection): Promise<void> {
    const { log } = this.#env;
    const entry = { brick: this.#brick, port: this.#port, pid: Deno.pid };
    const { ret, errno } = await connection.ask(signIn, entry);
    const told = { ...entry, at: this.#link.where };
    if (ret < 0) log.error("portmapper refused the brick", { ...told, errno });
    else log.info("brick signed in", told);
  }

  /** Signs out, if there is a connection. */
  async signOut(): Promise<void> {
    const { connection } = this.#link;
    if (!connection) return;
    const { clock, log } = this.#env;
    const deadline = clock.monotonic() + SIGN_OUT_MS;
    const entry = { brick: this.#brick, port: this.#port, rdmaPort: 0 };
    try {
      await connection.ask(signOut, entry, { deadline });
    } catch (error) {
      log.warn("brick was not signed out", { why: plain(error) });
    }
  }
}
