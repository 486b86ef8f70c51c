/**
 * Files that began as another brick's: a clone of a volume is made of such. What the other brick has
 * of a file is found under the gfid that the file has here.
 */

import type { Gfid } from "core/inode.ts";

/** As what a file began. */
export interface Begun {
  /** Bytes of it that are the other brick's until something else is put there. */
  readonly size: number;
  /** Blocks of 512 bytes that it had there. */
  readonly blocks: number;
  /** Bytes that the file has now; infinite if another process has it. */
  readonly now: number;
}

/** A brick that was asked where data of a file is. */
export interface ForeignPlace {
  /** False: what it answered may not be so any more, and what was read since may be something else. */
  isStill(): boolean;
  /** Asks it again, see `Foreign.locate`. Throws FopError. */
  again(number: number, window: ForeignWindow): Promise<void>;
}

/** Where some of a file's data is. */
export interface ForeignData {
  /** Undefined: it is there for ever. */
  readonly place: ForeignPlace | undefined;
  /** Fills `into` with the file's bytes from `offset` on; beyond its end with zeros. Throws FopError. */
  read(offset: number, into: Uint8Array<ArrayBuffer>): void | Promise<void>;
}

/** Where the units of a window (1 MiB) of a file are: indexes into `data`, or -1 if that is not known. */
export interface ForeignWindow {
  readonly at: Int32Array;
  readonly data: ForeignData[];
}

/** Methods throw FopError. */
export interface Foreign {
  /** Undefined: the file is not here, or not yet. `kept`: its name where files without a name are kept. */
  begun(gfid: Gfid, kept: string | undefined): Begun | undefined;
  /** Fills `into`; beyond the file's end with zeros. */
  read(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): void | Promise<void>;
  /** Finds where those units of window `number` are of which that is not known, however many bricks away. */
  locate(gfid: Gfid, number: number, window: ForeignWindow): Promise<void>;
  /** Start of the first data from `offset` to before `until`; undefined: there is none. */
  nextData(gfid: Gfid, offset: number, until: number): number | undefined;
  /** The same of holes. */
  nextHole(gfid: Gfid, offset: number, until: number): number | undefined;
  /** All files that the other brick had, some twice, once all names of their directories are here. */
  files(): AsyncIterable<Gfid>;
  /** All of the file is its own from now on; on the disk when this resolves. */
  end(gfid: Gfid, kept: string | undefined): Promise<void>;
}

/** In place of a reader's id, of files that began as foreign ones. */
export const FOREIGN = "";
/** The epoch of links to foreign files: before all others. */
export const FOREIGN_EPOCH = 0;
