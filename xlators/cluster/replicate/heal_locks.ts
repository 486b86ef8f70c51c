/**
 * A healer's locks. Against other healers, in a domain of theirs: whoever finds it taken leaves the
 * file to the other. Against clients, in the domain of their transactions: waits, in the order that
 * clients keep, so that nobody waits for each other.
 */

import type { Call } from "core/call.ts";
import { EAGAIN } from "core/errno.ts";
import type { Flock } from "core/fops.ts";
import type { Inode } from "core/inode.ts";
import type { Xlator } from "core/xlator.ts";
import { type HealSet, succeeded } from "xlators/cluster/replicate/heal_set.ts";

/** Bytes from `start`; size 0n: all from there. */
export interface LockRange {
  readonly start: bigint;
  readonly size: bigint;
}

/** All of a file's data. */
export const ALL_DATA: LockRange = { start: 0n, size: 0n };
/** Attributes: a place beyond all data. */
export const ATTRIBUTES: LockRange = { start: 0x7ffffffffffffffen, size: 0n };

interface Lockee {
  take(copy: Xlator, wait: boolean): Promise<unknown>;
  drop(copy: Xlator): Promise<unknown>;
}

/** Copies that are locked until the answer is disposed of. */
export interface HealLock extends AsyncDisposable {
  readonly on: readonly number[];
}

/** A range of a file. */
export function lockRange(
  set: HealSet,
  domain: string,
  inode: Inode,
  range: LockRange,
): {
  readonly tryAll: () => Promise<HealLock | undefined>;
  readonly wait: () => Promise<HealLock>;
} {
  const locker: Call = set.locker();
  const ask = (copy: Xlator, cmd: "set" | "set-wait", type: Flock["type"]) => {
    const lock = { type, whence: 0, ...range, pid: locker.pid, owner: locker.lkOwner };
    return copy.inodelk(locker, { inode, domain, cmd, lock });
  };
  return ways(set, {
    take: (copy, wait) => ask(copy, wait ? "set-wait" : "set", "write"),
    drop: (copy) => ask(copy, "set", "unlock"),
  });
}

/** A name in a directory; "": all names. */
export function lockName(
  set: HealSet,
  domain: string,
  inode: Inode,
  name: string,
): {
  readonly tryAll: () => Promise<HealLock | undefined>;
  readonly wait: () => Promise<HealLock>;
} {
  const locker: Call = set.locker();
  const args = { inode, domain, name, type: "write" } as const;
  return ways(set, {
    take: (copy, wait) => copy.entrylk(locker, { ...args, cmd: wait ? "lock" : "try-lock" }),
    drop: (copy) => copy.entrylk(locker, { ...args, cmd: "unlock" }),
  });
}

/**
 * The names of a file on copy `index`, against other healers of ours: who has it may look how many there
 * are, and take one away; nothing else is waited for meanwhile. Undefined if the copy does not give it.
 */
export async function lockLinks(
  set: HealSet,
  index: number,
  inode: Inode,
): Promise<AsyncDisposable | undefined> {
  const locker: Call = set.locker(), domain = `${set.name}:links`;
  const ask = (cmd: "set" | "set-wait", type: Flock["type"]) => {
    const lock = { type, whence: 0, ...ALL_DATA, pid: locker.pid, owner: locker.lkOwner };
    return set.ask([index], (copy) => copy.inodelk(locker, { inode, domain, cmd, lock }));
  };
  const [answer] = (await ask("set-wait", "write")).slice(index);
  if (!answer!.ok) return undefined;
  return { [Symbol.asyncDispose]: async () => void await ask("set", "unlock") };
}

function ways(set: HealSet, lockee: Lockee) {
  return { tryAll: () => tryAll(set, lockee), wait: () => waitAll(set, lockee) };
}

// In order of the copies: of two healers that come at once one gets the first, and so all.
async function tryAll(set: HealSet, lockee: Lockee): Promise<HealLock | undefined> {
  const on: number[] = [];
  for (const index of set.all) {
    const [answer] = (await set.ask([index], (copy) => lockee.take(copy, false))).slice(index);
    if (answer!.ok) on.push(index);
    else if (EAGAIN.matches(answer!.error)) {
      await drop(set, lockee, on);
      return undefined;
    }
  }
  return held(set, lockee, on);
}

async function waitAll(set: HealSet, lockee: Lockee): Promise<HealLock> {
  const answers = await set.ask(set.all, (copy) => lockee.take(copy, false));
  const on = succeeded(answers);
  if (!answers.some((answer) => !answer.ok && EAGAIN.matches(answer.error))) {
    return held(set, lockee, on);
  }
  await drop(set, lockee, on);
  const waited: number[] = [];
  for (const index of set.all) {
    const answer = (await set.ask([index], (copy) => lockee.take(copy, true)))[index]!;
    if (answer.ok) waited.push(index);
  }
  return held(set, lockee, waited);
}

function held(set: HealSet, lockee: Lockee, on: readonly number[]): HealLock {
  return { on, [Symbol.asyncDispose]: () => drop(set, lockee, on) };
}

// What cannot be given up goes with the connection.
async function drop(set: HealSet, lockee: Lockee, on: readonly number[]): Promise<void> {
  await set.ask(on, (copy) => lockee.drop(copy));
}
