/** Paths of files for healers: where a brick has a file, and back. */

import { FopError } from "core/errno.ts";
import type { Entry, Inode } from "core/inode.ts";
import { valueText } from "core/xdata.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";

/** What a brick says of where its files are. */
const PATHINFO = "trusted.glusterfs.pathinfo";
const GFID2PATH = "glusterfs.gfid2path";

/** The path of `inode` on copy `index`, from the volume's root, beginning with a slash; undefined if it does not tell. */
export async function pathOn(
  set: HealSet,
  index: number,
  inode: Inode,
): Promise<string | undefined> {
  if (inode === set.inodes.root) return "/";
  const copy = set.copies[index]!;
  const ask = async (name: string) => {
    try {
      const { xattrs } = await copy.getxattr(set.call, { inode, name });
      const value = xattrs?.raw(name);
      return value && valueText(value);
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      return undefined;
    }
  };
  // Of a file with several names one is enough; directories are found by their place on the disk.
  const named = (await ask(GFID2PATH))?.split(":")[0];
  if (named?.startsWith("/")) return named;
  const match = /<POSIX\((.*?)\):[^:]*:(.*)>\)?$/s.exec(await ask(PATHINFO) ?? "");
  if (!match || match[2]!.includes("/.glusterfs/")) return undefined;
  const [, brick, path] = match;
  if (path!.startsWith(`${brick}/`)) return path!.slice(brick!.length);
  return path!.startsWith("/") ? path : undefined;
}

/** The entry that a path names on copy `index`; undefined if its directory is not there. */
export async function placeOf(
  set: HealSet,
  index: number,
  path: string,
): Promise<Entry | undefined> {
  const names = path.split("/").filter((name) => name !== "");
  const name = names.pop();
  if (name === undefined) return undefined;
  let parent = set.inodes.root;
  for (const each of names) {
    try {
      const { stat } = await set.copies[index]!.lookup(set.call, { parent, name: each });
      parent = set.inodes.of(stat.gfid);
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      return undefined;
    }
  }
  return { parent, name };
}
