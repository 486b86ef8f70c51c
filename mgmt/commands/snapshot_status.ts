/** `snapshot status`: bricks of snapshots, and the room that their old states take. */

import { keyword, managed, optional } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { brickText } from "mgmt/records.ts";
import { snapshotOf, volumeNamed } from "mgmt/snapshots/look_up.ts";
import { FAILING, NONE } from "mgmt/snapshots/shown.ts";
import type { SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";
import { humanSize } from "mgmt/status/human_size.ts";

/** A brick of a snapshot. */
export type SnapshotBrick = {
  readonly brick: string;
  readonly running: boolean;
  readonly pid: number | null;
  /** It was down when the snapshot was taken, or lost it. */
  readonly missing: boolean;
  /** How many percent of what it misses came from another copy; null: nothing is on its way. */
  readonly healing: number | null;
  /** Bytes that only this snapshot holds, which its deletion gives back; null: the brick does not tell. */
  readonly alone: number | null;
  /** Bytes that others need, too. */
  readonly shared: number | null;
  /** Why the brick cannot use what it keeps for snapshots; null: it can, or does not tell. */
  readonly trouble: string | null;
};

/** One snapshot. */
export type SnapshotStatus = {
  readonly name: string;
  readonly id: string;
  readonly bricks: readonly SnapshotBrick[];
};

/** What it answers. */
export type SnapshotStatuses = { readonly snapshots: readonly SnapshotStatus[] };

/** See the head of this file. */
export const snapshotStatus = managed({
  path: "snapshot status",
  summary: "Snapshot Status.",
  description: [
    "Held alone is what deleting the snapshot gives back; held shared is old data that other " +
    "snapshots need, too.",
  ],
  args: {
    snapshot: optional("<snapname>", { help: "Only this snapshot.", offers: "snapshot" }),
    volume: keyword("volume", "<volname>", { help: "Those of this volume.", offers: "volume" }),
  },
  scope: "nothing",
  localOnly: true,
  rest: "GET /snapshots/status",
  examples: [{ what: "What v1's snapshots take", line: "mortar snapshot status volume v1" }],
  async apply(cluster, { snapshot, volume }): Promise<SnapshotStatuses> {
    if (snapshot !== undefined) {
      return await statuses(cluster, [(await snapshotOf(cluster, snapshot)).snapshot]);
    }
    if (volume === undefined) return await statuses(cluster, await cluster.snapshots.all());
    await volumeNamed(cluster, volume);
    return await statuses(cluster, await cluster.snapshots.of(volume));
  },
  text: ({ snapshots }) =>
    snapshots.length ? snapshots.flatMap(lines).map((line) => `${line}\n`).join("") : NONE,
  xml: ({ snapshots }) => [
    element("snapStatus", [element("snapshots", snapshots.map(statusXml))]),
  ],
  failed: (message) => `Snapshot status : failed: ${message}`,
  ...FAILING,
});

async function statuses(
  cluster: Cluster,
  records: readonly SnapshotRecord[],
): Promise<SnapshotStatuses> {
  const shown = new Map<string, SnapshotStatus>();
  for (const [name, ofVolume] of Map.groupBy(records, ({ volume }) => volume)) {
    const volume = await cluster.volume(name), usage = await cluster.snapshots.usage(volume);
    const held = new Map([...usage].map(([brick, told]) => [
      brick,
      new Map(typeof told === "string" ? [] : told.readers.map((reader) => [reader.id, reader])),
    ]));
    for (const { name, id, missing } of ofVolume) {
      const bricks = volume.bricks.map((brick): SnapshotBrick => {
        const { online, pid } = cluster.bricks.status(volume, brick);
        const room = held.get(brick.clientName)?.get(id), told = usage.get(brick.clientName);
        return {
          brick: brickText(brick),
          running: online,
          pid: pid ?? null,
          missing: missing.includes(brick.clientName),
          healing: missing.includes(brick.clientName)
            ? cluster.snapshots.healing.get(brick.clientName) ?? null
            : null,
          alone: room?.alone ?? null,
          shared: room?.shared ?? null,
          trouble: typeof told === "string" ? told : null,
        };
      });
      shown.set(id, { name, id, bricks });
    }
  }
  return { snapshots: records.map(({ id }) => shown.get(id)!) };
}

function lines({ name, id, bricks }: SnapshotStatus): string[] {
  return [`\nSnap Name : ${name}`, `Snap UUID : ${id}`, ...bricks.flatMap(brickLines)];
}

function brickLines(
  { brick, running, pid, missing, healing, alone, shared, trouble }: SnapshotBrick,
): string[] {
  const row = (name: string, value: string | number) => `\t${name.padEnd(17)} :   ${value}`;
  return [
    `\n${row("Brick Path", brick)}`,
    // Snapshots are kept by bricks themselves: there are no logical volumes.
    row(
      "Volume Group",
      missing ? `N/A (Missing${healing === null ? "" : `, ${healing} % healed`})` : "N/A",
    ),
    row("Brick Running", running ? "Yes" : "No"),
    row("Brick PID", pid ?? "N/A"),
    row("Data Percentage", "N/A"),
    row("LV Size", "N/A"),
    row("Held alone", alone === null ? "N/A" : humanSize(alone)),
    row("Held shared", shared === null ? "N/A" : humanSize(shared)),
    ...trouble === null ? [] : [row("Trouble", trouble)],
  ];
}

function statusXml({ name, id, bricks }: SnapshotStatus) {
  return element("snapshot", [
    element("name", name),
    element("uuid", id),
    element("volCount", 1),
    element("volume", [
      element("brickCount", bricks.length),
      ...bricks.map(({ brick, running, pid, missing, alone, shared, trouble }) =>
        element("brick", [
          element("path", brick),
          element("volumeGroup", missing ? "N/A (Missing)" : "N/A"),
          element("brick_running", running ? "Yes" : "No"),
          element("pid", pid ?? "N/A"),
          element("data_percentage", "N/A"),
          element("lvSize", "N/A"),
          element("heldAlone", alone ?? "N/A"),
          element("heldShared", shared ?? "N/A"),
          ...trouble === null ? [] : [element("trouble", trouble)],
        ])
      ),
    ]),
  ]);
}
