/** Taking one snapshot, whoever asks for it: a command, or a schedule. */

import { Refusal } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { brickText, type VolumeRecord } from "mgmt/records.ts";
import { limitsOf } from "mgmt/snapshots/limits.ts";
import { takingBricks } from "mgmt/snapshots/look_up.ts";
import { SNAPSHOT_ERRNO } from "mgmt/snapshots/names.ts";
import type { SnapshotFile, SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";

/** What is to be taken. */
export interface WantedSnapshot {
  readonly name: string;
  readonly description?: string | undefined;
  readonly file?: SnapshotFile | undefined;
  /** Prefix of the schedule that takes it. */
  readonly schedule?: string | undefined;
  /** Id of the snapshot that it is a copy of. */
  readonly origin?: string | undefined;
  /** Although bricks are down. */
  readonly force: boolean;
}

/** What came of it. */
export interface Taken {
  readonly made: SnapshotRecord;
  /** There are about as many as there may be. */
  readonly softLimitReached: boolean;
  /** The oldest went for it. */
  readonly deleted: readonly string[];
  /** Bricks that do not have it. */
  readonly missing: readonly string[];
}

/** Throws Refusal if a volume is not started. */
export function checkStarted({ name, state }: VolumeRecord): void {
  if (state === "started") return;
  throw new Refusal(`volume ${name} is not started`, SNAPSHOT_ERRNO.volumeStopped);
}

/** Throws Refusal if a volume may have no more snapshots. */
export async function checkLimit(cluster: Cluster, volume: string): Promise<void> {
  const { snapshots } = cluster;
  const { effective } = limitsOf(await snapshots.settings(), await snapshots.history(volume));
  if ((await snapshots.of(volume)).length < effective) return;
  throw new Refusal(
    `The number of existing snaps has reached the effective maximum limit of ${effective}, ` +
      `for the volume (${volume}). Please delete few snapshots before taking further snapshots.`,
    SNAPSHOT_ERRNO.hardLimit,
  );
}

/** Takes it; the oldest goes for it if that is set. Throws Refusal: nothing was taken. */
export async function takeSnapshot(
  cluster: Cluster,
  volume: VolumeRecord,
  { force, ...wanted }: WantedSnapshot,
): Promise<Taken> {
  const { snapshots } = cluster;
  const made = await snapshots.create(volume, {
    ...wanted,
    bricks: takingBricks(cluster, volume, force),
  });
  const settings = await snapshots.settings();
  const { soft } = limitsOf(settings, await snapshots.history(volume.name));
  const all = await snapshots.of(volume.name);
  const over = settings.autoDelete ? all.slice(0, Math.max(0, all.length - soft)) : [];
  const deleted: string[] = [];
  for (const oldest of over) {
    if (oldest.id === made.id) continue;
    await snapshots.remove(volume, oldest);
    deleted.push(oldest.name);
  }
  return {
    made,
    softLimitReached: all.length - deleted.length >= soft,
    deleted,
    missing: volume.bricks.filter(({ clientName }) => made.missing.includes(clientName))
      .map(brickText),
  };
}
