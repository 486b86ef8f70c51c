/**
 * Link files: what stands for a file on the subvolume where its name belongs while the data is on
 * another one. An empty file of mode 01000 with the same gfid, and the other subvolume's name in an
 * extended attribute.
 */

import type { Call } from "core/call.ts";
import { EBUSY, EEXIST, ENOTCONN, FopError } from "core/errno.ts";
import type { Iatt } from "core/iatt.ts";
import type { Entry } from "core/inode.ts";
import { Xdata } from "core/xdata.ts";
import { GFID_REQ, INTERNAL_FOP } from "core/xdata_keys.ts";
import {
  asking,
  asRoot,
  FORCE_REPLACE,
  isLinkFile,
  isMissing,
  LINK_FILE_MODE,
  LINKTO,
  ONLY_LINKTO,
  type Subvolumes,
} from "xlators/cluster/distribute/subvolumes.ts";

const INTERNAL = new Xdata(new Map()).with(INTERNAL_FOP, true);

/** Which file a link file stands for. */
export type LinkedFile = Pick<Iatt, "gfid" | "uid" | "gid">;

/** Makes a link file on `at` for a file whose data is on `to`. A stale one in the way is replaced. */
export async function createLinkFile(
  subvolumes: Subvolumes,
  call: Call,
  at: number,
  to: number,
  { parent, name }: Entry,
  file: LinkedFile,
): Promise<void> {
  const xdata = INTERNAL
    .with(GFID_REQ, file.gfid)
    .with(LINKTO, subvolumes.names[to]!)
    .with(FORCE_REPLACE, true);
  const args = { parent, name, mode: LINK_FILE_MODE, rdev: 0, umask: 0, xdata };
  const root = asRoot(call);
  const brick = subvolumes.all[at]!;
  await brick.mknod(root, args).catch(async (error) => {
    if (!EEXIST.matches(error) || !await addName(subvolumes, root, at, args, file)) throw error;
  });
  // The owner counts in quotas and decides who may rename the name in a sticky directory.
  if (file.uid === 0 && file.gid === 0) return;
  const changes = { uid: file.uid, gid: file.gid };
  const inode = subvolumes.inodes.of(file.gfid);
  await brick.setattr(root, { inode, changes }).catch(ignoreFop);
}

// A file with several names may have a link file there for another of them: that gets one more name,
// since no brick has two files of one gfid.
async function addName(
  { all, inodes }: Subvolumes,
  root: Call,
  at: number,
  { parent, name }: Entry,
  { gfid }: LinkedFile,
): Promise<boolean> {
  const inode = inodes.of(gfid);
  try {
    const ask = { inode, name: "", xdata: asking(undefined) };
    const { stat, xdata } = await all[at]!.lookup(root, ask);
    if (!isLinkFile(stat, xdata)) return false;
    await all[at]!.link(root, { inode, parent, name, xdata: INTERNAL });
    return true;
  } catch (error) {
    ignoreFop(error);
    return false;
  }
}

/** The same where the file is found without its link file, too: a failure is only logged. */
export async function makeLinkFile(
  subvolumes: Subvolumes,
  call: Call,
  at: number,
  to: number,
  entry: Entry,
  file: LinkedFile,
): Promise<void> {
  try {
    await createLinkFile(subvolumes, call, at, to, entry, file);
  } catch (error) {
    ignoreFop(error);
    // Somebody else was quicker, or the subvolume is away.
    if (EEXIST.matches(error) || ENOTCONN.matches(error)) return;
    subvolumes.env.log.warn("link file not made", {
      name: entry.name,
      on: subvolumes.names[at],
      why: (error as FopError).code,
    });
  }
}

/** Removes a link file, if it still is one. Answers whether the name is free. */
export async function removeLinkFile(
  subvolumes: Subvolumes,
  call: Call,
  at: number,
  { parent, name }: Entry,
): Promise<boolean> {
  const xdata = INTERNAL.with(ONLY_LINKTO, true);
  try {
    await subvolumes.all[at]!.unlink(asRoot(call), { parent, name, flags: 0, xdata });
    return true;
  } catch (error) {
    if (isMissing(error)) return true;
    if (EBUSY.matches(error) || ENOTCONN.matches(error)) return false;
    throw error;
  }
}

function ignoreFop(error: unknown): void {
  if (!(error instanceof FopError)) throw error;
}
