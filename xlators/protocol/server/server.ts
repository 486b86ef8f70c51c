/**
 * protocol/server: the top of a brick's graph. Listens, lets clients join by name of subvolume, and
 * turns their requests into fops for it. What layers below have to say to clients (caches to drop,
 * locks to give up) goes out as callbacks on the client's connection.
 */

import { lookup as resolveHost } from "node:dns/promises";
import type { Client } from "core/call.ts";
import { ROOT } from "core/call.ts";
import type { Log } from "core/env.ts";
import { FopError } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { type Gfid, gfidFromBytes, type Inode, type InodeTable } from "core/inode.ts";
import { defineXlator } from "core/registry.ts";
import type { ClientReport } from "core/reports.ts";
import { intKey, valueBytes } from "core/xdata.ts";
import { type Json, type Node, Refuse, type Xlator } from "core/xlator.ts";
import type { Connection } from "rpc/connection.ts";
import {
  CACHE_INVALIDATION_TYPE,
  cacheInvalidation,
  entrylkContention,
  inodelkContention,
} from "rpc/programs/callback.ts";
import { Listener } from "rpc/server.ts";
import { type Endpoint, endpointText, removeStaleSocket } from "rpc/transport.ts";
import { handshakeProgram, judge } from "xlators/protocol/server/handshake.ts";
import { options, type ServerValues } from "xlators/protocol/server/options.ts";
import { Session } from "xlators/protocol/server/session.ts";
import type { Squash } from "xlators/protocol/server/squash.ts";

/** One subvolume, as clients name it. */
export interface Brick {
  readonly name: string;
  readonly child: Xlator;
  /** False while what is below says it cannot serve. */
  up: boolean;
  /** As text; undefined if nobody knows. */
  volumeId: string | undefined;
}

const CALLS_MAX = 65536;
/** Largest request of a client that has not joined: a SETVOLUME is about 1 KiB. */
const STRANGER_RECORD_MAX = 96 << 10;
const CLOCK_MS = 1000;
/** Highest op-version that a client knows, as it says when it joins. */
const OP_VERSION = intKey("opversion", "uint");

/** See the head of this file. No layer is above it: fops that come another way are refused. */
export class Server extends Refuse {
  /** Names this process to clients. */
  readonly processUuid: string;
  values: ServerValues;
  squash!: Squash;
  /** True if `squash` changes anything. */
  squashes = false;
  /** When a call that arrives now is given up. Coarse: a call does not pay for a clock. */
  deadline = Infinity;
  #bricks: readonly Brick[];
  #sessions = new Set<Session>();
  /** Sessions that ended while something that they asked for was under way. */
  readonly #leaving = new Set<Session>();
  #byClient = new Map<Client, Session>();
  #listener: Listener | undefined;
  #clock: { cancel(): void } | undefined;
  #callId = 0;
  #joined = 0;

  constructor(node: Node, values: ServerValues) {
    super(node);
    this.values = values;
    this.#readSquash();
    this.inodes.holdAtMost(values["inode-lru-limit"]);
    this.processUuid = node.env.random.uuid();
    this.#bricks = node.children.map((child) => ({
      name: child.name,
      child,
      up: true,
      volumeId: values["volume-id"],
    }));
  }

  get log(): Log {
    return this.env.log;
  }

  get inodeTable(): InodeTable {
    return this.inodes;
  }

  /** True from `start` to `stop`. */
  get running(): boolean {
    return this.#listener !== undefined;
  }

  /** Where it listens; undefined when it does not. A port asked as 0 is the real one here. */
  get endpoint(): Endpoint | undefined {
    return this.#listener?.endpoint;
  }

  inodeOf(gfid: Gfid): Inode {
    return this.inodes.of(gfid);
  }

  nextCallId(): number {
    return this.#callId = (this.#callId + 1) >>> 0;
  }

  /** The subvolume that clients mean by `name`. */
  brick(name: string): Brick | undefined {
    const own = this.#bricks.find((each) => each.name === name);
    if (own || this.values["auth-path"] !== name || this.#bricks.length !== 1) return own;
    return this.#bricks[0];
  }

  async start(): Promise<void> {
    for (const brick of this.#bricks) brick.volumeId ??= await this.#askVolumeId(brick.child);
    this.#tick();
    this.#clock = this.env.clock.every(CLOCK_MS, () => this.#tick());
    const { values } = this;
    const endpoint = endpointOf(values);
    if (endpoint.kind === "unix") await removeStaleSocket(endpoint.path);
    this.#listener = new Listener(endpoint, this.env, {
      programs: (connection) => this.#programs(connection),
      connectionsMax: values["connections-limit"],
      recordBytesMax: STRANGER_RECORD_MAX,
      callsMax: values["rpc.outstanding-rpc-limit"] || CALLS_MAX,
      stallMs: values["stall-timeout"] * 1000,
      socket: { keepAlive: values["transport.socket.keepalive"] },
    });
    this.log.info("listening", { on: endpointText(this.#listener.endpoint) });
  }

  async stop(): Promise<void> {
    const listener = this.#listener;
    this.#listener = undefined;
    this.#clock?.cancel();
    await listener?.stop();
  }

  reconfigure(values: ServerValues): void {
    this.values = values;
    this.#readSquash();
    this.inodes.holdAtMost(values["inode-lru-limit"]);
    if (values["dynamic-auth"]) { for (const session of this.#sessions) this.#judgeAgain(session); }
  }

  async #judgeAgain({ member, connection }: Session): Promise<void> {
    if (!member) return;
    const { allowed } = await judge(
      this.values,
      connection.peer,
      member.known,
      member.given,
      resolve,
    );
    if (!allowed) connection.close("no longer allowed");
  }

  state(): Json {
    return {
      listening: this.endpoint ? endpointText(this.endpoint) : null,
      clientsJoined: this.#joined,
      inodesHeld: this.inodes.size,
      bricks: this.#bricks.map(({ name, up, volumeId }) => ({
        name,
        up,
        volumeId: volumeId ?? null,
      })),
      connections: [...this.#sessions].map((session) => ({
        ...session.connection.state(),
        client: session.member?.client.id ?? null,
        brick: session.member?.brick ?? null,
        version: session.member?.version ?? null,
        processName: session.member?.processName ?? null,
        openFiles: session.fds.count,
      })),
    };
  }

  /** Clients that joined, for `volume status`. */
  clients(): readonly ClientReport[] {
    return [...this.#sessions].flatMap(({ member, connection, fds }) => {
      if (!member) return [];
      const { peer, bytesReceived, bytesSent, callsUnderWay } = connection.state();
      return [{
        name: member.client.id,
        process: member.processName,
        peer,
        brick: member.brick,
        bytesRead: bytesReceived,
        bytesWritten: bytesSent,
        opVersion: member.given.get(OP_VERSION) ?? 0,
        callsUnderWay,
        files: fds.list(),
      }];
    });
  }

  /** A session's client joined. */
  entered(session: Session, client: Client): void {
    this.#byClient.set(client, session);
    this.#joined++;
  }

  /**
   * Ends older connections of the client that joins as `id`, and resolves when nothing they asked for
   * is under way any more: what a client gave up as lost must not be done after what it asks next.
   */
  async retireFormer(id: string, address: string): Promise<void> {
    for (const { member, connection } of [...this.#sessions, ...this.#leaving]) {
      if (!member || member.client.address !== address || !isFormer(member.client.id, id)) continue;
      connection.close("its client came back");
      await connection.idle();
    }
  }

  /** A session's connection ended: its locks go, in every layer. */
  left(session: Session, reason: string): void {
    this.#sessions.delete(session);
    const client = session.member?.client;
    if (!client) return;
    this.#byClient.delete(client);
    this.#leaving.add(session);
    session.connection.idle().then(() => this.#leaving.delete(session));
    this.log.info("client left", { client: client.id, reason });
    for (const layer of layersBelow(this)) layer.clientGone?.(client);
  }

  protected override heard(event: GraphEvent, from: Xlator): void {
    switch (event.type) {
      case "cache-invalidation":
        for (const client of event.clients) {
          this.#connectionOf(client)?.notify(cacheInvalidation, {
            ...event,
            type: CACHE_INVALIDATION_TYPE,
            xdata: event.xdata,
          });
        }
        return;
      case "inodelk-contention": {
        const { gfid, lock, domain } = event;
        const args = { gfid, lock, pid: lock.pid >>> 0, domain, xdata: undefined };
        return this.#connectionOf(event.client)?.notify(inodelkContention, args);
      }
      case "entrylk-contention": {
        const { gfid, name, domain } = event, pid = event.pid >>> 0;
        const args = { gfid, type: event.lockType, pid, name, domain, xdata: undefined };
        return this.#connectionOf(event.client)?.notify(entrylkContention, args);
      }
      case "child-up":
      case "child-down":
        for (const brick of this.#bricks) {
          if (brick.child === from) brick.up = event.type === "child-up";
        }
    }
    super.heard(event, from);
  }

  #connectionOf(client: Client): Connection | undefined {
    return this.#byClient.get(client)?.connection;
  }

  #programs(connection: Connection) {
    const session = new Session(this, connection, this.env.clock.monotonic());
    this.#sessions.add(session);
    return [session.program, handshakeProgram(session, resolve)];
  }

  #tick(): void {
    const now = this.env.clock.monotonic();
    this.deadline = now + this.values["frame-timeout"] * 1000;
    const latest = now - this.values["join-timeout"] * 1000;
    for (const { member, since, connection } of this.#sessions) {
      if (!member && since < latest) connection.close("nobody joined");
    }
  }

  #readSquash(): void {
    const { values } = this;
    this.squash = {
      root: values["root-squash"],
      all: values["all-squash"],
      anonuid: values.anonuid,
      anongid: values.anongid,
    };
    this.squashes = this.squash.root || this.squash.all;
  }

  // The storage knows which volume its brick belongs to; other graphs may know none. It is asked
  // itself: layers between us count what clients do.
  async #askVolumeId(top: Xlator): Promise<string | undefined> {
    let child = top;
    while (child.children.length === 1) child = child.children[0]!;
    try {
      const name = "trusted.glusterfs.volume-id";
      const { xattrs } = await child.getxattr(ROOT, { inode: this.inodes.root, name });
      const value = xattrs?.raw(name);
      const bytes = value && valueBytes(value);
      return bytes?.length === 16 ? gfidFromBytes(bytes) : undefined;
    } catch (error) {
      if (error instanceof FopError) return undefined;
      throw error;
    }
  }
}

/** True if `older` names an earlier connection of the client layer that `id` does. */
function isFormer(older: string, id: string): boolean {
  const [, layer, count] = CONNECTION.exec(id) ?? [];
  const [, olderLayer, olderCount] = CONNECTION.exec(older) ?? [];
  return layer !== undefined && layer === olderLayer && Number(olderCount) < Number(count);
}
/** How clients name themselves: what is the same for all connections, and their number. */
const CONNECTION = /^(.+-RECON_NO:-)(\d+)$/;

function endpointOf(values: ServerValues): Endpoint {
  const path = values["transport.socket.listen-path"];
  if (/^unix/.test(values["transport-type"]) || values["transport.address-family"] === "unix") {
    if (path === undefined) throw new RangeError("Cannot listen: no transport.socket.listen-path");
    return { kind: "unix", path };
  }
  const loopback = values["transport.address-family"] === "inet6" ? "::1" : "127.0.0.1";
  const host = values["transport.socket.bind-address"] ?? values["bind-address"] ??
    values["listen-host"] ?? loopback;
  return {
    kind: "tcp",
    host,
    port: values["listen-port"] || values["transport.socket.listen-port"],
  };
}

/** Every layer below, each once. */
function layersBelow(top: Xlator): Set<Xlator> {
  const found = new Set<Xlator>();
  const visit = (layer: Xlator) => {
    for (const child of layer.children) {
      if (found.has(child)) continue;
      found.add(child);
      visit(child);
    }
  };
  visit(top);
  return found;
}

async function resolve(host: string): Promise<readonly string[]> {
  return (await resolveHost(host, { all: true })).map(({ address }) => address);
}

export const server = defineXlator({
  type: "protocol/server",
  summary: "Serve subvolumes to GlusterFS clients over TCP or a unix socket",
  options,
  subvolumes: "many",
  check(values) {
    if (values["transport.socket.ssl-enabled"]) return "TLS is not available";
    const unix = /^unix/.test(values["transport-type"]);
    return unix && values["transport.socket.listen-path"] === undefined
      ? 'transport-type "unix" needs transport.socket.listen-path'
      : undefined;
  },
  create: (node, values) => new Server(node, values),
});
