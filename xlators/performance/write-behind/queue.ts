/**
 * What was written to one file, answered, and is not done yet. Chunks go down at once unless they
 * overlap earlier ones; what follows on the newest chunk while others are on their way joins it.
 *
 * A write is let in while no more than the window waits; beyond that its answer waits, too. Data is
 * copied when it is let in: the caller's buffer is the caller's again after the answer.
 */

import type { Call } from "core/call.ts";
import type { Log } from "core/env.ts";
import { EIO, FopError } from "core/errno.ts";
import { type Args, O_APPEND } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import type { Xlator } from "core/xlator.ts";

/** How queues behave; shared by all of a layer and changed in place. */
export interface Tuning {
  /** Bytes of a file that may wait. */
  window: number;
  /** Bytes up to which small writes are gathered. */
  aggregate: number;
  /** A chunk is sent as soon as none of its file is on its way. */
  trickling: boolean;
  /** Chunks go down one after the other. */
  ordered: boolean;
}

/** What one open file is still to be told. */
export interface Writer {
  /** The first failure of writes that were answered; cleared by who reports it. */
  failure: FopError | undefined;
  /** A flush that was answered and is not done yet. */
  flushing: Promise<void> | undefined;
}

interface Chunk {
  readonly call: Call;
  readonly fd: Fd;
  readonly writer: Writer;
  readonly flags: number;
  readonly offset: number;
  /** Has room for more than `length` once something joined. */
  data: Uint8Array;
  length: number;
  /** Somebody waits for it: it is not held back to grow. */
  hurried: boolean;
  readonly done: PromiseWithResolvers<void>;
}

const LET_IN = Promise.resolve();

/** See the head of this file. */
export class WriteQueue {
  /** True once a POSIX lock was asked for through this client: closing must not be early. */
  locked = false;
  /** Number of the last moment at which one of its writes was done. */
  lastDone = 0;
  readonly #child: Xlator;
  readonly #tuning: Tuning;
  readonly #log: Log;
  /** Tells the layer that a write is done: answers the moment's number. */
  readonly #tick: (queue: WriteQueue) => number;
  /** In order of arrival. */
  #held: Chunk[] = [];
  readonly #sent = new Set<Chunk>();
  /** Writes that find no room, in order. */
  readonly #waiting: (() => void)[] = [];
  #bytes = 0;
  // The file was seen with that many bytes, and nobody here cut it since.
  #sizeSeen = 0;

  constructor(
    child: Xlator,
    tuning: Tuning,
    log: Log,
    tick: (queue: WriteQueue) => number,
  ) {
    this.#child = child;
    this.#tuning = tuning;
    this.#log = log;
    this.#tick = tick;
  }

  /** True while writes wait or are on their way. */
  get busy(): boolean {
    return this.#held.length > 0 || this.#sent.size > 0 || this.#waiting.length > 0;
  }

  /** Bytes that were answered and are not done. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a write; resolves when it may be answered. */
  put(call: Call, args: Args<"writev">, writer: Writer): Promise<void> {
    if (this.#hasRoom && !this.#waiting.length) {
      this.#take(call, args, writer);
      return LET_IN;
    }
    return new Promise((resolve) => {
      this.#waiting.push(() => {
        this.#take(call, args, writer);
        resolve();
      });
      this.#send();
    });
  }

  /** Resolves when all that was answered by now is done, or failed. */
  drain(): Promise<void> {
    return this.#wait(() => true);
  }

  /** The same for what a read of `size` bytes at `offset` depends on. */
  settle(offset: number, size: number): Promise<void> {
    const end = offset + size;
    return this.#wait((chunk) => {
      const chunkEnd = chunk.offset + chunk.length;
      // What makes the file longer makes zeros of what was beyond its end.
      return isAppend(chunk) || chunkEnd > this.#sizeSeen ||
        (chunk.offset < end && chunkEnd > offset);
    });
  }

  /** The file is, or was, made shorter. */
  cut(): void {
    this.#sizeSeen = 0;
  }

  get #hasRoom(): boolean {
    return this.#bytes <= this.#tuning.window;
  }

  async #wait(concerns: (chunk: Chunk) => boolean): Promise<void> {
    const all = [...this.#sent, ...this.#held].filter(concerns);
    if (!all.length) return;
    // Held ones may be behind others that overlap: all go.
    for (const chunk of this.#held) chunk.hurried = true;
    this.#send();
    await Promise.all(all.map(({ done }) => done.promise));
  }

  #take(call: Call, { fd, offset, data, flags }: Args<"writev">, writer: Writer): void {
    this.#bytes += data.length;
    const newest = this.#held.at(-1);
    if (newest && this.#joins(newest, call, fd, flags, offset, data.length)) {
      if (newest.data.length < newest.length + data.length) {
        const room = new Uint8Array(this.#tuning.aggregate);
        room.set(newest.data.subarray(0, newest.length));
        newest.data = room;
      }
      newest.data.set(data, newest.length);
      newest.length += data.length;
    } else {
      this.#held.push({
        call,
        fd,
        writer,
        flags,
        offset,
        data: data.slice(),
        length: data.length,
        hurried: false,
        done: Promise.withResolvers<void>(),
      });
    }
    this.#send();
  }

  #joins(
    newest: Chunk,
    call: Call,
    fd: Fd,
    flags: number,
    offset: number,
    size: number,
  ): boolean {
    return newest.fd === fd && newest.flags === flags && newest.offset + newest.length === offset &&
      newest.length + size <= this.#tuning.aggregate && sameCaller(newest.call, call);
  }

  #send(): void {
    const held = this.#held;
    if (!held.length) return;
    const kept: Chunk[] = [];
    held.forEach((chunk, index) => {
      const grows = index === held.length - 1 && !this.#mustGo(chunk);
      if (grows || this.#isBehind(chunk, kept) || this.#isBehind(chunk, this.#sent)) {
        kept.push(chunk);
      } else this.#wind(chunk);
    });
    this.#held = kept;
  }

  #mustGo({ hurried, length }: Chunk): boolean {
    const { aggregate, trickling } = this.#tuning;
    return hurried || length >= aggregate || this.#waiting.length > 0 ||
      (trickling && this.#sent.size === 0);
  }

  #isBehind(chunk: Chunk, others: Iterable<Chunk>): boolean {
    const end = chunk.offset + chunk.length;
    const ordered = this.#tuning.ordered || isAppend(chunk);
    for (const other of others) {
      if (ordered || isAppend(other)) return true;
      if (other.offset < end && other.offset + other.length > chunk.offset) return true;
    }
    return false;
  }

  #wind(chunk: Chunk): void {
    const { call, fd, offset, flags, data, length } = chunk;
    this.#sent.add(chunk);
    this.#child.writev(call, { fd, offset, flags, data: data.subarray(0, length) }).then(
      ({ post }) => {
        if (post) this.#sizeSeen = Math.max(this.#sizeSeen, post.size);
      },
      (error) => this.#failed(chunk, error),
    ).then(() => this.#finished(chunk));
  }

  #failed({ fd, writer, offset, length }: Chunk, error: unknown): void {
    const failure = error instanceof FopError ? error : EIO;
    writer.failure ??= failure;
    const { gfid } = fd.inode;
    const fields = { gfid, offset, length, error: String(error) };
    this.#log.warn("a write that was answered failed", fields);
  }

  #finished(chunk: Chunk): void {
    this.#sent.delete(chunk);
    this.#bytes -= chunk.length;
    while (this.#waiting.length && this.#hasRoom) this.#waiting.shift()!();
    this.#send();
    this.lastDone = this.#tick(this);
    chunk.done.resolve();
  }
}

// The brick puts it where the file ends then, whatever the offset says.
function isAppend({ fd, flags }: Chunk): boolean {
  return ((fd.flags | flags) & O_APPEND) !== 0;
}

function sameCaller(one: Call, other: Call): boolean {
  return one === other ||
    (one.client === other.client && one.uid === other.uid && one.gid === other.gid &&
      one.pid === other.pid && one.lkOwner === other.lkOwner && one.deadline === other.deadline &&
      !one.ctime && !other.ctime && sameGroups(one.groups, other.groups));
}

function sameGroups(one: readonly number[], other: readonly number[]): boolean {
  return one === other ||
    (one.length === other.length && one.every((group, index) => group === other[index]));
}
