/**
 * The kernel's end: /dev/fuse. Requests are read until there are none, some at a time, and only then
 * more are waited for: on Deno's loop, or where that cannot be by a thread that polls, which costs two
 * changes of threads a request.
 */

import type { Env } from "core/env.ts";
import { fopError } from "core/errno.ts";
import { sys } from "core/sys/calls.ts";
import { Readable } from "core/sys/readable.ts";
import { REQUEST_MAX } from "xlators/mount/fuse/protocol.ts";
import type { RequestBytes } from "xlators/mount/fuse/request.ts";
import type { Send } from "xlators/mount/fuse/reply.ts";

/** Requests that are served before others get their turn. */
const BATCH = 64;
const POLLIN = 1;
const EAGAIN = -11, EINTR = -4, ENOENT = -2, ENODEV = -19, ECONNABORTED = -103;
/** How often somebody looks whether requests were overlooked, and how many times that may be. */
const WATCH_MS = 1000, OVERLOOKED_MAX = 3;
/** Bytes of one block; a write's data stays in it until the write is answered. */
const BLOCK = 4 << 20;

/** Serves a request; a promise: its bytes are needed until then. */
export type Serve = (from: RequestBytes, at: number, size: number) => Promise<void> | undefined;

type MakeReadable = (
  ...args: Parameters<typeof Readable.of>
) => Promise<Pick<Readable, "wait" | "close"> | undefined>;

/** Memory that requests are read into. */
class Block implements RequestBytes {
  readonly bytes = new Uint8Array(BLOCK);
  readonly view = new DataView(this.bytes.buffer);
  /** Where the next request goes. */
  at = 0;
  /** Writes whose data is still needed. */
  held = 0;
}

/** See the head of this file. */
export class Device {
  readonly #fd: number;
  readonly #env: Env;
  readonly #serve: Serve;
  readonly #makeReadable: MakeReadable;
  readonly #free: Block[] = [];
  #block = new Block();
  #gone: string | undefined;
  readonly #pollfd = new Uint8Array(8);
  #readable: Pick<Readable, "wait" | "close"> | undefined;
  #requests = 0;
  /** A wait was over since the last look. */
  #woken = false;
  #overlooked = 0;

  /** Takes over an fd of /dev/fuse that does not block. `readable` is for tests. */
  constructor(fd: number, env: Env, serve: Serve, readable: MakeReadable = Readable.of) {
    this.#makeReadable = readable;
    this.#fd = fd;
    this.#env = env;
    this.#serve = serve;
    const view = new DataView(this.#pollfd.buffer);
    view.setInt32(0, fd, true);
    view.setInt16(4, POLLIN, true);
  }

  /** Writes an answer. */
  static sender(fd: number, env: Env): Send {
    return (bytes, size) => {
      const written = sys.write(fd, bytes, size);
      // Whoever asked was interrupted, or the mount is gone: nobody waits for this answer.
      if (written < 0 && written !== ENOENT && written !== ENODEV) {
        env.log.error("kernel refused an answer", { why: fopError(written).code, size });
      }
      return written;
    };
  }

  /** Serves until the mount is gone; answers why. */
  async run(): Promise<string> {
    this.#readable = await this.#makeReadable(this.#fd, this.#env.clock);
    if (!this.#readable) this.#env.log.info("a thread waits for the kernel");
    const watch = this.#env.clock.every(WATCH_MS, () => this.#look());
    try {
      for (;;) {
        const all = this.#drain();
        if (this.#gone !== undefined) return this.#gone;
        if (all && this.#readable) await this.#readable.wait().catch(() => this.#trustThread());
        else await this.#polled();
        this.#woken = true;
        this.#overlooked = 0;
      }
    } finally {
      watch.cancel();
      this.#readable?.close();
    }
  }

  // On a thread: slow, and certain.
  async #polled(): Promise<void> {
    const result = await sys.ppollAsync(this.#pollfd, 1, null, null, 8);
    if (result < 0 && result !== EINTR) this.#gone ??= fopError(result).message;
  }

  // Nothing may ever stand still because a wait was not over: who was overlooked is served now.
  #look(): void {
    if (!this.#readable) return;
    const before = this.#requests;
    this.#drain();
    const overlooked = !this.#woken && (this.#requests > before || this.#gone !== undefined);
    this.#woken = false;
    if (overlooked && ++this.#overlooked >= OVERLOOKED_MAX || this.#gone !== undefined) {
      this.#trustThread();
    }
  }

  #trustThread(): void {
    if (!this.#readable) return;
    if (this.#gone === undefined) {
      this.#env.log.warn("a thread waits for the kernel from now on: requests were overlooked");
    }
    this.#readable.close();
    this.#readable = undefined;
  }

  // Serves what is there now, up to a number; true if that was all.
  #drain(): boolean {
    for (let count = 0; count < BATCH; count++) {
      const block = this.#room();
      const place = block.at === 0 ? block.bytes : block.bytes.subarray(block.at);
      const size = sys.read(this.#fd, place, REQUEST_MAX);
      if (size === EAGAIN) return true;
      if (size === EINTR || size === ENOENT) continue;
      if (size <= 0) {
        this.#gone = size === 0 || size === ENODEV || size === ECONNABORTED
          ? "unmounted"
          : fopError(size).message;
        return true;
      }
      this.#requests++;
      this.#served(block, size);
    }
    return false;
  }

  #served(block: Block, size: number): void {
    let pending: Promise<void> | undefined;
    try {
      pending = this.#serve(block, block.at, size);
    } catch (error) {
      this.#env.log.error("kernel sent what is no request", { size, error: String(error) });
      return;
    }
    if (!pending) return;
    block.held++;
    block.at += (size + 7) & ~7;
    pending.then(() => {
      if (--block.held > 0) return;
      block.at = 0;
      if (block !== this.#block) this.#free.push(block);
    });
  }

  #room(): Block {
    if (this.#block.at + REQUEST_MAX <= BLOCK) return this.#block;
    return this.#block = this.#free.pop() ?? new Block();
  }
}
