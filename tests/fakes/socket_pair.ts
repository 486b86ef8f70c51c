/** Two ends of a connection that Deno does not know. */

import { strictEqual as equal } from "node:assert/strict";
import { O_CLOEXEC, sys } from "core/sys/calls.ts";

const AF_UNIX = 1, SOCK_STREAM = 1, O_NONBLOCK = 0o4000;

/** The near end is `fd`; what is said there is said at the far end. */
export class SocketPair implements Disposable {
  readonly #fds = new Int32Array(2);
  readonly #bytes = new Uint8Array(64);

  constructor() {
    equal(sys.socketpair(AF_UNIX, SOCK_STREAM | O_CLOEXEC | O_NONBLOCK, 0, this.#fds), 0);
  }

  get fd(): number {
    return this.#fds[0]!;
  }

  /** At most 64 bytes. */
  say(count = 1): void {
    equal(sys.write(this.#fds[1]!, this.#bytes, count), count);
  }

  /** How many bytes there are; they are taken. */
  hear(): number {
    return Math.max(0, sys.read(this.fd, this.#bytes, 64));
  }

  /** The far end goes. */
  end(): void {
    sys.close(this.#fds[1]!);
  }

  [Symbol.dispose](): void {
    sys.close(this.fd);
  }
}
