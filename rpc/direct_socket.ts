/**
 * A socket read and written by system calls of our own, as soon as it can be: no operation of
 * Deno's for each, and what is sent is under way when `write` returns. Deno made the socket and
 * closes it; it does not wait for it.
 */

import type { Descriptors, Taken, Watch } from "core/env.ts";
import { fopError } from "core/errno.ts";
import { sys } from "core/sys/calls.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT } from "core/sys/epoll.ts";
import type { PeerAddress, Transport } from "rpc/transport.ts";

const MSG_DONTWAIT = 0x40, MSG_NOSIGNAL = 0x4000;
const EAGAIN = -11, EINTR = -4;
const FAILED = EPOLLERR | EPOLLHUP;

/** A read or write that waits. */
interface Waiting<T> {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** See the head of this file. */
export class DirectSocket implements Transport {
  readonly #conn: Deno.Conn;
  readonly #fd: number;
  readonly #taken: Taken;
  readonly #watch: Watch;
  #wanted = 0;
  #reading: Waiting<number | null> | undefined;
  #writing: Waiting<number> | undefined;
  #open = true;

  private constructor(
    conn: Deno.Conn,
    readonly peer: PeerAddress,
    fd: number,
    descriptors: Descriptors,
    taken: Taken,
  ) {
    this.#conn = conn;
    this.#fd = fd;
    this.#taken = taken;
    this.#watch = descriptors.watch(fd, (events) => this.#ready(events));
  }

  /** Takes over `conn`, whose descriptor is `fd`; undefined if it has to stay with Deno. */
  static of(
    conn: Deno.Conn,
    peer: PeerAddress,
    fd: number,
    descriptors: Descriptors,
  ): DirectSocket | undefined {
    const taken = descriptors.take(fd);
    return taken && new DirectSocket(conn, peer, fd, descriptors, taken);
  }

  /** Whether its descriptor is its own still. */
  get open(): boolean {
    return this.#open;
  }

  read(bytes: Uint8Array<ArrayBuffer>): Promise<number | null> {
    if (!this.#open) return Promise.reject(closed());
    return new Promise((resolve, reject) => {
      this.#reading = { bytes, resolve, reject };
      this.#want(EPOLLIN);
    });
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    if (!this.#open) return Promise.reject(closed());
    const sent = this.#send(bytes);
    if (sent >= 0) return Promise.resolve(sent);
    if (!isLater(sent)) return Promise.reject(failure(sent));
    return new Promise((resolve, reject) => {
      this.#writing = { bytes, resolve, reject };
      this.#want(EPOLLOUT);
    });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watch.close();
    this.#taken.giveBack();
    this.#conn.close();
    this.#reading?.reject(closed());
    this.#writing?.reject(closed());
  }

  #want(event: number): void {
    if (this.#wanted & event) return;
    this.#watch.want(this.#wanted |= event);
  }

  #ready(events: number): void {
    if (events & (EPOLLIN | FAILED)) this.#receive();
    if (events & (EPOLLOUT | FAILED)) this.#sendRest();
  }

  #receive(): void {
    const waiting = this.#reading;
    // Most reads are followed by one more: what is wanted changes only when one is not.
    if (!waiting) return this.#unwant(EPOLLIN);
    const { bytes, resolve, reject } = waiting;
    const count = sys.recvfrom(this.#fd, bytes, bytes.length, MSG_DONTWAIT, null, null);
    if (isLater(count)) return;
    this.#reading = undefined;
    if (count < 0) reject(failure(count));
    else resolve(count || null);
  }

  #sendRest(): void {
    const waiting = this.#writing;
    if (!waiting) return this.#unwant(EPOLLOUT);
    const sent = this.#send(waiting.bytes);
    if (isLater(sent)) return;
    this.#writing = undefined;
    this.#unwant(EPOLLOUT);
    if (sent < 0) waiting.reject(failure(sent));
    else waiting.resolve(sent);
  }

  #unwant(event: number): void {
    if (this.#wanted & event) this.#watch.want(this.#wanted &= ~event);
  }

  #send(bytes: Uint8Array<ArrayBuffer>): number {
    return sys.sendto(this.#fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, null, 0);
  }
}

function isLater(result: number): boolean {
  return result === EAGAIN || result === EINTR;
}

// As Deno's sockets fail: who uses one need not know which it is.
function failure(result: number): Error {
  return new Deno.errors.ConnectionReset(fopError(result).message);
}

function closed(): Error {
  return new Deno.errors.BadResource("the connection was closed");
}
