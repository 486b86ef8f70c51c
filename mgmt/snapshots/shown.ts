/** What several commands of snapshots show alike. */

import type { Cluster } from "mgmt/cluster/cluster.ts";
import { element } from "mgmt/cli/xml.ts";
import { limitsOf } from "mgmt/snapshots/limits.ts";
import type { SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";

/** What GlusterFS says instead of an empty list. */
export const NONE = "No snapshots present\n";
/** What it says after each failure, and that it tells its number. */
export const FAILING = { closing: "Snapshot command failed\n", numbered: true } as const;

/** A snapshot that something was done to. */
export type SnapshotDone = { readonly name: string; readonly id: string };

/** Its element. */
export function doneXml({ name, id }: SnapshotDone) {
  return element("snapshot", [element("name", name), element("uuid", id)]);
}

/** How many snapshots a volume has, and how many more it may have. */
export type Counts = { readonly taken: number; readonly available: number };

/** Those of a volume. */
export async function countsOf({ snapshots }: Cluster, volume: string): Promise<Counts> {
  const taken = (await snapshots.of(volume)).length;
  const { effective } = limitsOf(await snapshots.settings(), await snapshots.history(volume));
  return { taken, available: Math.max(0, effective - taken) };
}

/** The name of a snapshot's volume, as GlusterFS makes them: an id without dashes. */
export function volumeOf({ id }: Pick<SnapshotRecord, "id">): string {
  return id.replaceAll("-", "");
}
