/** Who holds or wants a lock: a client and, within it, an owner that the client names. */

import type { Call, Client, LkOwner } from "core/call.ts";
import { EINVAL } from "core/errno.ts";

/** Somebody who locks; two are the same by client and owner, the process only tells daemons. */
export interface Holder {
  readonly client: Client;
  readonly owner: LkOwner;
  /** Process at the client; negative for daemons. */
  readonly pid: number;
}

/**
 * Who makes `call`. An owner of zeros or of no bytes is nobody and must not lock: EINVAL
 * (features/locks `pl_is_lk_owner_valid`).
 */
export function holderOf(call: Call): Holder {
  if (isNobody(call.lkOwner)) throw EINVAL;
  return { client: call.client, owner: call.lkOwner, pid: call.pid };
}

function isNobody(owner: LkOwner): boolean {
  for (let i = 0; i < owner.length; i++) if (owner.charCodeAt(i) !== 48) return false;
  return true;
}

/** True if both are the same owner at the same client: their locks never conflict. */
export function sameHolder(a: Holder, b: Holder): boolean {
  return a.client === b.client && a.owner === b.owner;
}

/** How many locks each holder has: asking does not take longer the more there are. */
export class Holdings {
  #counts = new Map<Client, Map<LkOwner, number>>();

  /** `holder` has one lock more. */
  add({ client, owner }: Holder): void {
    let owners = this.#counts.get(client);
    if (!owners) this.#counts.set(client, owners = new Map());
    owners.set(owner, (owners.get(owner) ?? 0) + 1);
  }

  /** The inverse of `add`. */
  remove({ client, owner }: Holder): void {
    const owners = this.#counts.get(client);
    const left = (owners?.get(owner) ?? 0) - 1;
    if (left > 0) return void owners!.set(owner, left);
    owners?.delete(owner);
    if (owners?.size === 0) this.#counts.delete(client);
  }

  /** True if `holder` has a lock. */
  has({ client, owner }: Holder): boolean {
    return this.#counts.get(client)?.has(owner) ?? false;
  }
}
