/** Which of several files that copies have under one name is right, if their directory's marks do not tell. */

import { type Iatt, isDirectory } from "core/iatt.ts";
import type { Choice } from "xlators/cluster/replicate/heal_data.ts";
import type { Favorite } from "xlators/cluster/replicate/heal_set.ts";

/** How it is told: a person's word, or the volume's policy. */
export type NameChoice = Exclude<Choice, undefined> | Favorite;

/** What copies, by number, have under the name. */
export type NameOwners = ReadonlyMap<number, Iatt>;

/**
 * The copy that has the right one; undefined if it cannot be told. As GlusterFS: directories have no
 * size to go by, and most is more than half of all `count` copies, with two copies never.
 */
export function rightName(
  has: NameOwners,
  choice: NameChoice,
  count: number,
): number | undefined {
  if (typeof choice === "number") return has.has(choice) ? choice : undefined;
  const owners = [...has];
  const most = (value: (stat: Iatt) => number) => {
    const highest = Math.max(...owners.map(([, stat]) => value(stat)));
    const found = owners.filter(([, stat]) => value(stat) === highest);
    const [first] = found;
    return first && found.every(([, stat]) => stat.gfid === first[1].gfid) ? first[0] : undefined;
  };
  switch (choice) {
    case "none":
      return undefined;
    case "size":
      return owners.some(([, stat]) => isDirectory(stat)) ? undefined : most(({ size }) => size);
    case "mtime":
      return most(({ mtime, mtimeNsec }) => mtime + mtimeNsec / 1e9);
    case "ctime":
      return most(({ ctime, ctimeNsec }) => ctime + ctimeNsec / 1e9);
    case "majority":
      return owners.find(([, { gfid }]) =>
        count > 2 && owners.filter(([, stat]) => stat.gfid === gfid).length * 2 > count
      )?.[0];
  }
}
