/** Where NBD is listened for, as people write it. */

import { UsageError } from "mgmt/cli/command.ts";
import { parseEndpoint } from "mgmt/endpoints.ts";

/** NBD's own port (IANA). */
export const NBD_PORT = 10809;

/** "ADDRESS[:PORT]", for the option `what`. Throws UsageError. */
export function nbdEndpoint(text: string, what: string): { host: string; port: number } {
  const endpoint = parseEndpoint(text, what, { port: NBD_PORT, min: 0 });
  if (endpoint.kind === "tcp") return endpoint;
  throw new UsageError(`Cannot listen on "${text}": a path is given with --socket`);
}
