/** `volume start`: runs the bricks and publishes the volfiles. */

import { managed, Refusal, volumeName, word } from "mgmt/cli/managed.ts";
import { checkOwnBrick, isNobodys, takeBrick } from "mgmt/cluster/brick_directory.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { doneText, type VolumeDone, volumeDone } from "mgmt/commands/volume_create.ts";
import { plain } from "mgmt/plain.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { finishRestore } from "mgmt/snapshots/restore_volume.ts";

/** See the head of this file. */
export const volumeStart = managed({
  path: "volume start",
  summary: "start volume specified by <VOLNAME>",
  args: {
    volume: volumeName,
    force: word(
      "force",
      "Also run the bricks of a started volume that are down. A directory that no volume has " +
        "becomes the brick: its files come from its copies (volume heal full), and then its snapshots.",
    ),
  },
  scope: "volume",
  rest: "POST /volumes/{volume}/start",
  examples: [{ what: "Run the bricks of v1", line: "mortar volume start v1" }],
  async check(cluster, { volume: name, force }) {
    const volume = await cluster.volume(name);
    if (volume.state === "started" && !force) {
      throw new Refusal(`Volume ${name} already started`);
    }
    if (force) return;
    for (const brick of volume.bricks) {
      if (brick.nodeId === cluster.nodeId) checkOwnBrick(brick, name, volume.id);
    }
  },
  apply(cluster, { volume: name, force }) {
    return cluster.hooked("start", name, () => start(cluster, name, force));
  },
  text: doneText("start"),
  xml: volumeDone("volStart"),
  failed: (message, { volume }) => `volume start: ${volume}: failed: ${message}`,
});

async function start(cluster: Cluster, name: string, force: boolean): Promise<VolumeDone> {
  const before = await cluster.volume(name);
  const restored = before.state === "started" ? undefined : await finishRestore(cluster, before);
  const warnings = restored === undefined
    ? []
    : [`It was being restored from snapshot ${restored} and that had not ended: it has now`];
  const done = { volume: name, id: before.id };
  if (force) takeEmptied(cluster, before);
  try {
    await cluster.update(name, (volume) => ({ ...volume, state: "started" }), { force });
    return { ...done, warnings };
  } catch (error) {
    // With force a volume runs on the bricks that it has.
    if (force && error instanceof Refusal) {
      return { ...done, warnings: [...warnings, error.message] };
    }
    await takeBack(cluster, before);
    throw error;
  }
}

// As GlusterFS does: a brick whose disk was replaced has nothing that says whose it is.
function takeEmptied(cluster: Cluster, { bricks, id }: VolumeRecord): void {
  for (const brick of bricks) {
    if (brick.nodeId === cluster.nodeId && isNobodys(brick.path)) takeBrick(brick, id, false);
  }
}

// What cannot be followed may fail once more on the way back; the record is right by then.
async function takeBack(cluster: Cluster, { name, state }: VolumeRecord): Promise<void> {
  await cluster.update(name, (volume) => ({ ...volume, state })).catch((error) =>
    cluster.env.log.warn("volume was not started; bricks may be left", {
      volume: name,
      why: plain(error),
    })
  );
}
