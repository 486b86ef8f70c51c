/** What each fop is about to change, so that its old state is kept first: one line a fop. */

import { type Args, FOPS, O_APPEND, O_TRUNC } from "core/fops.ts";
import type { FopName } from "core/fops.ts";
import type { Fd, Gfid, Inode } from "core/inode.ts";
import type { Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { settle } from "core/xlator.ts";
import type { Entry, Live } from "snapshot/engine/live.ts";
import type { Preserver } from "snapshot/engine/preserve.ts";
import { S_IFDIR } from "core/iatt.ts";

/** Is told whether the fop did what it was to do. */
export type After = (done: boolean) => void;
type Waits = Promise<After | void> | undefined;

/** Who keeps, and what is there now. */
export interface Before {
  readonly preserve: Preserver;
  readonly live: Live;
}

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
  writev: ({ preserve }, { fd, offset, data, flags }) =>
    // What is appended was not there before.
    (fd.flags | flags) & O_APPEND
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
  mknod: made,
  mkdir: made,
  symlink: made,
  icreate: ({ preserve }, { inode }) => preserve.made(inode.gfid),
  namelink: ({ preserve }, { parent, name }) => preserve.entry(parent.gfid, name),
  link: ({ preserve }, { parent, name, inode }) =>
    all([preserve.entry(parent.gfid, name), preserve.inode(inode.gfid)]),
  unlink: ({ preserve }, { parent, name }) => preserve.leaving(parent.gfid, name),
  rmdir: ({ preserve, live }, { parent, name, flags }) =>
    flags & 1
      ? leavingTree(preserve, live, parent.gfid, name)
      : preserve.leaving(parent.gfid, name),
  rename: ({ preserve, live }, args) => renamed(preserve, live, args),
};

interface NewName {
  readonly parent: Inode;
  readonly name: string;
  readonly xdata?: Xdata | undefined;
}

function made({ preserve }: Before, { parent, name, xdata }: NewName): Waits {
  const gfid = xdata?.get(GFID_REQ);
  return all([preserve.entry(parent.gfid, name), gfid && preserve.made(gfid)]);
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
): Promise<After | undefined> {
  const moved = await live.entry(oldParent.gfid, oldName);
  await all([
    preserve.entry(oldParent.gfid, oldName),
    preserve.entry(newParent.gfid, newName),
    moved && preserve.inode(moved.gfid),
  ]);
  const replaced = await live.entry(newParent.gfid, newName);
  // Two names of one file: nothing happens.
  if (replaced?.gfid === moved?.gfid) return undefined;
  return await preserve.leaving(newParent.gfid, newName);
}

/** A directory with all that is in it: a file goes if all of its names are in there. */
async function leavingTree(
  preserve: Preserver,
  live: Live,
  parent: Gfid,
  name: string,
): Promise<After> {
  const kept = new Map<Gfid, { tell: (gone: boolean) => void; namesElsewhere: number }>();
  const leave = async (parent: Gfid, entry: Entry) => {
    if (entry.type === S_IFDIR) {
      for (const child of await live.entries(entry.gfid)) await leave(entry.gfid, child);
    }
    const known = kept.get(entry.gfid);
    if (known) known.namesElsewhere--;
    // Being kept is one more name for the disk, so they are counted before.
    const links = known ? 0 : (await live.inode(entry.gfid))?.iatt.nlink ?? 1;
    const tell = await preserve.leaving(parent, entry.name, { withOthers: !known });
    if (tell) kept.set(entry.gfid, { tell, namesElsewhere: links - 1 });
  };
  const top = await live.entry(parent, name);
  if (top) await leave(parent, top);
  return (done) => {
    for (const { tell, namesElsewhere } of kept.values()) tell(done && namesElsewhere === 0);
  };
}

async function all(waits: readonly (Promise<unknown> | undefined)[]): Promise<void> {
  for (const result of await settle(waits.filter((wait) => wait !== undefined))) {
    if (!result.ok) throw result.error;
  }
}
