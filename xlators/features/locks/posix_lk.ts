/**
 * POSIX locks (fcntl, and flock as a lock of the whole file) of one inode. A holder's locks never
 * overlap each other: a new one replaces what it covers, splits what it cuts and joins what it
 * touches, as fcntl(2) says. Waiters are granted in order of arrival as soon as no granted lock of
 * another holder is in their way; unlike domain locks a request does not give way to waiters, as in
 * every kernel.
 */

import type { Client } from "core/call.ts";
import { EAGAIN, EINTR, ENOTCONN, type FopError } from "core/errno.ts";
import type { Flock, LkReply } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import type { Cleared, Which } from "xlators/features/locks/domain.ts";
import { type Holder, sameHolder } from "xlators/features/locks/holder.ts";
import { join, overlaps, type Range, sizeOf, touches, without } from "core/lib/ranges.ts";

/** A POSIX lock: granted, waited for, or a request. */
export interface PosixLock extends Holder {
  /** The file it was taken through: closed, the lock goes. */
  readonly fd: Fd;
  readonly range: Range;
  /** "unlock" only in requests. */
  readonly type: Flock["type"];
  /** True if asked for as mandatory: counts for reads and writes in mode "optimal". */
  readonly mandatory: boolean;
  /** Process as the client spells it in the lock itself. */
  readonly flockPid: number;
  /** Milliseconds since 1970 when it was granted, or when it began to wait. */
  readonly since: number;
}

/** The lock as an answer. */
export function flockOf({ type, range, flockPid, owner }: PosixLock): Flock {
  return {
    type,
    whence: 0,
    start: range.start,
    size: sizeOf(range),
    pid: flockPid,
    owner,
  };
}

/** True if `held` keeps another holder from getting `wanted`. */
export function posixLocksConflict(held: PosixLock, wanted: PosixLock): boolean {
  return wanted.type !== "unlock" && (held.type === "write" || wanted.type === "write") &&
    overlaps(held.range, wanted.range) && !sameHolder(held, wanted);
}

/**
 * The locks of an inode after `lock` (or an unlock) of a holder whom nobody is in the way of.
 * Locks of others stay as they are.
 */
export function placeLock(granted: readonly PosixLock[], lock: PosixLock): PosixLock[] {
  const placed: PosixLock[] = [];
  let range = lock.range;
  for (const held of granted) {
    if (!sameHolder(held, lock)) placed.push(held);
    else if (held.type === lock.type && held.mandatory === lock.mandatory) {
      if (touches(held.range, range)) range = join(held.range, range);
      else placed.push(held);
    } else if (overlaps(held.range, lock.range)) {
      for (const left of without(held.range, lock.range)) placed.push({ ...held, range: left });
    } else placed.push(held);
  }
  if (lock.type !== "unlock") placed.push({ ...lock, range });
  return placed;
}

/** A request that waits, with the lock as the client spelt it (clear-locks finds it by that). */
interface Waiter {
  lock: PosixLock;
  readonly asked: Flock;
  grant(): void;
  fail(error: FopError): void;
}

/** A read or write that mandatory locks hold up. */
export interface HeldUp {
  readonly client: Client;
  allowed(): boolean;
  proceed(): void;
  fail(error: FopError): void;
}

/** The locks of one inode, and who waits for them. */
export class PosixLocks {
  readonly #now: () => number;
  #granted: PosixLock[] = [];
  #waiting: Waiter[] = [];
  #heldUp: HeldUp[] = [];

  /** `now` answers milliseconds since 1970. */
  constructor(now: () => number) {
    this.#now = now;
  }

  get granted(): readonly PosixLock[] {
    return this.#granted;
  }

  get waiting(): readonly PosixLock[] {
    return this.#waiting.map((waiter) => waiter.lock);
  }

  /** Granted and waiting locks. */
  get count(): number {
    return this.#granted.length + this.#waiting.length;
  }

  get empty(): boolean {
    return this.count === 0 && this.#heldUp.length === 0;
  }

  /** The first granted lock of another holder that is in the way of `wanted`. */
  conflict(wanted: PosixLock): PosixLock | undefined {
    return this.#granted.find((held) => posixLocksConflict(held, wanted));
  }

  /** True if a lock, granted or waiting, was asked for through `fd`. */
  has(fd: Fd): boolean {
    return this.#granted.some((lock) => lock.fd === fd) ||
      this.#waiting.some((waiter) => waiter.lock.fd === fd);
  }

  /** Sets or drops `lock` now; fails with EAGAIN if another holder is in the way. */
  set(lock: PosixLock): void {
    if (this.conflict(lock)) throw EAGAIN;
    this.#granted = placeLock(this.#granted, lock);
    this.wake();
  }

  /**
   * Sets `lock` as soon as nobody is in the way; an aborted `signal` ends that with EINTR. What the
   * holder has in the range is dropped for the time of waiting: two readers that both want to
   * write would wait for each other for ever (features/locks `pl_send_prelock_unlock`).
   */
  wait(lock: PosixLock, asked: Flock, signal?: AbortSignal): Promise<LkReply> {
    if (this.conflict(lock)) {
      this.#granted = placeLock(this.#granted, { ...lock, type: "unlock" });
      this.wake();
    }
    if (!this.conflict(lock)) {
      this.set(lock);
      return Promise.resolve({ lock: asked });
    }
    if (signal?.aborted) return Promise.reject(EINTR);
    return new Promise((resolve, reject) => {
      const abort = () => this.giveUp(asked, EINTR);
      this.#waiting.push({
        lock,
        asked,
        grant: () => {
          signal?.removeEventListener("abort", abort);
          resolve({ lock: flockOf(lock) });
        },
        fail: (error) => {
          signal?.removeEventListener("abort", abort);
          reject(error);
        },
      });
      signal?.addEventListener("abort", abort);
    });
  }

  /**
   * Fails the request that was spelt as this very object, if it still waits. Whom it waited for
   * has the lock still: nobody can be woken, nothing is empty yet.
   */
  giveUp(asked: Flock, error: FopError): void {
    this.#fail((waiter) => waiter.asked === asked, error);
  }

  /** Lets a read or write wait until locks allow it. */
  holdUp(io: HeldUp): void {
    this.#heldUp.push(io);
  }

  /** Drops what was granted to `holder`; what it waits for, it still waits for. */
  dropHolder(holder: Holder): void {
    this.#keep((lock) => !sameHolder(lock, holder));
  }

  /** Drops what was granted through `fd`, fails with EAGAIN what is waited for through it. */
  dropFd(fd: Fd): void {
    this.#fail(({ lock }) => lock.fd === fd, EAGAIN);
    this.#keep((lock) => lock.fd !== fd);
  }

  /** Drops all of `client`; its waiters fail with ENOTCONN. */
  dropClient(client: Client): void {
    this.#fail(({ lock }) => lock.client === client, ENOTCONN);
    this.#heldUp = this.#heldUp.filter((io) => {
      if (io.client !== client) return true;
      io.fail(ENOTCONN);
      return false;
    });
    this.#keep((lock) => lock.client !== client);
  }

  /** Drops locks whatever their holders think; waiters fail with EINTR. */
  clear(which: Which, matches: (asked: Flock, holder: Holder) => boolean): Cleared {
    let blocked = 0, granted = 0;
    if (which !== "granted") {
      blocked = this.#fail((waiter) => matches(waiter.asked, waiter.lock), EINTR);
    }
    if (which !== "blocked") {
      granted = this.#keep((lock) => !matches(flockOf(lock), lock));
    }
    return { blocked, granted };
  }

  /** Hands a file's locks from one fd and client to another (a client that switched its graph). */
  move(from: Fd, to: Fd, client: Client): void {
    const moved = (lock: PosixLock) => lock.fd === from ? { ...lock, fd: to, client } : lock;
    this.#granted = this.#granted.map(moved);
    for (const waiter of this.#waiting) waiter.lock = moved(waiter.lock);
  }

  /** Grants, in order of arrival, what can be granted now, then lets reads and writes go on. */
  wake(): void {
    if (this.#waiting.length) {
      const queue = this.#waiting;
      this.#waiting = [];
      for (const waiter of queue) {
        if (this.conflict(waiter.lock)) this.#waiting.push(waiter);
        else {
          this.#granted = placeLock(this.#granted, { ...waiter.lock, since: this.#now() });
          waiter.grant();
        }
      }
    }
    if (this.#heldUp.length) {
      const held = this.#heldUp;
      this.#heldUp = [];
      for (const io of held) {
        if (io.allowed()) io.proceed();
        else this.#heldUp.push(io);
      }
    }
  }

  #keep(keeps: (lock: PosixLock) => boolean): number {
    const before = this.#granted.length;
    this.#granted = this.#granted.filter(keeps);
    const dropped = before - this.#granted.length;
    if (dropped) this.wake();
    return dropped;
  }

  #fail(matches: (waiter: Waiter) => boolean, error: FopError): number {
    const before = this.#waiting.length;
    this.#waiting = this.#waiting.filter((waiter) => {
      if (!matches(waiter)) return true;
      waiter.fail(error);
      return false;
    });
    return before - this.#waiting.length;
  }
}
