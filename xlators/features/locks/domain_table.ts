/** All domains of one kind of lock, by inode. Kept in a `Map`: locks outlive inode objects. */

import type { Client } from "core/call.ts";
import type { Env } from "core/env.ts";
import { EINVAL } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { DONE, type Empty } from "core/fops.ts";
import type { Gfid } from "core/inode.ts";
import { Contention } from "xlators/features/locks/contention.ts";
import { untilDeadline } from "xlators/features/locks/deadline.ts";
import {
  type Cleared,
  Domain,
  type DomainLock,
  type DomainRules,
  type Which,
} from "xlators/features/locks/domain.ts";
import { revocationReason } from "xlators/features/locks/revocation.ts";

/** A place for locks. */
export interface Place {
  readonly gfid: Gfid;
  readonly domain: string;
}

/** What the tables of both kinds share; read anew at every use, for options change. */
export interface DomainOptions {
  /** Tell holders of contention. */
  readonly notify: boolean;
  /** Seconds between two notices about a lock. */
  readonly notifyDelaySec: number;
  /** Seconds after which a lock in the way of a request is taken away; 0: never. */
  readonly revokeAfterSec: number;
  /** Waiters at which locks are taken away whatever their age; 0: never. */
  readonly revokeMaxBlocked: number;
  /** Taking away fails the waiters too. */
  readonly revokeAll: boolean;
}

/** One kind of lock. */
export interface DomainKind<L> {
  /** For the log: "inode lock". */
  readonly label: string;
  /** True if two holders cannot have both. */
  conflict(a: L, b: L): boolean;
  /** What to tell the holder of a lock that another waits for. */
  notice(held: L): GraphEvent;
  /** True if `lock` must wait whoever holds what. */
  paused(lock: L): boolean;
  /** Locks of an inode were granted or dropped. */
  changed(gfid: Gfid): void;
}

/** See the head of this file. */
export class DomainTable<L extends DomainLock & Place> {
  readonly #kind: DomainKind<L>;
  readonly #env: Env;
  readonly #options: () => DomainOptions;
  readonly #rules: DomainRules<L>;
  readonly #contention: Contention<L>;
  #inodes = new Map<Gfid, Map<string, Domain<L>>>();

  constructor(
    kind: DomainKind<L>,
    env: Env,
    emit: (event: GraphEvent) => void,
    options: () => DomainOptions,
  ) {
    this.#kind = kind;
    this.#env = env;
    this.#options = options;
    this.#contention = new Contention(env.clock, emit, (held) => kind.notice(held));
    this.#rules = {
      conflict: (a, b) => kind.conflict(a, b),
      contended: (held) => this.#contention.saw(held),
      paused: (lock) => kind.paused(lock),
      now: () => env.clock.now(),
    };
  }

  /** How many inodes have locks or waiters. */
  get size(): number {
    return this.#inodes.size;
  }

  /**
   * Grants `lock` now or later; fails with EAGAIN where it would wait and must not, with ETIMEDOUT
   * at `deadline` (monotonic milliseconds).
   */
  lock(lock: L, mayWait: boolean, deadline: number): Promise<Empty> {
    this.#revoke(lock);
    const domain = this.#make(lock);
    const answer = this.#settled(lock, domain.lock(lock, mayWait));
    if (!mayWait || lock.grantedAt !== undefined) return answer;
    return untilDeadline(this.#env.clock, deadline, answer, () => {
      domain.giveUp(lock);
      this.#settled(lock, undefined);
    });
  }

  /** Drops the youngest granted lock that `matches`; fails with EINVAL if there is none. */
  unlock(place: Place, matches: (lock: L) => boolean): Promise<Empty> {
    const found = this.at(place)?.unlock(matches) ?? false;
    return this.#settled(place, found ? Promise.resolve(DONE) : Promise.reject(EINVAL));
  }

  /** Drops what `client` holds, fails with ENOTCONN what it waits for. */
  drop(client: Client): void {
    for (const [gfid, domains] of this.#inodes) {
      for (const [domain, locks] of domains) {
        locks.drop(client);
        this.#settled({ gfid, domain }, undefined);
      }
    }
  }

  /** Clears locks in every domain of an inode; waiters fail with EAGAIN. */
  clear(gfid: Gfid, which: Which, matches: (lock: L) => boolean): Cleared {
    let blocked = 0, granted = 0;
    for (const [domain, locks] of this.#inodes.get(gfid) ?? []) {
      const cleared = this.#settled({ gfid, domain }, locks.clear(which, matches));
      blocked += cleared.blocked;
      granted += cleared.granted;
    }
    return { blocked, granted };
  }

  /** Grants what can be granted in all domains of an inode. */
  wake(gfid: Gfid): void {
    for (const locks of this.#inodes.get(gfid)?.values() ?? []) locks.wake();
    this.#contention.tell(this.#options());
  }

  /** Tells the holders of these granted locks that they are in the way. */
  tell(held: Iterable<L>): void {
    for (const lock of held) this.#contention.saw(lock);
    this.#contention.tell(this.#options());
  }

  /** The same, though they may have been told a moment ago. */
  tellAtOnce(held: Iterable<L>): void {
    if (!this.#options().notify) return;
    for (const lock of [...held]) this.#contention.tellAtOnce(lock);
  }

  /** Granted locks in these domains, of all inodes. */
  *held(domains: ReadonlySet<string>): Generator<L> {
    for (const inode of this.#inodes.values()) {
      for (const [domain, locks] of inode) if (domains.has(domain)) yield* locks.granted;
    }
  }

  /** `client` has changed something of an inode. */
  changed(gfid: Gfid, client: Client): void {
    const domains = this.#inodes.get(gfid);
    if (domains) { for (const locks of domains.values()) locks.changed(client); }
  }

  /** Granted and waiting locks of an inode, in one domain or in all. */
  count(gfid: Gfid, domain?: string): number {
    const domains = this.#inodes.get(gfid);
    if (!domains) return 0;
    if (domain !== undefined) return domains.get(domain)?.count ?? 0;
    let count = 0;
    for (const locks of domains.values()) count += locks.count;
    return count;
  }

  /** The domain at `place`, if anybody locks there. */
  at(place: Place): Domain<L> | undefined {
    return this.#inodes.get(place.gfid)?.get(place.domain);
  }

  /** Granted locks of an inode in all domains. */
  granted(gfid: Gfid): L[] {
    return [...this.#inodes.get(gfid)?.values() ?? []].flatMap((locks) => locks.granted);
  }

  /** Inodes with locks, each with its domains. */
  [Symbol.iterator](): IterableIterator<[Gfid, ReadonlyMap<string, Domain<L>>]> {
    return this.#inodes.entries();
  }

  #revoke(request: L): void {
    const options = this.#options();
    if (options.revokeAfterSec === 0) return;
    const domain = this.at(request);
    const reason = domain && revocationReason(domain, request, this.#rules, options);
    if (!reason) return;
    const cleared = domain.clear(options.revokeAll ? "all" : "granted", () => true);
    this.#env.log.warn(`${this.#kind.label}s revoked`, {
      reason,
      gfid: request.gfid,
      domain: request.domain,
      ...cleared,
    });
    this.#settled(request, undefined);
  }

  #make({ gfid, domain }: Place): Domain<L> {
    let domains = this.#inodes.get(gfid);
    if (!domains) this.#inodes.set(gfid, domains = new Map());
    let locks = domains.get(domain);
    if (!locks) domains.set(domain, locks = new Domain(this.#rules));
    return locks;
  }

  /** Ends an operation: nothing empty stays, holders hear of contention. */
  #settled<T>({ gfid, domain }: Place, answer: T): T {
    const domains = this.#inodes.get(gfid);
    if (domains?.get(domain)?.count === 0) {
      domains.delete(domain);
      if (domains.size === 0) this.#inodes.delete(gfid);
    }
    this.#kind.changed(gfid);
    this.#contention.tell(this.#options());
    return answer;
  }
}
