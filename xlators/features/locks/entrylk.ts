/** Locks on names in a directory, by domain: what replicate serialises creates and removals with. */

import type { Call } from "core/call.ts";
import type { EntrylkContention } from "core/events.ts";
import type { Args } from "core/fops.ts";
import type { Gfid } from "core/inode.ts";
import type { DomainLock } from "xlators/features/locks/domain.ts";
import { holderOf, sameHolder } from "xlators/features/locks/holder.ts";

/** An entry lock: granted, waited for, or asked to be dropped. */
export interface Entrylk extends DomainLock {
  readonly gfid: Gfid;
  readonly domain: string;
  /** "" is every name. */
  readonly name: string;
  readonly type: "read" | "write";
}

/** The lock that a fop asks for, or asks to drop. Throws EINVAL. */
export function entrylkOf(
  call: Call,
  gfid: Gfid,
  { domain, name, type }: Pick<Args<"entrylk">, "domain" | "name" | "type">,
): Entrylk {
  const { client, owner, pid } = holderOf(call);
  return { client, owner, pid, gfid, domain, name, type };
}

/**
 * True if two holders cannot have both. The type does not matter: readers exclude each other as
 * writers do (features/locks `__conflicting_entrylks`).
 */
export function entrylksConflict(a: Entrylk, b: Entrylk): boolean {
  return a.name === b.name || a.name === "" || b.name === "";
}

/** True if an unlock `request` means `held`: same holder, name and type. */
export function entrylkMatches(held: Entrylk, request: Entrylk): boolean {
  return held.name === request.name && held.type === request.type && sameHolder(held, request);
}

/** What the holder of `held` hears when another waits for it. */
export function entrylkNotice(
  { client, gfid, domain, name, type, pid }: Entrylk,
): EntrylkContention {
  return { type: "entrylk-contention", client, gfid, domain, name, lockType: type, pid };
}
