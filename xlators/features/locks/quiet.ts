/** Times in which clusters get no new locks: `core/quiet_orders.ts`. */

import type { Clock, Timer } from "core/env.ts";
import { EEXIST, ETIMEDOUT } from "core/errno.ts";
import type { Client } from "core/call.ts";
import type { Gfid } from "core/inode.ts";
import type { HeldLock, QuietOrders } from "core/quiet_orders.ts";
import type { DomainTable } from "xlators/features/locks/domain_table.ts";
import type { Entrylk } from "xlators/features/locks/entrylk.ts";
import { type Holder, sameHolder } from "xlators/features/locks/holder.ts";
import { type Inodelk, METADATA_SUFFIX } from "xlators/features/locks/inodelk.ts";

interface Period {
  readonly domains: ReadonlySet<string>;
  readonly over: PromiseWithResolvers<void>;
  readonly timer: Timer;
}

/** What the periods look at. */
export interface QuietTables {
  readonly inodelks: DomainTable<Inodelk>;
  readonly entrylks: DomainTable<Entrylk>;
}

/** See the head of this file. */
export class Quiet implements QuietOrders {
  readonly #clock: Clock;
  readonly #tables: QuietTables;
  #periods = new Map<string, Period>();

  constructor(clock: Clock, tables: QuietTables) {
    this.#clock = clock;
    this.#tables = tables;
  }

  quiesce(id: string, domains: readonly string[], timeoutMs: number): void {
    if (this.#periods.has(id)) throw EEXIST;
    const { inodelks, entrylks } = this.#tables;
    const period = {
      domains: new Set(domains.flatMap((domain) => [domain, domain + METADATA_SUFFIX])),
      over: Promise.withResolvers<void>(),
      timer: this.#clock.after(timeoutMs, () => this.#end(id)),
    };
    this.#periods.set(id, period);
    inodelks.tellAtOnce(inodelks.held(period.domains));
    entrylks.tellAtOnce(entrylks.held(period.domains));
  }

  /** A change is done: of an inode, or of names in a directory. */
  changed(gfid: Gfid, client: Client): void {
    this.#tables.inodelks.changed(gfid, client);
    this.#tables.entrylks.changed(gfid, client);
  }

  /** Whether locks in a domain are in somebody's way, though nobody waits for them. */
  wants(domain: string | undefined): boolean {
    if (this.#periods.size === 0) return false;
    for (const { domains } of this.#periods.values()) {
      if (domain === undefined || domains.has(domain)) return true;
    }
    return false;
  }

  held(id: string): HeldLock[] {
    const { domains } = this.#period(id);
    const { inodelks, entrylks } = this.#tables;
    return [
      ...[...inodelks.held(domains)].map((
        { gfid, domain, owner, range: { start, end }, changes = 0 },
      ) => ({ lock: `${domain} ${gfid} ${owner} ${start}-${end}`, changes })),
      ...[...entrylks.held(domains)].map(({ gfid, domain, owner, name, changes = 0 }) => ({
        lock: `${domain} ${gfid} ${owner} /${name}`,
        changes,
      })),
    ];
  }

  resume(id: string): void {
    this.#period(id);
    this.#end(id);
  }

  /** Resolves when `lock` may be asked for; undefined: it may now. */
  wait(lock: Holder & { readonly domain: string }): Promise<void> | undefined {
    if (this.#periods.size === 0) return undefined;
    for (const { domains, over } of this.#periods.values()) {
      if (!domains.has(lock.domain) || this.#holds(lock, domains)) continue;
      return over.promise.then(() => this.wait(lock));
    }
    return undefined;
  }

  #period(id: string): Period {
    const period = this.#periods.get(id);
    if (!period) throw ETIMEDOUT;
    return period;
  }

  #end(id: string): void {
    const { over, timer } = this.#periods.get(id)!;
    timer.cancel();
    this.#periods.delete(id);
    over.resolve();
  }

  #holds(holder: Holder, domains: ReadonlySet<string>): boolean {
    for (const table of [this.#tables.inodelks, this.#tables.entrylks]) {
      for (const lock of table.held(domains)) if (sameHolder(lock, holder)) return true;
    }
    return false;
  }
}
