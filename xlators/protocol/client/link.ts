/**
 * The connection to a brick, kept: made, lost, made again. It is up from when the brick was joined,
 * its storage can serve and the files that were open are open again, until one of these ends.
 *
 * Attempts begin quickly, become rarer and never stop. Each asks the portmapper and the name service
 * anew: the brick may have moved. A brick that came up and is lost again at once is not hammered
 * either, and one that refuses us is asked rarely, as that takes somebody to act.
 */

import type { Env } from "core/env.ts";
import { Connection } from "rpc/connection.ts";
import type { Program } from "rpc/program.ts";
import { connectTo, type Endpoint, endpointText, type Transport } from "rpc/transport.ts";
import {
  join,
  type Joiner,
  JoinError,
  look,
  MANAGEMENT_PORT,
} from "xlators/protocol/client/handshake.ts";
import type { ClientValues } from "xlators/protocol/client/options.ts";
import { Pulse } from "xlators/protocol/client/pulse.ts";

/** Milliseconds that one attempt may take, from connecting to being joined. */
const ATTEMPT_MS = 20_000;
/** Between attempts: the first pause, and the longest (GlusterFS waits 3 s as well). */
const RETRY_MIN_MS = 100, RETRY_MAX_MS = 3000;
/** The pause after a brick refused us for good. */
const REFUSED_MS = 30_000;
/** Calls without an answer: locks that wait are among them, and `Flow` bounds what else there is. */
const CALLS_MAX = 65_536;

/** Makes a transport; throws what Deno's sockets throw, or the signal's reason. */
export type Connect = typeof connectTo;

/** What the layer does with a connection. */
export interface LinkEars {
  /** A brick was joined, and is not up yet. May take long: the brick is watched. */
  readonly joined: (connection: Connection) => Promise<void>;
  /** Once for each change, the first time as soon as it is known: fops can be served, or cannot. */
  readonly told: (up: boolean) => void;
  /** What the brick may call. */
  readonly callbacks: Program;
}

/** See the head of this file. */
export class Link {
  readonly #env: Env;
  readonly #joiner: Joiner;
  readonly #ears: LinkEars;
  readonly #connectTo: Connect;
  readonly #stopping = new AbortController();
  /** What the brick that was joined last said of itself. */
  carriesLocks = false;
  #attempts = 0;
  // Joined, and its files are open.
  #ready: Connection | undefined;
  #storageUp = false;
  // What the brick said of that since it was asked whether we may join.
  #storageSaid: boolean | undefined;
  #storageChanged: (() => void) | undefined;
  #told: boolean | undefined;
  #running: Promise<void> | undefined;
  #lastProblem: string | undefined;
  #refused = false;

  constructor(env: Env, joiner: Joiner, ears: LinkEars, connect: Connect = connectTo) {
    this.#env = env;
    this.#joiner = joiner;
    this.#ears = ears;
    this.#connectTo = connect;
  }

  /** The connection while it is up. */
  get connection(): Connection | undefined {
    return this.#storageUp ? this.#ready : undefined;
  }

  /** Times that connecting was tried. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Why the last attempt failed; undefined while up. */
  get problem(): string | undefined {
    return this.#lastProblem;
  }

  /** Whether the brick said at the last attempt that it will not have us. */
  get refused(): boolean {
    return this.#refused;
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

  /** The brick says whether what is behind it can serve. */
  set storageUp(up: boolean) {
    this.#storageUp = this.#storageSaid = up;
    this.#storageChanged?.();
    if (this.#ready) this.#tell();
  }

  #tell(): void {
    const up = this.connection !== undefined;
    if (up === this.#told) return;
    this.#told = up;
    this.#ears.told(up);
  }

  async #run(tried: () => void): Promise<void> {
    const { clock, random } = this.#env;
    const { signal } = this.#stopping;
    let pause = RETRY_MIN_MS;
    while (!signal.aborted) {
      this.#refused = false;
      try {
        const connection = await this.#join();
        const upMs = await this.#serveUntilLost(connection, tried);
        if (upMs >= RETRY_MAX_MS) pause = RETRY_MIN_MS;
      } catch (error) {
        this.#refused = error instanceof JoinError && error.final;
        this.#complain(error);
      }
      this.#tell();
      tried();
      const base = this.#refused ? REFUSED_MS : pause;
      // A little chance keeps the clients of a brick that came back from knocking all at once.
      const jitter = random.int(Math.ceil(base / 4));
      await clock.delay(base + jitter, signal).catch(() => {});
      pause = Math.min(pause * 2, RETRY_MAX_MS);
    }
  }

  // A connection to a joined brick.
  async #join(): Promise<Connection> {
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
      this.#storageSaid = undefined;
      const welcome = await join(brick, this.#joiner, this.#attempts, this.#env, deadline);
      this.#storageUp = this.#storageSaid ?? welcome.up;
      this.carriesLocks = welcome.carriesLocks;
      if (brick.open && !signal.aborted) return brick;
      throw new JoinError("the connection was lost while joining");
    } catch (error) {
      connection?.close("not joined");
      throw signal.aborted ? signal.reason : error;
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
    const { descriptors } = this.#env;
    const options = { keepAlive, descriptors };
    const transport: Transport = await this.#connectTo(endpoint, options, signal);
    if (signal.aborted) {
      transport.close();
      throw signal.reason;
    }
    const programs = [this.#ears.callbacks];
    return new Connection(transport, this.#env, { programs, windowMax: CALLS_MAX });
  }

  // Answers how many milliseconds it was up.
  async #serveUntilLost(connection: Connection, tried: () => void): Promise<number> {
    const { clock } = this.#env;
    const stop = () => connection.close("stopping");
    this.#stopping.signal.addEventListener("abort", stop, { once: true });
    // A connection that was opened while it was stopped.
    if (this.#stopping.signal.aborted) stop();
    new Pulse(connection, clock, () => this.#joiner.values["ping-timeout"] * 1000);
    try {
      await this.#waitForStorage(connection, tried);
      await this.#ears.joined(connection);
      if (!connection.open) throw new JoinError(await connection.closed);
      const since = clock.monotonic();
      this.#ready = connection;
      this.#lastProblem = undefined;
      this.#tell();
      tried();
      const reason = await connection.closed;
      this.#ready = undefined;
      this.#reportLoss(connection, reason);
      return clock.monotonic() - since;
    } finally {
      connection.close("not used");
      this.#stopping.signal.removeEventListener("abort", stop);
    }
  }

  // A brick that was joined while its disk was away tells when it is back.
  async #waitForStorage(connection: Connection, tried: () => void): Promise<void> {
    if (this.#storageUp) return;
    tried();
    const late = new AbortController();
    const changed = new Promise<void>((resolve) => this.#storageChanged = resolve);
    const patience = this.#env.clock.delay(ATTEMPT_MS, late.signal).catch(() => {});
    await Promise.race([changed, connection.closed, patience]);
    late.abort();
    this.#storageChanged = undefined;
    if (!this.#storageUp) throw new JoinError("the brick's storage is not up");
  }

  #reportLoss(connection: Connection, reason: string): void {
    if (this.#stopping.signal.aborted) return;
    this.#env.log.warn("connection to brick lost", {
      brick: this.#joiner.values["remote-subvolume"],
      at: connection.peer.text,
      reason,
    });
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
