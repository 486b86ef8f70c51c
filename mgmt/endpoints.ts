/** Addresses as people write them. */

import { CommandError, UsageError } from "mgmt/cli/command.ts";
import type { Endpoint } from "rpc/transport.ts";

/** Where a management daemon listens unless told otherwise. */
export const MANAGEMENT_PORT = 24007;

/** Which ports an endpoint may have. */
export interface PortRules {
  /** The one if none is written. */
  readonly port?: number;
  /** The least; 0 where the system may choose. */
  readonly min?: number;
}

/** Reads "HOST", "HOST:PORT" or "[IPv6]:PORT"; a path is a unix socket. Throws UsageError. */
export function parseEndpoint(
  text: string,
  option: string,
  { port: usual = MANAGEMENT_PORT, min = 1 }: PortRules = {},
): Endpoint {
  if (text.startsWith("/")) return { kind: "unix", path: text };
  const match = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? /^([^:[\]]+)(?::(\d+))?$/.exec(text);
  if (!match) {
    throw new UsageError(`Cannot use ${option} "${text}": expected HOST, HOST:PORT or [IPV6]:PORT`);
  }
  const port = match[2] === undefined ? usual : parsePort(match[2], option, min);
  return { kind: "tcp", host: match[1]!, port };
}

/** Reads a port; 0 is allowed where the system may choose. Throws UsageError. */
export function parsePort(text: string, option: string, min = 1): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (!(port >= min && port <= 65535)) {
    throw new UsageError(`Cannot use ${option} "${text}": expected a port, ${min} to 65535`);
  }
  return port;
}

/** What to tell when listening failed: `instead` is to be done if it is the port, `elsewhere` if the address. */
export function cannotListen(
  error: unknown,
  text: string,
  instead: string,
  elsewhere = instead,
): unknown {
  const why = error instanceof Deno.errors.AddrInUse
    ? `something else listens there; stop it, or ${instead}`
    : error instanceof Deno.errors.AddrNotAvailable
    ? `that is no address of this machine; ${elsewhere}`
    : error instanceof Deno.errors.PermissionDenied
    ? `no permission; ${instead}`
    : error instanceof Error && /^failed to lookup address/.test(error.message)
    ? `that name is not known here; ${elsewhere}`
    : undefined;
  return why === undefined ? error : new CommandError(`Cannot listen on ${text}: ${why}`);
}
