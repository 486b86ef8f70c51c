/** Ends a split-brain by a person's word: of a file's data and attributes, or of what its name stands for. */

import { ENOENT, FopError } from "core/errno.ts";
import type { Decision, RightCopy } from "core/healer.ts";
import { type Iatt, isDirectory, S_IFMT } from "core/iatt.ts";
import { type Entry, type Gfid, parseGfid } from "core/inode.ts";
import { contentPart, isSplitBrain } from "xlators/cluster/replicate/blame.ts";
import { healNameOf } from "xlators/cluster/replicate/heal_entry.ts";
import { healFile, needOf } from "xlators/cluster/replicate/heal_file.ts";
import { rightName } from "xlators/cluster/replicate/heal_name_choice.ts";
import { placeOf } from "xlators/cluster/replicate/heal_paths.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";

const GFID = "gfid:";

/** `file`: a path from the volume's root, or "gfid:" and a gfid, which says nothing of its names. */
export async function decideFile(
  set: HealSet,
  file: string,
  right: RightCopy,
): Promise<Decision> {
  if (file.startsWith(GFID)) {
    const gfid = parseGfid(file.slice(GFID.length));
    return gfid ? await decideContent(set, gfid, right) : "not found";
  }
  const place = await whereIs(set, file);
  return place ? await decideName(set, place, right) : "not found";
}

async function whereIs(set: HealSet, path: string): Promise<Entry | undefined> {
  for (const index of set.all) {
    const place = await placeOf(set, index, path);
    if (place) return place;
  }
  return undefined;
}

async function decideName(set: HealSet, place: Entry, right: RightCopy): Promise<Decision> {
  const { parent, name } = place;
  const answers = await set.ask(set.all, (copy) => copy.lookup(set.call, { parent, name }));
  const has = new Map<number, Iatt>();
  answers.forEach((answer, index) => answer.ok && has.set(index, answer.value.stat));
  const [first] = has.values();
  if (!first) {
    return answers.every((each) => !each.ok && ENOENT.matches(each.error))
      ? "not found"
      : "copies away";
  }
  const identities = new Set([...has.values()].map(({ gfid, mode }) => `${gfid} ${mode & S_IFMT}`));
  const away = answers.some((answer) => !answer.ok && !ENOENT.matches(answer.error));
  if (identities.size < 2) {
    const decision = await decideContent(set, first.gfid, right);
    return away && decision === "not split-brain" ? "copies away" : decision;
  }
  if (away) return "copies away";
  if (rightName(has, right, set.count) === undefined) return undecided(right, [...has.values()]);
  const found = new Set<Gfid>();
  return await outcomeOf(async () => {
    const outcome = await healNameOf(set, parent, name, { found, choice: right });
    // What was made anew is empty until its own heal.
    for (const gfid of found) await healFile(set, gfid, { found: new Set() });
    return outcome === "healed" || outcome === "alike" ? "name healed" : "not possible";
  });
}

async function decideContent(set: HealSet, gfid: Gfid, right: RightCopy): Promise<Decision> {
  const { need, told } = await needOf(set, set.inodes.of(gfid));
  const stats = told.flatMap((each) => each ? [each.stat] : []);
  if (need === "gone") return "not found";
  if (right === "size" && stats.some(isDirectory)) return "directory";
  if (need !== "split-brain") return "not split-brain";
  if (told.includes(undefined)) return "copies away";
  const marks = told.map((each) => each?.marks);
  if (typeof right === "string" && !isSplitBrain(marks, contentPart(stats[0]!))) {
    return "only attributes";
  }
  return await outcomeOf(async () => {
    const outcome = await healFile(set, gfid, { found: new Set(), choice: right });
    if (outcome === "healed" || outcome === "clean") return "healed";
    return outcome === "split-brain" ? undecided(right, stats) : "not possible";
  });
}

function undecided(right: RightCopy, stats: readonly Iatt[]): Decision {
  if (typeof right === "number") return stats.some(isDirectory) ? "names differ" : "not there";
  if (right === "mtime") return "same mtime";
  return stats.some(isDirectory) ? "directory" : "no bigger file";
}

async function outcomeOf(heal: () => Promise<Decision>): Promise<Decision> {
  try {
    return await heal();
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    return "not possible";
  }
}
