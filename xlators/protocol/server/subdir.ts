/**
 * Sub-directory mounts, and those of snapshots: to such a client its directory is the root. Requests that name the root's
 * gfid mean the directory, and the directory's attributes go out as the root's. As with GlusterFS,
 * what is outside has no name that leads to it, but a gfid that the client knows from elsewhere is
 * not refused.
 */

import { ENOENT, ENOTDIR, type FopError } from "core/errno.ts";
import type { Call } from "core/call.ts";
import type { DirentPlus } from "core/fops.ts";
import { type Iatt, isDirectory } from "core/iatt.ts";
import { type Gfid, type Inode, type InodeTable, ROOT_GFID } from "core/inode.ts";
import type { Xlator } from "core/xlator.ts";

/** The directory at `path` from `root` on. Fails as a lookup does; ENOTDIR if something else is there. */
export async function findSubdir(
  child: Xlator,
  inodes: InodeTable,
  call: Call,
  path: string,
  root: Inode,
): Promise<Inode> {
  let inode = root;
  for (const name of path.split("/")) {
    if (name === "") continue;
    if (name === "." || name === ".." || name.includes("\0")) throw ENOENT;
    const { stat } = await child.lookup(call, { parent: inode, name });
    if (!isDirectory(stat)) throw ENOTDIR;
    inode = inodes.of(stat.gfid);
  }
  return inode;
}

const IATTS = [
  "stat",
  "pre",
  "post",
  "preParent",
  "postParent",
  "preOldParent",
  "postOldParent",
  "preNewParent",
  "postNewParent",
] as const;

type Attributes = { readonly [K in typeof IATTS[number]]?: Iatt | undefined };

function asRoot(stat: Iatt, gfid: Gfid): Iatt {
  return stat.gfid === gfid ? { ...stat, gfid: ROOT_GFID } : stat;
}

/** A reply as the client of the sub-directory `gfid` shall see it. */
export function seenFromSubdir<R extends object>(reply: R, gfid: Gfid): R {
  const changed: Record<string, unknown> = {};
  for (const field of IATTS) {
    const stat = (reply as Attributes)[field];
    if (stat?.gfid === gfid) changed[field] = asRoot(stat, gfid);
  }
  if ("entries" in reply) {
    const entries = reply.entries as readonly DirentPlus[];
    changed["entries"] = entries.map((each) => entrySeen(each, gfid));
  }
  return { ...reply, ...changed };
}

function entrySeen(entry: DirentPlus, gfid: Gfid): DirentPlus {
  if (!entry.stat) return entry;
  // What is above the client's root is none of its business.
  if (entry.name === "..") return { ...entry, stat: undefined };
  return entry.stat.gfid === gfid ? { ...entry, stat: asRoot(entry.stat, gfid) } : entry;
}

/** The same for a failure that carries the parent's attributes. */
export function failureFromSubdir(error: FopError, gfid: Gfid): FopError {
  const { postParent } = error;
  return postParent?.gfid === gfid
    ? error.carrying({ xdata: error.xdata, postParent: asRoot(postParent, gfid) })
    : error;
}
