/** Where a mount's volfile comes from: servers, one at a time, or a file. */

import type { Env } from "core/env.ts";
import { ETIMEDOUT } from "core/errno.ts";
import { CommandError } from "mgmt/cli/command.ts";
import { MANAGEMENT_PORT } from "mgmt/endpoints.ts";
import type { ManagementLink } from "mgmt/management_link.ts";
import { plain } from "mgmt/plain.ts";
import { fetchVolfile } from "rpc/programs/handshake.ts";

/** Milliseconds that a server may take to answer. */
const ANSWER_MS = 20_000;

/** See the head of this file. */
export interface Source {
  /** For people. */
  readonly where: string;
  /** Port of the management daemon that knows those of the bricks. */
  readonly port: number;
  /** The volfile now. Throws CommandError. */
  read(): Promise<string>;
}

/** A file. */
export function fileSource(path: string): Source {
  const where = `volfile "${path}"`;
  return {
    where,
    port: MANAGEMENT_PORT,
    async read() {
      try {
        return await Deno.readTextFile(path);
      } catch (error) {
        throw new CommandError(`Cannot read ${where}: ${plain(error)}`);
      }
    },
  };
}

/**
 * What the servers of `link` have of the volume `id`: its graph for clients of ours, or where there
 * is none (GlusterFS's own daemon), that for GlusterFS's.
 */
export function servedSource(link: ManagementLink, id: string, env: Env): Source {
  return {
    get where() {
      return `volume "${id}" of ${link.where}`;
    },
    get port() {
      return link.endpoint.kind === "tcp" ? link.endpoint.port : MANAGEMENT_PORT;
    },
    async read() {
      for (let left = link.servers;; left--) {
        const { where } = this;
        try {
          const text = await ask(link, id, env);
          if (text !== undefined) return text;
          throw new CommandError(
            `Cannot mount ${where}: the server has no such volume, or it is not started`,
          );
        } catch (error) {
          if (error instanceof CommandError) throw error;
          if (ETIMEDOUT.matches(error)) link.giveUp("no answer");
          if (!ETIMEDOUT.matches(error) || left === 1) {
            throw new CommandError(`Cannot mount ${where}: ${whyNot(error)}`);
          }
        }
      }
    },
  };
}

// Undefined if the server does not know it.
async function ask(link: ManagementLink, id: string, env: Env): Promise<string | undefined> {
  const connection = link.connection ?? await link.connect();
  for (const key of [`${id.replace(/^\//, "")}.mortar`, id]) {
    const text = await fetchVolfile(connection, key, env.clock.monotonic() + ANSWER_MS);
    if (text !== undefined) return text;
  }
  return undefined;
}

function whyNot(error: unknown): string {
  if (error instanceof Deno.errors.ConnectionRefused) {
    return "nothing listens there; is the management daemon running?";
  }
  if (error instanceof Error && /lookup address|resolve|not known/.test(error.message)) {
    return "the host is not known";
  }
  if (ETIMEDOUT.matches(error)) {
    return `no answer for ${
      ANSWER_MS / 1000
    } seconds; is that machine, and the daemon there, well?`;
  }
  return plain(error);
}
