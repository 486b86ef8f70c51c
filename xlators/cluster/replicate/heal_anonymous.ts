/**
 * The directory of files without a name. A copy may have a file under a name that is wrong while the
 * right one is in a directory that is healed later: it is moved aside, under its gfid, instead of being
 * removed and copied anew. Who heals the right name finds it there. What no copy names any more is
 * removed after a crawl.
 */

import { EEXIST, FopError } from "core/errno.ts";
import { type Iatt, isDirectory } from "core/iatt.ts";
import { type Entry, type Gfid, type Inode, parseGfid } from "core/inode.ts";
import { withKey } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import type { Settled } from "core/xlator.ts";
import { isMissing } from "xlators/cluster/replicate/heal_inspect.ts";
import { listNames } from "xlators/cluster/replicate/heal_listing.ts";
import { lockLinks } from "xlators/cluster/replicate/heal_locks.ts";
import { type HealSet, succeeded } from "xlators/cluster/replicate/heal_set.ts";

const MODE = 0o755, RECURSIVELY = 1;

/** A wrong name on one copy. */
export interface WrongName {
  readonly index: number;
  readonly parent: Inode;
  readonly name: string;
  readonly stat: Iatt;
}

/**
 * Moves what has a wrong name aside, if that may be its last one while other copies have it; "no": the
 * name can be removed. Directories are moved in any case, for what is below them.
 */
export async function moveAside(
  set: HealSet,
  { index, parent, name, stat }: WrongName,
): Promise<"moved" | "no" | "left"> {
  if (!set.anonymous) return "no";
  if (!isDirectory(stat)) {
    if (stat.nlink > 1) return "no";
    const inode = set.inodes.of(stat.gfid);
    const others = set.all.filter((other) => other !== index);
    const found = await set.ask(others, (copy) => copy.lookup(set.call, { inode, name: "" }));
    if (!succeeded(found).length) {
      return others.every((other) => isMissingOn(found[other]!)) ? "no" : "left";
    }
  }
  const place = await makePlace(set, index);
  if (!place) return "left";
  const moved = await set.ask([index], (copy) =>
    copy.rename(set.call, {
      oldParent: parent,
      oldName: name,
      newParent: place,
      newName: stat.gfid,
    }));
  const answer = moved[index]!;
  const fields = { copy: set.copyNames[index], name, gfid: stat.gfid };
  if (answer.ok) set.env.log.info("a wrong name was taken away, the file kept aside", fields);
  else set.env.log.warn("file cannot be moved aside", { ...fields, error: answer.error.message });
  return answer.ok ? "moved" : "left";
}

/** True if the copy says that there is no such file. */
export function isMissingOn(answer: Settled<unknown>): boolean {
  return !answer.ok && isMissing(answer.error);
}

// On all copies, so that they stay alike. Undefined if copy `index` has none.
async function makePlace(set: HealSet, index: number): Promise<Inode | undefined> {
  const { name, gfid } = set.anonymous!;
  const { root: parent } = set.inodes;
  const args = { parent, name, mode: MODE, umask: 0, xdata: withKey(undefined, GFID_REQ, gfid) };
  const made = await set.ask(set.all, async (copy) => {
    try {
      return await copy.mkdir(set.call, args);
    } catch (error) {
      if (!EEXIST.matches(error)) throw error;
      return await copy.lookup(set.call, { parent, name });
    }
  });
  const answer = made[index]!;
  return answer.ok && answer.value.stat.gfid === gfid ? set.inodes.of(gfid) : undefined;
}

/** Where copy `index` keeps a file aside; undefined if it does not. */
export async function asideOf(
  set: HealSet,
  index: number,
  gfid: Gfid,
): Promise<Entry | undefined> {
  if (!set.anonymous) return undefined;
  const entry = { parent: set.inodes.of(set.anonymous.gfid), name: gfid };
  const answers = await set.ask([index], (copy) => copy.lookup(set.call, entry));
  return answers[index]!.ok ? entry : undefined;
}

/**
 * Removes what lies aside and is named nowhere any more; with all copies there only. Files that nobody
 * names may go before all is healed: marks that are left on them would be healed never.
 */
export async function clearAside(set: HealSet, what: "all" | "files" = "all"): Promise<void> {
  const { anonymous } = set;
  if (!anonymous) return;
  const place = set.inodes.of(anonymous.gfid);
  for (const index of set.all) {
    const gfids: Gfid[] = [];
    try {
      for await (const { name } of listNames(set, index, place)) {
        const gfid = parseGfid(name);
        if (gfid) gfids.push(gfid);
      }
    } catch (error) {
      // Nothing was moved there, or the copy is away.
      if (error instanceof FopError) continue;
      throw error;
    }
    for (const gfid of gfids) await clearOne(set, place, index, gfid, what);
  }
}

async function clearOne(
  set: HealSet,
  parent: Inode,
  index: number,
  gfid: Gfid,
  what: "all" | "files",
): Promise<void> {
  const inode = set.inodes.of(gfid);
  // Another healer may be about to take its other name away.
  await using locked = await lockLinks(set, index, inode);
  if (!locked) return;
  const files = await set.ask(set.all, (copy) => copy.lookup(set.call, { inode, name: "" }));
  const names = await set.ask(set.all, (copy) => copy.lookup(set.call, { parent, name: gfid }));
  const known = [...files, ...names].every((answer) => answer.ok || isMissingOn(answer));
  const here = files[index]!;
  if (!known || !here.ok) return;
  const { stat } = here.value;
  if (what === "files" && isDirectory(stat)) return;
  const owners = succeeded(files);
  const linked = !isDirectory(stat) && stat.nlink > 1;
  // Where a copy has it and not here, it has a name.
  if (!linked && owners.length > 1 && owners.some((owner) => !names[owner]!.ok)) return;
  const from = linked || owners.length === 1 ? [index] : owners;
  set.env.log.info("a file that nothing names any more is removed", { set: set.name, gfid });
  await set.ask(
    from,
    (copy) =>
      isDirectory(stat)
        ? copy.rmdir(set.call, { parent, name: gfid, flags: RECURSIVELY })
        : copy.unlink(set.call, { parent, name: gfid, flags: 0 }),
  );
}
