/** The healer of a set of `cluster/replicate`, put together. */

import type { Decision, HealCounts, HealedSet, HealEntry, Healer, RightCopy } from "core/healer.ts";
import { EIO } from "core/errno.ts";
import type { Gfid } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { valueBytes } from "core/xdata.ts";
import { crawlAll, crawlIndex, listed } from "xlators/cluster/replicate/heal_crawl.ts";
import { clearAside } from "xlators/cluster/replicate/heal_anonymous.ts";
import { decideFile } from "xlators/cluster/replicate/heal_decide.ts";
import { type Need, needOf } from "xlators/cluster/replicate/heal_file.ts";
import { type LockCounts, lockCounts } from "xlators/cluster/replicate/heal_inspect.ts";
import { pathOn } from "xlators/cluster/replicate/heal_paths.ts";
import { HealSet } from "xlators/cluster/replicate/heal_set.ts";
import {
  anonymousOf,
  needsMajority,
  options,
  type ReplicateValues,
} from "xlators/cluster/replicate/options.ts";

/** Files that are healed at once. */
const FILES_AT_ONCE = 4;
const COUNT = "glusterfs.xattrop_index_count";

/** How a file is shown; undefined: not at all. `working`: this healer is at it. */
export function stateOf(
  need: Need,
  locks: LockCounts,
  working: boolean,
): HealEntry["state"] | undefined {
  switch (need) {
    case "split-brain":
      return need;
    case "heal":
      // GlusterFS's healers may be at it as well as this one.
      return working || locks.healers ? "healing" : "pending";
    case "busy":
      // Without a lock it is no change under way: its client ended in the midst of it.
      return locks.clients ? undefined : working ? "healing" : "pending";
    case "nothing":
    case "gone":
      return undefined;
  }
}

/** See the head of this file. */
export class ReplicateHealer implements Healer {
  readonly #set: HealSet;
  readonly #working = new Set<Gfid>();

  constructor({ name, copies, options: given, env, inodes }: HealedSet) {
    const values: ReplicateValues = readOptions(options, given);
    const named = values["afr-pending-xattr"];
    this.#set = new HealSet({
      name,
      copies,
      copyNames: named.length === copies.length ? named : copies.map((copy) => copy.name),
      arbiter: values["arbiter-count"] === 1,
      favorite: values["favorite-child-policy"],
      granular: values["granular-entry-heal"],
      anonymous: anonymousOf(values),
      majority: needsMajority(values, copies.length),
      env,
      inodes,
    });
  }

  get name(): string {
    return this.#set.name;
  }

  get copies(): readonly string[] {
    return this.#set.copies.map(({ name }) => name);
  }

  reconfigure(given: ReadonlyMap<string, string>): void {
    const values = readOptions(options, given);
    this.#set.favorite = values["favorite-child-policy"];
    this.#set.granular = values["granular-entry-heal"];
    this.#set.anonymous = anonymousOf(values);
    this.#set.majority = needsMajority(values, this.#set.count);
  }

  async healIndex(signal: AbortSignal): Promise<HealCounts> {
    const counts = await crawlIndex(this.#set, this.#crawl(signal));
    // Of what is below a directory another one may be waiting for some.
    if (!signal.aborted) await clearAside(this.#set, counts.failed ? "files" : "all");
    return counts;
  }

  healAll(signal: AbortSignal): Promise<HealCounts> {
    return crawlAll(this.#set, this.#crawl(signal));
  }

  #crawl(signal: AbortSignal) {
    return { filesAtOnce: FILES_AT_ONCE, signal, working: this.#working };
  }

  async *entries(copy: number): AsyncGenerator<HealEntry> {
    const set = this.#set;
    await this.count(copy);
    const seen = new Set<Gfid>();
    for await (const gfid of listed(set, copy)) {
      if (seen.has(gfid)) continue;
      seen.add(gfid);
      const { need, told } = await needOf(set, set.inodes.of(gfid));
      if (need === "nothing" || need === "gone") continue;
      const locks = await lockCounts(set, set.inodes.of(gfid));
      const state = stateOf(need, locks, this.#working.has(gfid));
      if (!state) continue;
      const owner = told[copy] ? copy : told.findIndex((each) => each !== undefined);
      yield { gfid, path: await pathOn(set, owner, set.inodes.of(gfid)), state };
    }
  }

  async count(copy: number): Promise<number> {
    const { call, copies, inodes } = this.#set;
    const { xattrs } = await copies[copy]!.getxattr(call, { inode: inodes.root, name: COUNT });
    const value = xattrs?.raw(COUNT);
    if (value?.type === "uint" || value?.type === "int") return Number(value.value);
    // GlusterFS's bricks send it as text.
    const text = value && new TextDecoder().decode(valueBytes(value)).replace(/\0.*/s, "");
    if (text === undefined || !/^\d+$/.test(text)) throw EIO;
    return Number(text);
  }

  decide(file: string, right: RightCopy): Promise<Decision> {
    return decideFile(this.#set, file, right);
  }
}
