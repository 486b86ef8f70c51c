/**
 * Waiting for file descriptors at the price of one system call. On Deno's loop each thing that comes
 * costs 10 µs and more: an operation of Deno's for each read, its loop around it, and system calls
 * that do nothing but wake it.
 *
 * While something comes every few milliseconds, this loop waits itself: for its descriptors, and for
 * Deno's epoll beside them. It calls whoever watches a descriptor, lets promises go as far as they
 * get, and waits again. As soon as Deno has something to do (a call for the pool, a short timer, a
 * signal, a socket of its own), and after `TURN_MS` at the latest, Deno's loop goes on, and what comes
 * next comes as `Readable` tells. Deno's timers may be late by that time, short ones by `SHORT_TURN_MS`,
 * and by no more. A turn of Deno's costs as much as serving a request or two.
 *
 * Where promises cannot be let go, or Deno's epoll is not found, it never waits itself: descriptors
 * are looked at when Deno's loop, or a thread that polls, says so.
 */

import {
  type Descriptors,
  type Env,
  nextTurn,
  shortTimers,
  type Taken,
  type Watch,
} from "core/env.ts";
import { O_CLOEXEC, pool, sys } from "core/sys/calls.ts";
import { ADD, control, DEL, EPOLLIN, Events, MOD, newEpoll } from "core/sys/epoll.ts";
import { Readable } from "core/sys/readable.ts";
import { turn, turns } from "core/sys/turns.ts";

/** Deno's loop has its turn after so long, and after so long while short timers run. */
const TURN_MS = 20, SHORT_TURN_MS = 5;
/** Descriptors that are looked at in one go, and how many goes there are when Deno waits meanwhile. */
const EVENTS_MAX = 64, GOES_MAX = 64;
const CLOCK_MONOTONIC = 1, TFD_NONBLOCK = 0o4000;
const POLLIN = 1, EINTR = -4;
const NEVER = new BigInt64Array(4), AT_ONCE = new BigInt64Array([0n, 0n, 0n, 1n]);
const IN_A_TURN = inMilliseconds(TURN_MS), IN_A_SHORT_TURN = inMilliseconds(SHORT_TURN_MS);
/** How often somebody looks whether events were overlooked, and how many times that may be. */
const WATCH_MS = 1000, OVERLOOKED_MAX = 3;

/**
 * A wait that was over after fewer events cost more than it saved; so many turns go without. Few: where
 * one request in ten has to wait for a disk, most waits are short, and good all the same.
 */
const EVENTS_WORTH = 2, TURNS_WITHOUT = 4;

/** Tells that a descriptor has become readable. */
export type Bell = Pick<Readable, "wait" | "close" | "pause" | "resume" | "take" | "deno">;
/** Makes one. */
export type MakeBell = (fd: number, clock: Env["clock"]) => Promise<Bell | undefined>;

type Ear = (events: number) => void;

/** See the head of this file. */
export class DescriptorLoop implements Descriptors {
  /** Resolves when it is known how it waits. */
  readonly started: Promise<void>;
  readonly #env: Pick<Env, "clock" | "log">;
  readonly #epoll = newEpoll();
  readonly #timer = sys.timerCreate(CLOCK_MONOTONIC, O_CLOEXEC | TFD_NONBLOCK);
  readonly #ears: (Ear | undefined)[] = [];
  readonly #events = new Events(EVENTS_MAX);
  readonly #pollfd = new Uint8Array(8);
  readonly #watch;
  readonly #ran;
  #bell: Bell | undefined;
  #letPromisesGo: (() => void) | undefined;
  #open = true;
  /** A wait was over since the last look. */
  #woken = false;
  #overlooked = 0;
  #turnsWithout = 0;

  /** Begins at once. `makeBell` is for tests. */
  constructor(env: Pick<Env, "clock" | "log">, makeBell: MakeBell = Readable.of) {
    this.#env = env;
    const view = new DataView(this.#pollfd.buffer);
    view.setInt32(0, this.#epoll, true);
    view.setInt16(4, POLLIN, true);
    control(this.#epoll, ADD, this.#timer, EPOLLIN, BigInt(this.#timer));
    this.started = this.#start(makeBell);
    this.#ran = this.started.then(() => this.#run());
    this.#watch = env.clock.every(WATCH_MS, () => this.#look());
  }

  watch(fd: number, ready: Ear): Watch {
    let wanted = 0;
    const want = (events: number) => {
      if (events === wanted) return;
      // The kernel tells of failures whatever is wanted: who wants nothing must not be there.
      const what = events === 0 ? DEL : wanted === 0 ? ADD : MOD;
      wanted = events;
      control(this.#epoll, what, fd, events, BigInt(fd));
    };
    this.#ears[fd] = ready;
    return {
      want,
      close: () => {
        want(0);
        if (this.#ears[fd] === ready) this.#ears[fd] = undefined;
      },
    };
  }

  take(fd: number): Taken | undefined {
    return this.#letPromisesGo && this.#bell?.take(fd);
  }

  /** Ends it. Nothing is watched any more, and sockets that were taken are given back. */
  async close(): Promise<void> {
    this.#open = false;
    this.#watch.cancel();
    this.#bell?.close();
    sys.timerSet(this.#timer, 0, AT_ONCE, null);
    await this.#ran;
  }

  async #start(makeBell: MakeBell): Promise<void> {
    const bell = await makeBell(this.#epoll, this.#env.clock);
    this.#letPromisesGo = await inTurn(microtasks);
    this.#bell = bell;
    if (!this.#open) bell?.close();
    else if (!bell) this.#env.log.info("a thread waits for descriptors");
  }

  async #run(): Promise<void> {
    while (this.#open) {
      if (this.#bell) await this.#bell.wait().catch(() => this.#trustThread());
      else await this.#polled();
      this.#woken = true;
      this.#overlooked = 0;
      await inTurn(() => this.#turn());
    }
    for (const fd of [this.#timer, this.#epoll]) sys.close(fd);
  }

  #turn(): void {
    if (!this.#open) return;
    if (!this.#bell || !this.#letPromisesGo || this.#turnsWithout-- > 0) this.#serve();
    else this.#turnsWithout = this.#stay(this.#bell) < EVENTS_WORTH ? TURNS_WITHOUT : 0;
  }

  // Waits for descriptors and for Deno's loop; how many events there were.
  #stay(bell: Bell): number {
    const { deno } = bell, epoll = this.#epoll, given = pool.calls, { set, over } = shortTimers;
    bell.pause();
    control(epoll, ADD, deno, EPOLLIN, BigInt(deno));
    const short = over > this.#env.clock.monotonic();
    sys.timerSet(this.#timer, 0, short ? IN_A_SHORT_TURN : IN_A_TURN, null);
    let served = 0;
    for (let stays = true; stays && this.#open;) {
      const count = this.#wait(-1);
      const others = this.#call(count);
      served += count - others;
      stays = count > 0 && others === 0 && pool.calls === given && shortTimers.set === set;
    }
    sys.timerSet(this.#timer, 0, NEVER, null);
    control(epoll, DEL, deno);
    if (this.#open) bell.resume();
    return served;
  }

  // Calls who watches what is ready now; how many there were.
  #serve(): number {
    let served = 0;
    for (let go = 0; go < GOES_MAX && this.#open; go++) {
      const count = this.#wait(0);
      if (count <= 0) break;
      this.#call(count);
      served += count;
    }
    return served;
  }

  // What comes next. After something that held this thread up, whether others had come meanwhile is told.
  #wait(timeout: number): number {
    if (!turns.held) return this.#events.wait(this.#epoll, timeout);
    turns.held = false;
    const count = this.#events.wait(this.#epoll, 0);
    turns.crowded = this.#isAwaited(count) ? turns.crowded + 1 : 0;
    return count !== 0 ? count : this.#events.wait(this.#epoll, timeout);
  }

  // Whether somebody watches one of so many events.
  #isAwaited(count: number): boolean {
    for (let i = 0; i < count; i++) {
      if (this.#ears[this.#events.fd(i)]) return true;
    }
    return false;
  }

  // Calls who watches each of so many events, and lets promises go; how many nobody watches.
  #call(count: number): number {
    let others = 0;
    const serve = () => {
      for (let i = 0; i < count; i++) {
        const ear = this.#ears[this.#events.fd(i)];
        if (ear) ear(this.#events.events(i));
        else others++;
      }
    };
    if (this.#letPromisesGo) turn(serve, this.#letPromisesGo);
    else serve();
    return others;
  }

  // On a thread: slow, and certain.
  async #polled(): Promise<void> {
    const result = await sys.ppollAsync(this.#pollfd, 1, null, null, 8);
    if (result < 0 && result !== EINTR) await this.#env.clock.delay(WATCH_MS);
  }

  // Nothing may ever stand still because a wait was not over: what was overlooked is served now.
  #look(): void {
    if (!this.#bell) return;
    const overlooked = this.#serve() > 0 && !this.#woken;
    this.#woken = false;
    if (overlooked && ++this.#overlooked >= OVERLOOKED_MAX) this.#trustThread();
  }

  #trustThread(): void {
    if (!this.#bell || !this.#open) return;
    this.#bell.close();
    this.#bell = undefined;
    this.#env.log.warn("a thread waits for descriptors from now on: events were overlooked");
  }
}

function inMilliseconds(ms: number): BigInt64Array<ArrayBuffer> {
  return new BigInt64Array([0n, 0n, 0n, BigInt(ms) * 1_000_000n]);
}

function inTurn<T>(run: () => T): Promise<T> {
  return new Promise((done) => nextTurn(() => done(run())));
}

// What lets promises go as far as they get; only where nothing of them is under way. Deno has it for
// its own use: it is tried, and if it is gone some day, this loop does without.
function microtasks(): (() => void) | undefined {
  const inner = Reflect.get(Deno, Reflect.get(Deno, "internal") ?? "") as
    | { core?: { runMicrotasks?: () => void } }
    | undefined;
  const run = inner?.core?.runMicrotasks;
  if (typeof run !== "function") return undefined;
  let steps = 0;
  const step = (): unknown => ++steps < 100 ? SETTLED.then(step) : undefined;
  SETTLED.then(step);
  run();
  return steps === 100 ? run : undefined;
}
const SETTLED = Promise.resolve();
