/** Where a mount's volfile comes from: servers, one at a time, or a file. */

import type { Env } from "core/env.ts";
import { CommandError } from "mgmt/cli/command.ts";
import { MANAGEMENT_PORT } from "mgmt/endpoints.ts";
import type { ManagementLink } from "mgmt/management_link.ts";
import { plain } from "mgmt/plain.ts";
import type { Connection } from "rpc/connection.ts";
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
      const { where } = this;
      let connection: Connection;
      try {
        connection = link.connection ?? await link.connect();
      } catch (error) {
        throw new CommandError(`Cannot mount ${where}: ${whyNot(error)}`);
      }
      const plainId = id.replace(/^\//, "");
      for (const key of [`${plainId}.mortar`, id]) {
        try {
          const text = await fetchVolfile(connection, key, env.clock.monotonic() + ANSWER_MS);
          if (text !== undefined) return text;
        } catch (error) {
          throw new CommandError(`Cannot mount ${where}: ${plain(error)}`);
        }
      }
      throw new CommandError(
        `Cannot mount ${where}: the server has no such volume, or it is not started`,
      );
    },
  };
}

function whyNot(error: unknown): string {
  if (error instanceof Deno.errors.ConnectionRefused) {
    return "nothing listens there; is the management daemon running?";
  }
  if (error instanceof Error && /lookup address|resolve|not known/.test(error.message)) {
    return "the host is not known";
  }
  return plain(error);
}
