/** Names of snapshots, and GlusterFS's numbers for what is wrong with them. */

import { Refusal } from "mgmt/cli/managed.ts";

/** `EG_*` in glusterd-errno.h. */
export const SNAPSHOT_ERRNO = {
  brickDown: 30803,
  hardLimit: 30805,
  noVolume: 30806,
  none: 30807,
  volumeRuns: 30809,
  volumeStopped: 30810,
  exists: 30812,
} as const;

/** Longest name (GLUSTERD_MAX_SNAP_NAME is one more). */
const NAME_MAX = 255;
/** Words of commands, which a snapshot's name would be taken for. */
const RESERVED: ReadonlySet<string> = new Set(["description", "force", "volume", "all"]);

/** `name`, if a new snapshot may have it. Throws Refusal in GlusterFS's words. */
export function newSnapshotName(name: string): string {
  if (RESERVED.has(name)) throw new Refusal(`"${name}" cannot be a snapname`);
  if (name.length > NAME_MAX) throw new Refusal(`snapname cannot exceed ${NAME_MAX} characters.`);
  if (!/^[A-Za-z0-9_-]+$/.test(name)) {
    throw new Refusal('Snapname can contain only alphanumeric, "-" and "_" characters');
  }
  return name;
}

/**
 * The name with the time behind it, as GlusterFS makes it unless told not to. `now`: milliseconds
 * since 1970. Throws Refusal: that is too long.
 */
export function stampedName(name: string, now: number): string {
  const [date = "", time = ""] = new Date(now).toISOString().split(/[T.]/);
  const stamped = `${name}_GMT-${date.replaceAll("-", ".")}-${time.replaceAll(":", ".")}`;
  if (stamped.length <= NAME_MAX) return stamped;
  throw new Refusal(`snapname cannot exceed ${NAME_MAX} characters`);
}

/** A time as GlusterFS tells it: "2026-01-31 12:00:00 +0000". */
export function timeText(ms: number): string {
  const [date = "", time = ""] = new Date(ms).toISOString().split(/[T.]/);
  return `${date} ${time} +0000`;
}

/** There is no snapshot of that name. */
export function noSnapshot(name: string, dot = ""): Refusal {
  return new Refusal(`Snapshot (${name}) does not exist${dot}`, SNAPSHOT_ERRNO.none);
}
