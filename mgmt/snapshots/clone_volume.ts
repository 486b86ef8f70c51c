/**
 * A new volume that begins as a snapshot of another one, at once whatever its size: a new directory
 * beside each brick, and a reader in that brick's history, which keeps what the clone needs. The
 * snapshot may be deleted then. The record of the new volume is there first, as `creating`: a daemon
 * that finds such a one takes readers and directories back.
 */

import { fopError } from "core/errno.ts";
import { allDone } from "core/lib/all_done.ts";
import { exists } from "core/lib/files.ts";
import { encodeName } from "core/lib/bytes.ts";
import { cstring, sys } from "core/sys/calls.ts";
import { BEGUN_XATTR } from "core/xdata_keys.ts";
import { OP_ERRNO, Refusal } from "mgmt/cli/managed.ts";
import { checkNewBrick, takeBrick } from "mgmt/cluster/brick_directory.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { newVolumeName } from "mgmt/cluster/names.ts";
import { plain } from "mgmt/plain.ts";
import { type BrickRecord, brickText, type VolumeRecord } from "mgmt/records.ts";
import { SNAPSHOT_ERRNO } from "mgmt/snapshots/names.ts";
import type { SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";

/** Bytes of a directory's name. */
const NAME_MAX = 255;
/** Volumes that one reads through: each keeps files open and is asked at every read of what came from below. */
const DEPTH_MAX = 64;

/** What is to be made. */
export interface WantedVolume {
  readonly name: string;
  /** Of the whole volume. */
  readonly snapshot: SnapshotRecord;
  readonly volume: VolumeRecord;
}

/** Whether it can be made. Throws Refusal. */
export async function checkVolumeClone(cluster: Cluster, wanted: WantedVolume): Promise<void> {
  const { name, snapshot, volume } = wanted;
  newVolumeName(name);
  if (await cluster.find(name)) {
    throw new Refusal(`Volume with name:${name} already exists`, OP_ERRNO.volumeExists);
  }
  if (snapshot.file) {
    throw new Refusal(
      `Snapshot ${snapshot.name} is of ${snapshot.file.path} only; clone that with --file NEWPATH`,
    );
  }
  if (volume.cloneOf && volume.flatten) {
    throw new Refusal(
      `Volume ${volume.name} is being flattened; clone it when that has ended (volume status)`,
    );
  }
  if (volume.bricks.some(({ origins = [] }) => origins.length >= DEPTH_MAX)) {
    throw new Refusal(
      `Volume ${volume.name} reads through ${DEPTH_MAX} others already; flatten it first (mortar volume ` +
        `flatten ${volume.name})`,
    );
  }
  const down = cluster.snapshots.bricks(volume).find(({ isUp }) => !isUp);
  if (down) {
    throw new Refusal(
      `One or more bricks are not running: start ${
        brickText(down.record)
      } (volume ${volume.name}) ` +
        "and then issue snapshot clone command",
      SNAPSHOT_ERRNO.brickDown,
    );
  }
  const names = new Map((await cluster.volumes()).map((each) => [each.id, each.name]));
  for (const brick of volume.bricks) {
    if (snapshot.missing.includes(brick.clientName)) {
      throw new Refusal(
        `Snapshot ${snapshot.name} lacks what brick ${brickText(brick)} had: it was down then; ` +
          "clone a snapshot that all bricks have",
        SNAPSHOT_ERRNO.brickDown,
      );
    }
    checkPlace(cluster, name, brick, (id) => names.get(id));
  }
}

// Beside the origin's brick, on its file system.
function checkPlace(
  cluster: Cluster,
  name: string,
  brick: BrickRecord,
  volumeOf: (id: string) => string | undefined,
): void {
  const path = clonePath(brick, name), beside = path.slice(0, path.lastIndexOf("/"));
  if (exists(path)) {
    throw new Refusal(`Cannot make ${brick.host}:${path}: it is there already; move it away`);
  }
  if (encodeName(path.slice(beside.length + 1)).length > NAME_MAX) {
    throw new Refusal(
      `Cannot make ${brick.host}:${path}: its name is too long; choose a shorter one`,
    );
  }
  if (Deno.lstatSync(beside || "/").dev !== Deno.lstatSync(brick.path).dev) {
    throw new Refusal(
      `Cannot make ${brick.host}:${path}: it would not be on the file system of ${brick.path}, ` +
        "which is a mount point; bricks of volumes that are cloned have to be directories in one",
    );
  }
  checkNewBrick({ host: brick.host, path }, { home: cluster.places.home, force: true, volumeOf });
}

// Clones of clones are beside the first origin, too: names do not grow.
function clonePath({ path, origins }: Pick<BrickRecord, "path" | "origins">, name: string): string {
  return `${origins?.at(-1)?.path ?? path}.${name}`;
}

/** Makes it; nothing is left of what could not be made as a whole. Throws Refusal. */
export async function cloneVolume(cluster: Cluster, wanted: WantedVolume): Promise<VolumeRecord> {
  await checkVolumeClone(cluster, wanted);
  const { volume: origin, snapshot } = wanted;
  const volume = recordOf(cluster, wanted), { reader } = volume.cloneOf!;
  await cluster.add(volume);
  try {
    for (const { host, path } of volume.bricks) {
      takeBrick({ host, path }, volume.id, true);
      markNew(path);
    }
    const joining = cloneReader(cluster, volume.name, reader);
    const bricks = cluster.snapshots.bricks(origin);
    return await cluster.complete(
      volume,
      () => allDone(bricks.map((brick) => brick.join(snapshot.id, joining))),
    );
  } catch (error) {
    await cluster.undoCreate(volume);
    if (error instanceof Refusal) throw error;
    throw new Refusal(`Cannot clone volume ${origin.name}: ${plain(error)}`);
  }
}

// An empty directory that comes in its place later, for a disk that was lost, is none that begins as the origin.
function markNew(path: string): void {
  const value = cstring("0 0");
  const result = sys.lsetxattr(cstring(path), cstring(BEGUN_XATTR), value, value.length - 1, 0);
  if (result < 0) throw fopError(result);
}

function recordOf(cluster: Cluster, { name, volume }: WantedVolume): VolumeRecord {
  const { random, clock } = cluster.env;
  const reader = random.uuid(), { flatten: _, ...like } = volume;
  return {
    ...like,
    name,
    id: random.uuid(),
    state: "creating",
    // Pending marks in the clone are told by the names that the origin's bricks have.
    bricks: volume.bricks.map(({ host, path, nodeId, clientName, origins = [] }) => ({
      ...{ host, path: clonePath({ path, origins }, name), nodeId, clientName },
      ...{ made: true as const, origins: [{ path, reader }, ...origins] },
    })),
    username: random.uuid(),
    password: random.uuid(),
    version: 1,
    createdAt: Math.floor(clock.now()),
    cloneOf: { volume: volume.name, reader },
  };
}

function cloneReader({ env }: Cluster, name: string, id: string) {
  const created = Math.floor(env.clock.now());
  return { id, name, kind: "clone", file: undefined, created, active: false } as const;
}

/** Volumes that read from this one, by name. */
export async function clonesOf(cluster: Cluster, name: string): Promise<string[]> {
  return (await cluster.volumes()).filter(({ cloneOf }) => cloneOf?.volume === name)
    .map((each) => each.name);
}
