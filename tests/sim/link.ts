/**
 * One client's way to one brick: a layer at the bottom of a client's graph, under the name and in
 * the place of protocol/client. `net.ts` says what it simulates.
 */

import { type Call, type Client, ROOT } from "core/call.ts";
import { EAGAIN, EBADF, EBADFD, ENOTCONN, FopError } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import {
  type Args,
  DONE,
  type Flock,
  type FopName,
  O_CREAT,
  O_EXCL,
  O_TRUNC,
  type Reply,
} from "core/fops.ts";
import { type HeldLock, HeldLocks } from "core/held_locks.ts";
import { Fd, Inode, type InodeTable } from "core/inode.ts";
import { sizeOf } from "core/lib/ranges.ts";
import { Funnel, type Node } from "core/xlator.ts";
import type { SimBrick } from "tests/sim/brick.ts";
import { type Outcome, PING_MS, type SimNet } from "tests/sim/net.ts";
import { Pipe } from "tests/sim/pipe.ts";

/** A request under way, as the client remembers it. */
interface Pending {
  readonly fop: FopName;
  readonly call: Call;
  readonly args: Args<FopName>;
  readonly settle: (outcome: Outcome) => void;
}

interface OpenFile {
  readonly directory: boolean;
  /** The brick's fd, and on which connection; undefined: not opened again. */
  server: { readonly fd: Fd; readonly on: Connection } | undefined;
}

const RETRY_MIN_MS = 100, RETRY_MAX_MS = 3000;
/** How long a brick may keep a connection whose client is gone. */
const LINGER_MS = 50;
/** When a brick drops a client that it hears nothing of. */
const KEEPALIVE_MS = 40_000;
/** How often, and how many times, a lock is tried again that the last connection may have still. */
const AGAIN_MS = 200, AGAIN_MAX = 25;
/** Fops that carry no lock owner's or user's wish and may be lost for good. */
const CLOSING: ReadonlySet<FopName> = new Set<FopName>(["release", "releasedir"]);

/** See the head of this file. */
export class SimLink extends Funnel {
  readonly #net: SimNet;
  readonly #self: Client;
  #files = new Map<Fd, OpenFile>();
  readonly #locks = new HeldLocks();
  #connection: Connection | undefined;
  #attempts = 0;
  #stopped = false;
  #retrying = false;
  /** Until when the path is cut, in simulated milliseconds. */
  cutUntil = 0;

  readonly clientName: string;
  readonly #from: string;
  readonly #port: number;

  /**
   * `from` is who the brick takes the client for, and tells its graphs apart; `port` where the
   * brick is looked for, 0: wherever it is.
   */
  constructor(
    node: Node,
    net: SimNet,
    { name, from }: { readonly name: string; readonly from: string },
    readonly brick: SimBrick,
    port = 0,
  ) {
    super(node);
    this.#net = net;
    this.clientName = name;
    this.#from = from;
    this.#port = port;
    this.#self = { id: from, address: "" };
    net.add(this);
  }

  /** True while fops reach the brick. */
  get connected(): boolean {
    return this.#connection?.usable ?? false;
  }

  async start(): Promise<void> {
    await this.#attempt();
    if (!this.connected) this.#retry(RETRY_MIN_MS);
  }

  stop(): Promise<void> {
    this.#stopped = true;
    this.#connection?.lose("the client ends", 0);
    return Promise.resolve();
  }

  /** Cuts the path to the brick for `ms`, if it is not cut for longer. */
  cut(ms: number): void {
    const { sim } = this.#net;
    this.cutUntil = Math.max(this.cutUntil, sim.now + ms);
    const connection = this.#connection;
    if (!connection || ms <= PING_MS) return;
    sim.after(PING_MS, () => {
      const left = this.cutUntil - sim.now;
      if (left <= 0) return;
      const linger = Math.min(left + sim.random.float() * LINGER_MS, KEEPALIVE_MS);
      connection.lose("no answer to a ping", linger);
    });
  }

  /** Ends the connection, as a reset by either side does. */
  reset(why: string): void {
    this.#connection?.lose(why, this.#net.sim.random.float() * LINGER_MS);
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const connection = this.#connection;
    if (CLOSING.has(fop)) {
      const { fd, xdata } = args as Args<"release">;
      const file = this.#files.get(fd);
      this.#files.delete(fd);
      this.#locks.closed(fd);
      const server = file?.server;
      if (!server || server.on !== connection) return Promise.resolve(DONE) as Promise<Reply<K>>;
      return this.#ask(connection, fop, call, { fd: server.fd, xdata } as Args<K>)
        .catch((error) => {
          if (ENOTCONN.matches(error)) return DONE as Reply<K>;
          throw error;
        });
    }
    if (fop === "flush") this.#locks.flushed(call, (args as Args<"flush">).fd);
    const locking = fop === "lk" ? args as Args<"lk"> : undefined;
    if (locking?.lock.type === "unlock") this.#locks.gaveUp(call, locking.fd, locking.lock);
    if (!connection?.usable) return Promise.reject(ENOTCONN);
    let carried: Args<K>;
    try {
      carried = this.#carried(args, connection);
    } catch (error) {
      return Promise.reject(error);
    }
    const opens = fop === "open" || fop === "opendir" || fop === "create";
    const answer = this.#ask(connection, fop, call, carried);
    if (locking && locking.cmd !== "get") {
      return answer.then((reply) => this.#took(call, locking, reply));
    }
    return opens ? answer.then((reply) => this.#adopt(fop, reply, args, connection)) : answer;
  }

  #took<R>(call: Call, { fd, lock, xdata }: Args<"lk">, reply: R): R {
    this.#locks.took(call, fd, lock, xdata);
    return reply;
  }

  #adopt<K extends FopName>(fop: K, reply: Reply<K>, args: Args<K>, on: Connection): Reply<K> {
    const { fd: server, stat } = reply as Reply<"create">;
    const { inode } = args as Args<"open">;
    const fd = new Fd(fop === "create" ? this.inodes.of(stat.gfid) : inode, server.flags);
    this.#files.set(fd, { directory: fop === "opendir", server: { fd: server, on } });
    return { ...reply, fd };
  }

  // What the wire does: buffers are copied, fds and inodes become the brick's own.
  #carried<K extends FopName>(args: Args<K>, connection: Connection): Args<K> {
    const given = args as unknown as Record<string, unknown>, carried: Record<string, unknown> = {};
    for (const name in given) {
      const value = given[name];
      if (typeof value !== "object" || value === null) carried[name] = value;
      else if (name === "into" || name === "signal") continue;
      else if (value instanceof Inode) carried[name] = connection.inodes.of(value.gfid);
      else if (value instanceof Fd) carried[name] = this.#serverFd(value, connection);
      else carried[name] = value instanceof Uint8Array ? value.slice() : value;
    }
    return carried as unknown as Args<K>;
  }

  #serverFd(fd: Fd, connection: Connection): Fd {
    if (fd.anonymous) return new Fd(connection.inodes.of(fd.inode.gfid), fd.flags, true);
    const file = this.#files.get(fd);
    if (!file) throw EBADF;
    if (file.server?.on !== connection) throw EBADFD;
    return file.server.fd;
  }

  #ask<K extends FopName>(
    connection: Connection,
    fop: K,
    call: Call,
    args: Args<K>,
  ): Promise<Reply<K>> {
    return new Promise((resolve, reject) => {
      connection.ask({
        fop,
        call,
        args,
        settle: (outcome) =>
          "reply" in outcome ? resolve(outcome.reply as Reply<K>) : reject(outcome.error),
      });
    });
  }

  async #attempt(): Promise<void> {
    this.#attempts++;
    const { sim } = this.#net;
    const id = `${this.#from}-${this.#attempts}`;
    await sim.delay(this.#net.delay());
    if (this.#stopped || !this.brick.up || this.cutUntil > sim.now) return;
    if (this.#port && this.#port !== this.brick.port) return;
    const connection = new Connection(this.#net, this, { id, address: "10.0.0.1" });
    this.#connection = connection;
    await Promise.all([...this.#files].map(([fd, file]) => this.#reopen(fd, file, connection)));
    if (!connection.open) return;
    connection.usable = true;
    sim.note(`net ${id} is joined to ${this.brick.name}`);
    this.emit({ type: "child-up", carriesLocks: this.brick.carriesLocks });
  }

  async #reopen(fd: Fd, file: OpenFile, on: Connection): Promise<void> {
    file.server = undefined;
    const inode = on.inodes.of(fd.inode.gfid);
    const flags = fd.flags & ~(O_CREAT | O_EXCL | O_TRUNC);
    try {
      const { fd: server } = file.directory
        ? await this.#ask(on, "opendir", ROOT, { inode })
        : await this.#ask(on, "open", ROOT, { inode, flags });
      if (await this.#retake(fd, server, on)) file.server = { fd: server, on };
      else await this.#ask(on, "release", ROOT, { fd: server });
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
    }
  }

  // False if somebody else has one of its locks now: the file is lost.
  async #retake(fd: Fd, server: Fd, on: Connection): Promise<boolean> {
    const taken: HeldLock[] = [];
    for (const held of this.#locks.of(fd)) {
      if (!this.#locks.has(held)) continue;
      for (let tries = 0; !await this.#set(held, held.type, server, on);) {
        if (++tries === AGAIN_MAX) return false;
        await this.#net.sim.delay(AGAIN_MS);
      }
      taken.push(held);
    }
    const over = taken.filter((held) => !this.#locks.has(held));
    if (!over.length) return true;
    for (const held of over) await this.#set(held, "unlock", server, on);
    return await this.#retake(fd, server, on);
  }

  async #set(held: HeldLock, type: Flock["type"], fd: Fd, on: Connection): Promise<boolean> {
    const { owner, pid, flockPid, range: { start }, range } = held;
    const lock = { type, whence: 0, start, size: sizeOf(range), pid: flockPid, owner };
    try {
      await this.#ask(on, "lk", { ...ROOT, pid, lkOwner: owner }, { fd, cmd: "set", lock });
      return true;
    } catch (error) {
      if (EAGAIN.matches(error)) return false;
      throw error;
    }
  }

  // One chain of attempts at a time, or there would be two connections.
  #retry(pauseMs: number): void {
    if (this.#retrying) return;
    this.#retrying = true;
    const { sim } = this.#net;
    sim.after(pauseMs * (1 + sim.random.float() / 4), async () => {
      if (this.#stopped) return;
      await this.#attempt();
      this.#retrying = false;
      if (!this.connected) this.#retry(Math.min(pauseMs * 2, RETRY_MAX_MS));
    });
  }

  /** The connection told that it ended. */
  lost(connection: Connection, wasUsable: boolean): void {
    if (this.#connection === connection) this.#connection = undefined;
    if (wasUsable) this.emit({ type: "child-down" });
    if (!this.#stopped) this.#retry(RETRY_MIN_MS);
  }

  /** The brick tells its client something. */
  told(event: GraphEvent): void {
    this.emit(
      event.type === "cache-invalidation"
        ? { ...event, clients: [this.#self] }
        : { ...event, client: this.#self } as GraphEvent,
    );
  }
}

/** One connection: from joining to its end, which the two sides may notice at different times. */
class Connection {
  /** False as soon as the client knows that it ended. */
  open = true;
  /** True from when the client's files are open again. */
  usable = false;
  #serverOpen = true;
  /** Those of the brick's process that it goes to. */
  readonly inodes: InodeTable;
  readonly #net: SimNet;
  readonly #link: SimLink;
  readonly #pending = new Set<Pending>();
  readonly #serverFds = new Set<Fd>();
  readonly #deafen: () => void;
  readonly #requests: Pipe<Pending>;
  readonly #answers: Pipe<() => void>;

  /** `client` is who the brick takes it for. */
  constructor(net: SimNet, link: SimLink, readonly client: Client) {
    this.#net = net;
    this.#link = link;
    this.inodes = link.brick.inodes;
    this.#requests = new Pipe(net.sim, (frame) => this.#arrived(frame), link);
    this.#answers = new Pipe(net.sim, (run) => run(), link);
    link.brick.whenEnded(() => this.#brickEnded());
    this.#deafen = link.brick.listen((event) => this.#tell(event));
  }

  #tell(event: GraphEvent): void {
    const mine = event.type === "cache-invalidation"
      ? event.clients.includes(this.client)
      : "client" in event && event.client === this.client;
    if (mine) this.#answers.send(() => this.open && this.#link.told(event), this.#net.delay());
  }

  ask(frame: Pending): void {
    const { sim, rates } = this.#net;
    this.#pending.add(frame);
    if (!this.open) return this.#end(frame, { error: ENOTCONN });
    if (sim.random.chance(rates.loseRequest)) {
      sim.note(`net ${this.client.id} loses ${frame.fop} and the connection`);
      // What was sent before may still arrive, this does not.
      sim.after(0, () => this.lose("reset", sim.random.float() * LINGER_MS));
      return;
    }
    this.#requests.send(frame, this.#net.delay());
  }

  #arrived(frame: Pending): void {
    if (!this.#serverOpen) return;
    const { brick } = this.#link;
    this.#net.sim.note(this.client.id, brick.name, frame.fop);
    const call = { ...frame.call, client: this.client };
    brick.serve(frame.fop, call, frame.args).then(
      (reply) => this.#served(frame, { reply }),
      (error) => this.#served(frame, { error }),
    );
  }

  #served(frame: Pending, outcome: Outcome): void {
    const opened = "reply" in outcome ? (outcome.reply as { fd?: Fd }).fd : undefined;
    if (opened) this.#serverFds.add(opened);
    if (CLOSING.has(frame.fop)) this.#serverFds.delete((frame.args as Args<"release">).fd);
    if (!this.#serverOpen) {
      if (opened) this.#releaseAll();
      return;
    }
    const { sim, rates } = this.#net;
    if (sim.random.chance(rates.loseReply)) {
      sim.note(`net ${this.client.id} loses the reply of ${frame.fop} and the connection`);
      return this.lose("reset", sim.random.float() * LINGER_MS);
    }
    this.#answers.send(() => this.#end(frame, outcome), this.#net.delay());
  }

  #end(frame: Pending, outcome: Outcome): void {
    if (!this.#pending.delete(frame)) return;
    if ("error" in outcome && !(outcome.error instanceof FopError)) {
      this.#net.sim.fail(outcome.error);
    }
    frame.settle(outcome);
  }

  /** The client gives the connection up; the brick notices within `lingerMs`. */
  lose(why: string, lingerMs: number): void {
    if (!this.open) return;
    const { usable } = this;
    this.open = this.usable = false;
    this.#net.sim.note(`net ${this.client.id} loses ${this.#link.brick.name}: ${why}`);
    this.#answers.close();
    this.#net.sim.after(lingerMs, () => this.#serverEnd());
    // What is on its way may arrive before the brick notices, or be gone.
    if (!this.#net.late || this.#net.sim.random.chance(0.5)) this.#requests.close();
    for (const frame of [...this.#pending]) this.#end(frame, { error: ENOTCONN });
    this.#link.lost(this, usable);
  }

  #brickEnded(): void {
    this.#serverOpen = false;
    this.#deafen();
    this.#requests.close();
    // What it had answered still arrives, then the end of the stream.
    this.#answers.send(() => this.lose("the brick ended", 0), this.#net.delay());
  }

  #serverEnd(): void {
    if (!this.#serverOpen) return;
    this.#serverOpen = false;
    this.#deafen();
    this.#requests.close();
    this.#releaseAll();
    this.#link.brick.clientGone(this.client);
  }

  #releaseAll(): void {
    const call = { ...ROOT, client: this.client };
    for (const fd of this.#serverFds) {
      this.#link.brick.serve("release", call, { fd }).catch(() => {});
    }
    this.#serverFds.clear();
  }
}
