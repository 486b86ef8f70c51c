/**
 * Which user of this machine a TCP peer acts as. Its address alone says little: every user has the
 * machine's, and so have containers behind it. Source: proc_pid_net(5), `tcp` and `tcp6`.
 */

import { procLines } from "mgmt/bricks/proc.ts";
import { isOwnAddress } from "mgmt/cluster/hosts.ts";
import type { PeerAddress } from "rpc/transport.ts";

const ESTABLISHED = "01";
/** IPv4 in a socket for both families. */
const MAPPED = "0000000000000000FFFF0000";

/** Whether a peer is a process of this machine and of our user, or root's. */
export function isOwnProcess(peer: PeerAddress): boolean {
  if (peer.kind !== "tcp") return true;
  if (!isOwnAddress(peer.address)) return false;
  const user = userOfPeer(peer);
  return user !== undefined && (user === 0 || user === Deno.uid());
}

/**
 * The user whose socket is at the other end; undefined if that is on no process of this machine. Only
 * a connection that is open at both ends counts: of one that was closed the kernel says root.
 */
export function userOfPeer({ address, port, reached }: PeerAddress): number | undefined {
  if (!reached) return undefined;
  const own = hex(reached.address), peer = hex(address);
  const from = `${peer}:${hexPort(port)}`, to = `${own}:${hexPort(reached.port)}`;
  const isIPv4 = peer.length === 8;
  return (isIPv4 ? userOf("/proc/net/tcp", from, to) : undefined) ??
    userOf("/proc/net/tcp6", isIPv4 ? MAPPED + from : from, isIPv4 ? MAPPED + to : to);
}

function userOf(table: string, from: string, to: string): number | undefined {
  const wanted = ` ${from} ${to} ${ESTABLISHED} `;
  for (const line of procLines(table)) {
    if (!line.includes(wanted)) continue;
    const USER = 7, INODE = 9;
    const fields = line.trim().split(/\s+/);
    return fields[INODE] === "0" ? undefined : Number(fields[USER]);
  }
  return undefined;
}

function hexPort(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, "0");
}

// As the table has it: words of 32 bits in the order of this machine, which is little-endian.
function hex(address: string): string {
  const big = address.includes(":")
    ? ipv6(address)
    : address.split(".").map((part) => Number(part).toString(16).padStart(2, "0")).join("");
  return big.toUpperCase().replace(/(..)(..)(..)(..)/g, "$4$3$2$1");
}

function ipv6(address: string): string {
  const [before = "", after] = address.replace(/%.*/, "").split("::");
  const words = (text: string) => text === "" ? [] : text.split(":");
  const left = words(before), right = words(after ?? "");
  const zeros = Array<string>(8 - left.length - right.length).fill("0");
  return [...left, ...zeros, ...right].map((each) => each.padStart(4, "0")).join("");
}
