/** What commands look up before they act: snapshots by name, a file's gfid, bricks that take part. */

import { OP_ERRNO, Refusal } from "mgmt/cli/managed.ts";
import { readGfid } from "mgmt/cluster/brick_directory.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { brickText, setSize, type VolumeRecord } from "mgmt/records.ts";
import type { HistoryBrick } from "mgmt/snapshots/history_brick.ts";
import { noSnapshot, SNAPSHOT_ERRNO } from "mgmt/snapshots/names.ts";
import type { SnapshotFile, SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";

/** A snapshot and its volume. Throws Refusal; `dot`: for verbs that end that sentence with one. */
export async function snapshotOf(
  cluster: Cluster,
  name: string,
  dot = "",
): Promise<{ readonly snapshot: SnapshotRecord; readonly volume: VolumeRecord }> {
  const snapshot = await cluster.snapshots.find(name);
  if (!snapshot) throw noSnapshot(name, dot);
  return { snapshot, volume: await cluster.volume(snapshot.volume) };
}

/** A volume, as the verbs of snapshots refuse one that there is not. */
export async function volumeNamed(
  cluster: Cluster,
  name: string,
  after = "",
): Promise<VolumeRecord> {
  const volume = await cluster.find(name);
  if (volume) return volume;
  throw new Refusal(`Volume (${name}) does not exist${after}`, OP_ERRNO.noVolume);
}

/** The bricks that a new snapshot is taken at: all, or with `force` those that run. Throws Refusal. */
export function takingBricks(
  cluster: Cluster,
  volume: VolumeRecord,
  force: boolean,
): readonly HistoryBrick[] {
  const all = cluster.snapshots.bricks(volume), up = all.filter(({ isUp }) => isUp);
  if (up.length === all.length) return all;
  if (!force) {
    throw new Refusal(
      "One or more bricks are not running. Please run volume status command to see brick status.\n" +
        "All bricks have to be online to take a snapshot.Please start the stopped brick and then " +
        "issue snapshot create command.",
      SNAPSHOT_ERRNO.brickDown,
    );
  }
  const size = setSize(volume), least = leastOf(volume);
  for (let first = 0; first < all.length; first += size) {
    const set = all.slice(first, first + size);
    if (set.filter(({ isUp }) => isUp).length >= least) continue;
    const names = set.map(({ record }) => brickText(record)).join(", ");
    throw new Refusal(
      `Too few bricks are running: ${least} of ${names} ${least > 1 ? "are" : "is"} needed even ` +
        "with force; start them first",
      SNAPSHOT_ERRNO.brickDown,
    );
  }
  return up;
}

/** How many bricks of a set know for sure what is in it. */
function leastOf(volume: VolumeRecord): number {
  const size = setSize(volume);
  if (volume.kind === "disperse") return size - volume.redundancyCount;
  return size < 3 ? 1 : Math.floor(size / 2) + 1;
}

/** The file at `path` of a volume. Throws Refusal: there is none, or it is a directory. */
export async function fileAt(
  cluster: Cluster,
  volume: VolumeRecord,
  path: string,
  verb = "snapshot",
): Promise<SnapshotFile> {
  const wrong = (why: string) => new Refusal(`Cannot ${verb} file "${path}": ${why}`);
  const parts = path.split("/").filter((part) => part !== "");
  if (!parts.length) throw wrong("name a file, by its path in the volume");
  if (parts.some((part) => part === "." || part === "..")) {
    throw wrong('"." and ".." are not allowed in its path; write the path out');
  }
  if (parts[0] === ".glusterfs") throw wrong("that is no part of the volume");
  const plain = `/${parts.join("/")}`;
  for (const { nodeId, path: brick } of volume.bricks) {
    if (nodeId !== cluster.nodeId) continue;
    const found = await below(brick, parts);
    if (found?.isDirectory) {
      throw wrong("it is a directory; leave --file away for the whole volume");
    }
    if (found && !found.isFile) throw wrong("it is no plain file");
    const gfid = found && readGfid(brick + plain);
    if (gfid) return { path: plain, gfid };
  }
  throw wrong(`there is no such file in volume ${volume.name}`);
}

// What is there, unless a link leads out of the brick on the way.
async function below(brick: string, parts: readonly string[]): Promise<Deno.FileInfo | undefined> {
  let path = brick, found: Deno.FileInfo | undefined;
  for (const part of parts) {
    path += `/${part}`;
    if (found && !found.isDirectory) return undefined;
    found = await Deno.lstat(path).catch(() => undefined);
    if (!found) return undefined;
  }
  return found;
}
