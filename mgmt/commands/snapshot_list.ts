/** `snapshot list`: names of snapshots. */

import { managed, optional } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import { volumeNamed } from "mgmt/snapshots/look_up.ts";
import { FAILING, NONE } from "mgmt/snapshots/shown.ts";

/** What it answers: names, oldest first. */
export type SnapshotList = { readonly snapshots: readonly string[] };

/** See the head of this file. */
export const snapshotList = managed({
  path: "snapshot list",
  summary: "Snapshot List.",
  args: {
    volume: optional("<volname>", { help: "Only those of this volume.", offers: "volume" }),
  },
  scope: "nothing",
  rest: "GET /snapshots",
  examples: [{ what: "Snapshots of v1, oldest first", line: "mortar snapshot list v1" }],
  async apply(cluster, { volume }): Promise<SnapshotList> {
    if (volume !== undefined) await volumeNamed(cluster, volume);
    const found = volume === undefined
      ? await cluster.snapshots.all()
      : await cluster.snapshots.of(volume);
    return { snapshots: found.map(({ name }) => name) };
  },
  text: ({ snapshots }) => snapshots.length ? snapshots.map((name) => `${name}\n`).join("") : NONE,
  xml: ({ snapshots }) => [
    element("snapList", [
      element("count", snapshots.length),
      ...snapshots.map((name) => element("snapshot", name)),
    ]),
  ],
  failed: (message) => `Snapshot list : failed: ${message}`,
  ...FAILING,
});
