/** Listens for NBD clients and serves them. */

import type { Env } from "core/env.ts";
import { listenPrivately } from "core/sys/private_socket.ts";
import type { Exports } from "gateways/nbd/disk.ts";
import { negotiate } from "gateways/nbd/handshake.ts";
import { close, Ended, type Stream } from "gateways/nbd/stream.ts";
import { TlsFailure, type TlsServer } from "gateways/nbd/tls.ts";
import { serveRequests } from "gateways/nbd/transmission.ts";

/** Where to listen: the host's address and a port (0: any), or a path of a unix socket. */
export type NbdAddress =
  | { readonly host: string; readonly port: number }
  | { readonly path: string };

/** How to serve. */
export interface NbdOptions {
  readonly exports: Exports;
  readonly env: Env;
  /** How connections are encrypted, asked for each one; without it they are in the clear. */
  readonly tls?: () => TlsServer;
  /** Another way to wait for a connection than Deno's; what has none stays with Deno. */
  readonly direct?: (connection: Deno.Conn) => Stream | undefined;
  /** Clients at a time; more are turned away. 256 by default. */
  readonly clientsMax?: number;
  /** How long a client may negotiate, in milliseconds; 30 s by default. */
  readonly handshakeMs?: number;
}

const CLIENTS_MAX = 256, HANDSHAKE_MS = 30_000;

/** See the head of this file. */
export class NbdServer {
  readonly #options: NbdOptions;
  readonly #listener: Deno.Listener;
  readonly #accepting: Promise<void>;
  #clients = new Map<Stream, Promise<void>>();
  /** Which export they use, from when they first asked about it. */
  #using = new Map<Stream, string>();

  private constructor(listener: Deno.Listener, options: NbdOptions) {
    this.#options = options;
    this.#listener = listener;
    this.#accepting = this.#accept();
  }

  /** Listens. Throws what Deno throws if it cannot. */
  static start(address: NbdAddress, options: NbdOptions): NbdServer {
    return new NbdServer(listen(address), options);
  }

  /** Port, if it is TCP. */
  get port(): number | undefined {
    const { addr } = this.#listener;
    return addr.transport === "tcp" ? addr.port : undefined;
  }

  /** Clients connected now. */
  get clients(): number {
    return this.#clients.size;
  }

  /** Closes connections of clients whose export is no more; `is` says so by its name. */
  closeClientsOf(is: (name: string) => boolean): void {
    for (const [stream, name] of this.#using) if (is(name)) close(stream);
  }

  /** Turns clients away and closes all disks. */
  async stop(): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const stream of this.#clients.keys()) close(stream);
    await Promise.all(this.#clients.values());
  }

  async #accept(): Promise<void> {
    const { env, direct, clientsMax = CLIENTS_MAX } = this.#options;
    for (;;) {
      let connection: Deno.Conn;
      try {
        connection = await this.#listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) return;
        env.log.warn("a client could not be accepted", { why: String(error) });
        // Out of descriptors: a client that leaves makes room.
        await env.clock.delay(ACCEPT_AGAIN_MS);
        continue;
      }
      if (this.#clients.size >= clientsMax) {
        env.log.warn("a client was turned away: there are too many", { clients: clientsMax });
        connection.close();
        continue;
      }
      if (connection.remoteAddr.transport === "tcp") (connection as Deno.TcpConn).setNoDelay(true);
      const stream = direct?.(connection) ?? connection;
      const served = this.#serve(stream).finally(() => this.#clients.delete(stream));
      this.#clients.set(stream, served);
    }
  }

  async #serve(stream: Stream): Promise<void> {
    const { exports, env, tls, handshakeMs = HANDSHAKE_MS } = this.#options;
    const late = env.clock.after(handshakeMs, () => close(stream));
    const startTls = tls && (() => tls().accept(stream));
    try {
      const using = (name: string) => void this.#using.set(stream, name);
      const agreed = await negotiate(stream, { exports, startTls, using });
      late.cancel();
      if (!agreed) return;
      try {
        await serveRequests(agreed, env);
      } finally {
        await agreed.disk.close();
      }
    } catch (error) {
      if (error instanceof TlsFailure) env.log.warn("a client has no TLS", { why: error.message });
      else if (!isLoss(error)) env.log.error("a client's connection ended", { why: String(error) });
    } finally {
      late.cancel();
      this.#using.delete(stream);
      close(stream);
    }
  }
}

function listen(address: NbdAddress): Deno.Listener {
  if ("path" in address) return listenPrivately(address.path);
  return Deno.listen({ hostname: address.host, port: address.port });
}

const ACCEPT_AGAIN_MS = 100;

/** The client went away, in whatever way. */
function isLoss(error: unknown): boolean {
  return error instanceof Ended || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.Interrupted || error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.ConnectionAborted;
}
