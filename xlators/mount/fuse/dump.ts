/**
 * What the kernel and a mount tell each other, kept in a file as GlusterFS's client does, so that what
 * reads those files reads ours. Each message stands behind 33 bytes, in the byte order of the machine:
 *
 *     u8      "R" for a request, "W" for an answer or a notice
 *     u32     3: items that follow
 *     u32     16: bytes of the first, with these four; u64 seconds since 1970, u32 nanoseconds
 *     u32     12: bytes of the second, with these four; 7 letters "GLUSTER" and 0xF5
 *             the third: the message, which begins with its size
 *
 * Source: fuse-bridge.c, fusedump_setup_meta.
 */

import type { Env } from "core/env.ts";
import { fopError } from "core/errno.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, sys } from "core/sys/calls.ts";
import type { Send } from "xlators/mount/fuse/reply.ts";

const HEAD = 33;
const SIGNATURE = [..."GLUSTER"].map((letter) => letter.charCodeAt(0)).concat(0xf5);
const O_WRONLY = 1, O_CREAT = 0o100, O_EXCL = 0o200;

/** See the head of this file. */
export class Dump {
  readonly #fd: number;
  readonly #env: Env;
  readonly #path: string;
  #failed = false;

  private constructor(fd: number, path: string, env: Env) {
    this.#fd = fd;
    this.#path = path;
    this.#env = env;
  }

  /** Begins anew at `path`, where only the owner may look. Throws Error. */
  static async begin(path: string, env: Env): Promise<Dump> {
    await Deno.remove(path).catch(() => {});
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    const fd = sys.openat(AT_FDCWD, cstring(path), flags, 0o600);
    if (fd >= 0) return new Dump(fd, path, env);
    throw new Error(`Cannot keep requests in "${path}": ${fopError(fd).message}`);
  }

  /** Keeps a request. */
  received(message: Uint8Array): void {
    this.#keep("R", message);
  }

  /** The same as `send`, and what it sent is kept. */
  keeping(send: Send): Send {
    return (bytes, size) => {
      const sent = send(bytes, size);
      if (sent >= 0) this.#keep("W", bytes.subarray(0, size));
      return sent;
    };
  }

  /** The same for what is sent by another thread. */
  keepingAsync<T extends Uint8Array>(
    send: (bytes: T, size: number) => Promise<number>,
  ): (bytes: T, size: number) => Promise<number> {
    return async (bytes, size) => {
      const sent = await send(bytes, size);
      if (sent >= 0) this.#keep("W", bytes.subarray(0, size));
      return sent;
    };
  }

  /** Ends it. */
  close(): void {
    sys.close(this.#fd);
  }

  #keep(way: "R" | "W", message: Uint8Array): void {
    if (this.#failed) return;
    const bytes = new Uint8Array(HEAD + message.length), view = new DataView(bytes.buffer);
    const now = this.#env.clock.now();
    const seconds = Math.floor(now / 1000);
    bytes[0] = way.charCodeAt(0);
    view.setUint32(1, 3, true);
    view.setUint32(5, 16, true);
    view.setBigUint64(9, BigInt(seconds), true);
    view.setUint32(17, Math.round((now - seconds * 1000) * 1e6), true);
    view.setUint32(21, 12, true);
    bytes.set(SIGNATURE, 25);
    bytes.set(message, HEAD);
    const written = sys.write(this.#fd, bytes, bytes.length);
    if (written === bytes.length) return;
    // Behind half a message nothing could be read.
    this.#failed = true;
    const why = written < 0 ? fopError(written).message : "no room";
    this.#env.log.error("requests are not kept any more", { file: this.#path, why });
  }
}
