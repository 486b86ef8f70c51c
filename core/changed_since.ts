/**
 * What of a file changed since a snapshot, by extended attributes that are made when they are read: for
 * clients of a volume, which know snapshots by their names and have no orders for bricks.
 */

import { EINVAL } from "core/errno.ts";
import type { FileRange } from "core/history_orders.ts";
import { decodeName, encodeName } from "core/lib/bytes.ts";

/** Read: names of snapshots that a file can be compared with, one in each line. */
export const CHANGED_SINCE = "glusterfs.changed-since";

/** What is asked by an attribute's name. */
export interface ChangesAsked {
  /** Of the snapshot; undefined: which there are. */
  readonly snapshot: string | undefined;
  /** First byte that is asked for. */
  readonly from: number;
}

/** Ranges that changed, from the byte that was asked for on. */
export interface ChangesTold {
  readonly ranges: readonly FileRange[];
  /** What is before this byte was told; undefined: all was. */
  readonly next: number | undefined;
}

/** The attribute's name for a question. */
export function changesName({ snapshot, from }: ChangesAsked): string {
  if (snapshot === undefined) return CHANGED_SINCE;
  return `${CHANGED_SINCE}.${snapshot}${from ? `/${from}` : ""}`;
}

/** What an attribute's name asks for; undefined: it is an ordinary one. EINVAL: it is none of ours either. */
export function changesAsked(name: string): ChangesAsked | undefined {
  if (!name.startsWith(CHANGED_SINCE)) return undefined;
  const asked = name.slice(CHANGED_SINCE.length);
  if (asked === "") return { snapshot: undefined, from: 0 };
  const found = /^\.([^/]+)(?:\/(\d{1,15}))?$/.exec(asked);
  if (!found) throw EINVAL;
  return { snapshot: found[1], from: Number(found[2] ?? 0) };
}

/** The attribute's value. */
export function encodeChanges({ ranges, next }: ChangesTold): Uint8Array {
  const pairs = ranges.map(({ offset, length }) => [offset, length]);
  return encodeName(JSON.stringify({ ranges: pairs, next }));
}

/** The same read back. Throws EINVAL: it is none. */
export function decodeChanges(value: Uint8Array): ChangesTold {
  let read: { ranges?: unknown; next?: unknown };
  try {
    read = JSON.parse(decodeName(value));
  } catch {
    throw EINVAL;
  }
  if (!Array.isArray(read?.ranges)) throw EINVAL;
  const next = read.next === undefined ? undefined : byte(read.next);
  const ranges = read.ranges.map((each) => {
    if (!Array.isArray(each) || each.length !== 2) throw EINVAL;
    return { offset: byte(each[0]), length: byte(each[1]) };
  });
  return { ranges, next };
}

function byte(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw EINVAL;
  return value as number;
}
