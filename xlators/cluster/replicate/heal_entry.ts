/**
 * Heals the names of a directory. Copies that nobody blames know which names there are: the others get
 * what they have and lose what they have not. A name that only some of them have is from a change that
 * did not end, and goes to all. If every copy is blamed, what most copies have under a name is right
 * where no change counts that most do not have, and it takes all copies to tell; else nothing is lost:
 * all get all names. Names are locked one by one, clients work on the others meanwhile.
 */

import { FopError } from "core/errno.ts";
import type { Gfid, Inode } from "core/inode.ts";
import { isDirectory } from "core/iatt.ts";
import { Window } from "core/lib/window.ts";
import {
  blamedSince,
  type Direction,
  directionOf,
  type Testimonies,
} from "xlators/cluster/replicate/heal_direction.ts";
import type { Choice, Outcome } from "xlators/cluster/replicate/heal_data.ts";
import { differingNames, listNames } from "xlators/cluster/replicate/heal_listing.ts";
import { inspect, unmark } from "xlators/cluster/replicate/heal_inspect.ts";
import { lockName } from "xlators/cluster/replicate/heal_locks.ts";
import {
  type DirectoryHeal,
  healName,
  type NameOutcome,
} from "xlators/cluster/replicate/heal_names.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";

/** Names that are healed at once. */
const NAMES_AT_ONCE = 8;

/** How a directory is healed. */
export interface EntryOptions {
  /** Looks at all names even if nobody is blamed, and brings what is missing anywhere. */
  readonly full?: boolean;
  /** See `DirectoryHeal`. */
  readonly last?: boolean;
  /** Gets files that are to be healed next. */
  readonly found: Set<Gfid>;
}

/** What became of a directory; "later": others are to be healed first. */
export type EntryOutcome = Outcome | "later";

/**
 * Heals one name of directory `inode`, by what marks tell of its copies now, else by `choice`. Throws
 * what the copies fail with.
 */
export async function healNameOf(
  set: HealSet,
  inode: Inode,
  name: string,
  { found, choice }: Pick<EntryOptions, "found"> & { readonly choice?: Choice | undefined },
): Promise<NameOutcome> {
  const { told } = await inspect(set, inode, set.all);
  const here = set.all.filter((index) => told[index]);
  if (here.length < set.count) return "left";
  return await healName(directoryHeal(set, inode, told, here, { found, choice }), name);
}

function entryDirection({ arbiter, majority }: HealSet, told: Testimonies): Direction {
  return directionOf(told, "entry", { arbiter, majority, differ: () => false });
}

function directoryHeal(
  set: HealSet,
  parent: Inode,
  told: Testimonies,
  here: readonly number[],
  { found, last = false, choice }: EntryOptions & { readonly choice?: Choice | undefined },
): DirectoryHeal {
  const direction = entryDirection(set, told);
  const sources = sourcesOf(direction, here);
  const unfinished = direction.sources.some((index) => direction.dirty.includes(index));
  const isStillRight = async () => {
    const now = await inspect(set, parent, here);
    return sources.every((index) => !blamedSince(told, now.told, index, "entry"));
  };
  const { accused } = direction;
  const votes = set.majority && !direction.sources.length && accused.length === here.length;
  return {
    set,
    parent,
    sources,
    unfinished,
    votes,
    noted: notesOf(set, parent),
    here,
    isStillRight,
    found,
    last,
    choice,
  };
}

// Each copy's notes are asked once.
function notesOf(set: HealSet, inode: Inode): DirectoryHeal["noted"] {
  const asked = new Map<number, Promise<ReadonlySet<string>>>();
  return async (index, name) => {
    const notes = asked.get(index) ??
      differingNames(set, index, inode).then((names) => new Set(names));
    asked.set(index, notes);
    return (await notes).has(name);
  };
}

// Whose names count. Where a change did not end, it may be there or not: those without one decide.
function sourcesOf(
  { accused, sources, dirty }: Direction,
  here: readonly number[],
): readonly number[] {
  if (!accused.length) return here;
  const clean = sources.filter((index) => !dirty.includes(index));
  return [clean, sources, here].find((which) => which.length)!;
}

/** Heals the names of `inode`. */
export async function healEntries(
  set: HealSet,
  inode: Inode,
  options: EntryOptions,
): Promise<EntryOutcome> {
  await using alone = await lockName(set, set.healers, inode, "").tryAll();
  if (!alone) return "busy";
  if (alone.on.length < 2) return "left";
  let told, direction: Direction;
  {
    // Transactions that are under way end first: then marks say what they did.
    await using locked = await lockName(set, set.name, inode, "").wait();
    ({ told } = await inspect(set, inode, locked.on));
    direction = entryDirection(set, told);
  }
  const here = set.all.filter((index) => told[index]);
  if (here.length < 2) return "left";
  if (!isDirectory(told[here[0]!]!.stat)) return "left";
  const { accused, dirty } = direction;
  if (!accused.length && !dirty.length && !options.full) return "clean";
  const heal = directoryHeal(set, inode, told, here, options);
  const { sources } = heal;
  // Data marked on a directory: it is new, and names from before are noted nowhere.
  const whole = here.some((index) => told[index]!.marks.blames.some(({ data }) => data !== 0));
  const all = options.full || whole || !set.granular;
  const names = await namesOf(set, inode, here, all || !accused.length ? [] : sources);
  const window = new Window(NAMES_AT_ONCE);
  const outcomes = new Set<NameOutcome>();
  await Promise.all(names.map((name) =>
    window.run(async () => {
      outcomes.add(await healName(heal, name).catch(left));
    })
  ));
  for (const bad of ["split-brain", "left", "later"] as const) {
    if (outcomes.has(bad)) return bad;
  }
  await using _locked = await lockName(set, set.name, inode, "").wait();
  const now = await inspect(set, inode, here);
  const times = now.told[sources[0]!]?.stat;
  const behind = here.filter((index) => accused.includes(index));
  if (times && behind.length) {
    const { atime, atimeNsec, mtime, mtimeNsec } = times;
    const changes = {
      atime: { sec: atime, nsec: atimeNsec },
      mtime: { sec: mtime, nsec: mtimeNsec },
    };
    await set.ask(behind, (copy) => copy.setattr(set.call, { inode, changes }));
  }
  const clean = here.length === set.count;
  const done = await unmark(set, inode, "entry", told, { healed: here, clean });
  return done ? "healed" : "left";
}

function left(error: unknown): NameOutcome {
  if (error instanceof FopError) return "left";
  throw error;
}

// Names that some copy has; where all copies that are right listed those that differ, what any copy
// listed: of a change that failed a copy may know that is not right otherwise.
async function namesOf(
  set: HealSet,
  inode: Inode,
  here: readonly number[],
  sources: readonly number[],
): Promise<string[]> {
  const found = new Set<string>();
  const listed = await Promise.all(here.map((index) => differingNames(set, index, inode)));
  const granular = sources.length > 0 && sources.every((index) => listed[here.indexOf(index)]);
  if (granular) {
    for (const names of listed) for (const name of names ?? []) found.add(name);
    return [...found];
  }
  for (const index of here) {
    for await (const { name } of listNames(set, index, inode)) found.add(name);
  }
  return [...found];
}
