/** `snapshot info`: what snapshots are of, and since when. */

import { keyword, managed, optional } from "mgmt/cli/managed.ts";
import { element } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { brickText } from "mgmt/records.ts";
import { snapshotOf, volumeNamed } from "mgmt/snapshots/look_up.ts";
import { timeText } from "mgmt/snapshots/names.ts";
import { type Counts, countsOf, FAILING, NONE, volumeOf } from "mgmt/snapshots/shown.ts";
import type { SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";

/** One snapshot. */
export type SnapshotInfo = {
  readonly name: string;
  readonly id: string;
  readonly description: string | null;
  readonly created: string;
  readonly volume: string;
  /** What GlusterFS calls the volume that a snapshot is. */
  readonly snapshotVolume: string;
  readonly status: "Started" | "Stopped";
  readonly counts: Counts;
  /** Id of the snapshot that it was received from; null: it is no copy. */
  readonly origin: string | null;
  /** The file that it is of; null: the whole volume. */
  readonly file: string | null;
  readonly missing: readonly string[];
  /** Where clients get its volfile, or that of its volume. */
  readonly server: { readonly host: string; readonly port: number };
};

/** What it answers; `volume`: all is about that one. */
export type SnapshotInfos = {
  readonly volume: { readonly name: string; readonly counts: Counts } | null;
  readonly snapshots: readonly SnapshotInfo[];
};

/** See the head of this file. */
export const snapshotInfo = managed({
  path: "snapshot info",
  summary: "Snapshot Info.",
  args: {
    snapshot: optional("<snapname>", { help: "Only this snapshot.", offers: "snapshot" }),
    volume: keyword("volume", "<volname>", { help: "Those of this volume.", offers: "volume" }),
  },
  scope: "nothing",
  rest: "GET /snapshots/info",
  examples: [{ what: "Snapshots of v1", line: "mortar snapshot info volume v1" }],
  async apply(cluster, { snapshot, volume: named }): Promise<SnapshotInfos> {
    if (named !== undefined && snapshot === undefined) {
      const { name } = await volumeNamed(cluster, named);
      const found = await cluster.snapshots.of(name);
      const counts = await countsOf(cluster, name);
      return { volume: { name, counts }, snapshots: await infos(cluster, found) };
    }
    const found = snapshot === undefined
      ? await cluster.snapshots.all()
      : [(await snapshotOf(cluster, snapshot)).snapshot];
    return { volume: null, snapshots: await infos(cluster, found) };
  },
  text: ({ volume, snapshots }) => {
    if (volume) {
      return [
        row("", "Volume Name", volume.name),
        row("", "Snaps Taken", volume.counts.taken),
        row("", "Snaps Available", volume.counts.available),
        ...snapshots.flatMap((each) => [...headRows(each, "\t"), statusRow(each), " "]),
      ].map((line) => `${line}\n`).join("");
    }
    if (!snapshots.length) return NONE;
    return snapshots.flatMap((each) => [
      ...headRows(each, ""),
      "Snap Volumes:\n",
      row("\t", "Snap Volume Name", each.snapshotVolume),
      row("\t", "Origin Volume name", each.volume),
      `\tSnaps taken for ${each.volume}      : ${each.counts.taken}`,
      `\tSnaps available for ${each.volume}  : ${each.counts.available}`,
      statusRow(each),
      " ",
    ]).map((line) => `${line}\n`).join("");
  },
  xml: ({ volume, snapshots }) => [
    element("snapInfo", [
      ...volume ? [originXml(volume.name, volume.counts)] : [],
      element("count", snapshots.length),
      element("snapshots", snapshots.map((each) => snapshotXml(each, volume === null))),
    ]),
  ],
  failed: (message) => `Snapshot info : failed: ${message}`,
  ...FAILING,
});

async function infos(
  cluster: Cluster,
  records: readonly SnapshotRecord[],
): Promise<SnapshotInfo[]> {
  const counts = new Map<string, Counts>(), bricks = new Map<string, Map<string, string>>();
  for (const name of new Set(records.map(({ volume }) => volume))) {
    counts.set(name, await countsOf(cluster, name));
    const volume = await cluster.find(name);
    bricks.set(
      name,
      new Map(volume?.bricks.map((brick) => [brick.clientName, brickText(brick)])),
    );
  }
  const server = cluster.server();
  return records.map((record) => ({
    server,
    name: record.name,
    id: record.id,
    description: record.description ?? null,
    created: timeText(record.createdAt),
    volume: record.volume,
    snapshotVolume: volumeOf(record),
    status: record.active ? "Started" : "Stopped",
    counts: counts.get(record.volume)!,
    origin: record.origin ?? null,
    file: record.file?.path ?? null,
    missing: record.missing.map((name) => bricks.get(record.volume)?.get(name) ?? name),
  }));
}

function row(indent: string, name: string, value: string | number): string {
  return `${indent}${name.padEnd(25)} : ${value}`;
}

function headRows(info: SnapshotInfo, indent: string): string[] {
  return [
    row(indent, "Snapshot", info.name),
    row(indent, "Snap UUID", info.id),
    ...info.description === null ? [] : [row(indent, "Description", info.description)],
    row(indent, "Created", info.created),
    ...info.file === null ? [] : [row(indent, "File", info.file)],
    ...info.origin === null ? [] : [row(indent, "Received from", info.origin)],
    ...info.missing.length ? [row(indent, "Missing on", info.missing.join(", "))] : [],
  ];
}

function statusRow({ status }: SnapshotInfo): string {
  return row("\t", "Status", status);
}

function originXml(name: string, { taken, available }: Counts) {
  return element("originVolume", [
    element("name", name),
    element("snapCount", taken),
    element("snapRemaining", available),
  ]);
}

function snapshotXml(info: SnapshotInfo, withOrigin: boolean) {
  return element("snapshot", [
    element("name", info.name),
    element("uuid", info.id),
    element("description", info.description ?? ""),
    element("createTime", info.created),
    element("volCount", 1),
    element("snapVolume", [
      element("name", info.snapshotVolume),
      element("status", info.status),
      ...withOrigin ? [originXml(info.volume, info.counts)] : [],
    ]),
  ]);
}
