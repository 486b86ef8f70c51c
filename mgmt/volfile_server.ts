/**
 * The part of a management daemon that clients and bricks talk to: volfiles by key, which brick
 * listens where, and word when a volfile changed.
 */

import { type Env } from "core/env.ts";
import { EINVAL, ENOENT, ENOSPC, EPERM, FopError } from "core/errno.ts";
import { parseVolfile } from "core/volfile.ts";
import { textKey, withKey, type Xdata } from "core/xdata.ts";
import type { Json } from "core/xlator.ts";
import { isOwnAddress } from "mgmt/cluster/hosts.ts";
import { plain } from "mgmt/plain.ts";
import { Portmap, type PortmapEars } from "mgmt/portmap.ts";
import type { ReadVolfile, Volfiles } from "mgmt/volfiles.ts";
import type { Connection } from "rpc/connection.ts";
import { procedures, type Program, serve } from "rpc/program.ts";
import { fetchSpec } from "rpc/programs/callback.ts";
import {
  eventNotify,
  getspec,
  getVolumeInfo,
  HANDSHAKE_NAME,
  HANDSHAKE_PROGRAM,
  handshakePing,
  setLkVersion,
} from "rpc/programs/handshake.ts";
import {
  brickByPort,
  portByBrick,
  PORTMAP_NAME,
  PORTMAP_PROGRAM,
  signIn,
  signOut,
} from "rpc/programs/portmap.ts";
import { Listener } from "rpc/server.ts";
import type { Endpoint, PeerAddress } from "rpc/transport.ts";

/** Asked of GETSPEC by its flags: also say which other servers have volfiles. */
const LIST_SERVERS = 1;
/** "HOST:PORT HOST:PORT …": where a client asks when this server is away. */
const SERVERS_LIST = textKey("servers-list");
/** Where a self-heal daemon that serves several volumes notes its process id for one of them. */
const PID_FILE = textKey("pidfile");
const HEALER = "shd/";
const VOLNAME = textKey("volname");
const VOLUME_ID = textKey("volume_id");
/** Bricks that may be signed in. */
const BRICKS_MAX = 65536;
/** Anybody may ask: a request is some KiB at most, and its answer may be a large volfile. */
const REQUEST_MAX = 96 << 10, CALLS_MAX = 16;
/** Connections: all, and those of one other machine. A mount needs one, a brick, too; an idle one takes 140 KiB. */
const CONNECTIONS_MAX = 8192, STRANGER_MAX = 512;
const NOTHING = new Uint8Array(0);

/** What the server is told. */
export interface VolfileServerOptions {
  readonly volfiles: Volfiles;
  /** Id of a volume, where its volfiles need not be asked. */
  readonly volumeId?: (name: string) => Promise<string | undefined>;
  /** Pid file of a volume's self-heal daemon: GlusterFS's healer takes no volfile without it. */
  readonly healerPidFile?: (volume: string) => string;
  /** What else is served on connections from this machine's unix sockets and from anywhere. */
  readonly programs?: (connection: Connection) => readonly Program[];
  /** Other volfile servers, "HOST:PORT" each. */
  readonly servers: readonly string[];
  /** Whether a peer is one of our own processes: only those sign bricks in, and get logins. */
  readonly isOwn: (peer: PeerAddress) => boolean;
  /** Who hears of bricks that come and go, if anybody. */
  readonly ears?: PortmapEars;
  /** Port of a brick that serves, but has not signed in yet. */
  readonly portOf?: (brick: string) => number | undefined;
  /** The brick that serves what a name of a snapshot's brick stands for; undefined: it is none, or not to be had. */
  readonly servedBy?: (name: string) => Promise<string | undefined>;
}

/** See the head of this file. */
export class VolfileServer {
  readonly #env: Env;
  readonly #options: VolfileServerOptions;
  readonly #volfiles: Volfiles;
  readonly #portmap = new Portmap();
  readonly #readers = new Map<Connection, Set<ReadVolfile>>();
  readonly #own = new WeakMap<Connection, boolean>();
  readonly #listeners: Listener[] = [];
  readonly #stopped = new AbortController();
  #watching: Promise<void> = Promise.resolve();

  constructor(env: Env, options: VolfileServerOptions) {
    this.#env = env;
    this.#options = options;
    this.#volfiles = options.volfiles;
  }

  /** Listens on one more endpoint; answers where. Throws what Deno throws. */
  listen(endpoint: Endpoint): Endpoint {
    const listener = new Listener(endpoint, this.#env, {
      programs: (connection) => this.#programs(connection),
      recordBytesMax: REQUEST_MAX,
      callsMax: CALLS_MAX,
      connectionsMax: CONNECTIONS_MAX,
      connectionsOf: ({ kind, address }) =>
        kind === "unix" || isOwnAddress(address) ? CONNECTIONS_MAX : STRANGER_MAX,
    });
    this.#listeners.push(listener);
    return listener.endpoint;
  }

  /** From now on clients are told when a volfile they have changes. */
  watch(): void {
    this.#watching = this.#volfiles.watch((read) => this.#changed(read), {
      signal: this.#stopped.signal,
      clock: this.#env.clock,
    }).catch((error) => {
      this.#env.log.warn("changes of volfiles are not seen; SIGHUP looks at them", {
        why: plain(error),
      });
    });
  }

  /** Looks at the volfiles now, or at those of one volume. */
  async refresh(volume?: string): Promise<void> {
    this.#changed(await this.#volfiles.refresh(volume));
  }

  /** How many clients and bricks there are. */
  get connections(): number {
    return this.#listeners.reduce((count, { connections }) => count + connections.size, 0);
  }

  /** Answers what is under way and closes all connections. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all([this.#watching, ...this.#listeners.map((each) => each.stop())]);
  }

  state(): Json {
    const connections = this.#listeners.flatMap((each) => [...each.connections]);
    return {
      bricks: this.#portmap.entries.map((entry) => ({ ...entry })),
      connections: connections.map((each) => ({
        ...each.state(),
        volfiles: [...this.#readers.get(each) ?? []].map(({ name }) => name),
      })),
    };
  }

  #changed(volfiles: readonly ReadVolfile[]): void {
    for (const volfile of volfiles) {
      let told = 0;
      for (const [connection, read] of this.#readers) {
        if (!read.has(volfile)) continue;
        connection.notify(fetchSpec, undefined);
        told++;
      }
      this.#env.log.info("volfile changed", { volfile: volfile.name, clients: told });
    }
  }

  #programs(connection: Connection): Program[] {
    connection.closed.then(() => this.#gone(connection));
    const more = this.#options.programs?.(connection) ?? [];
    return [this.#handshake(connection), this.#portmapper(connection), ...more];
  }

  #gone(connection: Connection): void {
    const read = this.#readers.get(connection) ?? [];
    this.#readers.delete(connection);
    const others = [...this.#readers.values()];
    for (const each of read) {
      if (!others.some((have) => have.has(each))) this.#volfiles.forget(each);
    }
    for (const brick of this.#portmap.gone(connection)) {
      this.#env.log.info("brick is gone: its connection ended", { brick });
      this.#options.ears?.gone(brick);
    }
  }

  #handshake(connection: Connection): Program {
    return {
      ...HANDSHAKE_PROGRAM,
      name: HANDSHAKE_NAME,
      procedures: procedures([
        [
          getspec.procedure,
          serve(getspec, ({ flags, key }) => this.#getspec(connection, flags, key)),
        ],
        [
          handshakePing.procedure,
          serve(handshakePing, () => ({ ret: 0, errno: 0, xdata: NOTHING })),
        ],
        [
          setLkVersion.procedure,
          serve(setLkVersion, ({ version }) => ({ ret: 0, errno: 0, version })),
        ],
        [
          eventNotify.procedure,
          serve(eventNotify, ({ op }) => {
            this.#env.log.info("a daemon reports an event", { op, peer: connection.peer.text });
            return { ret: 0, errno: 0, dict: undefined };
          }),
        ],
        [getVolumeInfo.procedure, serve(getVolumeInfo, ({ dict }) => this.#volumeInfo(dict))],
      ]),
    };
  }

  async #getspec(connection: Connection, flags: number, asked: string) {
    const xdata = this.#specXdata(flags, asked);
    const trusted = this.#isOwn(connection);
    // "mount -o transport=tcp" appends that to the volume's name.
    const key = await this.#volfiles.has(asked, trusted) ? asked : asked.replace(/\.tcp$/, "");
    try {
      const spec = await this.#volfiles.peek(key, trusted);
      if (connection.open) this.#note(connection, this.#volfiles.note(key, trusted, spec));
      // The size in bytes is what says success: a client cuts the text there.
      return { ret: new TextEncoder().encode(spec).length, errno: 0, spec, xdata };
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      const peer = connection.peer.text;
      this.#env.log.warn("volfile asked for that is not there", {
        key: asked,
        peer,
        why: error.code,
      });
      return { ret: -1, errno: error.errno, spec: "", xdata: undefined };
    }
  }

  #note(connection: Connection, volfile: ReadVolfile): void {
    this.#readers.set(connection, (this.#readers.get(connection) ?? new Set()).add(volfile));
  }

  #specXdata(flags: number, key: string): Xdata | undefined {
    const { servers, healerPidFile } = this.#options;
    let xdata: Xdata | undefined;
    if (flags & LIST_SERVERS && servers.length) {
      xdata = withKey(xdata, SERVERS_LIST, servers.join(" "));
    }
    if (healerPidFile && key.startsWith(HEALER)) {
      xdata = withKey(xdata, PID_FILE, healerPidFile(key.slice(HEALER.length)));
    }
    return xdata;
  }

  async #volumeInfo(dict: Xdata | undefined) {
    const failed = (error: FopError, text: string) => ({
      ret: -1,
      errno: error.errno,
      error: text,
      dict: undefined,
    });
    const volume = dict?.get(VOLNAME);
    if (volume === undefined) return failed(EINVAL, "Cannot tell of a volume: no name given");
    const id = await this.#volumeId(volume);
    if (id === undefined) return failed(ENOENT, `Volume "${volume}" does not exist`);
    return { ret: 0, errno: 0, error: "", dict: withKey(undefined, VOLUME_ID, id) };
  }

  // Its client volfile may say; those of its bricks do.
  async #volumeId(volume: string): Promise<string | undefined> {
    const known = await this.#options.volumeId?.(volume);
    if (known !== undefined) return known;
    for (const key of [volume, ...await this.#volfiles.keysOf(volume)]) {
      try {
        const blocks = parseVolfile(await this.#volfiles.peek(key));
        const id = blocks.map(({ options }) => options.get("volume-id")).find((each) => each);
        if (id !== undefined) return id;
      } catch (error) {
        if (!(error instanceof FopError || error instanceof SyntaxError)) throw error;
      }
    }
    return undefined;
  }

  #portmapper(connection: Connection): Program {
    const map = this.#portmap;
    const missed = { ret: -1, errno: ENOENT.errno, status: 0 };
    return {
      ...PORTMAP_PROGRAM,
      name: PORTMAP_NAME,
      procedures: procedures([
        [
          portByBrick.procedure,
          serve(portByBrick, async ({ brick: name }) => {
            const brick = await this.#options.servedBy?.(name) ?? name;
            const port = map.portOf(brick) ?? this.#options.portOf?.(brick);
            return port === undefined
              ? { ...missed, port: 0 }
              : { ret: 0, errno: 0, status: 0, port };
          }),
        ],
        [
          brickByPort.procedure,
          serve(brickByPort, ({ port }) => {
            const brick = map.brickAt(port);
            return brick === undefined
              ? { ...missed, brick: "" }
              : { ret: 0, errno: 0, status: 0, brick };
          }),
        ],
        [
          signIn.procedure,
          serve(signIn, (entry) => this.#signIn(connection, entry)),
        ],
        [
          signOut.procedure,
          serve(signOut, ({ brick, port }) => {
            if (!map.signOut(brick, port, connection)) return { ret: -1, errno: ENOENT.errno };
            this.#env.log.info("brick signed out", { brick, port });
            this.#options.ears?.signedOut(brick);
            return { ret: 0, errno: 0 };
          }),
        ],
      ]),
    };
  }

  #isOwn(connection: Connection): boolean {
    const known = this.#own.get(connection) ?? this.#options.isOwn(connection.peer);
    this.#own.set(connection, known);
    return known;
  }

  #signIn(connection: Connection, entry: { brick: string; port: number; pid: number }) {
    const { peer } = connection;
    const refuse = (error: FopError, why: string) => {
      this.#env.log.warn("brick was not signed in", { ...entry, peer: peer.text, why });
      return { ret: -1, errno: error.errno };
    };
    // Clients are sent to that port with all they write: who signs in must be one of us.
    if (!this.#isOwn(connection)) {
      return refuse(EPERM, "it is no process of this machine and of our user");
    }
    if (entry.brick === "" || entry.port < 1 || entry.port > 65535) {
      return refuse(EINVAL, "no name, or no port");
    }
    if (this.#portmap.size >= BRICKS_MAX) return refuse(ENOSPC, "too many bricks");
    this.#portmap.signIn(entry, connection);
    this.#env.log.info("brick signed in", entry);
    this.#options.ears?.signedIn(entry);
    return { ret: 0, errno: 0 };
  }
}
