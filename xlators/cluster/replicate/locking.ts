/**
 * Locks on all copies that are up: at once if nobody is in the way, else one after the other in the
 * order of the copies, waiting. So two clients never wait for each other.
 */

import type { Call } from "core/call.ts";
import { ENOTCONN, type FopError } from "core/errno.ts";
import type { Flock } from "core/fops.ts";
import type { Inode } from "core/inode.ts";
import { settle, type Settled } from "core/xlator.ts";
import { type Copies, failureOf, isTaken, type Target } from "xlators/cluster/replicate/copies.ts";

/** Something that every copy locks. */
export interface Lockee {
  /** Takes it on a copy; fails with EAGAIN if somebody has it and `wait` is not set. */
  take(index: number, wait: boolean): Promise<unknown>;
  drop(index: number): Promise<unknown>;
}

/** All of a file for data; a place beyond all data for attributes. */
export const DATA_RANGE = { start: 0n, size: 0n };
export const METADATA_RANGE = { start: 0x7ffffffffffffffen, size: 0n };

/** A range of an inode, in the layer's own domain. */
export function rangeLockee(
  copies: Copies,
  locker: Call,
  { inode, fds }: Target,
  range: { readonly start: bigint; readonly size: bigint },
): Lockee {
  const { name: domain } = copies;
  const ask = (index: number, cmd: "set" | "set-wait", type: Flock["type"]) => {
    const to = copies.all[index]!;
    const lock = { type, whence: 0, ...range, pid: locker.pid, owner: locker.lkOwner };
    if (!fds) return to.inodelk(locker, { inode, domain, cmd, lock });
    const fd = fds[index];
    return fd ? to.finodelk(locker, { fd, domain, cmd, lock }) : Promise.reject(ENOTCONN);
  };
  return {
    take: (index, wait) => ask(index, wait ? "set-wait" : "set", "write"),
    drop: (index) => ask(index, "set", "unlock"),
  };
}

/** A name in a directory; "" is all of it. */
export function nameLockee(copies: Copies, locker: Call, inode: Inode, name: string): Lockee {
  const args = { inode, domain: copies.name, name, type: "write" } as const;
  return {
    take: (index, wait) =>
      copies.all[index]!.entrylk(locker, { ...args, cmd: wait ? "lock" : "try-lock" }),
    drop: (index) => copies.all[index]!.entrylk(locker, { ...args, cmd: "unlock" }),
  };
}

/** Locks that were taken. */
export interface Held {
  /** Copies that have all of them. */
  readonly on: readonly boolean[];
  /** Gives them up; what cannot be given up goes with the connection. */
  release(): Promise<void>;
}

/**
 * Takes `lockees`, in the order that all clients keep. Throws if there is no copy that has all. Calls
 * `met` if somebody else has one of them.
 */
export async function lockAll(
  copies: Copies,
  lockees: readonly Lockee[],
  met?: () => void,
): Promise<Held> {
  const up = copies.numbers().filter((index) => copies.up[index]);
  if (!up.length) throw ENOTCONN;
  const pairs = lockees.flatMap((lockee) => up.map((index) => ({ lockee, index })));
  let answers: Settled<unknown>[] = await settle(
    pairs.map(({ lockee, index }) => lockee.take(index, false)),
  );
  const taken = () => pairs.filter((_, at) => answers[at]!.ok);
  if (answers.some((answer) => !answer.ok && isTaken(answer.error))) {
    met?.();
    await drop(taken());
    answers = [];
    for (const { lockee, index } of pairs) {
      const [answer] = await settle([lockee.take(index, true)]);
      answers.push(answer!);
    }
  }
  const has = taken();
  const on = copies.numbers().map((index) =>
    has.filter((pair) => pair.index === index).length === lockees.length
  );
  const release = () => drop(has);
  const enough = on.includes(true) && (!copies.quorumOn || copies.hasQuorum(on));
  if (enough) return { on, release };
  await release();
  throw failureOf(answers) ?? ENOTCONN as FopError;
}

/** Takes `lockee` on all copies that are up if nobody is in the way; else answers undefined, with nothing held. */
export async function tryAll(copies: Copies, lockee: Lockee): Promise<Held | undefined> {
  const up = copies.numbers().filter((index) => copies.up[index]);
  const answers = await settle(up.map((index) => lockee.take(index, false)));
  const has = up.filter((_, at) => answers[at]!.ok).map((index) => ({ lockee, index }));
  if (!has.length || has.length < up.length) {
    await drop(has);
    return undefined;
  }
  return { on: copies.numbers().map((index) => up.includes(index)), release: () => drop(has) };
}

/** `lockee`, which the copies in `on` have locked already. */
export function heldOn(lockee: Lockee, on: readonly boolean[]): Held {
  const pairs = on.flatMap((has, index) => has ? [{ lockee, index }] : []);
  return { on, release: () => drop(pairs) };
}

async function drop(pairs: readonly { lockee: Lockee; index: number }[]): Promise<void> {
  await Promise.allSettled(pairs.map(({ lockee, index }) => lockee.drop(index)));
}
