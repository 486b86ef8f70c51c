/**
 * A graph that changes while it is used.
 *
 * `ActiveGraph` stands where a top layer is needed and hands every fop to the live graph. `apply`
 * takes new blocks: where only live options differ, the graph is reconfigured in place; else a new
 * graph is built, started and made live, and the old one is stopped when nothing needs it any
 * more. A new graph that cannot be built or started leaves the old one as it was.
 *
 * What moves, and how:
 *
 * - Inodes: the graphs share one table. An `Inode` is identity only, and each layer keeps its
 *   state for it in a `WeakMap` of its own, so the new graph's layers begin with none.
 * - Fops under way finish where they began. New ones without an fd go to the live graph, once files
 *   that may have been written are synced there: what the old graph answered early must be seen.
 * - Open files and directories: callers keep the `Fd` they got. Right after the switch each is
 *   synced through the old graph (so that what layers answered early is in place), opened in the
 *   new one without O_CREAT, O_EXCL and O_TRUNC, and closed in the old one when what began there
 *   with it is answered; fops on it that come meanwhile wait for the new graph.
 * - What cannot move stays: an fd that the new graph cannot open (its file lost its last name) or
 *   that POSIX locks were taken through. Its fops go on in the old graph, which runs until it is
 *   closed. Inodelks and entrylks are not moved: their holders are layers of the old graph.
 */

import type { Call, Client } from "core/call.ts";
import { ROOT } from "core/call.ts";
import type { Env } from "core/env.ts";
import { EXDEV, FopError } from "core/errno.ts";
import {
  type Args,
  type FopName,
  O_ACCMODE,
  O_CREAT,
  O_EXCL,
  O_TRUNC,
  type Reply,
} from "core/fops.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import { type Fd, InodeTable, PerFd } from "core/inode.ts";
import { KeyedLock } from "core/lib/lock.ts";
import type { XlatorTypes } from "core/registry.ts";
import type { VolumeBlock } from "core/volfile.ts";
import { Funnel, type Json, windTo } from "core/xlator.ts";

/** A graph and what still needs it. */
interface Running {
  readonly graph: Graph;
  /** Fops under way. */
  inFlight: number;
  /** Fds that are open in it. */
  readonly open: Set<Opened>;
  /** Resolves when it was stopped. */
  readonly stopped: PromiseWithResolvers<void>;
  stopping: boolean;
}

/** A graph's fd in use. */
interface Use {
  /** Fops under way with it: until they are answered it must stay open. */
  inFlight: number;
  /** Called when there are none any more. */
  idle: (() => void) | undefined;
}

/** An open file or directory of a caller. */
interface Opened {
  /** The graph that has it open, and that graph's fd. */
  on: Running;
  inner: Fd;
  use: Use;
  readonly directory: boolean;
  /** True once a POSIX lock was taken through it, or it is being closed: it moves no more. */
  stays: boolean;
  /** Set while it moves to another graph. */
  moving: Promise<void> | undefined;
  /** What syncing it for a move said of writes that were answered: its owner is to hear of it. */
  failure: FopError | undefined;
}

/** Fops that tell the owner of an open file what became of its writes. */
const TELLS: ReadonlySet<FopName> = new Set(["writev", "fsync", "flush"]);

/** What `apply` did. */
export type Applied = "reconfigured" | "switched";

/** What graphs are made of. */
export interface ActiveGraphOptions {
  /** What the layer that stands for all of them is called; "active" if absent. */
  readonly name?: string;
  /** Types that blocks may name. */
  readonly types: XlatorTypes;
  readonly env: Env;
  /** Shared by all graphs that follow each other. */
  readonly inodes?: InodeTable;
  /**
   * Resolves when a started graph can serve (its bricks are connected); rejects to give it up. By
   * default a graph can serve when it was started.
   */
  readonly ready?: (graph: Graph) => Promise<void>;
}

/** The live graph, as a top layer. Make it with `startActiveGraph`. */
export class ActiveGraph extends Funnel {
  readonly #options: ActiveGraphOptions;
  readonly #opened = new PerFd<Opened>();
  readonly #retiring = new Set<Running>();
  /** Syncs of written files before they move: what is answered meanwhile may not know their writes. */
  readonly #syncs = new Set<Promise<unknown>>();
  readonly #turns = new KeyedLock<ActiveGraph>();
  #live: Running;

  /** Takes a graph over that was started. */
  constructor(graph: Graph, options: ActiveGraphOptions) {
    const { name = "active" } = options;
    super({ name, children: [], env: graph.env, inodes: graph.inodes });
    this.#options = options;
    this.#live = this.#run(graph);
  }

  /** The live graph. */
  get graph(): Graph {
    return this.#live.graph;
  }

  /** How many graphs run: the live one, and old ones that something still needs. */
  get running(): number {
    return 1 + this.#retiring.size;
  }

  /**
   * Makes the volume what `blocks` say. Answers when the change is live; old graphs retire by
   * themselves. Throws, with nothing changed, if the blocks cannot be built, started or reached.
   */
  async apply(blocks: readonly VolumeBlock[]): Promise<Applied> {
    using _ = await this.#turns.take(this);
    if (this.graph.reconfigure(blocks)) return "reconfigured";
    const graph = await startGraph(blocks, { ...this.#options, inodes: this.inodes });
    const old = this.#live;
    this.#live = this.#run(graph);
    this.#retiring.add(old);
    for (const opened of old.open) this.#move(opened);
    this.#retire(old);
    this.env.log.info("graph switched", { volumes: graph.blocks.length });
    return "switched";
  }

  /** Stops every graph, each once its fops under way are answered. Nobody may ask any more. */
  async stop(): Promise<void> {
    using _ = await this.#turns.take(this);
    const all = [...this.#retiring, this.#live];
    await Promise.all(all.flatMap(({ open }) => [...open].map(({ moving }) => moving)));
    for (const running of all) {
      running.open.clear();
      this.#retiring.add(running);
      this.#retire(running);
    }
    await Promise.all(all.map((running) => running.stopped.promise));
  }

  clientGone(client: Client): void {
    for (const { graph } of [...this.#retiring, this.#live]) graph.clientGone(client);
  }

  state(): Json {
    return { graphs: this.running, open: this.#live.open.size, inFlight: this.#live.inFlight };
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { fd, source } = args as { fd?: Fd; source?: Fd };
    const opened = fd && this.#opened.get(fd);
    if (!opened) return this.#windNew(call, fop, args);
    if (opened.moving) return opened.moving.then(() => this.around(fop, call, args));
    let inner = opened.inner === fd ? args : { ...args, fd: opened.inner };
    if (source) {
      const from = this.#opened.get(source);
      if (from?.moving) return from.moving.then(() => this.around(fop, call, args));
      if (from && from.on !== opened.on) return Promise.reject(EXDEV);
      if (from && from.inner !== source) inner = { ...inner, source: from.inner };
      if (from) {
        from.use.inFlight++;
        return this.#wind(opened.on, fop, call, inner, { use: opened.use }).finally(() =>
          unused(from.use)
        );
      }
    }
    if (opened.failure && TELLS.has(fop)) {
      const failure = told(opened);
      // A flush gives locks back, too.
      if (fop !== "flush") return Promise.reject(failure);
      return this.#wind(opened.on, fop, call, inner).then(() => Promise.reject(failure));
    }
    // Asked for is as good as taken: a lock that waits is granted in the graph where it waits.
    if (fop === "lk" && (args as Args<"lk">).cmd !== "get") opened.stays = true;
    if (fop === "release" || fop === "releasedir") {
      opened.stays = true;
      return this.#closing(fd, opened, this.#wind(opened.on, fop, call, inner));
    }
    return this.#wind(opened.on, fop, call, inner, { use: opened.use });
  }

  // A fop without an fd of ours; one that opens is remembered before its graph could retire.
  #windNew<K extends FopName>(call: Call, fop: K, args: Args<K>): Promise<Reply<K>> {
    if (this.#syncs.size) {
      return Promise.allSettled(this.#syncs).then(() => this.#windNew(call, fop, args));
    }
    const on = this.#live;
    if (fop !== "open" && fop !== "create" && fop !== "opendir") {
      return this.#wind(on, fop, call, args);
    }
    return this.#wind(on, fop, call, args, {
      answered: (reply) => this.#remember(on, (reply as Reply<"open">).fd, fop === "opendir"),
    });
  }

  #wind<K extends FopName>(
    on: Running,
    fop: K,
    call: Call,
    args: Args<K>,
    { use, answered }: { use?: Use; answered?: (reply: Reply<K>) => void } = {},
  ): Promise<Reply<K>> {
    on.inFlight++;
    if (use) use.inFlight++;
    return windTo(on.graph.top, fop, call, args).then((reply) => {
      answered?.(reply);
      this.#left(on, use);
      return reply;
    }, (error) => {
      this.#left(on, use);
      throw error;
    });
  }

  #remember(on: Running, fd: Fd, directory: boolean): void {
    if (fd.anonymous) return;
    const opened: Opened = {
      on,
      inner: fd,
      use: { inFlight: 0, idle: undefined },
      directory,
      stays: false,
      moving: undefined,
      failure: undefined,
    };
    this.#opened.set(fd, opened);
    on.open.add(opened);
    // Its open was under way when the graph was switched.
    if (on !== this.#live) this.#move(opened);
  }

  // Closed is closed, even if the brick did not hear of it.
  #closing<T>(fd: Fd, opened: Opened, answer: Promise<T>): Promise<T> {
    return answer.finally(() => {
      this.#opened.delete(fd);
      opened.on.open.delete(opened);
      this.#retire(opened.on);
    });
  }

  // Closing what moved away comes before the end of its graph.
  #left(on: Running, use: Use | undefined): void {
    if (use) unused(use);
    on.inFlight--;
    this.#retire(on);
  }

  // Stops a graph that is not live when nothing needs it.
  #retire(on: Running): void {
    if (!this.#retiring.has(on) || on.stopping || on.inFlight || on.open.size) return;
    on.stopping = true;
    on.graph.stop().catch((error) => {
      this.env.log.error("old graph did not stop cleanly", { error: String(error) });
    }).then(() => {
      this.#retiring.delete(on);
      on.stopped.resolve();
    });
  }

  #move(opened: Opened): void {
    // A move that is under way goes on to the live graph by itself.
    if (opened.stays || opened.moving || opened.on === this.#live) return;
    opened.moving = this.#moved(opened);
  }

  // To the live graph, and on if another one became live meanwhile.
  async #moved(opened: Opened): Promise<void> {
    try {
      while (opened.on !== this.#live) if (!await this.#movedOnce(opened)) return;
    } finally {
      // In the same turn as the last look at what is live.
      opened.moving = undefined;
    }
  }

  // False: it stays where it is.
  async #movedOnce(opened: Opened): Promise<boolean> {
    const { on: old, inner, directory, use } = opened;
    try {
      if (!directory) await this.#sync(opened);
      // Taken now: what was live before the sync may have been stopped meanwhile.
      const to = this.#live;
      const flags = inner.flags & ~(O_CREAT | O_EXCL | O_TRUNC);
      const answered = ({ fd }: Reply<"open">) => {
        opened.on = to;
        opened.inner = fd;
        opened.use = { inFlight: 0, idle: undefined };
        to.open.add(opened);
      };
      const args = { inode: inner.inode, flags };
      await this.#wind(to, directory ? "opendir" : "open", ROOT, args, { answered });
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      const { gfid } = inner.inode;
      this.env.log.warn("open file stays with the old graph", { gfid, error: error.code });
      return false;
    }
    // Closing the old graph's fd matters only to the old graph, and may fail.
    const close = () => {
      const closed = this.#wind(old, directory ? "releasedir" : "release", ROOT, { fd: inner });
      old.open.delete(opened);
      closed.catch((error) => {
        if (!(error instanceof FopError)) throw error;
      });
    };
    if (use.inFlight) use.idle = close;
    else close();
    return true;
  }

  async #sync(opened: Opened): Promise<void> {
    const synced = this.#wind(opened.on, "fsync", ROOT, { fd: opened.inner, dataOnly: false });
    if (opened.inner.flags & O_ACCMODE) this.#syncs.add(synced);
    try {
      await synced;
    } catch (error) {
      if (error instanceof FopError) opened.failure = error;
      throw error;
    } finally {
      this.#syncs.delete(synced);
    }
  }

  #run(graph: Graph): Running {
    const running: Running = {
      graph,
      inFlight: 0,
      open: new Set(),
      stopped: Promise.withResolvers<void>(),
      stopping: false,
    };
    graph.top.listen((event) => {
      if (this.#live === running) this.emit(event);
    });
    return running;
  }
}

function unused(use: Use): void {
  if (--use.inFlight === 0) use.idle?.();
}

// A failure is told once.
function told(opened: Opened): FopError {
  const failure = opened.failure!;
  opened.failure = undefined;
  return failure;
}

async function startGraph(
  blocks: readonly VolumeBlock[],
  { types, env, inodes = new InodeTable(), ready }: ActiveGraphOptions,
): Promise<Graph> {
  const graph = buildGraph(blocks, types, env, inodes);
  await graph.start();
  try {
    await ready?.(graph);
  } catch (error) {
    await graph.stop();
    throw error;
  }
  return graph;
}

/** Builds and starts the graph that `blocks` describe, ready to be changed. */
export async function startActiveGraph(
  blocks: readonly VolumeBlock[],
  options: ActiveGraphOptions,
): Promise<ActiveGraph> {
  return new ActiveGraph(await startGraph(blocks, options), options);
}
