/** Locks on byte ranges of an inode, by domain: what replicate and disperse serialise writes with. */

import type { Call } from "core/call.ts";
import { EOPNOTSUPP } from "core/errno.ts";
import type { InodelkContention } from "core/events.ts";
import type { Args, Flock } from "core/fops.ts";
import type { Gfid } from "core/inode.ts";
import type { DomainLock } from "xlators/features/locks/domain.ts";
import { type Holder, holderOf, sameHolder } from "xlators/features/locks/holder.ts";
import { LAST, overlaps, type Range, rangeOf } from "core/lib/ranges.ts";

/** What the domain of a metadata lock ends with. */
export const METADATA_SUFFIX = ":metadata";

/** An inode lock: granted, waited for, or asked to be dropped. */
export interface Inodelk extends DomainLock {
  readonly gfid: Gfid;
  readonly domain: string;
  readonly range: Range;
  /** As the client sent it. */
  readonly flock: Flock;
}

/** The lock that a fop asks for, or asks to drop. Throws EINVAL and EOPNOTSUPP. */
export function inodelkOf(
  call: Call,
  gfid: Gfid,
  { domain, cmd, lock }: Pick<Args<"inodelk">, "domain" | "cmd" | "lock">,
): Inodelk {
  const range = rangeOf(lock.start, lock.size);
  const { client, owner, pid } = holderOf(call);
  if (cmd === "get") throw EOPNOTSUPP;
  return { client, owner, pid, gfid, domain: domainOf(domain, range), range, flock: lock };
}

/**
 * Replicate's metadata lock is the range from 2^63 - 2 on; it is kept in a domain of its own, so
 * that counts in the data's domain do not see it (features/locks
 * `_pl_convert_volume_for_special_range`).
 */
function domainOf(domain: string, range: Range): string {
  if (range.start !== LAST - 1n || range.end !== LAST) return domain;
  return domain.endsWith(METADATA_SUFFIX) ? domain : domain + METADATA_SUFFIX;
}

/** True if two holders cannot have both. */
export function inodelksConflict(a: Inodelk, b: Inodelk): boolean {
  return (a.flock.type === "write" || b.flock.type === "write") && overlaps(a.range, b.range);
}

/** True if an unlock `request` means `held`: same holder, exactly the same range, any type. */
export function inodelkMatches(held: Inodelk, request: Holder & { readonly range: Range }) {
  return held.range.start === request.range.start && held.range.end === request.range.end &&
    sameHolder(held, request);
}

/** What the holder of `held` hears when another waits for it. */
export function inodelkNotice(
  { client, gfid, domain, flock, pid }: Inodelk,
): InodelkContention {
  return { type: "inodelk-contention", client, gfid, domain, lock: { ...flock, pid } };
}
