/** One clone, in memory. */

import type { Gfid } from "core/inode.ts";
import type { CloneRow, CloneRows } from "snapshot/engine/clone_rows.ts";
import { type OwnRun, OwnUnits } from "snapshot/engine/own_units.ts";
import type { Extent } from "snapshot/engine/store.ts";
import { UNIT, type UnitRange } from "snapshot/engine/units.ts";

/** A file as a reader of that epoch sees it. */
export interface Link {
  readonly gfid: Gfid;
  readonly epoch: number;
}

/** Where the units of a window are: indexes into `sources`. */
export interface OriginWindow {
  readonly at: Int32Array;
  readonly sources: readonly (Extent | Link)[];
}

/** A change of units that are not the clone's own, under way. */
export interface BusyUnits extends UnitRange {
  readonly done: Promise<unknown>;
}

/** See `clones.ts`, which alone changes it. */
export interface Clone {
  readonly gfid: Gfid;
  /** Short number; 0: nothing of it is in the index, as it has nothing of its own. */
  readonly inode: number;
  readonly reader: string;
  /** Blocks of 512 bytes that the origin had. */
  readonly blocks: number;
  /** Epoch with which it was kept; 0: it is alive. */
  kept: number;
  /** Units from there on are all its own. */
  units: number;
  /** Bytes that the origin has: its last unit need not be whole. */
  readonly size: number;
  readonly own: OwnUnits;
  /** Whom it reads from: the origin, the origin's origin, and so on. */
  readonly chain: readonly Link[];
  readonly windows: Map<number, OriginWindow>;
  busy: readonly BusyUnits[];
  /** Something became its own since the last sync began. */
  unsynced: boolean;
  synced: Promise<void>;
  /** The run of units from `start` to at most before `end` that are all its own, or all not. */
  run(start: number, end: number): OwnRun;
  /** Whether all of them are its own. */
  owns(start: number, end: number): boolean;
}

/** See above. */
export class CloneOf implements Clone {
  readonly gfid: Gfid;
  inode: number;
  readonly reader: string;
  readonly blocks: number;
  kept: number;
  units: number;
  readonly size: number;
  readonly own: OwnUnits;
  chain: readonly Link[] = [];
  readonly windows = new Map<number, OriginWindow>();
  busy: readonly BusyUnits[] = [];
  unsynced = false;
  synced: Promise<void> = Promise.resolve();
  opens = 0;
  /** It has no name any more. */
  gone = false;

  constructor(row: CloneRow, rows: CloneRows, size = row.units * UNIT) {
    this.gfid = row.gfid;
    this.inode = row.inode;
    this.reader = row.reader;
    this.blocks = row.blocks;
    this.kept = row.kept;
    this.units = row.units;
    this.size = size;
    this.own = new OwnUnits((piece) => rows.own(this, piece)?.own);
  }

  run(start: number, end: number): OwnRun {
    if (start >= this.units) return { start, end, own: true };
    const own = this.own.has(start), until = Math.min(end, this.units);
    let at = start + 1;
    while (at < until && this.own.has(at) === own) at++;
    // What follows below the limit is its own as well.
    return { start, end: own && at >= this.units ? Math.max(at, end) : at, own };
  }

  owns(start: number, end: number): boolean {
    const until = Math.min(end, this.units);
    for (let at = start; at < until; at++) if (!this.own.has(at)) return false;
    return true;
  }
}
