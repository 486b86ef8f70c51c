/** Epolls: descriptors that wait for others. */

import { O_CLOEXEC, sys } from "core/sys/calls.ts";

/** What `control` does with a descriptor. */
export const ADD = 1, DEL = 2, MOD = 3;
/** Events: it can be read, it can be written, it failed, its other end is gone; and each told once. */
export const EPOLLIN = 1, EPOLLOUT = 4, EPOLLERR = 8, EPOLLHUP = 16, EPOLLRDHUP = 0x2000;
export const EPOLLET = 0x80000000;
/** Size of an event, and where its number is: packed on x86 alone. */
const EVENT = Deno.build.arch === "x86_64" ? 12 : 16, DATA_AT = EVENT - 8;

/** A new epoll; negative if there is none. */
export function newEpoll(): number {
  return sys.epollCreate(O_CLOEXEC);
}

/** Adds, changes or removes `fd`, whose events carry `number`. False if the kernel refuses. */
export function control(
  epoll: number,
  what: typeof ADD | typeof DEL | typeof MOD,
  fd: number,
  events = 0,
  number = 0n,
): boolean {
  const event = new Uint8Array(EVENT);
  const view = new DataView(event.buffer);
  view.setUint32(0, events, true);
  view.setBigUint64(DATA_AT, number, true);
  return sys.epollCtl(epoll, what, fd, event) >= 0;
}

/** Events that an epoll tells of at once. Numbers must be descriptors. */
export class Events {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;

  constructor(private readonly most: number) {
    this.#bytes = new Uint8Array(EVENT * most);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Waits at most `ms` (-1: for ever); how many there are, or `-errno`. */
  wait(epoll: number, ms: number): number {
    return sys.epollWait(epoll, this.#bytes, this.most, ms, null, 8);
  }

  /** What happened to the `index`th. */
  events(index: number): number {
    return this.#view.getUint32(index * EVENT, true);
  }

  /** The `index`th descriptor. */
  fd(index: number): number {
    return this.#view.getInt32(index * EVENT + DATA_AT, true);
  }
}
