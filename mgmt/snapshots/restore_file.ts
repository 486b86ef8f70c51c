/**
 * A file becomes again what a snapshot has of it, at all of its copies. Nobody may write to it
 * meanwhile: bricks refuse that. If one of them refuses after another one did it, those go back to
 * what the file was, which a snapshot keeps until then.
 */

import { Refusal } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { plain } from "mgmt/plain.ts";
import { brickText, type VolumeRecord } from "mgmt/records.ts";
import type { HistoryBrick } from "mgmt/snapshots/history_brick.ts";
import type { SnapshotFile, SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";

/** Restores it. Throws Refusal: it is as before, unless that says otherwise. */
export async function restoreFileTo(
  cluster: Cluster,
  volume: VolumeRecord,
  snapshot: SnapshotRecord,
  file: SnapshotFile,
): Promise<void> {
  const bricks = cluster.snapshots.bricks(volume);
  const lacks = bricks.find(({ name, isUp }) => !isUp || snapshot.missing.includes(name));
  if (lacks) {
    throw new Refusal(
      `Brick ${
        brickText(lacks.record)
      } is down, or does not have the snapshot: all copies have to ` +
        "be restored",
    );
  }
  const name = `restore-${cluster.env.random.uuid()}`;
  const before = await cluster.snapshots.create(volume, { name, file, bricks }).catch((error) => {
    throw new Refusal(`Cannot restore "${file.path}": ${plain(error)}`);
  });
  const outcomes = await Promise.allSettled(
    bricks.map((brick) => brick.restoreFile(snapshot.id, file.gfid)),
  );
  const failed = outcomes.find((each) => each.status === "rejected");
  const done = bricks.filter((_, index) => {
    const outcome = outcomes[index]!;
    return outcome.status === "fulfilled" && outcome.value;
  });
  if (failed) await goBack(done, before, file, failed.reason);
  await cluster.snapshots.remove(volume, before);
  if (failed) throw new Refusal(`Cannot restore "${file.path}": ${plain(failed.reason)}`);
  if (!done.length) {
    throw new Refusal(
      `Cannot restore "${file.path}": the file of that name now is none that the snapshot has`,
    );
  }
}

async function goBack(
  bricks: readonly HistoryBrick[],
  before: SnapshotRecord,
  { path, gfid }: SnapshotFile,
  why: unknown,
): Promise<void> {
  try {
    await Promise.all(bricks.map((brick) => brick.restoreFile(before.id, gfid)));
  } catch (error) {
    throw new Refusal(
      `Cannot restore "${path}" at all copies: ${plain(why)}; and ${
        plain(error)
      }, so copies differ: ` +
        `close the file everywhere and restore it again, from this snapshot, or from ${before.name}, ` +
        "which has what it was",
    );
  }
}
