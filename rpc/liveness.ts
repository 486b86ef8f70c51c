/**
 * How soon the kernel notices that a peer vanished (power, cable): its locks block others until then.
 * Deno can only switch keepalive on, with the system's two hours, and does not tell a socket's file
 * descriptor. It is found by its ports, a third of a microsecond for each descriptor looked at.
 */

import { sys } from "core/sys/calls.ts";

const IPPROTO_TCP = 6;
const TCP_KEEPIDLE = 4, TCP_KEEPINTVL = 5, TCP_KEEPCNT = 6, TCP_USER_TIMEOUT = 18;
const AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10;
/** Where the path begins in a unix socket's name. */
const PATH_AT = 2;
/** As GlusterFS: first probe after 20 s of silence, then every 2 s, and no answer for 42 s is the end. */
const KEEPIDLE_SEC = 20, KEEPINTVL_SEC = 2, KEEPCNT = 9, USER_TIMEOUT_MS = 42_000;
/** Descriptors looked at; beyond, the system's times stay. */
const FDS_MAX = 16384;
/** Descriptors in a row that are no sockets, after which there are no more. */
const GAP_MAX = 1024;

const name = new Uint8Array(128);
const nameView = new DataView(name.buffer);
const size = new Uint32Array(1);

/**
 * Shortens keepalive of the TCP socket between these two ports. A socket that has the same ports by
 * chance gets the same times, which does no harm. Answers false if none was found.
 */
export function keepLively(localPort: number, peerPort: number): boolean {
  const found = socketsBetween(localPort, peerPort);
  for (const fd of found) {
    set(fd, TCP_KEEPIDLE, KEEPIDLE_SEC);
    set(fd, TCP_KEEPINTVL, KEEPINTVL_SEC);
    set(fd, TCP_KEEPCNT, KEEPCNT);
    set(fd, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
  }
  return found.length > 0;
}

/** Descriptors of the TCP sockets of this process that have these ports. */
export function socketsBetween(localPort: number, peerPort: number): number[] {
  const found: number[] = [];
  for (let fd = 3, gap = 0; fd < FDS_MAX && gap < GAP_MAX; fd++, gap++) {
    const peer = portOf(sys.getpeername, fd);
    if (peer === undefined) continue;
    gap = 0;
    if (peer === peerPort && portOf(sys.getsockname, fd) === localPort) found.push(fd);
  }
  return found;
}

/** Descriptors of this process's connections that were taken in on the unix socket at `path`. */
export function socketsTakenInAt(path: string): number[] {
  const own = new TextEncoder().encode(path);
  const found: number[] = [];
  for (let fd = 3, gap = 0; fd < FDS_MAX && gap < GAP_MAX; fd++, gap++) {
    if (!isUnix(sys.getpeername, fd)) continue;
    gap = 0;
    if (!isUnix(sys.getsockname, fd)) continue;
    const end = name.indexOf(0, PATH_AT);
    const at = name.subarray(PATH_AT, end < 0 ? size[0] : end);
    if (at.length === own.length && own.every((byte, i) => byte === at[i])) found.push(fd);
  }
  return found;
}

// Its name is in `name` then.
function isUnix(ask: typeof sys.getpeername, fd: number): boolean {
  name.fill(0);
  size[0] = name.length;
  return ask(fd, name, new Uint8Array(size.buffer)) >= 0 && nameView.getUint16(0, true) === AF_UNIX;
}

// The port of one end of the socket; undefined if `fd` is none that is connected over TCP.
function portOf(ask: typeof sys.getpeername, fd: number): number | undefined {
  size[0] = name.length;
  if (ask(fd, name, new Uint8Array(size.buffer)) < 0) return undefined;
  const family = nameView.getUint16(0, true);
  return family === AF_INET || family === AF_INET6 ? nameView.getUint16(2) : undefined;
}

function set(fd: number, option: number, value: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  sys.setsockopt(fd, IPPROTO_TCP, option, bytes, 4);
}
