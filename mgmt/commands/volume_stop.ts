/** `volume stop`: ends the bricks. */

import { managed, Refusal, volumeName, word } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { isFlattening } from "mgmt/snapshots/flattens.ts";
import { doneText, type VolumeDone, volumeDone } from "mgmt/commands/volume_create.ts";

/** See the head of this file. */
export const volumeStop = managed({
  path: "volume stop",
  summary: "stop volume specified by <VOLNAME>",
  args: {
    volume: volumeName,
    force: word("force", "Also end the bricks of a volume that is stopped already."),
  },
  scope: "volume",
  rest: "POST /volumes/{volume}/stop",
  examples: [{
    what: "End the bricks of v1, not asking",
    line: "mortar --mode=script volume stop v1",
  }],
  question: () => "Stopping volume will make its data inaccessible. Do you want to continue?",
  async check(cluster, { volume: name, force }) {
    const { state } = await cluster.volume(name);
    if (state !== "started" && !force) {
      throw new Refusal(`Volume ${name} is not in the started state`);
    }
  },
  apply(cluster, { volume: name }) {
    return cluster.hooked("stop", name, () => stop(cluster, name));
  },
  text: doneText("stop"),
  xml: volumeDone("volStop"),
  failed: (message, { volume }) => `volume stop: ${volume}: failed: ${message}`,
});

async function stop(cluster: Cluster, name: string): Promise<VolumeDone> {
  const stopped = await cluster.update(name, (volume) => ({ ...volume, state: "stopped" }));
  const warnings = isFlattening(stopped)
    ? ["It was being flattened, which goes on when it is started again"]
    : [];
  return { volume: name, id: stopped.id, warnings };
}
