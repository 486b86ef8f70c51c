/**
 * Where a file in a volume is, as people write it: `HOST[:PORT]:VOLUME/PATH`. A snapshot's volume is
 * `/snaps/SNAPSHOT/VOLUME`, with its first slash.
 */

import { UsageError } from "mgmt/cli/command.ts";
import { MANAGEMENT_PORT, parsePort } from "mgmt/endpoints.ts";

/** A path in a volume of a server. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly volume: string;
  /** Begins with a slash. */
  readonly path: string;
  /** As it was written. */
  readonly text: string;
}

const FORM =
  /^(?:\[([^\]/]+)\]|([^:[\]/]+)):(?:(\d+):)?(?:(?=\/snaps\/)\/(snaps\/[^/:]+\/[^/:]+)|\/?([^/:]+))(\/.*)?$/s;

/** Reads an address; undefined if `text` has no such form: it may be a local path. */
export function readAddress(text: string): Address | undefined {
  const match = FORM.exec(text);
  if (!match) return undefined;
  const [, bracketed, plain, port, snapshot, named, path] = match;
  return {
    host: bracketed ?? plain!,
    port: port === undefined ? MANAGEMENT_PORT : parsePort(port, "address"),
    volume: snapshot ?? named!,
    path: path ?? "/",
    text,
  };
}

/** The same where nothing else will do. Throws UsageError. */
export function parseAddress(text: string): Address {
  const address = readAddress(text);
  if (address) return address;
  throw new UsageError(
    `Cannot use "${text}": expected HOST:VOLUME/PATH, with a port HOST:PORT:VOLUME/PATH, ` +
      "and IPv6 addresses in brackets",
  );
}

/** The last name of a path; "" for the root and what ends in a slash. */
export function lastName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** A name in a directory. */
export function inside(address: Address, name: string): Address {
  const join = (path: string) => `${path.replace(/\/+$/, "")}/${name}`;
  const text = lastName(address.path) === "" && !address.text.endsWith("/")
    ? `${address.text}/${name}`
    : join(address.text);
  return { ...address, path: join(address.path), text };
}
