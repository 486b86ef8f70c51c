/** Directories as healers read them: a copy's own, and the virtual ones of its index. */

import { EOPNOTSUPP, FopError } from "core/errno.ts";
import { type Gfid, gfidFromBytes, type Inode } from "core/inode.ts";
import { valueBytes } from "core/xdata.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";
import { isPrivate } from "xlators/cluster/replicate/private_names.ts";

const READ_BYTES = 128 << 10;

/** A name and its type as a directory tells it (DT_DIR 4, …; 0: unknown). */
export interface Listed {
  readonly name: string;
  readonly type: number;
}

/** Names of a directory of copy `index`, `.`, `..` and healers' own left out. Throws what the copy fails with. */
export async function* listNames(
  set: HealSet,
  index: number,
  inode: Inode,
): AsyncGenerator<Listed> {
  const copy = set.copies[index]!;
  const { fd } = await copy.opendir(set.call, { inode });
  try {
    for (let offset = 0n;;) {
      const reply = await copy.readdir(set.call, { fd, offset, size: READ_BYTES });
      for (const { name, type } of reply.entries) {
        if (name !== "." && name !== ".." && !isPrivate(inode, name)) yield { name, type };
      }
      const last = reply.entries.at(-1);
      if (reply.eof || !last) return;
      offset = last.offset;
    }
  } finally {
    await copy.releasedir(set.call, { fd }).catch(ignoreFailure);
  }
}

/** The kinds of index that a brick keeps, by what getxattr calls them. */
export type IndexName = "xattrop_index" | "xattrop_dirty" | "xattrop_entry_changes";

/** The virtual directory of an index of copy `index`. Throws what the copy fails with. */
export async function indexOf(set: HealSet, index: number, kind: IndexName): Promise<Inode> {
  const name = `glusterfs.${kind}_gfid`;
  const { root: inode } = set.inodes;
  const { xattrs } = await set.copies[index]!.getxattr(set.call, { inode, name });
  const value = xattrs?.raw(name);
  const bytes = value && valueBytes(value);
  if (bytes?.length !== 16) throw EOPNOTSUPP;
  return set.inodes.of(gfidFromBytes(bytes));
}

/** Names that copy `index` noted as differing in a directory; undefined if it noted none. */
export async function differingNames(
  set: HealSet,
  index: number,
  { gfid }: { readonly gfid: Gfid },
): Promise<string[] | undefined> {
  try {
    const parent = await indexOf(set, index, "xattrop_entry_changes");
    const { stat } = await set.copies[index]!.lookup(set.call, { parent, name: gfid });
    const names: string[] = [];
    for await (const { name } of listNames(set, index, set.inodes.of(stat.gfid))) names.push(name);
    return names;
  } catch (error) {
    if (error instanceof FopError) return undefined;
    throw error;
  }
}

function ignoreFailure(error: unknown): void {
  if (!(error instanceof FopError)) throw error;
}
