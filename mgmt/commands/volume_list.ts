/** `volume list`: the names of all volumes. */

import { managed } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { VolumeListAnswer } from "mgmt/status/answers.ts";

/** See the head of this file. */
export const volumeList = managed({
  path: "volume list",
  summary: "list all volumes in cluster",
  args: {},
  scope: "nothing",
  rest: "GET /volume-names",
  examples: [{ what: "Names of the volumes, one a line", line: "mortar volume list" }],
  async apply(cluster): Promise<VolumeListAnswer> {
    return { volumes: (await cluster.volumes()).map(({ name }) => name) };
  },
  text: ({ volumes }) => volumes.map((name) => `${name}\n`).join(""),
  aside: ({ volumes }) => volumes.length ? "" : "No volumes present in cluster\n",
  xml: ({ volumes }) => [
    element("volList", [
      element("count", volumes.length),
      ...volumes.map((name) => element("volume", name)),
    ]),
  ],
});
