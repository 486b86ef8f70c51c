/** `snapshot delete`: one snapshot, those of a volume, or all. */

import { keyword, managed, optional } from "mgmt/cli/managed.ts";
import { WrongArguments } from "mgmt/cli/words.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { snapshotOf, volumeNamed } from "mgmt/snapshots/look_up.ts";
import { checkNotRestoring } from "mgmt/snapshots/restore_volume.ts";
import { FAILING, NONE, type SnapshotDone } from "mgmt/snapshots/shown.ts";
import type { SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";

const ALL = "all";

/** What it answers; `counted`: more than one was asked for. */
export type SnapshotsDeleted = {
  readonly counted: boolean;
  readonly snapshots: readonly SnapshotDone[];
};

interface Wanted {
  readonly snapshot: string | undefined;
  readonly volume: string | undefined;
}

/** See the head of this file. */
export const snapshotDelete = managed({
  path: "snapshot delete",
  summary: "Snapshot Delete.",
  description: [
    "It returns at once: room that only the snapshot took is given back in the background. Bricks that " +
    "are down do it when they come up.",
  ],
  args: {
    snapshot: optional("(all | <snapname>)", {
      help: "Name of the snapshot, or all.",
      offers: "snapshot",
    }),
    volume: keyword("volume", "<volname>", { help: "All of this volume.", offers: "volume" }),
  },
  scope: "all",
  rest: "DELETE /snapshots/{snapshot}",
  examples: [
    { what: "Delete one", line: "mortar snapshot delete before-upgrade" },
    { what: "All of v1, not asking", line: "mortar --mode=script snapshot delete volume v1" },
  ],
  async question({ snapshot, volume }, cluster) {
    if (snapshot !== undefined && snapshot !== ALL) {
      return "Deleting snap will erase all the information about the snap. " +
        "Do you still want to continue?";
    }
    const count = (await wanted(cluster, { snapshot, volume })).length;
    if (!count) return undefined;
    const who = volume === undefined ? "System" : `Volume (${volume})`;
    return `${who} contains ${count} snapshot(s).\nDo you still want to continue and delete them? `;
  },
  async check(cluster, asked) {
    for (const each of await wanted(cluster, asked)) await checkNotRestoring(cluster, each);
  },
  async apply(cluster, asked): Promise<SnapshotsDeleted> {
    const counted = asked.snapshot === undefined || asked.snapshot === ALL;
    const records = await wanted(cluster, asked);
    for (const [name, some] of Map.groupBy(records, ({ volume }) => volume)) {
      await cluster.snapshots.remove(await cluster.volume(name), ...some);
    }
    return { counted, snapshots: records.map(({ name, id }) => ({ name, id })) };
  },
  text: ({ snapshots }) =>
    snapshots.length
      ? snapshots.map(({ name }) => `snapshot delete: ${name}: snap removed successfully\n`)
        .join("")
      : NONE,
  xml: ({ counted, snapshots }) => [
    element("snapDelete", [
      element("snapshots", [
        ...counted ? [element("snapCount", snapshots.length)] : [],
        ...snapshots.map(({ name, id }) =>
          element("snapshot", [
            element("status", "Success"),
            element("name", name),
            element("uuid", id),
          ])
        ),
      ]),
    ]),
  ],
  failed: (message) => `snapshot delete: failed: ${message}`,
  failedXml: (message, { snapshot }, { opErrno }) => ({
    elements: snapshot === undefined || snapshot === ALL ? [] : [
      element("snapDelete", [
        element("snapshots", [
          element("snapshot", [
            element("status", "Failure"),
            element("opRet", -1),
            element("opErrno", opErrno),
            element("opErrstr", message),
            element("name", snapshot),
          ]),
        ]),
      ]),
    ],
  }),
  ...FAILING,
});

async function wanted(cluster: Cluster, { snapshot, volume }: Wanted): Promise<SnapshotRecord[]> {
  if (snapshot !== undefined && snapshot !== ALL) {
    if (volume !== undefined) {
      throw new WrongArguments(snapshotDelete, `"volume" is not expected after a name`, false);
    }
    return [(await snapshotOf(cluster, snapshot)).snapshot];
  }
  if (volume !== undefined) {
    await volumeNamed(cluster, volume);
    return await cluster.snapshots.of(volume);
  }
  if (snapshot === undefined) {
    throw new WrongArguments(snapshotDelete, "say which: a name, all, or volume <volname>", false);
  }
  return await cluster.snapshots.all();
}
