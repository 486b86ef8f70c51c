/**
 * protocol/client: the client end of a brick. Every fop crosses the wire as its entry in `WIRES`
 * says; while the brick is not connected, fops fail with ENOTCONN.
 */

import type { Call, Client } from "core/call.ts";
import { EBADF, EBADFD, ENOTCONN } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { type Args, DONE, type FopName, type Reply } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import { defineXlator } from "core/registry.ts";
import { Funnel, type Json, type Node } from "core/xlator.ts";
import type { Connection } from "rpc/connection.ts";
import {
  cacheInvalidation,
  callbackProgram,
  childDown,
  childUp,
  entrylkContention,
  inodelkContention,
  onCallback,
} from "rpc/programs/callback.ts";
import type { Peer } from "rpc/wire.ts";
import { exchange } from "xlators/protocol/client/exchange.ts";
import type { Joiner } from "xlators/protocol/client/handshake.ts";
import { Link } from "xlators/protocol/client/link.ts";
import { OpenFiles } from "xlators/protocol/client/open_files.ts";
import { type ClientValues, options } from "xlators/protocol/client/options.ts";

/** Milliseconds that `start` waits for a brick that does not answer: others may be up. */
const START_MS = 5000;

/** See the head of this file. */
class ProtocolClient extends Funnel {
  readonly #joiner: Joiner & { values: ClientValues };
  readonly #files: OpenFiles;
  readonly #link: Link;
  /** Stands for us in events that came from the brick. */
  readonly #self: Client;
  #filePeer: Peer | undefined;
  #directoryPeer: Peer | undefined;

  constructor(node: Node, values: ClientValues) {
    super(node);
    const processId = `CTX_ID:${node.env.random.uuid()}-GRAPH_ID:0-PID:${Deno.pid}` +
      `-HOST:${Deno.hostname()}`;
    this.#joiner = { values, name: node.name, processId, volumeId: undefined };
    this.#self = { id: processId, address: "" };
    this.#files = new OpenFiles(node.inodes);
    this.#link = new Link(node.env, this.#joiner, {
      joined: (connection) => this.#reopen(connection),
      up: () => this.emit({ type: "child-up" }),
      down: () => this.emit({ type: "child-down" }),
      callbacks: this.#callbacks(),
    });
  }

  /** Begins to connect; a brick that does not answer is waited for a few seconds. */
  async start(): Promise<void> {
    const late = new AbortController();
    const patience = this.env.clock.delay(START_MS, late.signal).catch(() => {});
    await Promise.race([this.#link.start(), patience]);
    late.abort();
  }

  async stop(): Promise<void> {
    await this.#link.stop();
  }

  reconfigure(values: ClientValues): void {
    this.#joiner.values = values;
  }

  state(): Json {
    const { values, volumeId } = this.#joiner;
    return {
      brick: values["remote-subvolume"],
      connected: this.#link.connection !== undefined,
      problem: this.#link.problem ?? null,
      attempts: this.#link.attempts,
      volumeId: volumeId ?? null,
      openFiles: this.#files.count,
      connection: { ...this.#link.connection?.state() },
    };
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (fop === "release" || fop === "releasedir") {
      return this.#release(fop, call, (args as Args<"release">).fd) as Promise<Reply<K>>;
    }
    const connection = this.#link.connection;
    if (!connection) return Promise.reject(ENOTCONN);
    const peer = fop === "opendir" ? this.#directoryPeer! : this.#filePeer!;
    return exchange(fop, connection, peer, this.#callOf(call), args, this.#deadline(call));
  }

  // The fd is gone for the caller at once, whatever the brick says, and if it is away.
  #release(fop: "release" | "releasedir", call: Call, fd: Fd): Promise<Reply<"release">> {
    const connection = this.#link.connection;
    const peer = connection && this.#releasing(fd, connection);
    if (!peer) return Promise.resolve(DONE);
    return exchange(fop, connection, peer, this.#callOf(call), { fd }, this.#deadline(call))
      .catch((error) => {
        if (ENOTCONN.matches(error)) return DONE;
        throw error;
      });
  }

  #releasing(fd: Fd, connection: Connection): Peer | undefined {
    let number: number;
    try {
      number = this.#files.numberOf(fd, connection);
    } catch (error) {
      if (!EBADF.matches(error) && !EBADFD.matches(error)) throw error;
      this.#files.forget(fd);
      return undefined;
    }
    if (fd.anonymous) return undefined;
    this.#files.forget(fd);
    return { ...this.#filePeer!, numberOf: () => number };
  }

  #callOf(call: Call): Call {
    return this.#joiner.values["send-gids"] || !call.groups.length ? call : { ...call, groups: [] };
  }

  #deadline(call: Call): number {
    const timeout = this.#joiner.values["frame-timeout"];
    if (!timeout) return call.deadline;
    return Math.min(call.deadline, this.env.clock.monotonic() + timeout * 1000);
  }

  async #reopen(connection: Connection): Promise<void> {
    this.#filePeer = this.#files.peer(connection, { directory: false });
    this.#directoryPeer = this.#files.peer(connection, { directory: true });
    const lost = await this.#files.reopen(connection);
    if (lost) this.env.log.warn("files could not be opened again", { lost });
  }

  #callbacks() {
    const emit = (event: GraphEvent) => this.emit(event);
    const client = this.#self;
    return callbackProgram([
      onCallback(cacheInvalidation, ({ type: _, ...event }) => {
        emit({ ...event, type: "cache-invalidation", clients: [client] });
      }),
      onCallback(inodelkContention, ({ gfid, domain, lock }) => {
        emit({ type: "inodelk-contention", client, gfid, domain, lock });
      }),
      onCallback(entrylkContention, ({ gfid, domain, name, type, pid }) => {
        emit({ type: "entrylk-contention", client, gfid, domain, name, lockType: type, pid });
      }),
      onCallback(childUp, () => emit({ type: "child-up" })),
      onCallback(childDown, () => emit({ type: "child-down" })),
    ]);
  }
}

export const client = defineXlator({
  type: "protocol/client",
  summary: "Reach a brick over TCP or a unix socket",
  options,
  subvolumes: "none",
  check: (values) =>
    values["remote-subvolume"] === "" ? 'option "remote-subvolume" is missing' : undefined,
  create: (node, values) => new ProtocolClient(node, values),
});
