/**
 * The connection to a brick, kept: made, lost, made again. It is up from when the brick was joined
 * and the files that were open are open again, until it ends.
 */

import type { Env } from "core/env.ts";
import { Connection } from "rpc/connection.ts";
import { ping } from "rpc/programs/dump.ts";
import type { Program } from "rpc/program.ts";
import { connectTo, type Endpoint, endpointText } from "rpc/transport.ts";
import {
  join,
  type Joiner,
  JoinError,
  look,
  MANAGEMENT_PORT,
} from "xlators/protocol/client/handshake.ts";
import type { ClientValues } from "xlators/protocol/client/options.ts";

/** Milliseconds that one attempt may take, from connecting to being joined. */
const ATTEMPT_MS = 20_000;
/** Between attempts: the first pause, and the longest (GlusterFS waits 3 s as well). */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 3000;

/** What the layer does with a connection. */
export interface LinkEars {
  /** A brick was joined, and is not up yet. */
  readonly joined: (connection: Connection) => Promise<void>;
  readonly up: () => void;
  readonly down: () => void;
  /** What the brick may call. */
  readonly callbacks: Program;
}

/** See the head of this file. */
export class Link {
  readonly #env: Env;
  readonly #joiner: Joiner;
  readonly #ears: LinkEars;
  readonly #stopping = new AbortController();
  #attempts = 0;
  #connection: Connection | undefined;
  #running: Promise<void> | undefined;
  #lastProblem: string | undefined;

  constructor(env: Env, joiner: Joiner, ears: LinkEars) {
    this.#env = env;
    this.#joiner = joiner;
    this.#ears = ears;
  }

  /** The connection while it is up. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** Times that connecting was tried. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Why the last attempt failed; undefined while up. */
  get problem(): string | undefined {
    return this.#lastProblem;
  }

  /** Begins; resolves when the first attempt has an outcome, good or bad. */
  start(): Promise<void> {
    return new Promise((resolve) => this.#running = this.#run(resolve));
  }

  /** Ends the connection for good. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(tried: () => void): Promise<void> {
    const { signal } = this.#stopping;
    let pause = RETRY_MIN_MS;
    while (!signal.aborted) {
      const connection = await this.#attempt();
      if (connection) {
        pause = RETRY_MIN_MS;
        tried();
        await this.#serveUntilLost(connection);
      } else tried();
      // A little chance keeps the clients of a brick that came back from knocking all at once.
      const jitter = this.#env.random.int(Math.ceil(pause / 4));
      await this.#env.clock.delay(pause + jitter, signal).catch(() => {});
      pause = Math.min(pause * 2, RETRY_MAX_MS);
    }
  }

  // A connection to a joined brick with its files open, or undefined and a line in the log.
  async #attempt(): Promise<Connection | undefined> {
    this.#attempts++;
    const { clock } = this.#env;
    const late = new AbortController();
    const timer = clock.after(ATTEMPT_MS, () => late.abort(new JoinError("no answer in time")));
    const signal = AbortSignal.any([late.signal, this.#stopping.signal]);
    let connection: Connection | undefined;
    signal.addEventListener("abort", () => connection?.close("not joined in time"));
    try {
      const deadline = clock.monotonic() + ATTEMPT_MS;
      const opened = (made: Connection) => void (connection = made);
      const brick = await this.#reachBrick(signal, deadline, opened);
      await join(brick, this.#joiner, this.#attempts, this.#env, deadline);
      await this.#ears.joined(brick);
      if (brick.open && !signal.aborted) return brick;
      throw new JoinError("the connection was lost while joining");
    } catch (error) {
      connection?.close("not joined");
      this.#complain(signal.aborted ? signal.reason : error);
      return undefined;
    } finally {
      timer.cancel();
    }
  }

  // Where the options lead there is the brick itself, or a portmapper that knows its port.
  async #reachBrick(
    signal: AbortSignal,
    deadline: number,
    opened: (connection: Connection) => void,
  ): Promise<Connection> {
    const { values } = this.#joiner;
    const brick = values["remote-subvolume"];
    const given = endpointOf(values);
    const first = await this.#connect(given, signal);
    opened(first);
    const found = await look(first, brick, deadline);
    if (found.kind === "brick") return first;
    first.close("asked");
    if (given.kind === "unix") throw new JoinError("a portmapper answers there, not a brick");
    const second = await this.#connect({ ...given, port: found.port }, signal);
    opened(second);
    if ((await look(second, brick, deadline)).kind === "brick") return second;
    throw new JoinError("the portmapper named another portmapper");
  }

  async #connect(endpoint: Endpoint, signal: AbortSignal): Promise<Connection> {
    const keepAlive = this.#joiner.values["transport.socket.keepalive"];
    const transport = await connectTo(endpoint, { keepAlive }, signal);
    return new Connection(transport, this.#env, { programs: [this.#ears.callbacks] });
  }

  async #serveUntilLost(connection: Connection): Promise<void> {
    this.#connection = connection;
    this.#lastProblem = undefined;
    this.#ears.up();
    const stop = () => connection.close("stopping");
    this.#stopping.signal.addEventListener("abort", stop, { once: true });
    const pinging = this.#ping(connection);
    const reason = await connection.closed;
    this.#stopping.signal.removeEventListener("abort", stop);
    this.#connection = undefined;
    if (!this.#stopping.signal.aborted) {
      this.#env.log.warn("connection to brick lost", {
        brick: this.#joiner.values["remote-subvolume"],
        at: connection.peer.text,
        reason,
      });
    }
    this.#ears.down();
    await pinging;
  }

  // A brick whose process stands still keeps its sockets: only an unanswered question shows it.
  async #ping(connection: Connection): Promise<void> {
    const ended = new AbortController();
    connection.closed.then(() => ended.abort());
    const { clock } = this.#env;
    while (connection.open) {
      const timeoutMs = this.#joiner.values["ping-timeout"] * 1000;
      // Off now; it may be turned on while connected.
      const pauseMs = timeoutMs || RETRY_MAX_MS;
      try {
        await clock.delay(pauseMs, ended.signal);
        if (timeoutMs) {
          await connection.ask(ping, undefined, { deadline: clock.monotonic() + timeoutMs });
        }
      } catch {
        connection.close(`no answer to a ping in ${timeoutMs / 1000} s`);
      }
    }
  }

  #complain(error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    const text = error instanceof Error ? error.message : String(error);
    const why = text.replace(/ \(os error \d+\)/, "");
    const { values } = this.#joiner;
    const fields = {
      brick: values["remote-subvolume"],
      at: endpointText(endpointOf(values)),
      why,
    };
    // The same failure again, every few seconds, tells nothing new.
    if (why !== this.#lastProblem) this.#env.log.warn("brick is not connected", fields);
    this.#lastProblem = why;
  }
}

function endpointOf(values: ClientValues): Endpoint {
  const path = values["transport.socket.connect-path"];
  if (/^unix/.test(values["transport-type"]) && path !== undefined) return { kind: "unix", path };
  const port = values["remote-port"] || MANAGEMENT_PORT;
  return { kind: "tcp", host: values["remote-host"], port };
}
