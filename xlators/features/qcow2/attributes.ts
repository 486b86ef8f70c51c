/**
 * Attributes in the tree: owner, times and who may read are those of the file or directory in the
 * volume; nobody may write, unless it is said.
 */

import { type Iatt, S_IFDIR, S_IFREG } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import type { SnapshotEntry } from "snapshot/qcow2/snapshot_table.ts";

const READ = 0o444, WRITE = 0o222, SEARCH = 0o111;

/** A directory that stands for one of the volume: who may go there may go here. */
export function folderStat(real: Iatt, gfid: Gfid): Iatt {
  // One link: nobody is to count its directories by that.
  return { ...real, gfid, mode: S_IFDIR | (real.mode & (READ | SEARCH)), nlink: 1 };
}

/** A directory of what is in an image: who may read the image may list it. */
export function insideStat(real: Iatt, gfid: Gfid): Iatt {
  const read = real.mode & READ;
  return { ...real, gfid, mode: S_IFDIR | read | read >> 2, nlink: 1, size: 4096, blocks: 0 };
}

/** A text made of an image. */
export function textStat(real: Iatt, gfid: Gfid, size: number): Iatt {
  const mode = S_IFREG | (real.mode & READ);
  return { ...real, gfid, mode, nlink: 1, size, blocks: Math.ceil(size / 512) };
}

/**
 * A disk. It takes no more than the files that it is in: counting what is its own would be reading all
 * tables. Its times are those of the file of the chain that changed last.
 */
export function diskStat(
  chain: readonly Iatt[],
  gfid: Gfid,
  size: number,
  { writable = false } = {},
): Iatt {
  const [real] = chain;
  const taken = chain.reduce((sum, { blocks }) => sum + blocks, 0);
  const last = chain.reduce((one, other) => isLater(other, one) ? other : one);
  const { mtime, mtimeNsec, ctime, ctimeNsec } = last;
  return {
    ...{ ...real!, gfid, nlink: 1, size, mtime, mtimeNsec, ctime, ctimeNsec },
    mode: S_IFREG | (real!.mode & (writable ? READ | WRITE : READ)),
    blocks: Math.min(Math.ceil(size / 512), taken),
  };
}

/** The same as of the moment when a snapshot was taken. */
export function takenAt(stat: Iatt, { seconds, nanoseconds }: SnapshotEntry): Iatt {
  const mtimeNsec = Math.min(nanoseconds, 999_999_999);
  return {
    ...stat,
    ...{ atime: seconds, atimeNsec: mtimeNsec, mtime: seconds, mtimeNsec },
  };
}

function isLater(one: Iatt, other: Iatt): boolean {
  return one.mtime > other.mtime || (one.mtime === other.mtime && one.mtimeNsec > other.mtimeNsec);
}
