/**
 * Brings the transactions of a volume's sets of copies to rest, so that a snapshot finds all copies
 * equal. A cluster changes nothing before it has its lock at every brick of a set that it sees, and
 * bricks grant no new ones now: what is still under way is what is locked at all of them. Clients
 * that keep locks for later hear that they are in the way.
 *
 * A client that does not give its locks back is not waited for: the snapshot is then still all that
 * was acknowledged, and copies may differ in what was not, as after a crash of that client.
 */

import type { Clock } from "core/env.ts";
import type { Signature } from "rpc/program.ts";
import { heldLocks, quiesceLocks, resumeLocks } from "rpc/programs/quiet_ops.ts";

/** A brick that can be asked. */
export interface AskedBrick {
  /** Throws if it does not answer. */
  ask<A, R>(signature: Signature<A, R>, args: A): Promise<R>;
}

/** Bricks that hold copies of the same. */
export interface CopySet {
  /** The name of the set's layer in clients' graphs, which is the domain of its locks. */
  readonly domain: string;
  readonly bricks: readonly AskedBrick[];
}

/** How long to wait. */
export interface QuietLimits {
  /** One of a kind. */
  readonly id: string;
  readonly clock: Clock;
  /** Bricks grant locks again after that, whatever becomes of us. Milliseconds. */
  readonly timeoutMs: number;
  /** How long to wait for transactions to end. Milliseconds. */
  readonly patienceMs: number;
}

/** Between two looks. */
const LOOK_EVERY_MS = 2;

/** Answers whether all came to rest. Throws nothing: bricks that do not answer are left out. */
export async function quiesce(
  sets: readonly CopySet[],
  { id, clock, timeoutMs, patienceMs }: QuietLimits,
): Promise<boolean> {
  const deadline = clock.monotonic() + patienceMs;
  const asked = await Promise.all(sets.map(async ({ domain, bricks }) => {
    const order = { id, domains: [domain], timeoutMs };
    const answers = await Promise.all(
      bricks.map((brick) => orUndefined(brick.ask(quiesceLocks, order))),
    );
    return bricks.filter((_, index) => answers[index]?.errno === 0);
  }));
  let restless = asked;
  for (;;) {
    const looks = await Promise.all(restless.map((bricks) => rests(bricks, id)));
    restless = restless.filter((_, index) => !looks[index]);
    if (!restless.length) return true;
    if (clock.monotonic() >= deadline) return false;
    await clock.delay(LOOK_EVERY_MS);
  }
}

/** Lets bricks grant locks again. */
export async function resume(sets: readonly CopySet[], id: string): Promise<void> {
  const bricks = sets.flatMap((set) => set.bricks);
  await Promise.all(bricks.map((brick) => orUndefined(brick.ask(resumeLocks, { id }))));
}

/** Looks twice: a transaction that goes from one lock to the next may be seen with another at each brick. */
async function rests(bricks: readonly AskedBrick[], id: string): Promise<boolean> {
  return await isFree(bricks, id) && await isFree(bricks, id);
}

async function isFree(bricks: readonly AskedBrick[], id: string): Promise<boolean> {
  const answers = await Promise.all(
    bricks.map((brick) => orUndefined(brick.ask(heldLocks, { id }))),
  );
  const held = answers.filter((answer) => answer?.errno === 0).map((answer) => answer!.held);
  const [first = [], ...others] = held;
  const rest = others.map((locks) => new Set(locks));
  return !first.some((lock) => rest.every((locks) => locks.has(lock)));
}

async function orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch {
    return undefined;
  }
}
