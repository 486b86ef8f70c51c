/** Names and addresses of hosts: which are this node's, and whether bricks on them can be served. */

import { lookup } from "node:dns/promises";
import { Refusal } from "mgmt/cli/managed.ts";
import { brickText } from "mgmt/records.ts";

/** Addresses that mean "all of them" when listening. */
const ANY = ["0.0.0.0", "::"];

/** Whether an address, as sockets show them, is this machine's. */
export function isOwnAddress(address: string): boolean {
  // As a socket for both families shows IPv4.
  const plain = address.replace(/^::ffff:/, "");
  return isLoopback(plain) || Deno.networkInterfaces().some((each) => each.address === plain);
}

/** Whether only this machine reaches an address. */
export function isLoopback(address: string): boolean {
  return /^127\./.test(address) || address === "::1";
}

/** Addresses of a host's name; an address is its own. None if the name is not known. */
export async function addressesOf(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch {
    // Unknown here, or no resolver answered: for who asks that is the same.
    return [];
  }
}

/** Whether a host's name or address is this node's. */
export async function isOwnHost(host: string): Promise<boolean> {
  return (await addressesOf(host)).some(isOwnAddress);
}

/**
 * Whether a brick on a host can be served by a daemon that listens on `listens`: throws Refusal if the host is
 * another one, or can be reached by strangers while the daemon was not told to listen to them.
 */
export async function checkBrickHost(
  brick: { readonly host: string; readonly path: string },
  listens: readonly string[],
): Promise<void> {
  const addresses = await addressesOf(brick.host);
  if (!addresses.some(isOwnAddress)) {
    throw new Refusal(
      `Host ${brick.host} is not in 'Peer in Cluster' state: ` +
        (addresses.length
          ? `its address ${addresses[0]} is none of this machine's`
          : "its name is not known here") +
        `; name brick ${brickText(brick)} by an address of this machine`,
    );
  }
  const open = listens.some((each) => !isLoopback(each) && each !== "localhost");
  if (open || addresses.every(isLoopback)) return;
  throw new Refusal(
    `Cannot serve brick ${brickText(brick)}: the management daemon listens on ${
      listens.join(", ")
    } only, so no client could find it; ` +
      `start it with --listen ${
        addresses[0]
      } (or 0.0.0.0), or name the brick 127.0.0.1:${brick.path}`,
  );
}

/** Whether bricks listen on their host's address only, rather than on all. */
export function bindsToHost(listens: readonly string[]): boolean {
  return !listens.some((each) => ANY.includes(each));
}
