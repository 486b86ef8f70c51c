/**
 * How old states get from one copy of a brick to another that lost its own: orders to both, given by a
 * management daemon, which carries the answers of the one to the other.
 *
 * Both begin a reader at one moment, with equal files and an epoch that leaves the one before it to
 * nobody. What the first says of older epochs does not change any more, so that it is copied in parts,
 * and nobody sees it in the other until `end`: then it takes the place of all that the other had of
 * those epochs, at once.
 */

import type { HistoryReader } from "core/history_orders.ts";
import type { Gfid } from "core/inode.ts";

/** What something was until an epoch ended. */
export type OldRow = OldState | OldName | OldData | OldFile;

/** An inode; `state` is empty if it was not there. */
export interface OldState {
  readonly kind: "state";
  readonly gfid: Gfid;
  readonly epoch: number;
  readonly state: Uint8Array;
}

/** A name of a directory. */
export interface OldName {
  readonly kind: "name";
  readonly parent: Gfid;
  readonly name: string;
  readonly epoch: number;
  /** Undefined: there was no such name. */
  readonly gfid: Gfid | undefined;
  readonly type: number;
}

/** A range of a file, in units of 4 KiB, 256 at most. */
export interface OldData {
  readonly kind: "data";
  readonly gfid: Gfid;
  readonly epoch: number;
  readonly start: number;
  readonly units: number;
  readonly zeros: boolean;
  /** CRC-32. */
  readonly crc: number;
}

/** A file that lost its last name, with all that no `OldData` has. */
export interface OldFile {
  readonly kind: "file";
  readonly gfid: Gfid;
  readonly epoch: number;
}

/** Rows in an order that stays; `next`: where it goes on, undefined at the end. */
export interface OldRowsPage {
  readonly rows: readonly OldRow[];
  readonly next: string | undefined;
  /** How many there are, told with the first page; else 0. */
  readonly total: number;
}

/** A row of data, and its data: empty if that is zeros. */
export interface OldPart {
  readonly row: OldData;
  readonly bytes: Uint8Array;
}

/** A piece of a file without a name. */
export interface OldFilePiece {
  /** Of the whole file, in bytes. */
  readonly size: number;
  /** From where on it was asked for; 0: it is the first piece. */
  readonly from: number;
  /** Where its data is. */
  readonly offset: number;
  readonly data: Uint8Array;
  /** What is between is holes; undefined: only holes follow. */
  readonly next: number | undefined;
}

/** A name in a directory of a reader. */
export interface SeenEntry {
  /** "" is the directory itself. */
  readonly name: string;
  readonly gfid: Gfid;
  readonly type: number;
  /** Empty for directories but the one itself. */
  readonly state: Uint8Array;
}

/** Names of a directory, in order. */
export interface SeenPage {
  readonly entries: readonly SeenEntry[];
  /** The names after the last one are another page's. */
  readonly more: boolean;
}

/** The copy that gets old states, as far as they depend on it. */
export interface CopyTarget {
  /** An attribute that states come without: what says that this copy is not sound. */
  readonly without: string;
  /** It keeps names and attributes only: files are empty in states, and nothing else of them comes. */
  readonly isArbiter: boolean;
}

/** Methods throw FopError. */
export interface HistoryCopies {
  // At the brick that has old states.

  /** Rows of epochs before `until`, after `after` ("": from the first on). */
  rows(until: number, after: string, target: CopyTarget): Promise<OldRowsPage>;
  /** What is left of such rows: parts of them may have gone meanwhile. A MiB at most in all. */
  data(rows: readonly OldData[]): Promise<readonly OldPart[]>;
  /** A MiB at most, of data from `offset` on; undefined: no reader needs it any more. */
  file(gfid: Gfid, epoch: number, offset: number): Promise<OldFilePiece | undefined>;
  /** What the reader `id` sees in a directory, after the name `after` (undefined: from the first on). */
  seen(
    id: string,
    directory: Gfid,
    after: string | undefined,
    target: CopyTarget,
  ): Promise<SeenPage>;

  // At the one that gets them.

  /** Forgets what an earlier attempt brought. */
  begin(): Promise<void>;
  /** Keeps what is in the rows themselves, or here already; answers the indexes of those whose data it needs. */
  offer(rows: readonly OldRow[]): Promise<readonly number[]>;
  /** EBADMSG: data is not what its row says. */
  putData(parts: readonly OldPart[]): Promise<void>;
  /** Pieces of one file, from the first on, in order. */
  putFile(gfid: Gfid, epoch: number, piece: OldFilePiece): Promise<void>;
  /**
   * Sees to it that older readers will see what the other one's reader saw where nothing changed since.
   * ESTALE: names, types or sizes differ from what the reader `id` sees here.
   */
  compare(
    id: string,
    directory: Gfid,
    after: string | undefined,
    page: SeenPage,
  ): Promise<void>;
  /** What was brought until now is on the disk when this resolves. */
  keep(): Promise<void>;
  /**
   * All is there: `readers` (all that the other one has, and that began before `id`) begin, on the disk
   * when this resolves. EBUSY: there is an older reader that is not among them.
   */
  end(id: string, readers: readonly HistoryReader[]): Promise<void>;
}
