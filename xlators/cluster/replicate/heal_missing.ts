/**
 * Files that a copy lacks though nobody told of their directory: a client ended after it had made them
 * on some copies, and before it could mark where. Their directory is marked, so that its names are
 * healed; without that the file would be listed for ever.
 */

import type { Gfid, Inode } from "core/inode.ts";
import { marksToAdd } from "xlators/cluster/replicate/blame.ts";
import { inspect } from "xlators/cluster/replicate/heal_inspect.ts";
import { pathOn, placeOf } from "xlators/cluster/replicate/heal_paths.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";

/** Marks the directory of `inode`, which copy `owner` has, unless it is marked; answers what is to be healed. */
export async function markDirectoryOf(
  set: HealSet,
  inode: Inode,
  owner: number,
): Promise<Gfid | undefined> {
  const path = await pathOn(set, owner, inode);
  const place = path === undefined ? undefined : await placeOf(set, owner, path);
  if (!place) return undefined;
  const { told } = await inspect(set, place.parent, set.all);
  const marked = told.some((each) =>
    each && [...each.marks.blames, each.marks.dirty].some(({ entry }) => entry !== 0)
  );
  if (!marked) {
    const xattrs = marksToAdd(set.keys, [], { entry: 1 });
    const args = { inode: place.parent, op: "add32", xattrs } as const;
    await set.ask([owner], (copy) => copy.xattrop(set.call, args));
  }
  return place.parent.gfid;
}
