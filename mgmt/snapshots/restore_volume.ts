/**
 * A volume becomes again what a snapshot has of it, while it is stopped: one process for each brick
 * does that for its directory, and serves nobody. What is to be done is in the store before the first
 * one begins: until all have ended well the volume does not start, and whatever died, it is done again.
 */

import type { Json } from "core/xlator.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { plain } from "mgmt/plain.ts";
import {
  type BrickRecord,
  brickText,
  fields,
  isArbiter,
  setSize,
  text,
  type VolumeRecord,
} from "mgmt/records.ts";
import { setsOf } from "mgmt/snapshots/create.ts";
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
  snapshot: SnapshotRecord,
): Promise<void> {
  const { name, file } = snapshot;
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
  checkMissing(volume, snapshot);
  const other = await restoreOf(cluster, volume.name);
  if (other && other.snapshot !== name) throw notEnded(other);
}

// Bricks that miss it are healed from copies that have it, which these have to know better in all things.
function checkMissing(volume: VolumeRecord, { name, missing }: SnapshotRecord): void {
  const lacks = ({ clientName }: BrickRecord) => missing.includes(clientName);
  const sets = setSize(volume) > 1 ? setsOf(volume) : volume.bricks.map((brick) => [brick]);
  for (const set of sets.filter((each) => each.some(lacks))) {
    const lacking = set.filter(lacks);
    const whole = set.some((brick) =>
      !lacks(brick) && !isArbiter(volume, volume.bricks.indexOf(brick))
    );
    if (volume.kind !== "replicate" || !whole) {
      throw new Refusal(
        `Snapshot ${name} is missing on ${
          lacking.map(brickText).join(", ")
        }, and no copy has it; ` +
          "choose a snapshot that all bricks have (snapshot info), or copy from it: it can be mounted",
      );
    }
    const newer = lacking.find(({ path }) => hasPending(path));
    if (newer) {
      throw new Refusal(
        `Brick ${
          brickText(newer)
        }, which misses snapshot ${name}, has changes that other copies miss; ` +
          `start volume ${volume.name} until they are healed (volume heal info), then stop it again`,
      );
    }
  }
}

// By the list that bricks keep of what others missed. A brick that is not there has nothing.
function hasPending(brick: string): boolean {
  try {
    const listed = Deno.readDirSync(`${brick}/.glusterfs/indices/xattrop`);
    return [...listed].some(({ name }) => !name.startsWith("xattrop-"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
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
  const { missing } = snapshot;
  const own = volume.bricks.filter(({ nodeId, clientName }) =>
    nodeId === cluster.nodeId && !missing.includes(clientName)
  );
  const missedBy = new Map(
    setsOf(volume).flatMap((set) => {
      const lacking = set.map(({ clientName }) => clientName).filter((each) =>
        missing.includes(each)
      );
      return set.map((brick) => [brick.clientName, lacking]);
    }),
  );
  for (let at = 0; at < own.length; at += AT_ONCE) {
    const outcomes = await Promise.allSettled(
      own.slice(at, at + AT_ONCE).map((brick) =>
        cluster.bricks.restore(volume, brick, snapshot.id, missedBy.get(brick.clientName) ?? [])
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
