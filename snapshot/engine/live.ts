/** What the engine needs of the live files: a layer answers it from its child, tests from a model. */

import type { NameIn } from "core/history_orders.ts";
import { type Iatt, isRegular } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import type { OpenFile } from "core/sys/open_file.ts";

/** An inode without its data. */
export interface InodeState {
  readonly iatt: Iatt;
  /** Extended attributes by name, without those that belong to the brick alone. */
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  /** Where a symbolic link leads. */
  readonly target?: string;
}

/** Whether a file has no name any more, and lives on because it is open: no reader that begins sees it. */
export function hasNoName({ iatt }: InodeState): boolean {
  return isRegular(iatt) && iatt.nlink === 0;
}

/** A name in a directory. */
export interface Entry {
  readonly name: string;
  readonly gfid: Gfid;
  /** `S_IFMT` part of the inode's mode. */
  readonly type: number;
}

/** The files as they are now. Every method throws FopError for what the disk says. */
export interface Live {
  /** Undefined: there is no such inode. */
  inode(gfid: Gfid): Promise<InodeState | undefined>;
  /** Undefined: no such name. */
  entry(parent: Gfid, name: string): Promise<Entry | undefined>;
  /** All names of a directory; none if it is gone. */
  entries(parent: Gfid): Promise<readonly Entry[]>;
  /** The names that lead to an inode; none if that is not known, or it is the root. */
  names(gfid: Gfid): readonly NameIn[] | Promise<readonly NameIn[]>;
  /** Fills `into` from `offset` on; answers how many bytes there were, less at the file's end. */
  read(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): number | Promise<number>;
  /** Start of the first data at or after `offset`, undefined if only holes follow. */
  nextData(gfid: Gfid, offset: number): number | undefined;
  /** Start of the first hole at or after `offset`, at the latest the file's end. */
  nextHole(gfid: Gfid, offset: number): number;
  /** A live file for reading; undefined: there is none. Absent: `read` and the like are all there is. */
  open?(gfid: Gfid): OpenFile | undefined;
  /** Whether the file at `path`, where files without a name are kept, has one in the volume after all. */
  hasName(gfid: Gfid, path: string): boolean;
}
