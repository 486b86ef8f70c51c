/**
 * Two states of a volume that are compared, and who is asked: all copies that are up and have both. One
 * of them may have missed a change and not be healed yet; another one has it then.
 */

import { Refusal } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { brickText, isArbiter, setSize, type VolumeRecord } from "mgmt/records.ts";
import type { HistoryBrick } from "mgmt/snapshots/history_brick.ts";
import { snapshotOf } from "mgmt/snapshots/look_up.ts";
import { SNAPSHOT_ERRNO } from "mgmt/snapshots/names.ts";
import type { SnapshotFile, SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";

/** Stands for the volume as it is now where a snapshot is named. */
export const NOW = "-";

/** See the head of this file. */
export interface Compared {
  readonly volume: VolumeRecord;
  readonly old: SnapshotRecord;
  /** Undefined: the volume as it is now. */
  readonly now: SnapshotRecord | undefined;
  /** The only file that both know; undefined: the whole volume. */
  readonly file: SnapshotFile | undefined;
  /** Of each set of bricks the copies that are asked, one or more. */
  readonly sets: readonly (readonly HistoryBrick[])[];
}

/** Looks up who and what. Throws Refusal: they cannot be compared. */
export async function comparedOf(cluster: Cluster, from: string, to: string): Promise<Compared> {
  if (from === NOW) {
    throw new Refusal(
      `Cannot compare: name a snapshot first; "${NOW}", which is now, comes second`,
    );
  }
  const { snapshot: old, volume } = await snapshotOf(cluster, from);
  const now = to === NOW ? undefined : (await snapshotOf(cluster, to)).snapshot;
  if (now && now.volume !== old.volume) {
    throw new Refusal(
      `Cannot compare: snapshot ${old.name} is of volume ${old.volume}, ${now.name} of ${now.volume}`,
    );
  }
  if (old.file && now?.file && old.file.gfid !== now.file.gfid) {
    throw new Refusal(
      `Cannot compare: snapshot ${old.name} is of file ${old.file.path}, ${now.name} of ` +
        (old.file.path === now.file.path ? "another one that had its name" : now.file.path),
    );
  }
  if (volume.state !== "started") {
    throw new Refusal(`volume ${volume.name} is not started`, SNAPSHOT_ERRNO.volumeStopped);
  }
  if (volume.kind === "disperse" || volume.kind === "stripe") {
    throw new Refusal(`Cannot compare: volume ${volume.name} has pieces of files on its bricks`);
  }
  return {
    volume,
    old,
    now,
    file: old.file ?? now?.file,
    sets: copies(cluster, volume, old, now),
  };
}

function copies(
  cluster: Cluster,
  volume: VolumeRecord,
  old: SnapshotRecord,
  now: SnapshotRecord | undefined,
): HistoryBrick[][] {
  const all = cluster.snapshots.bricks(volume), size = setSize(volume);
  const missing = new Set([...old.missing, ...now?.missing ?? []]);
  return Array.from({ length: all.length / size }, (_, index) => {
    const set = all.slice(index * size, (index + 1) * size);
    const found = set.filter(({ name, isUp }, at) =>
      // An arbiter has no data.
      isUp && !missing.has(name) && !isArbiter(volume, index * size + at)
    );
    if (found.length) return found;
    const names = set.map(({ record }) => brickText(record)).join(", ");
    throw new Refusal(
      `Cannot compare: none of ${names} is up and has ${now ? "both snapshots" : "the snapshot"}`,
      SNAPSHOT_ERRNO.brickDown,
    );
  });
}

/** Names of a path in a volume. Throws Refusal: it is none. */
export function namesOfPath(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "");
  if (!names.length || names.some((name) => name === "." || name === "..")) {
    throw new Refusal(`Cannot use path "${path}": write it out, from the volume's root on`);
  }
  return names;
}

/** A state as people call it. */
export function stateText({ volume, now }: Compared): string {
  return now ? `snapshot ${now.name}` : `volume ${volume.name} now`;
}
