/**
 * A directory that goes with all that is in it. Without a snapshot the storage moves it away at once;
 * with one, each name that goes has to be kept, so they go one after the other: who comes in between
 * finds a part of it. Only daemons ask for this, and ask again if they were interrupted.
 */

import type { Call } from "core/call.ts";
import { ENOENT, ENOTEMPTY } from "core/errno.ts";
import type { Args, Reply } from "core/fops.ts";
import { S_IFDIR } from "core/iatt.ts";
import type { Inode, InodeTable } from "core/inode.ts";
import type { Xlator } from "core/xlator.ts";
import type { Live } from "snapshot/engine/live.ts";

/** Bit of rmdir's flags: with all that is in it. */
export const WHOLE_TREE = 1;
/** Others may put something in meanwhile. */
const TRIES = 8;

/** Removes the tree by fops of `top`. Throws FopError. */
export async function removeTree(
  top: Xlator,
  live: Live,
  inodes: InodeTable,
  call: Call,
  args: Args<"rmdir">,
): Promise<Reply<"rmdir">> {
  // What is no name of something in there is refused below.
  const isName = !["", ".", ".."].includes(args.name) && !/[/\0]/.test(args.name);
  const entry = isName ? await live.entry(args.parent.gfid, args.name) : undefined;
  for (let tries = 1;; tries++) {
    if (entry?.type === S_IFDIR) await empty(top, live, inodes, call, inodes.of(entry.gfid));
    try {
      return await top.rmdir(call, { ...args, flags: args.flags & ~WHOLE_TREE });
    } catch (error) {
      if (!ENOTEMPTY.matches(error) || tries === TRIES) throw error;
    }
  }
}

async function empty(
  top: Xlator,
  live: Live,
  inodes: InodeTable,
  call: Call,
  parent: Inode,
): Promise<void> {
  for (const { name, gfid, type } of await live.entries(parent.gfid)) {
    try {
      if (type === S_IFDIR) {
        await empty(top, live, inodes, call, inodes.of(gfid));
        await top.rmdir(call, { parent, name, flags: 0 });
      } else await top.unlink(call, { parent, name, flags: 0 });
    } catch (error) {
      // Gone, or filled again: the directory's own removal tells.
      if (!ENOENT.matches(error) && !ENOTEMPTY.matches(error)) throw error;
    }
  }
}
