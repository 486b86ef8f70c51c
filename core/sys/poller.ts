/**
 * Waiting for file descriptors on the thread that serves them. Deno's own loop reads a socket
 * through a promise, and cannot wait for /dev/fuse at all: a thread of the pool has to, and each of
 * its answers costs two context switches. A process that lives from such descriptors waits here, in
 * one `epoll_wait` for all of them, and gives Deno its turn whenever anything is for it: what Deno
 * waits for is an epoll, too, and that can be waited for like any other descriptor.
 *
 * Timers are those of `clock`, which are ours. Should anybody have one of Deno's, its turn is at most
 * `LONGEST_MS` away.
 */

import { setImmediate } from "node:timers";
import type { Env, Poller, Watch } from "core/env.ts";
import { fopError } from "core/errno.ts";
import { decodeName } from "core/lib/bytes.ts";
import { AT_FDCWD, cstring, sys } from "core/sys/calls.ts";
import { PolledClock } from "core/sys/polled_clock.ts";

const EPOLL_CLOEXEC = 0o2000000;
const ADD = 1, DEL = 2, MOD = 3;
const EPOLLIN = 1, EPOLLOUT = 4, EPOLLERR = 8, EPOLLHUP = 16;
/** Events taken at once, and the size of one: packed on x86 alone. */
const EVENTS = 64, EVENT = Deno.build.arch === "x86_64" ? 12 : 16, DATA_AT = EVENT - 8;
const EINTR = -4;
/**
 * Turns that Deno gets, one after the other, after the last in which something was for it: while there
 * are turns to take, it looks at its epoll and at the time once in 61, and at what its threads have
 * done once in 31 (tokio's event_interval and global_queue_interval).
 */
const TURNS = 64;
/** Milliseconds that Deno waits for a turn at most. */
const LONGEST_MS = 1000;
/** Deno makes its epoll before anything else. */
const FDS_MAX = 64, EPOLL_LINK = "anon_inode:[eventpoll]";
/** Stands for Deno's own epoll among the descriptors that are watched. */
const DENO = 0xffffffff;

/** See the head of this file. */
export class EpollPoller implements Poller {
  /** The system's; timers of another clock may be late. */
  readonly clock = new PolledClock();
  readonly #epoll: number;
  readonly #deno: readonly number[];
  readonly #watches = new Map<number, EpollWatch>();
  readonly #events = new Uint8Array(EVENTS * EVENT);
  readonly #view = new DataView(this.#events.buffer);
  #turns = TURNS;
  #stopped = false;

  private constructor(epoll: number, deno: readonly number[]) {
    this.#epoll = epoll;
    this.#deno = deno;
    for (const fd of deno) control(epoll, ADD, fd, EPOLLIN, DENO);
    setImmediate(this.#turn);
  }

  /**
   * One for this thread, which lives until it is stopped; undefined where Deno's loop cannot be waited
   * for.
   */
  static start(): EpollPoller | undefined {
    const deno = denoEpolls();
    const epoll = deno.length ? sys.epollCreate(EPOLL_CLOEXEC) : -1;
    return epoll < 0 ? undefined : new EpollPoller(epoll, deno);
  }

  /** Waits no more, and nothing that is watched is told. */
  stop(): void {
    this.#stopped = true;
    sys.close(this.#epoll);
  }

  watch(fd: number, ready: (writable: boolean) => void): Watch {
    // A socket that Deno opened would wake Deno, too, for nothing.
    for (const epoll of this.#deno) sys.epollCtl(epoll, DEL, fd, null);
    const watch = new EpollWatch(this.#epoll, fd, ready, () => this.#watches.delete(fd));
    this.#watches.set(fd, watch);
    return watch;
  }

  // All that the last turn's events made runnable has run when the next turn begins.
  readonly #turn = () => {
    if (this.#stopped) return;
    const patience = this.#turns > 0 ? 0 : Math.ceil(Math.min(this.clock.untilNext(), LONGEST_MS));
    if (this.#turns > 0) this.#turns--;
    const count = sys.epollWait(this.#epoll, this.#events, EVENTS, patience, null, 8);
    if (count < 0 && count !== EINTR) throw fopError(count);
    // Nothing for that long, or a signal: Deno may know more.
    if (count < 0 || patience === LONGEST_MS) this.#turns = TURNS;
    for (let i = 0; i < count; i++) this.#event(i * EVENT);
    this.clock.fire();
    setImmediate(this.#turn);
  };

  #event(at: number): void {
    const events = this.#view.getUint32(at, true);
    const fd = this.#view.getUint32(at + DATA_AT, true);
    if (fd === DENO) this.#turns = TURNS;
    else this.#watches.get(fd)?.told(events);
  }
}

class EpollWatch implements Watch {
  readonly #epoll: number;
  readonly #fd: number;
  readonly #ready: (writable: boolean) => void;
  readonly #gone: () => void;
  #wanted = 0;

  constructor(epoll: number, fd: number, ready: (writable: boolean) => void, gone: () => void) {
    this.#epoll = epoll;
    this.#fd = fd;
    this.#ready = ready;
    this.#gone = gone;
  }

  // What nobody waits for is not in the epoll at all: there, a broken one would be told without end.
  want(readable: boolean, writable: boolean): void {
    const wanted = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);
    if (wanted === this.#wanted) return;
    const what = this.#wanted === 0 ? ADD : wanted === 0 ? DEL : MOD;
    this.#wanted = wanted;
    control(this.#epoll, what, this.#fd, wanted, this.#fd);
  }

  /** Errors are told to whoever waits: the next call on the descriptor says which. */
  told(events: number): void {
    const wanted = events & (EPOLLERR | EPOLLHUP) ? this.#wanted : this.#wanted & events;
    if (wanted & EPOLLIN) this.#ready(false);
    if (wanted & EPOLLOUT) this.#ready(true);
  }

  end(): void {
    this.want(false, false);
    this.#gone();
  }
}

function control(epoll: number, what: number, fd: number, events: number, data: number): void {
  const event = new Uint8Array(EVENT);
  const view = new DataView(event.buffer);
  view.setUint32(0, events, true);
  view.setUint32(DATA_AT, data, true);
  const done = sys.epollCtl(epoll, what, fd, event);
  if (done < 0) throw fopError(done);
}

/** `env` with a poller, whose clock it has; as it is where there can be none. Once in a process. */
export function withPoller(env: Env): Env {
  const poller = EpollPoller.start();
  return poller ? { ...env, clock: poller.clock, poller } : env;
}

// A process has only the main thread's, by two descriptors, while it starts.
function denoEpolls(): number[] {
  const text = new Uint8Array(64);
  const found: number[] = [];
  for (let fd = 3; fd < FDS_MAX; fd++) {
    const size = sys.readlinkat(AT_FDCWD, cstring(`/proc/self/fd/${fd}`), text, text.length);
    if (size > 0 && decodeName(text.subarray(0, size)) === EPOLL_LINK) found.push(fd);
  }
  return found;
}
