/**
 * Orders to a layer that keeps the history of a brick: who reads old states (snapshots, clones), and
 * since when. A management daemon gives them, on the brick's unix socket; one snapshot of a volume is
 * `hold` at all of its bricks, `take` at all, `release` at all, `secure` at all.
 */

import type { HistoryCopies } from "core/history_copies.ts";
import type { Gfid, Inode } from "core/inode.ts";
import type { Xdata } from "core/xdata.ts";

/** Who reads an old state of a brick. */
export interface HistoryReader {
  /** A UUID, lower-case text. */
  readonly id: string;
  readonly name: string;
  readonly kind: "snapshot" | "clone";
  /** Undefined: the whole volume; else the one file. */
  readonly file: Gfid | undefined;
  /** The epoch that it ended: it sees what was done before that. */
  readonly epoch: number;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** May be looked at. */
  readonly active: boolean;
}

/** What of a reader may change. */
export type ReaderChange = Partial<Pick<HistoryReader, "name" | "kind" | "active">>;

/** A new file that begins as what a snapshot has of another one. */
export interface FileClone {
  /** A UUID, lower-case text: of the reader that keeps what the clone reads. */
  readonly id: string;
  /** Id of the snapshot. */
  readonly snapshot: string;
  /** The file in it. */
  readonly source: Gfid;
  /** An empty file on the same brick: it becomes the clone, with the origin's owner and mode, and its own attributes. */
  readonly gfid: Gfid;
}

/** Adds to counters that are extended attributes of an inode. */
export type AddToMarks = (inode: Inode, deltas: Xdata) => Promise<void>;

/** How far a brick of a cloned volume is with copying what its origin has. */
export interface Flattening {
  /** Files copied since the brick's process began with it. */
  readonly files: number;
  /** Bytes of these, and of the one that is under way; holes count. */
  readonly bytes: number;
  /** The brick does not need its origin any more. */
  readonly done: boolean;
  /** Why it ended before that; "": it did not. The next order goes on. */
  readonly failed: string;
}

/** Room that old states take. */
export interface HistoryUsage {
  /** Rows of the index, readers aside. */
  readonly rows: number;
  /** Bytes of old data. */
  readonly bytes: number;
  /** In the order of `list`. */
  readonly readers: readonly ReaderUsage[];
}

/** Bytes of old data that a reader needs. */
export interface ReaderUsage {
  readonly id: string;
  /** Only it: what its removal gives back. */
  readonly alone: number;
  /** Others need them, too. */
  readonly shared: number;
}

/** What of an inode is told beside a change of it. */
export interface InodeFacts {
  /** With its type. */
  readonly mode: number;
  readonly nlink: number;
  readonly size: number;
  /** Distribute's pointer to another brick: no file of a user. */
  readonly isLinkFile: boolean;
}

/**
 * An inode that was touched between two states of a brick. It may be as it was all the same: then no
 * flag is set. Flags are of inodes that both have.
 */
export interface ChangedInode {
  readonly gfid: Gfid;
  /** Undefined: it was not there. */
  readonly old: InodeFacts | undefined;
  /** Undefined: it is not there any more. */
  readonly now: InodeFacts | undefined;
  /** Data was written, or the size is another: what was written may be what was there. */
  readonly data: boolean;
  /** Owner, mode, extended attributes of users, or where a symbolic link leads. */
  readonly attributes: boolean;
  /** Extended attributes of GlusterFS's own, as a directory's layout; those of replication do not count. */
  readonly internals: boolean;
  /** The time of its last change of data. */
  readonly times: boolean;
}

/** A name that leads elsewhere than it did. */
export interface ChangedName {
  readonly parent: Gfid;
  readonly name: string;
  /** Undefined: there was no such name. */
  readonly old: Gfid | undefined;
  /** Undefined: there is none any more. */
  readonly now: Gfid | undefined;
}

/** Some of what differs between two states of a brick; inodes come before names, in no other order. */
export interface ChangesPage {
  readonly inodes: readonly ChangedInode[];
  readonly names: readonly ChangedName[];
  /** Where the next page begins; undefined: this is the last one. */
  readonly next: string | undefined;
}

/** Bytes of a file. */
export interface FileRange {
  readonly offset: number;
  readonly length: number;
}

/** Some of the ranges of a file that changed, in order; the last of a page may go on in the next. */
export interface RangesPage {
  /** None is beyond the size that the file has now. */
  readonly ranges: readonly FileRange[];
  /** Bytes that it had; undefined: it was not there. */
  readonly oldSize: number | undefined;
  /** Bytes that it has now; undefined: it is not there any more. */
  readonly nowSize: number | undefined;
  /** Byte from which on the next page tells; undefined: this is the last one. */
  readonly next: number | undefined;
}

/** An inode that a path leads to. */
export interface FoundInode extends InodeFacts {
  readonly gfid: Gfid;
}

/** A name in a directory. */
export interface NameIn {
  readonly parent: Gfid;
  readonly name: string;
}

/** See the head of this file. Methods throw FopError; EIO: there is `trouble`. */
export interface HistoryOrders {
  /** Why the history cannot be used, a line for people; undefined: it can. */
  trouble(): string | undefined;
  /** The epoch that is going on: what is taken next must not be of an older one. */
  epoch(): number;
  /** Does all of `take`'s work that can be done before changes wait; without it they wait for that. ENOSPC. */
  prepare(): Promise<void>;
  /**
   * From now on fops that change something wait; resolves when none is under way. After `timeoutMs`
   * it ends by itself: ETIMEDOUT, if that is before. EEXIST: there is one with this id.
   */
  hold(id: string, timeoutMs: number): Promise<void>;
  /**
   * Begins a reader when no change is under way: it sees all that was done until then. `hold`: it
   * begins at the end of that, and is on the disk after `secure`; ETIMEDOUT: it was over before.
   * Undefined: changes wait for this brick only, a second at most (ETIMEDOUT), and it is on the disk
   * when this resolves. EEXIST: there is a reader with its id, or its epoch has passed. ENOSPC.
   */
  take(hold: string | undefined, reader: HistoryReader): Promise<void>;
  /**
   * Begins a reader that sees what the reader `id` sees; of a reader of one file, that file. ENOENT:
   * there is no such reader; EEXIST: there is one with the new one's id.
   */
  join(id: string, reader: Omit<HistoryReader, "epoch">): Promise<void>;
  /**
   * Makes an empty file a clone, at once whatever its size; it is one on the disk when this resolves,
   * or an empty file as before. ENOENT: no such snapshot or file; ENOTEMPTY: it has data; EEXIST: it is
   * a clone, or there is a reader with its id; EINVAL: one of them is no regular file; EUCLEAN: its copies
   * differed when the snapshot was taken.
   */
  cloneFile(clone: FileClone): Promise<void>;
  /**
   * Begins to copy what the brick of a cloned volume still reads from its origin, if it did not
   * begin, and tells how far it is.
   */
  flatten(): Flattening;
  /** Copies what a clone still reads from its origin; resolves when it is an ordinary file. ENOENT: it is no clone. */
  flattenFile(gfid: Gfid): Promise<void>;
  /**
   * Makes a live file what the snapshot with this id has of it: data, size, owner, mode, times and
   * attributes. To be given to all bricks that have the file, all of them up. ENOENT: no such snapshot,
   * or no such file there or now; EINVAL: it is no regular file; EBUSY: it is open for writing; EUCLEAN:
   * its copies differed when the snapshot was taken.
   */
  restoreFile(snapshot: string, gfid: Gfid): Promise<void>;
  /**
   * Makes all that the brick holds what the snapshot with this id has, while nobody else uses it; on
   * the disk when this resolves. After a kill it can be done again. `addToMarks` adds to counters of
   * replication that are attributes, through the layers that keep lists by them; those named `missedBy`
   * then say of all that differs that a copy misses it. ENOENT: no such snapshot, or it is of a file.
   */
  restoreVolume(
    snapshot: string,
    addToMarks: AddToMarks,
    missedBy?: readonly string[],
  ): Promise<void>;
  /**
   * What was taken is on the disk when this resolves: also the live files, as far as readers see
   * them. It may take seconds, and nobody waits for it: after the release.
   */
  secure(): Promise<void>;
  /** Lets changes go on. ETIMEDOUT: they went on before, so what was taken meanwhile is no clean cut. */
  release(hold: string): void;
  /** ENOENT: there is no such reader. */
  update(id: string, change: ReaderChange): Promise<void>;
  /** What only it needed goes in the background. ENOENT: there is no such reader. */
  remove(id: string): Promise<void>;
  /**
   * Several at once, all or none; readers that there are not are fine. Nobody sees them any more when
   * this resolves; on the disk that is when it is called again with ids of which there is none.
   */
  removeAll(ids: readonly string[]): Promise<void>;
  /**
   * What differs between what two readers see, or one and the live files (`now` undefined), from the
   * index alone: the cost is of what was touched in between. `after`: "" or the `next` of the page
   * before; `count`: about how many at most. Nothing that differs is left out; live files that
   * change meanwhile may be. Of a reader of one file, that file. ENOENT: there is no such reader;
   * EINVAL: two of different files, or no `next` of ours.
   */
  changes(old: string, now: string | undefined, after: string, count: number): Promise<ChangesPage>;
  /**
   * Which bytes of a file differ, from byte `from` on, in about `count` ranges. All that differs is
   * told, in units of 4 KiB: what was written and is as it was may be, too. ENOENT, EINVAL as of
   * `changes`.
   */
  changedRanges(
    old: string,
    now: string | undefined,
    gfid: Gfid,
    from: number,
    count: number,
  ): Promise<RangesPage>;
  /**
   * The names under which a reader, or the live files, have each of the inodes. None: it is the root,
   * is not there, or nothing is known (storage.gfid2path is off). ENOENT: there is no such reader.
   */
  names(
    reader: string | undefined,
    gfids: readonly Gfid[],
  ): Promise<readonly (readonly NameIn[])[]>;
  /**
   * What is behind a path, by its names from the root on, as a reader or the live files have it;
   * symbolic links are not followed. ENOENT: there is no such reader, or nothing.
   */
  lookUp(reader: string | undefined, names: readonly string[]): Promise<FoundInode>;
  /** Oldest first. */
  list(): readonly HistoryReader[];
  /** Looks at all rows: takes seconds for millions of them, with fops in between. */
  usage(): Promise<HistoryUsage>;
  /** For another copy of the brick, or from one. EIO: there is trouble. */
  copies(): HistoryCopies;
}
