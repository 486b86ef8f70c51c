/**
 * The kernel's end: /dev/fuse. Requests are read until there are none, some at a time. Who waits for
 * them is `DescriptorLoop`.
 */

import type { Env } from "core/env.ts";
import { fopError } from "core/errno.ts";
import { sys } from "core/sys/calls.ts";
import { DescriptorLoop } from "core/sys/descriptor_loop.ts";
import { EPOLLIN } from "core/sys/epoll.ts";
import { REQUEST_MAX } from "xlators/mount/fuse/protocol.ts";
import type { RequestBytes } from "xlators/mount/fuse/request.ts";
import type { Send } from "xlators/mount/fuse/reply.ts";

/** Requests that are served before others get their turn. */
const BATCH = 64;
/**
 * After a request that came alone so many are taken without a look whether there is another: that costs
 * who asks one thing after the other a system call each time.
 */
const ALONE = 16;
const EAGAIN = -11, EINTR = -4, ENOENT = -2, ENODEV = -19, ECONNABORTED = -103;
/** Bytes of one block; a write's data stays in it until the write is answered. */
const BLOCK = 4 << 20;

/** Serves a request; a promise: its bytes are needed until then. */
export type Serve = (from: RequestBytes, at: number, size: number) => Promise<void> | undefined;

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
  readonly #free: Block[] = [];
  #block = new Block();
  /** How many more requests are taken as if they were alone. */
  #alone = 0;
  readonly #gone = Promise.withResolvers<string>();

  /** Takes over an fd of /dev/fuse that does not block. */
  constructor(fd: number, env: Env, serve: Serve) {
    this.#fd = fd;
    this.#env = env;
    this.#serve = serve;
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
    const own = this.#env.descriptors ? undefined : new DescriptorLoop(this.#env);
    const watch = (this.#env.descriptors ?? own!).watch(this.#fd, () => this.#drain());
    watch.want(EPOLLIN);
    const why = await this.#gone.promise;
    watch.close();
    await own?.close();
    return why;
  }

  // Serves what is there now, up to a number; the loop tells again of what is left.
  #drain(): void {
    if (this.#alone-- > 0) return void this.#take();
    let count = 0;
    while (count < BATCH && this.#take()) count++;
    this.#alone = count > 1 ? 0 : ALONE;
  }

  // Serves a request; false if there is none.
  #take(): boolean {
    for (;;) {
      const block = this.#room();
      const place = block.at === 0 ? block.bytes : block.bytes.subarray(block.at);
      const size = sys.read(this.#fd, place, REQUEST_MAX);
      if (size === EAGAIN) return false;
      if (size === EINTR || size === ENOENT) continue;
      if (size <= 0) {
        const unmounted = size === 0 || size === ENODEV || size === ECONNABORTED;
        this.#gone.resolve(unmounted ? "unmounted" : fopError(size).message);
        return false;
      }
      this.#served(block, size);
      return true;
    }
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
