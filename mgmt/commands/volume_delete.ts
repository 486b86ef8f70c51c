/** `volume delete`: forgets a volume. What its bricks hold stays where it is. */

import { managed, Refusal, volumeName } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { doneText, type VolumeDone, volumeDone } from "mgmt/commands/volume_create.ts";
import { clonesOf } from "mgmt/snapshots/clone_volume.ts";

/** See the head of this file. */
export const volumeDelete = managed({
  path: "volume delete",
  summary: "delete volume specified by <VOLNAME>",
  description: ["The directories of its bricks keep all they hold: remove them if you want."],
  args: { volume: volumeName },
  scope: "volume",
  rest: "DELETE /volumes/{volume}",
  examples: [
    { what: "Forget v1, not asking", line: "mortar --mode=script volume delete v1" },
  ],
  question: () =>
    "Deleting volume will erase all information about the volume. Do you want to continue?",
  async check(cluster, { volume: name }) {
    const { state } = await cluster.volume(name);
    if (state === "started") {
      throw new Refusal(
        `Volume ${name} has been started.Volume needs to be stopped before deletion.`,
      );
    }
    const [clone] = await clonesOf(cluster, name);
    if (clone !== undefined) {
      throw new Refusal(
        `Cannot delete Volume ${name}: its clone ${clone} reads from it; delete that first`,
      );
    }
    const { length } = await cluster.snapshots.of(name);
    if (length) {
      throw new Refusal(
        `Cannot delete Volume ${name} ,as it has ${length} snapshots. ` +
          "To delete the volume, first delete all the snapshots under it.",
      );
    }
  },
  apply(cluster, { volume: name }) {
    return cluster.hooked("delete", name, () => remove(cluster, name));
  },
  text: doneText("delete"),
  xml: volumeDone("volDelete"),
  failed: (message, { volume }) => `volume delete: ${volume}: failed: ${message}`,
});

async function remove(cluster: Cluster, name: string): Promise<VolumeDone> {
  const { id } = await cluster.volume(name);
  await cluster.remove(name);
  return { volume: name, id, warnings: [] };
}
