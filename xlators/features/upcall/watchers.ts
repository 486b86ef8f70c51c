/** Who accessed which file lately: the clients that hear of its changes. */

import { type Client, ROOT } from "core/call.ts";
import type { Clock } from "core/env.ts";
import { type CacheInvalidation, UP } from "core/events.ts";
import type { Iatt } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import type { Xdata } from "core/xdata.ts";

/** What a change was, for those who are told. */
export interface Detail {
  readonly stat?: Iatt | undefined;
  readonly parent?: Iatt | undefined;
  readonly oldParent?: Iatt | undefined;
  readonly xdata?: Xdata | undefined;
}

interface Watcher {
  readonly client: Client;
  /** Monotonic milliseconds of the last access. */
  at: number;
}

/** Most files that are watched; beyond it the one watched longest is given up with UP.FORGET. */
export const FILES_MAX = 65536;

/** The clients of each file, bounded in number and in time. */
export class Watchers {
  readonly #files = new Map<Gfid, Watcher[]>();
  readonly #clock: Clock;
  readonly #emit: (event: CacheInvalidation) => void;
  readonly #filesMax: number;
  #timeoutMs: number;

  /** Accesses count for `timeoutSec` seconds; `emit` takes the news. */
  constructor(
    clock: Clock,
    timeoutSec: number,
    emit: (event: CacheInvalidation) => void,
    filesMax = FILES_MAX,
  ) {
    this.#clock = clock;
    this.#timeoutMs = timeoutSec * 1000;
    this.#emit = emit;
    this.#filesMax = filesMax;
  }

  /** How many files are watched. */
  get size(): number {
    return this.#files.size;
  }

  /** Accesses count for that many seconds from now on. */
  setTimeoutSec(timeoutSec: number): void {
    this.#timeoutMs = timeoutSec * 1000;
  }

  /** `client` may have cached the file. */
  seen(client: Client, gfid: Gfid): void {
    // Layers of this process keep no caches that an upcall would clear.
    if (client === ROOT.client) return;
    const at = this.#clock.monotonic();
    const watchers = this.#files.get(gfid);
    if (!watchers) {
      this.#files.set(gfid, [{ client, at }]);
      if (this.#files.size > this.#filesMax) this.#giveUpOldest();
      return;
    }
    for (const watcher of watchers) {
      if (watcher.client === client) {
        watcher.at = at;
        return;
      }
    }
    watchers.push({ client, at });
  }

  /** `client` changed the file: all others who accessed it lately are told. */
  changed(client: Client, gfid: Gfid, flags: number, detail: Detail): void {
    const watchers = this.#files.get(gfid);
    if (watchers && (watchers.length > 1 || watchers[0]!.client !== client)) {
      this.#tell(gfid, flags, this.#live(watchers).filter((each) => each !== client), detail);
    }
    this.seen(client, gfid);
  }

  /** Forgets accesses that do not count any more. */
  sweep(): void {
    const from = this.#clock.monotonic() - this.#timeoutMs;
    for (const [gfid, watchers] of this.#files) {
      this.#keep(gfid, watchers, (watcher) => watcher.at >= from);
    }
  }

  /** Forgets a client that went away. */
  gone(client: Client): void {
    for (const [gfid, watchers] of this.#files) {
      this.#keep(gfid, watchers, (watcher) => watcher.client !== client);
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#files.clear();
  }

  #keep(gfid: Gfid, watchers: Watcher[], test: (watcher: Watcher) => boolean): void {
    if (watchers.every(test)) return;
    const kept = watchers.filter(test);
    if (kept.length) this.#files.set(gfid, kept);
    else this.#files.delete(gfid);
  }

  #live(watchers: readonly Watcher[]): Client[] {
    const from = this.#clock.monotonic() - this.#timeoutMs;
    return watchers.filter((watcher) => watcher.at >= from).map((watcher) => watcher.client);
  }

  #giveUpOldest(): void {
    for (const [gfid, watchers] of this.#files) {
      this.#files.delete(gfid);
      this.#tell(gfid, UP.FORGET, this.#live(watchers), {});
      return;
    }
  }

  #tell(gfid: Gfid, flags: number, clients: readonly Client[], detail: Detail): void {
    if (!clients.length) return;
    this.#emit({
      type: "cache-invalidation",
      clients,
      gfid,
      flags,
      expireSec: Math.ceil(this.#timeoutMs / 1000),
      stat: detail.stat,
      parent: detail.parent,
      oldParent: detail.oldParent,
      xdata: detail.xdata,
    });
  }
}
