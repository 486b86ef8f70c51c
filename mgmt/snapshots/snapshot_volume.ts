/**
 * Snapshots as volumes of their own: key `snaps/NAME/VOLUME` of a volfile, bricks `/snaps/ID` and
 * the path of the brick that serves them. Only active ones are there. A brick that does not have the
 * snapshot has no port by that name, so that clients take it for one that is down.
 */

import type { Cluster } from "mgmt/cluster/cluster.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import type { VolgenInput } from "mgmt/volgen/volgen.ts";
import { graphKey, volfileText } from "mgmt/volgen/volfiles.ts";

const PREFIX = "snaps/";
const NAME = /^\/snaps\/([0-9a-f-]{36})(\/.+)$/;

/** Nothing is healed in what does not change. */
const SETTINGS = {
  "cluster.data-self-heal": "off",
  "cluster.metadata-self-heal": "off",
  "cluster.entry-self-heal": "off",
  "features.read-only": "on",
};

/** Whether a volfile's key, without a slash before it, is about a snapshot. */
export function isSnapshotKey(key: string): boolean {
  return key.startsWith(PREFIX);
}

/** The volfile of a snapshot's clients; undefined: there is no such snapshot that is active. `input`: of its volume. */
export async function snapshotVolfile(
  cluster: Cluster,
  input: VolgenInput,
  key: string,
  trusted: boolean,
): Promise<string | undefined> {
  const { volume } = input;
  const [name = "", rest = "", ...more] = key.slice(PREFIX.length).split("/");
  const snapshot = await cluster.snapshots.find(name);
  if (more.length || !snapshot?.active || snapshot.volume !== volume.name) return undefined;
  if (rest !== graphKey(volume, "client") && rest !== graphKey(volume, "own")) return undefined;
  return volfileText(
    { ...input, volume: asVolume(volume, snapshot.id), readOnly: true },
    rest,
    trusted,
  );
}

function asVolume(volume: VolumeRecord, id: string): VolumeRecord {
  return {
    ...volume,
    options: { ...volume.options, ...SETTINGS },
    bricks: volume.bricks.map((brick) => ({ ...brick, path: `/snaps/${id}${brick.path}` })),
  };
}

/** The brick that serves a snapshot's brick `name`; undefined: that is none, or it does not have the snapshot. */
export async function servedBy(cluster: Cluster, name: string): Promise<string | undefined> {
  const [, id, path] = NAME.exec(name) ?? [];
  const snapshot = id === undefined ? undefined : await cluster.snapshots.byId(id);
  if (!snapshot?.active) return undefined;
  const volume = await cluster.find(snapshot.volume);
  const brick = volume?.bricks.find((each) => each.path === path);
  return brick && !snapshot.missing.includes(brick.clientName) ? brick.path : undefined;
}
