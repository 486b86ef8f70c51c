/**
 * Writes are answered before they are done. What depends on them waits for them; who would be told
 * that they are safe (fsync, flush, close) is told of those that failed.
 */

import { type Call, isInternal } from "core/call.ts";
import { FopError } from "core/errno.ts";
import {
  type Args,
  DONE,
  type Empty,
  type FopName,
  FOPS,
  O_ACCMODE,
  O_DIRECT,
  O_SYNC,
  O_TRUNC,
  type PrePost,
  type Reply,
} from "core/fops.ts";
import { type Fd, type Inode, PerFd, PerInode } from "core/inode.ts";
import { bool, type OptionTable, size, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { type Json, type Node, Uniform } from "core/xlator.ts";
import { type Tuning, WriteQueue, type Writer } from "xlators/performance/write-behind/queue.ts";

const options = {
  "cache-size": size({
    default: 1 << 20,
    min: 512 << 10,
    max: 1 << 30,
    volumeKey: "performance.write-behind-window-size",
    help: "Answered data of a file that may wait; beyond it, answers wait, too.",
  }),
  "aggregate-size": size({
    default: 128 << 10,
    volumeKey: "performance.aggregate-size",
    help: "Small writes that follow on each other are gathered up to this size.",
  }),
  "flush-behind": bool({
    default: true,
    volumeKey: "performance.flush-behind",
    help: "A flush is answered when the file's writes are done, before it is done itself.",
  }),
  "trickling-writes": bool({
    default: true,
    volumeKey: "performance.write-behind-trickling-writes",
    help: "A small write is sent at once while none of its file is on its way.",
  }),
  "strict-O_DIRECT": bool({
    default: false,
    volumeKey: "performance.strict-o-direct",
    help: "Writes with O_DIRECT are answered when they are done.",
  }),
  "strict-write-ordering": bool({
    default: false,
    volumeKey: "performance.strict-write-ordering",
    help: "Writes of a file are done one after the other, overlapping or not.",
  }),
  "resync-failed-syncs-after-fsync": bool({
    default: false,
    volumeKey: "performance.resync-failed-syncs-after-fsync",
    help: "Accepted and without effect: a write that failed is reported, not tried again.",
  }),
  "pass-through": bool({
    default: false,
    volumeKey: "performance.write-behind-pass-through",
    help: "Writes are answered when they are done.",
  }),
} satisfies OptionTable;

// Beside fops that modify or lock: those whose answer depends on what was written.
const DEPENDS: ReadonlySet<FopName> = new Set(["stat", "fstat", "seek", "rchecksum"]);
const CUTS: ReadonlySet<FopName> = new Set(["open", "truncate", "ftruncate"]);
const EARLY: PrePost = Object.freeze({ pre: undefined, post: undefined });

class WriteBehind extends Uniform {
  readonly #queues = new PerInode<WriteQueue>();
  readonly #writers = new PerFd<Writer>();
  /** Queues with writes that are not done. */
  readonly #busy = new Set<WriteQueue>();
  readonly #flushing = new Set<Promise<void>>();
  readonly #tuning: Tuning;
  #values: Values<typeof options>;
  // Counts writes that were done: tells what happened while a fop was under way.
  #moment = 0;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#values = values;
    this.#tuning = tuningOf(values);
  }

  reconfigure(values: Values<typeof options>): void {
    this.#values = values;
    Object.assign(this.#tuning, tuningOf(values));
  }

  /** What was answered is done, or has failed, before the graph goes. */
  async stop(): Promise<void> {
    await this.#drainAll();
    await Promise.all(this.#flushing);
  }

  state(): Json {
    let bytes = 0;
    for (const queue of this.#busy) bytes += queue.bytes;
    return { files: this.#busy.size, bytes };
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const answer = this.#own(fop, call, args as never) as Promise<Reply<K>> | undefined;
    const reply = answer ?? this.wind(fop, call, args);
    return fop === "open" || fop === "create" ? reply.then((made) => this.#opened(made)) : reply;
  }

  // Only open files that were seen to be opened are written behind: others fail at once.
  #opened<R>(reply: R): R {
    const { fd } = reply as Reply<"open">;
    if (fd.flags & O_ACCMODE && !fd.anonymous) {
      this.#writers.set(fd, { failure: undefined, flushing: undefined });
    }
    return reply;
  }

  // The answer, where a fop must not just go down.
  #own(fop: FopName, call: Call, args: never): Promise<unknown> | undefined {
    switch (fop) {
      case "writev":
        return this.#write(call, args);
      case "flush":
        return this.#flush(call, args);
      case "release":
        return this.#release(call, args);
      case "fsync":
        return this.#fsync(call, args);
      case "lk":
        this.#queueOf((args as Args<"lk">).fd.inode).locked = true;
        return this.#depending(fop, call, args);
    }
    if (CUTS.has(fop)) return this.#cut(fop, call, args);
    // Nothing is waiting: nothing depends on it.
    if (!this.#busy.size) return undefined;
    switch (fop) {
      case "readv":
        return this.#read(call, args);
      case "lookup":
        return this.#lookup(call, args);
      case "readdirp":
        return this.#list(call, args);
      case "rename":
        // Which file moves, its reply tells: a file must not get its new name before its data.
        return this.#drainAll().then(() => this.wind(fop, call, args));
    }
    return this.#depending(fop, call, args);
  }

  #write(call: Call, args: Args<"writev">): Promise<PrePost> {
    const { fd } = args;
    const writer = this.#writers.get(fd);
    if (writer?.failure) return Promise.reject(reported(writer));
    const queue = this.#queues.get(fd.inode);
    if (!writer || !this.#mayBeEarly(call, args)) {
      return queue?.busy
        ? queue.drain().then(() => this.child.writev(call, args))
        : this.child.writev(call, args);
    }
    const to = queue ?? this.#queueOf(fd.inode);
    const isIn = to.put(call, args, writer);
    this.#busy.add(to);
    return isIn.then(() => EARLY);
  }

  #mayBeEarly(call: Call, { fd, offset, data, flags, xdata }: Args<"writev">): boolean {
    const direct = this.#values["strict-O_DIRECT"] ? O_DIRECT : 0;
    return !this.#values["pass-through"] && !((fd.flags | flags) & (O_SYNC | direct)) &&
      data.length > 0 && offset >= 0 && offset + data.length <= Number.MAX_SAFE_INTEGER && !xdata &&
      !isInternal(call);
  }

  // Data is as it was written; what the child's attributes lack is not told.
  async #read(call: Call, args: Args<"readv">): Promise<Reply<"readv">> {
    const queue = this.#queues.get(args.fd.inode);
    if (!queue?.busy) return this.child.readv(call, args);
    await queue.settle(args.offset, args.size);
    return { ...await this.child.readv(call, args), stat: undefined };
  }

  // A name may turn out to stand for a file whose writes were not done when it was looked up.
  async #lookup(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    if (args.inode) await this.#queues.get(args.inode)?.drain();
    const begun = this.#moment;
    const reply = await this.child.lookup(call, args);
    const queue = this.#queueSince(reply.stat.gfid, begun);
    if (!queue || args.inode?.gfid === reply.stat.gfid) return reply;
    await queue.drain();
    return this.child.lookup(call, args);
  }

  async #list(call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    const begun = this.#moment;
    const reply = await this.child.readdirp(call, args);
    const entries = reply.entries.map((entry) =>
      entry.stat && this.#queueSince(entry.stat.gfid, begun) ? { ...entry, stat: undefined } : entry
    );
    return { ...reply, entries };
  }

  // The file's queue if it had writes that were not done at the moment `begun`, or later.
  #queueSince(gfid: Inode["gfid"], begun: number): WriteQueue | undefined {
    const queue = this.#queues.get(this.inodes.of(gfid));
    return queue && (queue.busy || queue.lastDone > begun) ? queue : undefined;
  }

  // The kernel's locks must be given back, so the flush goes down whatever happened before.
  async #flush(call: Call, args: Args<"flush">): Promise<Empty> {
    const writer = this.#writers.get(args.fd), queue = this.#queues.get(args.fd.inode);
    if (queue?.busy) await queue.drain();
    const behind = writer && this.#values["flush-behind"] && !queue?.locked &&
      !this.#values["pass-through"];
    if (!behind) {
      const done = await this.child.flush(call, args);
      if (writer?.failure) throw reported(writer);
      return done;
    }
    this.#flushBehind(call, args, writer);
    if (writer.failure) throw reported(writer);
    return DONE;
  }

  #flushBehind(call: Call, args: Args<"flush">, writer: Writer): void {
    const flushing = this.child.flush(call, args).then(() => {}, (error) => {
      if (!(error instanceof FopError)) throw error;
      const { gfid } = args.fd.inode;
      this.env.log.warn("a flush that was answered failed", { gfid, error: error.code });
    }).finally(() => {
      this.#flushing.delete(flushing);
      if (writer.flushing === flushing) writer.flushing = undefined;
    });
    writer.flushing = flushing;
    this.#flushing.add(flushing);
  }

  async #fsync(call: Call, args: Args<"fsync">): Promise<PrePost> {
    const queue = this.#queues.get(args.fd.inode);
    if (queue?.busy) await queue.drain();
    const writer = this.#writers.get(args.fd);
    if (writer?.failure) throw reported(writer);
    return this.child.fsync(call, args);
  }

  async #release(call: Call, args: Args<"release">): Promise<Empty> {
    const writer = this.#writers.get(args.fd);
    if (!writer) return this.child.release(call, args);
    const queue = this.#queues.get(args.fd.inode);
    if (queue?.busy) await queue.drain();
    await writer.flushing;
    this.#writers.delete(args.fd);
    const done = await this.child.release(call, args);
    if (writer.failure) throw reported(writer);
    return done;
  }

  #cut<K extends "open" | "truncate" | "ftruncate">(
    fop: FopName,
    call: Call,
    args: Args<K>,
  ): Promise<unknown> | undefined {
    const { inode, fd, flags } = args as { inode?: Inode; fd?: Fd; flags?: number };
    if (fop === "open" && !(flags! & O_TRUNC)) return undefined;
    const queue = this.#queues.get(inode ?? fd!.inode);
    if (!queue) return undefined;
    return queue.drain().then(() => {
      queue.cut();
      return this.wind(fop, call, args as never);
    }).finally(() => queue.cut());
  }

  #depending<K extends FopName>(
    fop: K,
    call: Call,
    args: Args<K>,
  ): Promise<Reply<K>> | undefined {
    const { kind } = FOPS[fop];
    if (kind !== "modify" && kind !== "lock" && !DEPENDS.has(fop)) return undefined;
    const { inode, fd, source } = args as { inode?: Inode; fd?: Fd; source?: Fd };
    const queues = [inode, fd?.inode, source?.inode]
      .map((each) => each && this.#queues.get(each))
      .filter((each) => each?.busy);
    if (!queues.length) return undefined;
    return Promise.all(queues.map((queue) => queue!.drain()))
      .then(() => this.wind(fop, call, args));
  }

  async #drainAll(): Promise<void> {
    await Promise.all([...this.#busy].map((queue) => queue.drain()));
  }

  #queueOf(inode: Inode): WriteQueue {
    const known = this.#queues.get(inode);
    if (known) return known;
    const queue = new WriteQueue(this.child, this.#tuning, this.env.log, (which) => {
      if (!which.busy) this.#busy.delete(which);
      return ++this.#moment;
    });
    this.#queues.set(inode, queue);
    return queue;
  }
}

// A failure is told once.
function reported(writer: Writer): FopError {
  const failure = writer.failure!;
  writer.failure = undefined;
  return failure;
}

function tuningOf(values: Values<typeof options>): Tuning {
  return {
    window: values["cache-size"],
    aggregate: values["aggregate-size"],
    trickling: values["trickling-writes"],
    ordered: values["strict-write-ordering"],
  };
}

/** `performance/write-behind`: writes are answered early, small ones gathered. */
export const writeBehind = defineXlator({
  type: "performance/write-behind",
  summary: "Writes are answered before they are done, small ones gathered",
  options,
  subvolumes: "one",
  create: (node, values) => new WriteBehind(node, values),
});
