/** Heals all of a file, directory or other thing by its gfid, or tells what it needs. */

import type { Gfid, Inode } from "core/inode.ts";
import { isDirectory, isRegular } from "core/iatt.ts";
import { isSplitBrain, marksToAdd, type Part, PARTS } from "xlators/cluster/replicate/blame.ts";
import { type Choice, healData } from "xlators/cluster/replicate/heal_data.ts";
import type { Testimonies } from "xlators/cluster/replicate/heal_direction.ts";
import {
  type EntryOptions,
  type EntryOutcome,
  healEntries,
} from "xlators/cluster/replicate/heal_entry.ts";
import { markDirectoryOf } from "xlators/cluster/replicate/heal_missing.ts";
import { inspect } from "xlators/cluster/replicate/heal_inspect.ts";
import {
  healMetadata,
  metadataDiffers,
  xattrsDiffer,
} from "xlators/cluster/replicate/heal_metadata.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";

/** What a file needs: "gone": no copy has it; "busy": nothing is wrong, somebody is writing. */
export type Need = "nothing" | "gone" | "busy" | "heal" | "split-brain";

/** A file as it is now. */
export interface FileNeed {
  readonly need: Need;
  /** Parts that are to be healed. */
  readonly parts: readonly Part[];
  readonly told: Testimonies;
  /** Copies that say that they do not have it. */
  readonly missing: readonly number[];
}

/** What `inode` needs, without locks: what clients do meanwhile may show. */
export async function needOf(set: HealSet, inode: Inode): Promise<FileNeed> {
  const { told, missing } = await inspect(set, inode, set.all);
  const here = set.all.filter((index) => told[index]);
  if (!here.length) return { need: missing.length ? "gone" : "nothing", parts: [], told, missing };
  const marks = told.map((each) => each?.marks);
  const blamed = PARTS.filter((part) =>
    marks.some((each) => each?.blames.some((counts) => counts[part] !== 0))
  );
  const stat = told[here[0]!]!.stat;
  if (blamed.some((part) => part !== "entry" && isSplitBrain(marks, part))) {
    return { need: "split-brain", parts: blamed, told, missing };
  }
  const parts = new Set<Part>(blamed);
  const differ = here.some((index) => metadataDiffers(told[index]!.stat, stat));
  if (differ) parts.add("metadata");
  const dirty = PARTS.filter((part) => marks.some((each) => (each?.dirty[part] ?? 0) !== 0));
  const sizes = isRegular(stat) && new Set(
        here.filter((index) => index !== set.arbiter).map((index) => told[index]!.stat.size),
      ).size > 1;
  if (sizes) parts.add("data");
  // Its names are merged; until then no copy has all of them.
  const merges = isDirectory(stat) && isSplitBrain(marks, "entry");
  if (merges) return { need: "split-brain", parts: [...parts, ...dirty], told, missing };
  if (blamed.length || differ) return { need: "heal", parts: [...parts, ...dirty], told, missing };
  for (const part of dirty) parts.add(part);
  return { need: parts.size ? "busy" : "nothing", parts: [...parts], told, missing };
}

/** What became of a file. */
export type FileOutcome = EntryOutcome | "gone";

const ALL_PARTS: ReadonlySet<Part> = new Set(PARTS);

/** Heals `gfid`: data, then attributes, then names. */
export async function healFile(
  set: HealSet,
  gfid: Gfid,
  options: EntryOptions & {
    readonly choice?: Choice;
    /** Parts that are healed; all if absent. */
    readonly only?: ReadonlySet<Part>;
  },
): Promise<FileOutcome> {
  const inode = set.inodes.of(gfid);
  const { need, parts, told, missing } = await needOf(set, inode);
  if (need === "gone") return "gone";
  if (need === "nothing") await unlist(set, inode, told);
  const stat = told.find((each) => each !== undefined)?.stat;
  if (!stat) return "left";
  const outcomes: FileOutcome[] = [];
  const { choice, only = ALL_PARTS } = options;
  const owner = told.findIndex((each) => each !== undefined);
  if (missing.some((index) => told[owner]!.marks.blames[index]!.metadata !== 0)) {
    const directory = await markDirectoryOf(set, inode, owner);
    if (directory) options.found.add(directory);
  }
  if (isRegular(stat) && parts.includes("data") && only.has("data")) {
    outcomes.push(await healData(set, inode, choice));
  }
  const compared = options.full === true && await xattrsDiffer(set, inode, told);
  if ((parts.includes("metadata") || compared) && only.has("metadata")) {
    outcomes.push(await healMetadata(set, inode, choice, compared));
  }
  const names = parts.includes("entry") || parts.includes("data") || options.full;
  if (isDirectory(stat) && names && only.has("entry")) {
    outcomes.push(await healEntries(set, inode, options));
  }
  return worst(outcomes);
}

// A mark that could not be set, or that a crash took away, leaves an entry in the index: bricks take it
// off when they see that all marks are zero.
async function unlist(set: HealSet, inode: Inode, told: Testimonies): Promise<void> {
  const xattrs = marksToAdd(set.keys, [], {});
  const here = set.all.filter((index) => told[index]);
  await set.ask(here, (copy) => copy.xattrop(set.call, { inode, op: "add32", xattrs }));
}

const ORDER: readonly FileOutcome[] = ["split-brain", "left", "later", "busy", "healed"];

function worst(outcomes: readonly FileOutcome[]): FileOutcome {
  return ORDER.find((each) => outcomes.includes(each)) ?? "clean";
}
