/** A listener: accepts connections and serves programs on them, DUMP and PING among them. */

import type { Env } from "core/env.ts";
import { Connection, type ConnectionOptions } from "rpc/connection.ts";
import type { Program } from "rpc/program.ts";
import { dumpProgram } from "rpc/programs/dump.ts";
import {
  type Acceptor,
  type Endpoint,
  endpointText,
  listenOn,
  type PeerAddress,
  type SocketOptions,
  type Transport,
} from "rpc/transport.ts";

/** What a listener serves, to how many, and with which bounds for each. */
export interface ListenerOptions extends Omit<ConnectionOptions, "programs"> {
  /** Programs for one new connection: shared values, or made for it with its state. DUMP is added. */
  readonly programs: (connection: Connection) => readonly Program[];
  /** Connections at a time; the next ones are closed at once. */
  readonly connectionsMax?: number | undefined;
  /** How many of them a peer's address may have; all if absent. */
  readonly connectionsOf?: ((peer: PeerAddress) => number) | undefined;
  readonly socket?: SocketOptions | undefined;
}

/** An answer to give up on: how long `stop` waits for calls under way. */
const DRAIN_MS = 5000;
/** Pause after a failure to accept that the next attempt would meet as well (too many open files). */
const ACCEPT_PAUSE_MS = 1000;

/** Serves what `options` say on one endpoint. */
export class Listener {
  #acceptor: Acceptor;
  #env: Env;
  #options: ListenerOptions;
  #connections = new Set<Connection>();
  readonly #byAddress = new Map<string, number>();
  #stopped = false;

  /** Starts to listen at once. Throws if it cannot: address in use, no permission. */
  constructor(endpoint: Endpoint, env: Env, options: ListenerOptions) {
    this.#env = env;
    this.#options = options;
    this.#acceptor = listenOn(endpoint, { descriptors: env.descriptors, ...options.socket });
    this.#acceptAll();
  }

  /** Where it listens; a port asked as 0 is the real one here. */
  get endpoint(): Endpoint {
    return this.#acceptor.endpoint;
  }

  get connections(): ReadonlySet<Connection> {
    return this.#connections;
  }

  /** Accepts nobody any more, answers what is under way, then closes all connections. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#acceptor.close();
    const drained = Promise.all([...this.#connections].map((each) => each.drain()));
    const late = new AbortController();
    await Promise.race([drained, this.#env.clock.delay(DRAIN_MS, late.signal).catch(() => {})]);
    late.abort();
    for (const connection of this.#connections) connection.close("listener stopped");
  }

  /** Serves a connection that came in another way (a test's pair, an inherited socket). */
  adopt(transport: Transport): Connection {
    const { programs: make, ...options } = this.#options;
    const connection = new Connection(transport, this.#env, options);
    const programs = make(connection);
    connection.programs = [...programs, dumpProgram(programs)];
    this.#connections.add(connection);
    this.#count(transport.peer, 1);
    connection.closed.then(() => {
      this.#connections.delete(connection);
      this.#count(transport.peer, -1);
    });
    return connection;
  }

  async #acceptAll(): Promise<void> {
    while (!this.#stopped) {
      try {
        const transport = await this.#acceptor.accept();
        if (!transport) return;
        if (this.#hasRoom(transport.peer)) {
          this.adopt(transport);
        } else this.#refuse(transport);
      } catch (error) {
        this.#env.log.error("cannot accept connection", {
          on: endpointText(this.endpoint),
          reason: error instanceof Error ? error.message : String(error),
        });
        await this.#env.clock.delay(ACCEPT_PAUSE_MS);
      }
    }
  }

  #hasRoom(peer: PeerAddress): boolean {
    const { connectionsMax = 4096, connectionsOf = () => connectionsMax } = this.#options;
    return this.#connections.size < connectionsMax &&
      (this.#byAddress.get(peer.address) ?? 0) < connectionsOf(peer);
  }

  #count({ address }: PeerAddress, more: 1 | -1): void {
    const count = (this.#byAddress.get(address) ?? 0) + more;
    if (count > 0) this.#byAddress.set(address, count);
    else this.#byAddress.delete(address);
  }

  #refuse(transport: Transport): void {
    this.#env.log.warn("connection refused: too many", {
      peer: transport.peer.text,
      connections: this.#connections.size,
    });
    transport.close();
  }
}
