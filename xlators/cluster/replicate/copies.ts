/** What all parts of replicate share: the copies by number, which are up, quorum, and what is known of inodes. */

import type { Call, LkOwner } from "core/call.ts";
import type { Env } from "core/env.ts";
import {
  EAGAIN,
  EBADFD,
  ENODATA,
  ENOENT,
  ENOSPC,
  ENOTCONN,
  ESTALE,
  type FopError,
} from "core/errno.ts";
import { Fd, type Inode, type InodeTable, PerInode } from "core/inode.ts";
import { toHex } from "core/lib/bytes.ts";
import { intKey, Xdata, type XKey } from "core/xdata.ts";
import type { Node, Settled, Xlator } from "core/xlator.ts";
import {
  countOf,
  type Judgement,
  type MarkKeys,
  tellSame,
} from "xlators/cluster/replicate/blame.ts";
import type { ReplicateValues } from "xlators/cluster/replicate/options.ts";
import { InodeState } from "xlators/cluster/replicate/inode_state.ts";
import { Unmarked } from "xlators/cluster/replicate/unmarked.ts";
import type { FileLock } from "xlators/cluster/replicate/write.ts";

/** See the head of this file. */
export class Copies {
  readonly name: string;
  readonly all: readonly Xlator[];
  readonly env: Env;
  readonly inodes: InodeTable;
  readonly keys: MarkKeys;
  /** What copies are called in marks, by number. */
  readonly names: readonly string[];
  /** Number of the copy without data. */
  readonly arbiter: number | undefined;
  /** False from when a copy says it is away until it says it is back. */
  readonly up: boolean[];
  /** How often each copy came or went: one that did may have lost what was not synced. */
  readonly turns: number[];
  /** Whether its brick serves requests that carry locks (`core/carried_locks.ts`). */
  readonly carries: boolean[];
  /** Files that were made last were written, too: the next ones come with their locks. */
  writesNew = false;
  /** Grows whenever a copy comes or goes: what was known before is looked at anew. */
  generation = 1;
  /** A copy said that something waits for heal, or one was away since it was last asked. */
  needsHeal = true;
  values: ReplicateValues;
  /** Grows whenever something happened to any inode that an answer under way cannot tell. */
  doubts = 0;
  /** Milliseconds that a choice of a copy to read lasts. */
  choiceMs = 5 * 60_000;
  /** Changes that healers have to hear of. */
  readonly unmarked: Unmarked = new Unmarked(this);
  /** Files that are being written. */
  readonly locks = new Set<FileLock>();
  #states = new PerInode<InodeState>();
  #last: Judgement | undefined;
  readonly #doubted = () => void this.doubts++;
  #working = new Set<Promise<unknown>>();

  constructor(node: Node, values: ReplicateValues) {
    this.name = node.name;
    this.all = node.children;
    this.env = node.env;
    this.inodes = node.inodes;
    this.values = values;
    const given = values["afr-pending-xattr"];
    const names = given.length ? given : node.children.map(({ name }) => name);
    if (names.length !== node.children.length) {
      throw new RangeError(
        `Cannot build "${node.name}": option "afr-pending-xattr" names ${names.length} copies, ` +
          `there are ${node.children.length}`,
      );
    }
    if (values["arbiter-count"] === 1 && node.children.length < 3) {
      throw new RangeError(`Cannot build "${node.name}": an arbiter needs two copies beside it`);
    }
    this.names = names;
    this.keys = {
      pending: names.map((name) => `trusted.afr.${name}`),
      dirty: values["afr-dirty-xattr"],
    };
    this.arbiter = values["arbiter-count"] === 1 ? node.children.length - 1 : undefined;
    this.up = node.children.map(() => true);
    this.turns = node.children.map(() => 0);
    this.carries = node.children.map(() => false);
  }

  get count(): number {
    return this.all.length;
  }

  /** Numbers of all copies. */
  numbers(): number[] {
    return this.all.map((_, index) => index);
  }

  /** Names the copy came or went; what is known of inodes is looked at anew. */
  turn(index: number, up: boolean): void {
    this.up[index] = up;
    this.turns[index]!++;
    this.generation++;
    this.needsHeal = true;
    // Who went may come back without what was not synced: it is blamed now, not in a second.
    if (!up) { for (const lock of this.locks) lock.yield(); }
  }

  /** True if changes need a quorum. */
  get quorumOn(): boolean {
    return this.#quorum() !== 0;
  }

  /** How it is told whether there is one. */
  get quorumType(): "none" | "auto" | "fixed" {
    const { "quorum-type": type } = this.values;
    return type !== "default" ? type : this.count >= 3 ? "auto" : "none";
  }

  // Copies that must agree; "auto" is more than half.
  #quorum(): number | "auto" {
    const { quorumType: type, values: { "quorum-count": count } } = this;
    return type === "auto" ? "auto" : type === "fixed" ? count : 0;
  }

  /** True if `which` are enough to change, or to believe, something. */
  hasQuorum(which: readonly boolean[]): boolean {
    const quorum = this.#quorum(), count = countOf(which);
    if (quorum !== "auto") return count >= quorum;
    // Of two halves, the one with the first copy wins.
    return count * 2 === this.count ? which[0] === true : count * 2 > this.count;
  }

  /** Throws ENOTCONN if too few copies are up. */
  checkQuorum(): void {
    if (!this.up.includes(true) || this.quorumOn && !this.hasQuorum(this.up)) throw ENOTCONN;
  }

  /** What is known of an inode. */
  stateOf(inode: Inode): InodeState {
    let state = this.#states.get(inode);
    if (!state) this.#states.set(inode, state = new InodeState(this.#doubted));
    return state;
  }

  /** What is to be kept of it: of most inodes the same is known, and one object tells it. */
  shared(judgement: Judgement): Judgement {
    if (!this.#last || !tellSame(this.#last, judgement)) this.#last = judgement;
    return this.#last;
  }

  /** The same call as a lock owner that nobody else is. */
  asLocker(call: Call): Call {
    return { ...call, lkOwner: toHex(this.env.random.bytes(8)) as LkOwner };
  }

  /** Lets `work` go on behind an answer that was given; `idle` waits for it. */
  behind(work: Promise<unknown>): void {
    const kept: Promise<unknown> = work.catch((error) => {
      this.env.log.error("replicate failed", { volume: this.name, error: String(error) });
    }).finally(() => this.#working.delete(kept));
    this.#working.add(kept);
  }

  /** Resolves when nothing is left to do behind answers. */
  async idle(): Promise<void> {
    while (this.#working.size) await Promise.all(this.#working);
  }
}

/** Failures by what they tell: the first of these that a copy gave is the answer of all. */
const TELLING: readonly FopError[] = [ENODATA, ENOENT, ESTALE, ENOSPC];

/** What all copies' failures together are; undefined if none failed. */
export function failureOf(
  answers: readonly (Settled<unknown> | undefined)[],
): FopError | undefined {
  let last: FopError | undefined;
  const failures = answers.flatMap((answer) => answer && !answer.ok ? [answer.error] : []);
  for (const telling of TELLING) {
    const found = failures.find((error) => telling.matches(error));
    if (found) return found;
  }
  for (const error of failures) if (!last || ENOTCONN.matches(last)) last = error;
  return last;
}

/**
 * True if all copies that were asked failed in the same way: they are still equal. Of a copy that is
 * gone nobody knows what it did.
 */
export function failedAlike(answers: readonly (Settled<unknown> | undefined)[]): boolean {
  let errno: number | undefined;
  for (const answer of answers) {
    if (!answer) continue;
    if (answer.ok || isGone(answer.error)) return false;
    if (errno !== undefined && errno !== answer.error.errno) return false;
    errno = answer.error.errno;
  }
  return errno !== undefined;
}

/** True if the copy could not be asked, or its answer did not arrive. */
export function isGone(error: unknown): boolean {
  return ENOTCONN.matches(error) || EBADFD.matches(error);
}

/** True if somebody else has the lock. */
export function isTaken(error: unknown): boolean {
  return EAGAIN.matches(error);
}

/** The reply of copy `prefer` if it is good, else of the first that is, the arbiter last. */
export function pick<T>(
  answers: readonly (Settled<T> | undefined)[],
  prefer: number | undefined,
  arbiter: number | undefined,
): T | undefined {
  const best = prefer === undefined ? undefined : answers[prefer];
  if (best?.ok) return best.value;
  const found = answers.find((answer, index) => answer?.ok && index !== arbiter) ??
    answers.find((answer) => answer?.ok);
  return found?.ok ? found.value : undefined;
}

/** `xdata` without `keys` that the caller did not ask. */
export function forCaller(
  xdata: Xdata | undefined,
  asked: Xdata | undefined,
  keys: readonly (XKey<unknown> | string)[],
): Xdata | undefined {
  if (!xdata) return undefined;
  const own = keys.filter((key) => xdata.has(key) && asked?.has(key) !== true);
  return own.length ? xdata.without(...own) : xdata;
}

/** A brick says so of a copy that its scrubber found damaged. */
export const BAD_INODE = intKey("glusterfs.bad-inode");
/** Whether `features/index` lists anything. */
export const INDEX_COUNT = "glusterfs.xattrop_index_count";

/** An inode, or an open file of each copy: where locks and marks are put. */
export interface Target {
  readonly inode: Inode;
  /** The copies' own fds, where open. */
  readonly fds?: readonly (Fd | undefined)[] | undefined;
}
