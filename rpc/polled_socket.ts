/**
 * A connection whose socket is read and written by system calls of ours, on the thread that waits for
 * it: half of what Deno's own socket costs for a small message. Deno makes the connection, names and
 * timeouts and all; its socket is then taken over.
 */

import type { Poller, Watch } from "core/env.ts";
import { fopError } from "core/errno.ts";
import { sys } from "core/sys/calls.ts";
import { socketBetween } from "rpc/liveness.ts";
import type { PeerAddress, Transport } from "rpc/transport.ts";

const EAGAIN = -11, EINTR = -4, EPIPE = -32, ECONNRESET = -104, ETIMEDOUT = -110;
const MSG_DONTWAIT = 0x40, MSG_NOSIGNAL = 0x4000;

interface Waiting<T> {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly resolve: (result: T) => void;
  readonly reject: (error: unknown) => void;
}

/** See the head of this file. */
export class PolledSocket implements Transport {
  readonly #fd: number;
  readonly #watch: Watch;
  readonly #close: () => void;
  #reading: Waiting<number | null> | undefined;
  #writing: Waiting<number> | undefined;
  #open = true;

  /** `fd` is a connected socket, and `close` closes it. */
  constructor(fd: number, readonly peer: PeerAddress, poller: Poller, close: () => void) {
    this.#fd = fd;
    this.#close = close;
    this.#watch = poller.watch(fd, (writable) => writable ? this.#write() : this.#read());
  }

  // Not tried at once: the answer to what was asked just now is not there yet.
  read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    if (!this.#open) return Promise.reject(new Deno.errors.Interrupted("closed"));
    return new Promise((resolve, reject) => {
      this.#reading = { bytes: into, resolve, reject };
      this.#wait();
    });
  }

  write(from: Uint8Array<ArrayBuffer>): Promise<number> {
    if (!this.#open) return Promise.reject(new Deno.errors.Interrupted("closed"));
    const sent = this.#send(from);
    if (sent > 0) return Promise.resolve(sent);
    if (sent !== EAGAIN) return Promise.reject(failure(sent));
    return new Promise((resolve, reject) => {
      this.#writing = { bytes: from, resolve, reject };
      this.#wait();
    });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watch.end();
    this.#close();
    const { reject: refuseRead } = this.#reading ?? {},
      { reject: refuseWrite } = this.#writing ?? {};
    this.#reading = this.#writing = undefined;
    const closed = new Deno.errors.Interrupted("closed");
    refuseRead?.(closed);
    refuseWrite?.(closed);
  }

  // Stays wanted from one read to the next; a reader that does not come back ends it in `#read`.
  #wait(): void {
    this.#watch.want(this.#reading !== undefined, this.#writing !== undefined);
  }

  #read(): void {
    const reading = this.#reading;
    if (!reading) return this.#wait();
    const { bytes, resolve, reject } = reading;
    const count = sys.recvfrom(this.#fd, bytes, bytes.length, MSG_DONTWAIT, null, null);
    if (count === EAGAIN || count === EINTR) return;
    this.#reading = undefined;
    if (count < 0) return reject(failure(count));
    resolve(count === 0 ? null : count);
  }

  #write(): void {
    const writing = this.#writing;
    if (!writing) return this.#wait();
    const sent = this.#send(writing.bytes);
    if (sent === EAGAIN) return;
    this.#writing = undefined;
    this.#wait();
    if (sent > 0) writing.resolve(sent);
    else writing.reject(failure(sent));
  }

  #send(bytes: Uint8Array<ArrayBuffer>): number {
    for (;;) {
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      const sent = sys.sendto(this.#fd, bytes, bytes.length, flags, null, 0);
      if (sent !== EINTR) return sent;
    }
  }
}

function failure(result: number): Error {
  const { message } = fopError(result);
  switch (result) {
    case ECONNRESET:
      return new Deno.errors.ConnectionReset(message);
    case EPIPE:
      return new Deno.errors.BrokenPipe(message);
    case ETIMEDOUT:
      return new Deno.errors.TimedOut(message);
    default:
      return new Error(message);
  }
}

/** Reads and writes the socket of `conn` from now on; undefined if it cannot be found. */
export function takeOver(
  conn: Deno.TcpConn,
  peer: PeerAddress,
  poller: Poller,
): PolledSocket | undefined {
  const fd = socketBetween(conn.localAddr, conn.remoteAddr);
  return fd === undefined ? undefined : new PolledSocket(fd, peer, poller, () => conn.close());
}
