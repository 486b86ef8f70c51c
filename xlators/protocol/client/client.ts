/**
 * protocol/client: the client end of a brick. Every fop crosses the wire as its entry in `WIRES`
 * says; while the brick is not connected, fops fail with ENOTCONN.
 */

import type { Call, Client } from "core/call.ts";
import type { Timer } from "core/env.ts";
import { EINTR, EIO, ENOTCONN, FopError } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { type Args, DONE, type FopName, O_DIRECT, type Reply } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import { toHex } from "core/lib/bytes.ts";
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
  recallLease,
  statedump,
} from "rpc/programs/callback.ts";
import type { Peer } from "rpc/wire.ts";
import { exchange } from "xlators/protocol/client/exchange.ts";
import { Flow, weigh } from "xlators/protocol/client/flow.ts";
import type { Joiner } from "xlators/protocol/client/handshake.ts";
import { undoing, untilLate, waits } from "xlators/protocol/client/late.ts";
import { type Connect, Link } from "xlators/protocol/client/link.ts";
import { OpenFiles } from "xlators/protocol/client/open_files.ts";
import { type ClientValues, options } from "xlators/protocol/client/options.ts";

/** Milliseconds that `start` waits for a brick that does not answer: others may be up. */
const START_MS = 5000;
/** Milliseconds after which a wait for a lock that was given up, and goes on, is given up again. */
const INTERRUPT_AGAIN_MS = 500;

/** A joined connection, as fops use it. */
interface Session {
  readonly connection: Connection;
  readonly flow: Flow;
  /** What the codecs ask; fds in replies of opendir are directories. */
  readonly files: Peer;
  readonly directories: Peer;
}

/** Setting it moves locks to an open file. */
const LOCKINFO = "trusted.glusterfs.lockinfo";

/** See the head of this file. */
export class ProtocolClient extends Funnel {
  readonly #joiner: Joiner & { values: ClientValues };
  readonly #files: OpenFiles;
  readonly #link: Link;
  /** Stands for us in events that came from the brick. */
  readonly #self: Client;
  #session: Session | undefined;

  /** `connect` is for simulations. */
  constructor(node: Node, values: ClientValues, connect?: Connect) {
    super(node);
    const processId = `CTX_ID:${node.env.random.uuid()}-GRAPH_ID:0-PID:${Deno.pid}` +
      `-HOST:${Deno.hostname()}`;
    this.#joiner = { values, name: node.name, processId, volumeId: undefined };
    this.#self = { id: processId, address: "" };
    this.#files = new OpenFiles(node.inodes, node.env.clock);
    const ears = {
      joined: (connection: Connection) => this.#joined(connection),
      told: (up: boolean) => {
        const { carriesLocks } = this.#link;
        this.emit(up ? { type: "child-up", carriesLocks } : { type: "child-down" });
      },
      callbacks: this.#callbacks(),
    };
    this.#link = new Link(node.env, this.#joiner, ears, connect);
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

  /** True while fops can be served. */
  get up(): boolean {
    return this.#link.connection !== undefined;
  }

  state(): Json {
    const { values, volumeId } = this.#joiner;
    return {
      brick: values["remote-subvolume"],
      connected: this.up,
      problem: this.#link.problem ?? null,
      refused: this.#link.refused,
      attempts: this.#link.attempts,
      volumeId: volumeId ?? null,
      openFiles: this.#files.count,
      lockedFiles: this.#files.locks.size,
      window: { ...this.#session?.flow.state() },
      connection: { ...this.#link.connection?.state() },
    };
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const session = this.#link.connection && this.#session;
    switch (fop) {
      case "release":
      case "releasedir":
        return this.#release(fop, session, call, args as Args<"release">) as Promise<Reply<K>>;
      case "lk":
        return this.#lk(session, call, args as Args<"lk">) as Promise<Reply<K>>;
      case "flush":
        return this.#flush(session, call, args as Args<"flush">) as Promise<Reply<K>>;
      case "setactivelk":
        this.#files.locks.asks((args as Args<"setactivelk">).inode);
        break;
      case "fsetxattr": {
        const { fd, xattrs } = args as Args<"fsetxattr">;
        if (xattrs?.has(LOCKINFO)) this.#files.locks.asks(fd.inode);
        break;
      }
      case "open":
      case "create":
      case "readv":
      case "writev":
        args = this.#withoutDirect(args as Args<"open">) as Args<K>;
    }
    return session ? this.#ask(fop, session, call, args) : Promise.reject(ENOTCONN);
  }

  // What is given back goes over a connection that other fops may not use yet, if the file is open on it
  // again: lock and file would stay there for nobody.
  #joinedWith(fd: Fd): Session | undefined {
    const session = this.#session;
    if (!session?.connection.open) return undefined;
    return this.#files.isOn(fd, session.connection) ? session : undefined;
  }

  #ask<K extends FopName>(
    fop: K,
    session: Session,
    call: Call,
    args: Args<K>,
  ): Promise<Reply<K>> {
    const bytes = weigh(fop, args);
    if (session.flow.tryEnter(bytes)) return this.#send(fop, session, call, args, bytes);
    return session.flow.wait(bytes).then(() => this.#send(fop, session, call, args, bytes));
  }

  #send<K extends FopName>(
    fop: K,
    { connection, flow, files, directories }: Session,
    call: Call,
    args: Args<K>,
    bytes: number,
  ): Promise<Reply<K>> {
    const peer = fop === "opendir" ? directories : files;
    const deadline = this.#deadline(fop, call, args);
    const undo = deadline === Infinity ? undefined : undoing(this, fop, call, args);
    const until = undo ? Infinity : deadline;
    const as = this.#callOf(call);
    const answer = exchange(fop, connection, peer, as, args, until, flow, bytes);
    if (!undo) return answer;
    return untilLate(this.env.clock, deadline, answer, (reply) => {
      undo(reply).catch((error) => {
        if (!(error instanceof FopError)) throw error;
      });
    });
  }

  // The fd is gone for the caller at once, whatever the brick says, and if it is away.
  async #release(
    fop: "release" | "releasedir",
    ready: Session | undefined,
    call: Call,
    args: Args<"release">,
  ): Promise<Reply<"release">> {
    const { fd } = args, session = ready ?? this.#joinedWith(fd);
    const number = this.#files.close(fd, session?.connection);
    if (!session || number === undefined) return DONE;
    const peer = { ...session.files, numberOf: () => number };
    try {
      return await exchange(
        fop,
        session.connection,
        peer,
        this.#callOf(call),
        args,
        this.#deadline(fop, call, args),
      );
    } catch (error) {
      if (ENOTCONN.matches(error)) return DONE;
      throw error;
    }
  }

  async #lk(
    ready: Session | undefined,
    call: Call,
    args: Args<"lk">,
  ): Promise<Reply<"lk">> {
    const { fd, cmd, lock, signal, xdata } = args;
    const sets = cmd === "set" || cmd === "set-wait";
    const unlocks = sets && lock.type === "unlock";
    if (unlocks) this.#files.locks.gaveUp(call, fd, lock);
    else if (sets) this.#files.locks.asks(fd.inode);
    const session = ready ?? (unlocks ? this.#joinedWith(fd) : undefined);
    if (!session) throw ENOTCONN;
    if (signal?.aborted) throw EINTR;
    let again: Timer | undefined;
    const interrupt = () => {
      this.#interrupt(session, call, args);
      // A brick of several threads may have looked for the wait before it began.
      again = this.env.clock.after(INTERRUPT_AGAIN_MS, interrupt);
    };
    signal?.addEventListener("abort", interrupt, { once: true });
    try {
      const reply = await this.#ask("lk", session, call, args);
      if (unlocks) this.#files.locks.gaveUp(call, fd, lock);
      else if (sets && !fd.anonymous) this.#files.locks.took(call, fd, lock, xdata);
      return reply;
    } finally {
      signal?.removeEventListener("abort", interrupt);
      again?.cancel();
    }
  }

  // The brick then answers EINTR, unless it has granted the lock already.
  #interrupt(session: Session, call: Call, { fd, lock }: Args<"lk">): void {
    const { whence, start, size } = lock;
    const name = `glusterfs.intrlk.tposix.kblocked.${whence},${start}-${size}`;
    this.#ask("fgetxattr", session, call, { fd, name }).catch((error) => {
      const { errno } = error instanceof FopError ? error : EIO;
      this.env.log.warn("waiting for a lock could not be ended", { gfid: fd.inode.gfid, errno });
    });
  }

  async #flush(
    ready: Session | undefined,
    call: Call,
    args: Args<"flush">,
  ): Promise<Reply<"flush">> {
    this.#files.locks.flushed(call, args.fd);
    const session = ready ?? this.#joinedWith(args.fd);
    if (!session) throw ENOTCONN;
    if (!args.xdata && !this.#files.locks.mayHave(args.fd.inode)) {
      // All that a brick does at a flush is to give up locks.
      this.#files.numberOf(args.fd, session.connection);
      return DONE;
    }
    const reply = await this.#ask("flush", session, call, args);
    this.#files.locks.flushed(call, args.fd);
    return reply;
  }

  #withoutDirect<A extends { readonly flags: number }>(args: A): A {
    if (!(args.flags & O_DIRECT) || !this.#joiner.values["filter-O_DIRECT"]) return args;
    return { ...args, flags: args.flags & ~O_DIRECT };
  }

  #callOf(call: Call): Call {
    return this.#joiner.values["send-gids"] || !call.groups.length ? call : { ...call, groups: [] };
  }

  #deadline(fop: FopName, call: Call, args: Args<FopName>): number {
    const timeout = this.#joiner.values["frame-timeout"];
    if (!timeout || waits(fop, args)) return call.deadline;
    return Math.min(call.deadline, this.env.clock.monotonic() + timeout * 1000);
  }

  async #joined(connection: Connection): Promise<void> {
    const flow = new Flow();
    connection.closed.then(() => flow.end());
    this.#session = {
      connection,
      flow,
      files: this.#files.peer(connection, { directory: false }),
      directories: this.#files.peer(connection, { directory: true }),
    };
    const strict = this.#joiner.values["strict-locks"];
    const lost = await this.#files.reopen(connection, strict);
    if (lost) this.env.log.warn("files could not be opened again with their locks", { lost });
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
      onCallback(recallLease, ({ gfid, type, tid }) => {
        emit({ type: "lease-recall", client, gfid, lease: type, id: toHex(tid) });
      }),
      onCallback(statedump, ({ pid }) => emit({ type: "statedump-wanted", pid })),
      onCallback(childUp, () => void (this.#link.storageUp = true)),
      onCallback(childDown, () => void (this.#link.storageUp = false)),
    ]);
  }
}

export const client = defineXlator({
  type: "protocol/client",
  summary: "Reach a brick over TCP or a unix socket",
  options,
  subvolumes: "none",
  check(values) {
    if (values["transport.socket.ssl-enabled"]) return "TLS is not available";
    return values["remote-subvolume"] === "" ? 'option "remote-subvolume" is missing' : undefined;
  },
  create: (node, values) => new ProtocolClient(node, values),
});
