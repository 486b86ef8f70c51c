/**
 * What carries bytes between two ends. Deno's own sockets are one implementation; TLS through
 * node:tls or a loop over raw sockets would be others.
 */

import type { Descriptors } from "core/env.ts";
import { listenPrivately } from "core/sys/private_socket.ts";
import { DirectSocket } from "rpc/direct_socket.ts";
import { keepLively, socketsBetween, socketsTakenInAt } from "rpc/liveness.ts";

/** One end of a stream of bytes. */
export interface Transport {
  readonly peer: PeerAddress;
  /** Reads at least one byte and at most `into.length`; null at the end of the stream. */
  read(into: Uint8Array<ArrayBuffer>): Promise<number | null>;
  /** Writes at least one byte; answers how many. `from` is borrowed until then. */
  write(from: Uint8Array<ArrayBuffer>): Promise<number>;
  /** Ends both directions at once; reads and writes under way fail. Harmless when repeated. */
  close(): void;
}

/** Who is at the other end. */
export interface PeerAddress {
  readonly kind: "tcp" | "unix";
  /** Address without port ("127.0.0.1", "::1"); "" for a unix socket. */
  readonly address: string;
  /** 0 for a unix socket. */
  readonly port: number;
  /** For people: "127.0.0.1:49151", "[::1]:49151" or the socket's path. */
  readonly text: string;
  /** This end of a TCP connection. */
  readonly reached?: { readonly address: string; readonly port: number };
}

/** Where to connect to or listen on. */
export type Endpoint =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** Takes connections in. */
export interface Acceptor {
  /** Where it listens; a port asked as 0 is the real one here. */
  readonly endpoint: Endpoint;
  /** The next connection; null after `close`. */
  accept(): Promise<Transport | null>;
  close(): void;
}

/** Options of sockets. */
export interface SocketOptions {
  /** Lets the kernel notice peers that vanished. */
  readonly keepAlive?: boolean | undefined;
  /** Waits for TCP sockets in place of Deno, where it can. */
  readonly descriptors?: Descriptors | undefined;
}

/** The text of an endpoint, as in `PeerAddress.text`. */
export function endpointText(endpoint: Endpoint): string {
  return endpoint.kind === "unix" ? endpoint.path : hostPort(endpoint.host, endpoint.port);
}

function hostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Connects. Throws what Deno throws, or `signal`'s reason. */
export async function connectTo(
  endpoint: Endpoint,
  options: SocketOptions = {},
  signal?: AbortSignal,
): Promise<Transport> {
  if (endpoint.kind === "unix") {
    const conn = await Deno.connect({ transport: "unix", path: endpoint.path });
    return new SocketTransport(conn, unixPeer(endpoint.path));
  }
  const { host: hostname, port } = endpoint;
  await options.descriptors?.started;
  const conn = await Deno.connect({ hostname, port, ...(signal && { signal }) });
  return tcpTransport(conn, options);
}

/** Listens. Throws what Deno throws: address in use, no permission. */
export function listenOn(endpoint: Endpoint, options: SocketOptions = {}): Acceptor {
  if (endpoint.kind === "unix") {
    const listener = listenPrivately(endpoint.path);
    const peer = unixPeer(endpoint.path);
    return new SocketAcceptor(listener, endpoint, (conn) => new SocketTransport(conn, peer));
  }
  const listener = Deno.listen({ hostname: endpoint.host, port: endpoint.port });
  const real = { ...endpoint, port: listener.addr.port };
  const started = options.descriptors?.started;
  return new SocketAcceptor(listener, real, (conn) => tcpTransport(conn, options), started);
}

/** Removes the unix socket at `path` if nobody listens on it: a process that was killed left it. */
export async function removeStaleSocket(path: string): Promise<void> {
  try {
    if (!Deno.lstatSync(path).isSocket) return;
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    Deno.removeSync(path);
  }
}

function unixPeer(path: string): PeerAddress {
  return { kind: "unix", address: "", port: 0, text: path };
}

function tcpTransport(conn: Deno.TcpConn, options: SocketOptions): Transport {
  conn.setNoDelay(true);
  const { hostname, port } = conn.remoteAddr;
  if (options.keepAlive ?? true) {
    conn.setKeepAlive(true);
    keepLively(conn.localAddr.port, port);
  }
  const address = plainAddress(hostname);
  const reached = {
    address: plainAddress(conn.localAddr.hostname),
    port: conn.localAddr.port,
  };
  const peer: PeerAddress = {
    kind: "tcp",
    address,
    port,
    text: hostPort(address, port),
    reached,
  };
  return directly(conn, peer, options) ?? new SocketTransport(conn, peer);
}

/** Connections that somebody took in by Deno, to be waited for in place of Deno where that can be done. */
export class TakenIn {
  readonly #descriptors: Descriptors;
  /** By descriptor: those that are open. */
  readonly #unix = new Map<number, DirectSocket>();

  constructor(descriptors: Descriptors) {
    this.#descriptors = descriptors;
  }

  /** Undefined: it stays with Deno. */
  of(conn: Deno.Conn): Transport | undefined {
    if (conn.remoteAddr.transport === "tcp") {
      const direct = tcpTransport(conn as Deno.TcpConn, { descriptors: this.#descriptors });
      return direct instanceof DirectSocket ? direct : undefined;
    }
    const { path } = conn.localAddr as Deno.UnixAddr;
    const fds = socketsTakenInAt(path).filter((fd) => !this.#unix.get(fd)?.open);
    // Of two that came at a time nobody knows which is which.
    if (fds.length !== 1) return undefined;
    const direct = DirectSocket.of(conn, unixPeer(path), fds[0]!, this.#descriptors);
    if (direct) this.#unix.set(fds[0]!, direct);
    return direct;
  }
}

// Not where two sockets have the same ports at other addresses.
function directly(
  conn: Deno.TcpConn,
  peer: PeerAddress,
  { descriptors }: SocketOptions,
): Transport | undefined {
  if (!descriptors) return undefined;
  const [fd, another] = socketsBetween(conn.localAddr.port, conn.remoteAddr.port);
  if (fd === undefined || another !== undefined) return undefined;
  return DirectSocket.of(conn, peer, fd, descriptors);
}

// A listener on [::] sees IPv4 peers in their mapped form; rules about addresses mean the plain one.
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") ? address.slice(7) : address;
}

class SocketTransport implements Transport {
  #conn: Deno.Conn;
  #open = true;

  constructor(conn: Deno.Conn, readonly peer: PeerAddress) {
    this.#conn = conn;
  }

  read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    return this.#conn.read(into);
  }

  write(from: Uint8Array<ArrayBuffer>): Promise<number> {
    return this.#conn.write(from);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#conn.close();
  }
}

class SocketAcceptor<C extends Deno.Conn> implements Acceptor {
  #listener: { accept(): Promise<C>; close(): void };
  #wrap: (conn: C) => Transport;
  #open = true;

  constructor(
    listener: { accept(): Promise<C>; close(): void },
    readonly endpoint: Endpoint,
    wrap: (conn: C) => Transport,
    /** Nobody is accepted before. */
    private readonly started?: Promise<void>,
  ) {
    this.#listener = listener;
    this.#wrap = wrap;
  }

  async accept(): Promise<Transport | null> {
    await this.started;
    while (this.#open) {
      try {
        return this.#wrap(await this.#listener.accept());
      } catch (error) {
        // A peer that left before it was accepted, or one file too many, is no reason to stop.
        if (this.#open && !isTransient(error)) throw error;
      }
    }
    return null;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#listener.close();
  }
}

function isTransient(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.NotConnected;
}
