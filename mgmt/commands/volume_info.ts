/** `volume info`: what volumes are made of, and what was set on them. */

import { managed, OP_ERRNO, optional } from "mgmt/cli/managed.ts";
import { keepsUserAttributes } from "mgmt/cluster/brick_directory.ts";
import type { VolumeInfoAnswer } from "mgmt/status/answers.ts";
import { infoText, infoXml } from "mgmt/status/info_shown.ts";
import { volumeInfo as infoOf } from "mgmt/status/volume_info.ts";

/** See the head of this file. */
export const volumeInfo = managed({
  path: "volume info",
  summary: "list information of all volumes",
  args: {
    volume: optional("[all|<VOLNAME>]", {
      help: "One volume; all if not given.",
      offers: "volume",
    }),
  },
  scope: "nothing",
  rest: "GET /volumes",
  examples: [
    { what: "All volumes", line: "mortar volume info" },
    { what: "One of them, for programs", line: "mortar --xml volume info v1" },
  ],
  async apply(cluster, { volume }): Promise<VolumeInfoAnswer> {
    const circumstances = {
      handWritten: await cluster.handWritten(),
      userAttributes: keepsUserAttributes(),
    };
    const one = volume !== undefined && volume !== "all";
    const volumes = one ? [await cluster.volume(volume)] : await cluster.volumes();
    const snapshots = Map.groupBy(await cluster.snapshots.all(), (each) => each.volume);
    return {
      volume: one ? volume : null,
      volumes: volumes.map((each) =>
        infoOf(each, { ...circumstances, snapshots: snapshots.get(each.name)?.length ?? 0 })
      ),
    };
  },
  text: ({ volumes }) => volumes.map(infoText).join(""),
  aside: ({ volumes }) => volumes.length ? "" : "No volumes present\n",
  xml: ({ volumes }) => [infoXml(volumes)],
  failedXml: () => ({
    opErrno: OP_ERRNO.noVolume,
    opErrstr: "Volume does not exist",
    elements: [infoXml([])],
    exitCode: 0,
  }),
});
