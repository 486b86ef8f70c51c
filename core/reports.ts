/**
 * What layers tell the process they run in, beside fops: figures for `volume profile` and `volume
 * top`, clients for `volume status`, and the barrier. A layer that knows one of these has the member
 * of `Xlator` of that name.
 */

import type { FopName } from "core/fops.ts";
import type { Gfid } from "core/inode.ts";

/** How often one fop came, and how long it took. Latencies are of the `timed` ones, in nanoseconds. */
export type FopReport = {
  readonly fop: FopName;
  readonly hits: number;
  readonly timed: number;
  readonly averageNs: number;
  readonly minNs: number;
  readonly maxNs: number;
};

/** What passed in a period of time. */
export type PeriodReport = {
  readonly seconds: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Reads by size: [smallest size of the class, a power of two; how many]. Empty ones left out. */
  readonly reads: readonly (readonly [size: number, count: number])[];
  readonly writes: readonly (readonly [size: number, count: number])[];
  readonly fops: readonly FopReport[];
};

/** What is counted for a file. Throughputs are the best seen, in bytes a second. */
export const TOP_KINDS = [
  "open",
  "read",
  "write",
  "opendir",
  "readdirp",
  "read-throughput",
  "write-throughput",
] as const;
export type TopKind = typeof TOP_KINDS[number];

/** A file in a list of the most used. */
export interface TopFile {
  readonly gfid: Gfid;
  readonly value: number;
  /** When the throughput was seen, in milliseconds since 1970; 0 for counts. */
  readonly at: number;
}

/** A layer that counts what passes. */
export interface Statistics {
  /** Since it started, or was cleared. */
  cumulative(): PeriodReport;
  /** Since the last one was asked for, numbered from 0; a `peek` starts no new one. */
  interval(peek: boolean): { readonly number: number; readonly period: PeriodReport };
  /** Starts all periods anew, from interval 0. */
  clear(): void;
  /** Open files now, the most there were, and when (milliseconds since 1970; 0: never). */
  opens(): { readonly now: number; readonly most: number; readonly mostAt: number };
  /** The files with the highest figure, highest first. */
  top(kind: TopKind, count: number): readonly TopFile[];
  clearTop(): void;
}

/** An open file of a client, by its number on the connection. */
export interface OpenFileReport {
  readonly number: number;
  readonly gfid: Gfid;
  readonly flags: number;
}

/** A client that joined. */
export interface ClientReport {
  /** As it names itself: one of a kind. */
  readonly name: string;
  /** What it is: "fuse", "gfapi", "glustershd". */
  readonly process: string;
  /** Address and port. */
  readonly peer: string;
  /** The subvolume it joined, as it named it. */
  readonly brick: string;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Highest op-version it knows. */
  readonly opVersion: number;
  readonly callsUnderWay: number;
  readonly files: readonly OpenFileReport[];
}
