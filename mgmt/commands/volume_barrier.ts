/** `volume barrier`: bricks hold acknowledgements back while somebody takes a snapshot of them. */

import { type DictValue, str, Xdata } from "core/xdata.ts";
import { choice, managed, Refusal, volumeName } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { askBricks, runningBricks, startedVolume } from "mgmt/commands/ask_bricks.ts";
import type { BrickRecord, VolumeRecord } from "mgmt/records.ts";
import { brickBarrier } from "rpc/programs/brick_ops.ts";

const OPTION = "features.barrier";
type Wanted = "enable" | "disable";

/** What it answers. */
export type VolumeBarrier = { readonly volume: string; readonly barrier: Wanted };

/** See the head of this file. */
export const volumeBarrier = managed({
  path: "volume barrier",
  summary: "Barrier/unbarrier file operations on a volume",
  args: {
    volume: volumeName,
    barrier: choice(["enable", "disable"], "Hold acknowledgements back, or let them go."),
  },
  scope: "volume",
  rest: "POST /volumes/{volume}/barrier",
  examples: [
    { what: "Hold acknowledgements of v1's bricks", line: "mortar volume barrier v1 enable" },
  ],
  async check(cluster, { volume }) {
    await startedVolume(cluster, volume, `Volume ${volume} is not started`);
  },
  async apply(cluster, { volume: name, barrier }): Promise<VolumeBarrier> {
    const volume = await cluster.volume(name);
    await order(cluster, volume, barrier);
    await cluster.update(name, (record) => ({
      ...record,
      options: { ...record.options, [OPTION]: barrier },
    }));
    return { volume: name, barrier };
  },
  text: () => "volume barrier: command successful\n",
  // GlusterFS prints text even when asked for XML; the elements every answer has say the same.
  xml: () => [],
  failed: (message) => `volume barrier: command unsuccessful : ${message}`,
});

// All or none: if a brick cannot, those that did are put back.
async function order(cluster: Cluster, volume: VolumeRecord, wanted: Wanted): Promise<void> {
  const tell = (bricks: readonly BrickRecord[], to: Wanted) => {
    const entries: [string, DictValue][] = [["volname", str(volume.name)], ["barrier", str(to)]];
    return askBricks(cluster, volume, bricks, brickBarrier, Xdata.of(entries));
  };
  const told = await tell(runningBricks(cluster, volume), wanted);
  const failed = told.find(({ answer }) => answer.ret < 0);
  if (!failed) return;
  const done = told.filter(({ answer }) => answer.ret >= 0).map(({ brick }) => brick);
  await tell(done, wanted === "enable" ? "disable" : "enable");
  throw new Refusal(failed.answer.error || "Failed to reconfigure barrier.");
}
