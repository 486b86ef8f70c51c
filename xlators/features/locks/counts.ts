/**
 * Counts of locks beside other answers: replicate and disperse ask with every write whether others
 * wait for their lock. Requests are taken out of what goes down; answers are counted after the fop.
 */

import type { Gfid } from "core/inode.ts";
import type { WithXdata } from "core/fops.ts";
import { type DictValue, intKey, Xdata, type XKey } from "core/xdata.ts";
import {
  ENTRYLK_COUNT,
  INODELK_COUNT,
  INODELK_DOM_COUNT,
  INODELK_DOM_PREFIX,
  MULTI_DOM_LK_COUNT,
  PARENT_ENTRYLK,
  POSIXLK_COUNT,
} from "core/xdata_keys.ts";

/** What can be counted; all counts are of granted and waiting locks. */
export interface Countable {
  /** Inode locks in one domain or in all. */
  inodelks(gfid: Gfid, domain?: string): number;
  /** Entry locks in all domains. */
  entrylks(gfid: Gfid): number;
  posixlks(gfid: Gfid): number;
  /** True if an entry lock on exactly this name is granted. */
  nameLocked(parent: Gfid, name: string): boolean;
}

const REQUESTS: readonly string[] = [
  INODELK_COUNT,
  INODELK_DOM_COUNT,
  ENTRYLK_COUNT,
  PARENT_ENTRYLK,
  POSIXLK_COUNT,
  MULTI_DOM_LK_COUNT,
].map((key) => key.name);

/** True if `xdata` asks for a count. */
export function asksCounts(xdata: Xdata | undefined): xdata is Xdata {
  if (xdata === undefined) return false;
  for (const name of REQUESTS) if (xdata.has(name)) return true;
  return false;
}

/** What is left of `xdata` for the layers below. */
export function withoutCounts(xdata: Xdata): Xdata | undefined {
  if (!xdata.has(MULTI_DOM_LK_COUNT)) return xdata.without(...REQUESTS);
  const domains = [...xdata.names()].filter((name) => name.startsWith(INODELK_DOM_PREFIX));
  return xdata.without(...REQUESTS, ...domains);
}

/** Where a fop worked. */
export interface Counted {
  /** Files or directories; with two (rename) the larger count is told. */
  readonly gfids: readonly Gfid[];
  /** Name that was looked up. */
  readonly parent?: Gfid | undefined;
  readonly name?: string;
}

/** `reply` with the counts that `asked` asks for. */
export function withCounts<R extends WithXdata>(
  reply: R,
  asked: Xdata,
  locks: Countable,
  at: Counted,
): R {
  const told = new Map<string, DictValue>();
  const tell = (key: XKey<number>, count: (gfid: Gfid) => number) => {
    let most = 0;
    for (const gfid of at.gfids) most = Math.max(most, count(gfid));
    told.set(key.name, key.write(most));
  };
  if (asked.has(PARENT_ENTRYLK) && at.parent !== undefined && at.name) {
    const locked = locks.nameLocked(at.parent, at.name) ? 1 : 0;
    told.set(PARENT_ENTRYLK.name, PARENT_ENTRYLK.write(locked));
  }
  if (asked.has(ENTRYLK_COUNT)) tell(ENTRYLK_COUNT, (gfid) => locks.entrylks(gfid));
  const domain = asked.get(INODELK_DOM_COUNT);
  if (domain !== undefined) tell(INODELK_COUNT, (gfid) => locks.inodelks(gfid, domain));
  if (asked.has(INODELK_COUNT)) tell(INODELK_COUNT, (gfid) => locks.inodelks(gfid));
  if (asked.has(POSIXLK_COUNT)) tell(POSIXLK_COUNT, (gfid) => locks.posixlks(gfid));
  if (asked.has(MULTI_DOM_LK_COUNT)) {
    for (const name of asked.names()) {
      const each = domainIn(name);
      if (each) tell(intKey(name), (gfid) => locks.inodelks(gfid, each));
    }
  }
  if (told.size === 0) return reply;
  const counts = new Xdata(told);
  return { ...reply, xdata: reply.xdata ? reply.xdata.merged(counts) : counts };
}

/** The domain that a key names: all after the first colon, for domains have colons of their own. */
function domainIn(name: string): string | undefined {
  if (!name.startsWith(INODELK_DOM_PREFIX)) return undefined;
  const colon = name.indexOf(":");
  return colon < 0 ? undefined : name.slice(colon + 1);
}
