/**
 * A volume becomes again what a snapshot has of it, while it is stopped: one process for each brick
 * does that for its directory, and serves nobody. What is to be done is in the store before the first
 * one begins: until all have ended well the volume does not start, and whatever died, it is done again.
 */

import type { Json } from "core/xlator.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { plain } from "mgmt/plain.ts";
import { brickText, fields, text, type VolumeRecord } from "mgmt/records.ts";
import { SNAPSHOT_ERRNO } from "mgmt/snapshots/names.ts";
import type { SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";

/** A restore that has not ended. */
export interface RestoreRecord {
  readonly volume: string;
  /** Name of the snapshot, which is not deleted meanwhile. */
  readonly snapshot: string;
}

/** Keys in the store. */
export const RESTORE_KEYS = {
  restore: (volume: string) => `volume-restore/${volume}`,
  restores: "volume-restore/",
} as const;

/** Bricks that are restored at a time. */
const AT_ONCE = 4;

/** The restore that `value` spells. Throws RangeError. */
export function restoreRecord(value: unknown): RestoreRecord {
  const at = fields(value, "restore");
  return { volume: text(at, "volume"), snapshot: text(at, "snapshot") };
}

/** The restore of a volume that has not ended; undefined: there is none. */
export async function restoreOf(
  { store }: Cluster,
  volume: string,
): Promise<RestoreRecord | undefined> {
  const value = await store.get(RESTORE_KEYS.restore(volume));
  return value === undefined ? undefined : restoreRecord(value);
}

/** Throws Refusal if the volume cannot be restored to the snapshot. */
export async function checkRestore(
  cluster: Cluster,
  volume: VolumeRecord,
  { name, file, missing }: SnapshotRecord,
): Promise<void> {
  if (file) {
    throw new Refusal(`Snapshot ${name} is of the file ${file.path} only: restore it with --file`);
  }
  if (volume.state === "started") {
    throw new Refusal(
      `Volume (${volume.name}) has been started. Volume needs to be stopped before restoring a ` +
        "snapshot.",
      SNAPSHOT_ERRNO.volumeRuns,
    );
  }
  const lacking = volume.bricks.filter(({ clientName }) => missing.includes(clientName));
  if (lacking.length) {
    throw new Refusal(
      `Snapshot ${name} is missing on ${lacking.map(brickText).join(", ")}, so these cannot be ` +
        "restored; choose a snapshot that all bricks have (snapshot info), or copy from it: it can be " +
        "mounted",
    );
  }
  const other = await restoreOf(cluster, volume.name);
  if (other && other.snapshot !== name) throw notEnded(other);
}

/** Restores it. Throws Refusal: what was begun is to be ended by asking again, or by starting the volume. */
export async function restoreVolumeTo(
  cluster: Cluster,
  volume: VolumeRecord,
  { name }: SnapshotRecord,
): Promise<void> {
  const record: RestoreRecord = { volume: volume.name, snapshot: name };
  await cluster.store.transact((transaction) => {
    transaction.put(RESTORE_KEYS.restore(volume.name), record as unknown as Json);
    return Promise.resolve();
  });
  await finishRestore(cluster, volume);
}

/** Does what has not ended; answers the name of the snapshot, or undefined: there was nothing. Throws Refusal. */
export async function finishRestore(
  cluster: Cluster,
  volume: VolumeRecord,
): Promise<string | undefined> {
  const restore = await restoreOf(cluster, volume.name);
  if (!restore) return undefined;
  const snapshot = await cluster.snapshots.find(restore.snapshot);
  if (!snapshot) throw new Refusal(`Snapshot (${restore.snapshot}) does not exist any more`);
  const own = volume.bricks.filter(({ nodeId }) => nodeId === cluster.nodeId);
  for (let at = 0; at < own.length; at += AT_ONCE) {
    const outcomes = await Promise.allSettled(
      own.slice(at, at + AT_ONCE).map((brick) =>
        cluster.bricks.restore(volume, brick, snapshot.id)
      ),
    );
    const failed = outcomes.find((each) => each.status === "rejected");
    if (failed) {
      throw new Refusal(
        `${plain(failed.reason)}; mend that and restore again: until then volume ${volume.name} ` +
          "does not start",
      );
    }
  }
  await cluster.store.transact((transaction) => {
    transaction.delete(RESTORE_KEYS.restore(volume.name));
    return Promise.resolve();
  });
  return snapshot.name;
}

/** Throws Refusal if a volume is being restored to the snapshot. */
export async function checkNotRestoring(
  cluster: Cluster,
  { name, volume }: SnapshotRecord,
): Promise<void> {
  const restore = await restoreOf(cluster, volume);
  if (restore?.snapshot === name) throw notEnded(restore);
}

function notEnded({ volume, snapshot }: RestoreRecord): Refusal {
  return new Refusal(
    `Volume ${volume} was being restored from snapshot ${snapshot}, and that has not ended; do it ` +
      `first: mortar snapshot restore ${snapshot}`,
  );
}
