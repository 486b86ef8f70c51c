/** Asks copies about a file and its marks, and takes marks off. */

import { ENOENT, ESTALE } from "core/errno.ts";
import type { Inode } from "core/inode.ts";
import { INODELK_DOM_PREFIX, MULTI_DOM_LK_COUNT } from "core/xdata_keys.ts";
import { intKey, ptr, withKey, Xdata } from "core/xdata.ts";
import {
  type Counts,
  countsBytes,
  marksIn,
  marksToAdd,
  type Part,
} from "xlators/cluster/replicate/blame.ts";
import type { Testimonies, Testimony } from "xlators/cluster/replicate/heal_direction.ts";
import { failures, type HealSet } from "xlators/cluster/replicate/heal_set.ts";

/** With the marks of a directory taken off: forget its names that differed. */
const PURGE_NAMES = intKey("glusterfs.xattrop-purge-index");

/** What copies tell of a file. */
export interface Inspection {
  readonly told: Testimonies;
  /** Copies that say that they do not have it. */
  readonly missing: readonly number[];
}

/** Asks the copies `which`. */
export async function inspect(
  set: HealSet,
  inode: Inode,
  which: readonly number[],
): Promise<Inspection> {
  const none = ptr(countsBytes({}));
  const xdata = Xdata.of([...set.keys.pending, set.keys.dirty].map((name) => [name, none]));
  const answers = await set.ask(which, (copy) => copy.lookup(set.call, { inode, name: "", xdata }));
  const told = answers.map((answer): Testimony | undefined =>
    answer.ok && answer.value.stat.gfid === inode.gfid
      ? { stat: answer.value.stat, marks: marksIn(answer.value.xdata, set.keys) }
      : undefined
  );
  const missing = which.filter((index) => {
    const answer = answers[index]!;
    return !answer.ok && isMissing(answer.error);
  });
  return { told, missing };
}

/** Locks on a file, held and wanted, as far as copies tell: of clients that change it, of its healers. */
export interface LockCounts {
  readonly clients: number;
  readonly healers: number;
}

/** Asks the copies which locks they have: the highest of their counts. */
export async function lockCounts(set: HealSet, inode: Inode): Promise<LockCounts> {
  const key = (domain: string) => intKey(`${INODELK_DOM_PREFIX}:${domain}`);
  const clients = key(set.name), healers = key(set.healers);
  let xdata = withKey(undefined, MULTI_DOM_LK_COUNT, true);
  for (const each of [clients, healers]) xdata = withKey(xdata, each, 0);
  const answers = await set.ask(
    set.all,
    (copy) => copy.lookup(set.call, { inode, name: "", xdata }),
  );
  const most = (of: typeof clients) =>
    Math.max(...answers.map((answer) => answer.ok ? answer.value.xdata?.get(of) ?? 0 : 0));
  return { clients: most(clients), healers: most(healers) };
}

/** True if the answer means that there is no such file. */
export function isMissing(error: unknown): boolean {
  return ENOENT.matches(error) || ESTALE.matches(error);
}

/**
 * Takes off what was told of the copies `healed`, which are like the others now: only the counts that
 * were seen, so that what was missed since stays marked. `clean`: no copy that takes part was left
 * out, and what was under way is over. True if every copy did so.
 */
export async function unmark(
  set: HealSet,
  inode: Inode,
  part: Part,
  told: Testimonies,
  { healed, clean }: { readonly healed: readonly number[]; readonly clean: boolean },
): Promise<boolean> {
  const here = told.flatMap((each, index) => each ? [index] : []);
  const answers = await set.ask(here, (copy, index) => {
    const { marks } = told[index]!;
    const blames = marks.blames.map((counts, whom) =>
      healed.includes(whom) ? negative(counts, part) : undefined
    );
    const own = clean ? negative(marks.dirty, part) : undefined;
    const nothing = [...blames, own].every((counts) => !counts?.[part] && !counts?.data);
    if (nothing) return Promise.resolve({});
    const xdata = part === "entry" && clean ? withKey(undefined, PURGE_NAMES, 1) : undefined;
    const xattrs = marksToAdd(set.keys, blames, own);
    return copy.xattrop(set.call, { inode, op: "add32", xattrs, xdata });
  });
  return failures(here.map((index) => answers[index]!)).length === 0;
}

// A directory that was made as a whole has its data marked, too: all of its names are to be looked at.
function negative(counts: Counts, part: Part): Partial<Counts> {
  const own = { [part]: -counts[part] };
  return part === "entry" ? { ...own, data: -counts.data } : own;
}
