/** From what copies tell of each other to which is right and which are to be healed. No I/O. */

import { type Iatt, isDirectory } from "core/iatt.ts";
import type { Marks, Part } from "xlators/cluster/replicate/blame.ts";

/** What a copy that takes part in a heal tells. */
export interface Testimony {
  readonly stat: Iatt;
  readonly marks: Marks;
}

/** By number of the copy; undefined: it does not take part. */
export type Testimonies = readonly (Testimony | undefined)[];

/** Who heals whom. */
export interface Direction {
  /** Copies that are right, best first; none: split-brain. */
  readonly sources: readonly number[];
  /** Copies that are to become like them. */
  readonly sinks: readonly number[];
  /** Copies that some copy blames. */
  readonly accused: readonly number[];
  /** Copies with changes under way, or that were when their client ended. */
  readonly dirty: readonly number[];
}

/** True if copies differ in what `part` is about though nobody blames them. */
export type Differ = (one: Iatt, other: Iatt) => boolean;

/**
 * The direction of a heal of `part`. A copy that blames itself is not believed about others. If
 * nobody is blamed, copies that are dirty, or `differ`, follow the largest, then the one with most
 * changes under way, then the newest. The arbiter, which has no data, is the source only of what is
 * not data.
 *
 * If all are blamed, those are right that only a few blame, where `majority` says that this was for no
 * change that counts: a client that blamed and could not reach enough copies for it, or a healer that
 * could not take the blame off everywhere. That takes all copies to tell.
 */
export function directionOf(
  told: Testimonies,
  part: Part,
  { arbiter, differ, majority = false }: {
    readonly arbiter: number | undefined;
    readonly differ: Differ;
    readonly majority?: boolean;
  },
): Direction {
  const here = told.flatMap((each, index) => each ? [index] : []);
  const blames = (from: number, whom: number) => told[from]!.marks.blames[whom]?.[part] ?? 0;
  const isFool = (index: number) => blames(index, index) !== 0;
  const accusers = (whom: number) =>
    here.filter((from) => blames(from, whom) !== 0 && (!isFool(from) || from === whom));
  const accused = here.filter((whom) => accusers(whom).length);
  const dirty = here.filter((index) => told[index]!.marks.dirty[part] !== 0);
  let sources = here.filter((index) => !accused.includes(index));
  const hasPart = (index: number) => part !== "data" || index !== arbiter;
  let holders = sources.filter(hasPart);
  const split = !holders.length && majority && here.length === told.length;
  if (split) {
    holders = here.filter((index) => hasPart(index) && accusers(index).length * 2 < told.length);
    sources = holders;
  }
  const uncertain = split && holders.length > 0 ||
    holders.some((index) => dirty.includes(index)) ||
    holders.some((index) => differ(told[index]!.stat, told[holders[0]!]!.stat));
  if (uncertain && part === "data") sources = best(told, holders);
  else if (uncertain && part === "metadata") sources = newest(told, holders);
  const sinks = here.filter((index) => !sources.includes(index));
  return { sources, sinks, accused, dirty };
}

function best(told: Testimonies, holders: readonly number[]): number[] {
  const largest = most(holders, (index) => told[index]!.stat.size);
  const busiest = most(largest, (index) => told[index]!.marks.dirty.data);
  return most(busiest, (index) => timeOf(told[index]!.stat)).slice(0, 1);
}

function newest(told: Testimonies, holders: readonly number[]): number[] {
  const busiest = most(holders, (index) => told[index]!.marks.dirty.metadata);
  return busiest.slice(0, 1);
}

function most(which: readonly number[], value: (index: number) => number): number[] {
  const highest = Math.max(...which.map(value));
  return which.filter((index) => value(index) === highest);
}

function timeOf({ mtime, mtimeNsec }: Iatt): number {
  return mtime + mtimeNsec / 1e9;
}

/** True if a copy tells of more changes that `whom` missed than it did before. */
export function blamedSince(
  before: Testimonies,
  now: Testimonies,
  whom: number,
  part: Part,
): boolean {
  const count = (each: Testimony | undefined) => each?.marks.blames[whom]?.[part] ?? 0;
  return now.some((each, index) => count(each) > count(before[index]));
}

/** The copy that a policy makes the source of a split-brain; undefined if it cannot tell. */
export function favoriteOf(
  told: Testimonies,
  policy: "none" | "size" | "ctime" | "mtime" | "majority",
  arbiter: number | undefined,
): number | undefined {
  const here = told.flatMap((each, index) => each && index !== arbiter ? [index] : []);
  const only = (value: (stat: Iatt) => number) => {
    const found = most(here, (index) => value(told[index]!.stat));
    return found.length === 1 ? found[0] : undefined;
  };
  switch (policy) {
    case "none":
      return undefined;
    case "size":
      return here.some((index) => isDirectory(told[index]!.stat))
        ? undefined
        : only(({ size }) => size);
    case "mtime":
      return only(timeOf);
    case "ctime":
      return only(({ ctime, ctimeNsec }) => ctime + ctimeNsec / 1e9);
    case "majority":
      return majority(told, here);
  }
}

// More than half of all copies have the same size and time, in seconds, as GlusterFS counts them:
// clients that write without `storage.ctime` leave other fractions on each copy.
function majority(told: Testimonies, here: readonly number[]): number | undefined {
  return here.find((index) => {
    const { stat } = told[index]!;
    const alike = here.filter((other) => {
      const { stat: its } = told[other]!;
      return its.size === stat.size && its.mtime === stat.mtime;
    });
    return alike.length * 2 > told.length;
  });
}
