/** Volfiles that a management daemon has. */

import type { VolfileSource } from "mgmt/brick/process.ts";
import { CommandError } from "mgmt/cli/command.ts";
import type { Daemon } from "mgmt/daemon.ts";
import type { ManagementLink } from "mgmt/management_link.ts";
import { plain } from "mgmt/plain.ts";
import { fetchVolfile } from "rpc/programs/handshake.ts";

/** Milliseconds that the daemon may take to answer. */
const GETSPEC_MS = 20_000;

/** The volfile `id` of the daemon at the other end of `link`; `hint`: what to do where it has none. */
export function served(
  link: ManagementLink,
  id: string,
  { env }: Daemon,
  hint: string,
): VolfileSource {
  const where = `volfile "${id}" of ${link.where}`;
  return {
    where,
    served: true,
    async read() {
      const deadline = env.clock.monotonic() + GETSPEC_MS;
      try {
        const connection = link.connection ?? await link.connect();
        const text = await fetchVolfile(connection, id, deadline);
        if (text !== undefined) return text;
      } catch (error) {
        throw new CommandError(`Cannot fetch ${where}: ${plain(error)}`);
      }
      throw new CommandError(
        `Cannot fetch ${where}: the server has none of that name; ${hint}`,
      );
    },
  };
}
