/**
 * Orders that let the transactions of clusters come to rest, on a brick's unix socket: what each does
 * says `core/quiet_orders.ts`. Only our bricks know it.
 */

import type { HeldLock } from "core/quiet_orders.ts";
import type { ProgramId, Signature } from "rpc/program.ts";
import { array, type Codec, i32, string, struct, u32, u53 } from "rpc/xdr.ts";

/** The number is of the range that RFC 5531 §13.1 leaves to users. */
export const QUIET_OPS_PROGRAM = { number: 0x206d7175, version: 1 } as const satisfies ProgramId;
/** As DUMP lists it. */
export const QUIET_OPS_NAME = "mortar quiet times";
/** Most held locks that an answer names. */
export const HELD_MAX = 65_536;

const ID_MAX = 64, DOMAIN_MAX = 4096, DOMAINS_MAX = 64, LOCK_MAX = 16_384;

const id = string(ID_MAX);

/** Whether an order was carried out: 0, or a Linux error number. */
export interface QuietAnswer {
  readonly errno: number;
}
/** The same with the locks that are held. */
export interface HeldAnswer extends QuietAnswer {
  readonly held: readonly HeldLock[];
}
const done: Codec<QuietAnswer> = struct({ errno: i32 });

function order<A, R>(procedure: number, args: Codec<A>, result: Codec<R>): Signature<A, R> {
  return { ...QUIET_OPS_PROGRAM, procedure, args, result };
}

/** No new locks in these domains, for `timeoutMs` at most. */
export const quiesceLocks = order(
  1,
  struct({ id, domains: array(string(DOMAIN_MAX), DOMAINS_MAX), timeoutMs: u32 }),
  done,
);

/** Which locks are held in the domains of `quiesceLocks`. */
export const heldLocks: Signature<{ readonly id: string }, HeldAnswer> = order(
  2,
  struct({ id }),
  struct({ errno: i32, held: array(struct({ lock: string(LOCK_MAX), changes: u53 }), HELD_MAX) }),
);

/** New locks again. */
export const resumeLocks = order(3, struct({ id }), done);
