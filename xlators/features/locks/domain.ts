/**
 * Locks of one domain on one inode: what is granted, and who waits in order of arrival. Inode locks
 * and entry locks differ only in what conflicts.
 *
 * A request is granted if it conflicts with no granted lock of another holder, and with no earlier
 * waiter either, so that readers in a row cannot starve a writer. One exception: who holds or waits
 * for a lock in this domain already may pass the waiters, for its earlier lock may be the very one
 * they wait for (self-heal takes nested locks). Source: features/locks `__lock_inodelk`,
 * `__lock_entrylk`.
 */

import type { Client } from "core/call.ts";
import { EAGAIN, ENOTCONN, ETIMEDOUT, type FopError } from "core/errno.ts";
import { DONE, type Empty } from "core/fops.ts";
import { type Holder, Holdings, sameHolder } from "xlators/features/locks/holder.ts";

/** A lock in a domain. */
export interface DomainLock extends Holder {
  /** Milliseconds since 1970 when it was granted; undefined as long as it waits. */
  grantedAt?: number | undefined;
  /** Milliseconds since 1970 when it began to wait; undefined if it never did. */
  waitsSince?: number | undefined;
  /** Changes by its holder's client, of what it is a lock of, that were done while it was held. */
  changes?: number;
}

/** What a domain needs to know about its kind of lock and about the world. */
export interface DomainRules<L extends DomainLock> {
  /** True if two holders cannot have both. */
  conflict(a: L, b: L): boolean;
  /** A request met `held`, which stands in its way. */
  contended(held: L): void;
  /** True if no application may get a lock now (the inode is being removed). */
  paused(lock: L): boolean;
  /** Milliseconds since 1970. */
  now(): number;
}

/** Which locks to clear. */
export type Which = "blocked" | "granted" | "all";

/** How many locks were cleared. */
export interface Cleared {
  readonly blocked: number;
  readonly granted: number;
}

interface Waiter<L> {
  readonly lock: L;
  grant(answer: Empty): void;
  fail(error: FopError): void;
}

const GRANTED: Promise<Empty> = Promise.resolve(DONE);

/** See the head of this file. */
export class Domain<L extends DomainLock> {
  readonly #rules: DomainRules<L>;
  #granted: L[] = [];
  #waiting: Waiter<L>[] = [];
  // Of granted locks and of waiters.
  #holdings = new Holdings();

  constructor(rules: DomainRules<L>) {
    this.#rules = rules;
  }

  /** Granted locks, oldest first. */
  get granted(): readonly L[] {
    return this.#granted;
  }

  /** Locks that are waited for, first come first. */
  get waiting(): readonly L[] {
    return this.#waiting.map((waiter) => waiter.lock);
  }

  /** Granted and waiting. */
  get count(): number {
    return this.#granted.length + this.#waiting.length;
  }

  /** Grants `lock`, now or later; fails with EAGAIN where it would wait and must not. */
  lock(lock: L, mayWait: boolean): Promise<Empty> {
    if (this.#grantable(lock)) {
      this.#grant(lock);
      return GRANTED;
    }
    if (!mayWait) return Promise.reject(EAGAIN);
    lock.waitsSince = this.#rules.now();
    return new Promise((grant, fail) => this.#queue({ lock, grant, fail }));
  }

  /** Fails `lock` with ETIMEDOUT if it still waits. */
  giveUp(lock: L): void {
    if (this.#fail((each) => each === lock, ETIMEDOUT)) this.wake();
  }

  /** Drops the youngest granted lock that `matches`; false if there is none. */
  unlock(matches: (lock: L) => boolean): boolean {
    const at = this.#granted.findLastIndex(matches);
    if (at < 0) return false;
    this.#holdings.remove(this.#granted[at]!);
    this.#granted.splice(at, 1);
    this.wake();
    return true;
  }

  /** `client` has changed something. */
  changed(client: Client): void {
    for (const lock of this.#granted) if (lock.client === client) lock.changes!++;
  }

  /** Drops all that `client` holds, fails all that it waits for with ENOTCONN. */
  drop(client: Client): void {
    const before = this.count;
    this.#revoke((lock) => lock.client === client);
    this.#fail((lock) => lock.client === client, ENOTCONN);
    if (this.count !== before) this.wake();
  }

  /** Drops locks whatever their holders think; waiters fail with EAGAIN. */
  clear(which: Which, matches: (lock: L) => boolean): Cleared {
    let blocked = 0, granted = 0;
    if (which !== "granted") blocked = this.#fail(matches, EAGAIN);
    if (which !== "blocked") granted = this.#revoke(matches);
    if (blocked || granted) this.wake();
    return { blocked, granted };
  }

  /** Grants, in order of arrival, what can be granted now. */
  wake(): void {
    const queue = this.#waiting;
    if (!queue.length) return;
    // Those still waiting come back one by one: a waiter gives way only to earlier ones.
    this.#waiting = [];
    for (const { lock } of queue) this.#holdings.remove(lock);
    for (const waiter of queue) {
      if (this.#grantable(waiter.lock)) {
        this.#grant(waiter.lock);
        waiter.grant(DONE);
      } else this.#queue(waiter);
    }
  }

  #grant(lock: L): void {
    lock.grantedAt = this.#rules.now();
    lock.changes = 0;
    this.#granted.push(lock);
    this.#holdings.add(lock);
  }

  #queue(waiter: Waiter<L>): void {
    this.#waiting.push(waiter);
    this.#holdings.add(waiter.lock);
  }

  #revoke(matches: (lock: L) => boolean): number {
    const before = this.#granted.length;
    this.#granted = this.#granted.filter((lock) => {
      if (!matches(lock)) return true;
      this.#holdings.remove(lock);
      return false;
    });
    return before - this.#granted.length;
  }

  #grantable(lock: L): boolean {
    if (this.#rules.paused(lock)) return false;
    let free = true;
    for (const held of this.#granted) {
      if (this.#rules.conflict(held, lock) && !sameHolder(held, lock)) {
        free = false;
        this.#rules.contended(held);
      }
    }
    if (!free) return false;
    return !this.#waiting.some((waiter) => this.#rules.conflict(waiter.lock, lock)) ||
      this.#holdings.has(lock);
  }

  #fail(matches: (lock: L) => boolean, error: FopError): number {
    const before = this.#waiting.length;
    this.#waiting = this.#waiting.filter((waiter) => {
      if (!matches(waiter.lock)) return true;
      this.#holdings.remove(waiter.lock);
      waiter.fail(error);
      return false;
    });
    return before - this.#waiting.length;
  }
}
