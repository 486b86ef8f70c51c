/** What each fop is about to change, so that its old state is kept first: one line a fop. */

import { type Args, FOPS, O_APPEND, O_TRUNC } from "core/fops.ts";
import type { FopName } from "core/fops.ts";
import type { Fd, Inode } from "core/inode.ts";
import { allDone } from "core/lib/all_done.ts";
import type { Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import type { Leaving } from "snapshot/engine/kept.ts";
import type { Live } from "snapshot/engine/live.ts";
import type { Preserver } from "snapshot/engine/preserve.ts";

type Waits = Promise<Leaving | void> | undefined;

/** Who keeps, and what is there now. */
export interface Before {
  readonly preserve: Preserver;
  readonly live: Live;
}

/** Distribute: what is there gives way. */
const FORCE_REPLACE = "force-replace";

type Rule<K extends FopName> = (before: Before, args: Args<K>) => Waits;

/** Every fop that changes something; `open` may. */
type ChangingFop =
  | { [K in FopName]: typeof FOPS[K]["kind"] extends "modify" ? K : never }[FopName]
  | "open";

const attributes = ({ preserve }: Before, { inode }: { inode: Inode }) =>
  preserve.inode(inode.gfid);
const openAttributes = ({ preserve }: Before, { fd }: { fd: Fd }) => preserve.inode(fd.inode.gfid);
const range = ({ preserve }: Before, { fd, offset, size }: Args<"discard">) =>
  preserve.data(fd.inode.gfid, offset, size);

const COLLAPSE_OR_INSERT = 0x28;

/** The compiler sees to it that no fop is missing. */
export const RULES: { readonly [K in ChangingFop]: Rule<K> } = {
  writev: ({ preserve }, { fd, offset, data }) =>
    // What is appended was not there before. Flags of a write itself do not make it append.
    !fd.anonymous && fd.flags & O_APPEND
      ? preserve.inode(fd.inode.gfid)
      : preserve.data(fd.inode.gfid, offset, data.length),
  truncate: ({ preserve }, { inode, offset }) => preserve.truncate(inode.gfid, offset),
  ftruncate: ({ preserve }, { fd, offset }) => preserve.truncate(fd.inode.gfid, offset),
  open: ({ preserve }, { inode, flags }) =>
    flags & O_TRUNC ? preserve.truncate(inode.gfid, 0) : undefined,
  fallocate: ({ preserve }, { fd, mode, offset, size }) =>
    preserve.data(fd.inode.gfid, offset, mode & COLLAPSE_OR_INSERT ? Infinity : size),
  discard: range,
  zerofill: range,
  copyFileRange: ({ preserve }, { fd, offset, size }) => preserve.data(fd.inode.gfid, offset, size),

  setattr: attributes,
  fsetattr: openAttributes,
  setxattr: attributes,
  fsetxattr: openAttributes,
  removexattr: attributes,
  fremovexattr: openAttributes,
  xattrop: attributes,
  fxattrop: openAttributes,

  create: ({ preserve, live }, args) => opened(preserve, live, args),
  put: ({ preserve, live }, args) => opened(preserve, live, { ...args, flags: O_TRUNC }),
  mknod: madeNode,
  mkdir: made,
  symlink: made,
  icreate: ({ preserve }, { inode, xdata }) => preserve.inode(xdata?.get(GFID_REQ) ?? inode.gfid),
  namelink: ({ preserve }, { parent, name }) => preserve.entry(parent.gfid, name),
  link: ({ preserve }, { parent, name, inode }) =>
    allDone([preserve.entry(parent.gfid, name), preserve.inode(inode.gfid)]),
  unlink: ({ preserve }, { parent, name }) => preserve.leaving(parent.gfid, name),
  // With all that is in it: the layer removes one name after the other.
  rmdir: ({ preserve }, { parent, name }) => preserve.leaving(parent.gfid, name),
  rename: ({ preserve, live }, args) => renamed(preserve, live, args),
};

interface NewName {
  readonly parent: Inode;
  readonly name: string;
  readonly xdata?: Xdata | undefined;
}

// Usually there is no such inode; healers make a directory that moved anew with the gfid that it has,
// and distribute gives a file that is there one more name.
function made({ preserve }: Before, { parent, name, xdata }: NewName): Waits {
  const gfid = xdata?.get(GFID_REQ);
  return allDone([preserve.entry(parent.gfid, name), gfid && preserve.inode(gfid)]);
}

// Distribute may have another inode's link file give way.
async function madeNode(before: Before, args: NewName): Promise<void> {
  const { parent, name, xdata } = args;
  // Link files have no data: there is nothing to keep.
  if (xdata?.has(FORCE_REPLACE)) (await before.preserve.leaving(parent.gfid, name))?.done(false);
  await made(before, args);
}

async function opened(
  preserve: Preserver,
  live: Live,
  args: NewName & { readonly flags: number },
): Promise<void> {
  const there = await live.entry(args.parent.gfid, args.name);
  if (!there) await made({ preserve, live }, args);
  else if (args.flags & O_TRUNC) await preserve.truncate(there.gfid, 0);
}

async function renamed(
  preserve: Preserver,
  live: Live,
  { oldParent, oldName, newParent, newName }: Args<"rename">,
): Promise<Leaving | undefined> {
  const moved = await live.entry(oldParent.gfid, oldName);
  await allDone([
    preserve.entry(oldParent.gfid, oldName),
    preserve.entry(newParent.gfid, newName),
    moved && preserve.inode(moved.gfid),
  ]);
  const replaced = await live.entry(newParent.gfid, newName);
  // Two names of one file: nothing happens.
  if (replaced?.gfid === moved?.gfid) return undefined;
  return await preserve.leaving(newParent.gfid, newName);
}
