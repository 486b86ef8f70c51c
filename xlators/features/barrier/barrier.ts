/**
 * While the barrier is on, acknowledgements of fops that an application may rely on after a crash
 * wait: the fops are done, but nobody knows yet. A snapshot of the brick taken meanwhile holds either
 * nothing or all of each. When it goes off, the answers leave in the order in which they came.
 *
 * Which fops: those that take something away (a name, an xattr, the end of a file) and those that
 * promise stable storage (fsync, synchronous writes). All others may be lost in a crash anyway.
 */

import type { Call } from "core/call.ts";
import type { Timer } from "core/env.ts";
import { type Args, type FopName, FOPS, O_DSYNC, O_SYNC, type Reply } from "core/fops.ts";
import type { Gfid } from "core/inode.ts";
import { bool, duration, type OptionTable, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { type Json, type Node, PassThrough } from "core/xlator.ts";

const options = {
  barrier: bool({
    default: false,
    volumeKey: "features.barrier",
    help: "Hold acknowledgements of rmdir, rename, unlink, removexattr, fremovexattr, truncate, " +
      "ftruncate, fsync and synchronous writes.",
  }),
  "barrier-timeout": duration({
    default: 120,
    min: 0,
    max: 86400,
    volumeKey: "features.barrier-timeout",
    help: "The barrier goes off by itself after that time, and what was held is acknowledged.",
  }),
} satisfies OptionTable;

interface Held {
  readonly fop: FopName;
  readonly gfid: Gfid;
  readonly release: () => void;
}

// How many held answers a statedump shows.
const SHOWN_MAX = 100;

class Barrier extends PassThrough {
  #on = false;
  #timeoutSec: number;
  #timer: Timer | undefined;
  #wanted: boolean;
  // Bounded by what connections let be under way.
  #queue: Held[] = [];

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#wanted = values.barrier;
    this.#timeoutSec = values["barrier-timeout"];
  }

  start(): Promise<void> {
    if (this.#wanted) this.#raise();
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#lower();
    return Promise.resolve();
  }

  reconfigure(values: Values<typeof options>): void {
    this.#timeoutSec = values["barrier-timeout"];
    this.setBarrier(values.barrier);
  }

  /** The same as the option, for a moment: `reconfigure` decides anew. False if it is so already. */
  setBarrier(on: boolean): boolean {
    if (on === this.#on) return false;
    if (on) this.#raise();
    else this.#lower();
    return true;
  }

  state(): Json {
    return {
      enabled: this.#on,
      "timeout-sec": this.#timeoutSec,
      "queue-size": this.#queue.length,
      queue: this.#queue.slice(0, SHOWN_MAX).map(({ fop, gfid }) => ({
        fop: FOPS[fop].label,
        gfid,
      })),
    };
  }

  #raise(): void {
    this.#on = true;
    this.#timer = this.env.clock.after(this.#timeoutSec * 1000, () => {
      this.env.log.warn("barrier timed out", { held: this.#queue.length });
      this.#lower();
    });
  }

  #lower(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#on = false;
    const queue = this.#queue;
    this.#queue = [];
    for (const { release } of queue) release();
  }

  // Asked when the answer comes, not when the fop starts: the barrier may have come between.
  #held<R>(fop: FopName, gfid: Gfid, answer: Promise<R>): Promise<R> {
    const hold = () => {
      if (!this.#on) return answer;
      return new Promise<void>((release) => this.#queue.push({ fop, gfid, release }))
        .then(() => answer);
    };
    return answer.then(hold, hold);
  }

  override rmdir(call: Call, args: Args<"rmdir">): Promise<Reply<"rmdir">> {
    return this.#held("rmdir", args.parent.gfid, this.child.rmdir(call, args));
  }
  override unlink(call: Call, args: Args<"unlink">): Promise<Reply<"unlink">> {
    return this.#held("unlink", args.parent.gfid, this.child.unlink(call, args));
  }
  override rename(call: Call, args: Args<"rename">): Promise<Reply<"rename">> {
    return this.#held("rename", args.oldParent.gfid, this.child.rename(call, args));
  }
  override removexattr(call: Call, args: Args<"removexattr">): Promise<Reply<"removexattr">> {
    return this.#held("removexattr", args.inode.gfid, this.child.removexattr(call, args));
  }
  override fremovexattr(call: Call, args: Args<"fremovexattr">): Promise<Reply<"fremovexattr">> {
    return this.#held("fremovexattr", args.fd.inode.gfid, this.child.fremovexattr(call, args));
  }
  override truncate(call: Call, args: Args<"truncate">): Promise<Reply<"truncate">> {
    return this.#held("truncate", args.inode.gfid, this.child.truncate(call, args));
  }
  override ftruncate(call: Call, args: Args<"ftruncate">): Promise<Reply<"ftruncate">> {
    return this.#held("ftruncate", args.fd.inode.gfid, this.child.ftruncate(call, args));
  }
  override fsync(call: Call, args: Args<"fsync">): Promise<Reply<"fsync">> {
    return this.#held("fsync", args.fd.inode.gfid, this.child.fsync(call, args));
  }
  override writev(call: Call, args: Args<"writev">): Promise<Reply<"writev">> {
    const answer = this.child.writev(call, args);
    if (!((args.flags | args.fd.flags) & (O_SYNC | O_DSYNC))) return answer;
    return this.#held("writev", args.fd.inode.gfid, answer);
  }
}

/** `features/barrier`: holds acknowledgements while a snapshot is taken. */
export const barrier = defineXlator({
  type: "features/barrier",
  summary: "Hold acknowledgements while a snapshot is taken",
  options,
  subvolumes: "one",
  create: (node, values) => new Barrier(node, values),
});
