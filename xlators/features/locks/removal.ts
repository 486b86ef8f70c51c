/**
 * Removing an inode that other clients have locked waits until they are done: a write that holds
 * its lock must not lose its file half way, on some bricks and not on others. While a removal is
 * under way or waits, applications get no new inode lock there, unless their client has one
 * already. Source: features/locks `pl_inode_remove_prepare`, `pl_inode_remove_inodelk`.
 */

import type { Client } from "core/call.ts";
import { ENOTCONN, type FopError } from "core/errno.ts";
import type { Gfid } from "core/inode.ts";
import type { DomainTable } from "xlators/features/locks/domain_table.ts";
import type { Holder } from "xlators/features/locks/holder.ts";
import type { Inodelk } from "xlators/features/locks/inodelk.ts";

interface Waiter {
  readonly client: Client;
  proceed(): void;
  fail(error: FopError): void;
}

interface Removal {
  /** Removals that wait or run. */
  users: number;
  running: number;
  waiting: Waiter[];
}

/** Removals under way or waiting, by inode. */
export class Removals {
  readonly #inodelks: DomainTable<Inodelk>;
  readonly #mustBeHere: (client: Client) => void;
  #inodes = new Map<Gfid, Removal>();

  /** `mustBeHere` throws ENOTCONN for a client that went away. */
  constructor(inodelks: DomainTable<Inodelk>, mustBeHere: (client: Client) => void) {
    this.#inodelks = inodelks;
    this.#mustBeHere = mustBeHere;
  }

  /** How many inodes are being removed. */
  get size(): number {
    return this.#inodes.size;
  }

  /** Calls `go` when no other client's application holds an inode lock on `gfid`. */
  async remove<R>(client: Client, gfid: Gfid, go: () => Promise<R>): Promise<R> {
    let removal = this.#inodes.get(gfid);
    if (!removal) this.#inodes.set(gfid, removal = { users: 0, running: 0, waiting: [] });
    removal.users++;
    try {
      for (;;) {
        const others = this.#inodelks.granted(gfid).filter((lock) => standsInTheWay(lock, client));
        if (!others.length) break;
        this.#mustBeHere(client);
        const turn = Promise.withResolvers<void>();
        removal.waiting.push({ client, proceed: turn.resolve, fail: turn.reject });
        this.#inodelks.tell(others);
        await turn.promise;
      }
      removal.running++;
      try {
        return await go();
      } finally {
        removal.running--;
      }
    } finally {
      if (--removal.users === 0) {
        this.#inodes.delete(gfid);
        this.#inodelks.wake(gfid);
      }
    }
  }

  /** True if a removal of `gfid` waits for locks. */
  waits(gfid: Gfid): boolean {
    return (this.#inodes.get(gfid)?.waiting.length ?? 0) > 0;
  }

  /** True if a removal makes `lock` wait. */
  pauses(lock: Holder & { readonly gfid: Gfid }): boolean {
    const removal = this.#inodes.get(lock.gfid);
    if (!removal || lock.pid < 0) return false;
    if (removal.running > 0) return true;
    return !this.#inodelks.granted(lock.gfid).some((held) => held.client === lock.client);
  }

  /** Locks of an inode were dropped: removals that waited for them try again. */
  unlocked(gfid: Gfid): void {
    const removal = this.#inodes.get(gfid);
    if (!removal?.waiting.length) return;
    const held = this.#inodelks.granted(gfid);
    removal.waiting = removal.waiting.filter((waiter) => {
      if (held.some((lock) => standsInTheWay(lock, waiter.client))) return true;
      waiter.proceed();
      return false;
    });
  }

  /** `client` went away: its removals fail with ENOTCONN, those that waited for it try again. */
  dropClient(client: Client): void {
    for (const [gfid, removal] of this.#inodes) {
      removal.waiting = removal.waiting.filter((waiter) => {
        if (waiter.client !== client) return true;
        waiter.fail(ENOTCONN);
        return false;
      });
      this.unlocked(gfid);
    }
  }
}

function standsInTheWay(lock: Inodelk, remover: Client): boolean {
  return lock.client !== remover && lock.pid >= 0;
}
