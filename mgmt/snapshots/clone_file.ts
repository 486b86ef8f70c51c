/**
 * A new file that begins as what a snapshot has of another one, at once. Bricks make a clone of an
 * empty file beside the origin; so one is made under another name, which cluster/distribute places
 * on the bricks that have the origin, becomes the clone there, and then gets its name.
 */

import { ROOT } from "core/call.ts";
import { EEXIST, FopError } from "core/errno.ts";
import type { Graph } from "core/graph.ts";
import type { Iatt } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import { viewGfid, viewKey } from "core/view_gfid.ts";
import { Volume } from "core/volume.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { exists } from "core/lib/files.ts";
import { openGraph } from "mgmt/file/client_graph.ts";
import { plain } from "mgmt/plain.ts";
import { setSize, type VolumeRecord } from "mgmt/records.ts";
import type { HistoryBrick } from "mgmt/snapshots/history_brick.ts";
import type { SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";
import { TYPES } from "xlators/mod.ts";

/** Names that are tried until one is placed where it has to be: more than enough for 100 sets. */
const NAMES_MAX = 2000;

/** What is to be made. */
export interface WantedClone {
  readonly volume: VolumeRecord;
  readonly snapshot: SnapshotRecord;
  /** The file in the snapshot. */
  readonly source: string;
  /** Where the clone shall be. */
  readonly path: string;
}

/** Makes it; answers its gfid. Throws Refusal: nothing was made. */
export async function cloneFileOf(cluster: Cluster, wanted: WantedClone): Promise<Gfid> {
  const { volume, snapshot, path } = wanted;
  await using live = await open(cluster, volume.name);
  const isTaken = await live.volume.exists(path).catch((error) => {
    throw error instanceof FopError ? cannot(wanted, plain(error)) : error;
  });
  if (isTaken) throw cannot(wanted, "there is something of that name");
  const origin = await originOf(cluster, live.volume, wanted);
  const sets = setsOf(cluster, volume);
  for (const bricks of sets) {
    const lacks = bricks.find(({ name, isUp }) => !isUp || snapshot.missing.includes(name));
    // With several sets it may be another one's.
    if (lacks && sets.length === 1) {
      throw cannot(wanted, `brick ${lacks.record.path} is down, or does not have the snapshot`);
    }
    if (lacks) continue;
    const gfid = await cloneAt(cluster, live.volume, wanted, origin, bricks);
    if (gfid) return gfid;
  }
  throw cannot(wanted, "no set of bricks that all run has the file in that snapshot");
}

// The bricks of each set that has files of its own.
function setsOf(cluster: Cluster, volume: VolumeRecord): HistoryBrick[][] {
  const all = cluster.snapshots.bricks(volume), size = setSize(volume);
  return Array.from(
    { length: all.length / size },
    (_, index) => all.slice(index * size, (index + 1) * size),
  );
}

interface Origin {
  readonly gfid: Gfid;
  /** As it is in the snapshot, or of a snapshot of a file, now; undefined: it is not there any more. */
  readonly stat: Iatt | undefined;
}

async function originOf(cluster: Cluster, live: Volume, wanted: WantedClone): Promise<Origin> {
  const { snapshot, source, volume } = wanted;
  try {
    if (snapshot.file) {
      const { gfid, path } = snapshot.file;
      const stat = await live.stat(path).catch(() => undefined);
      return { gfid, stat: stat?.gfid === gfid ? stat : undefined };
    }
    await using view = await open(cluster, `snaps/${snapshot.name}/${volume.name}`);
    const stat = await view.volume.stat(source);
    return { gfid: viewGfid(stat.gfid, viewKey(snapshot.id)), stat };
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    throw cannot(wanted, `"${source}" in the snapshot: ${plain(error)}`);
  }
}

// Undefined: these bricks do not have the origin, and all is as before.
async function cloneAt(
  cluster: Cluster,
  live: Volume,
  wanted: WantedClone,
  { gfid: source, stat }: Origin,
  bricks: readonly HistoryBrick[],
): Promise<Gfid | undefined> {
  const { snapshot, path } = wanted;
  const made = await placed(cluster, live, wanted, bricks[0]!);
  try {
    const { stat: { gfid } } = await live.lookup(made);
    const id = cluster.env.random.uuid();
    const order = { id, snapshot: snapshot.id, source, gfid };
    const outcomes = await Promise.all(bricks.map((brick) => brick.cloneFile(order)));
    if (outcomes.includes(false)) return undefined;
    if (stat) {
      await live.chown(made, stat.uid, stat.gid);
      await live.chmod(made, stat.mode & 0o7777);
    }
    // A name that somebody else gave meanwhile is not taken away.
    await live.link(made, path);
    return gfid;
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw cannot(wanted, plain(error));
  } finally {
    await live.unlink(made).catch(() => {});
  }
}

// An empty file that is on that brick, beside the one that is to be: answers its path.
async function placed(
  { env }: Cluster,
  live: Volume,
  wanted: WantedClone,
  brick: HistoryBrick,
): Promise<string> {
  const directory = wanted.path.slice(0, wanted.path.lastIndexOf("/"));
  for (let tried = 0; tried < NAMES_MAX; tried++) {
    const path = `${directory}/.clone-${env.random.uuid()}`;
    try {
      await (await live.open(path, { create: true, write: true, exclusive: true, mode: 0o600 }))
        .close();
    } catch (error) {
      if (!(error instanceof FopError) || EEXIST.matches(error)) throw error;
      throw cannot(wanted, plain(error));
    }
    if (exists(brick.record.path + path)) return path;
    await live.unlink(path);
  }
  throw cannot(wanted, `no name was placed on ${brick.record.path}`);
}

function cannot({ path }: WantedClone, why: string): Refusal {
  return new Refusal(`Cannot make "${path}": ${why}`);
}

/** A volume of this daemon, as a client has it. */
class Opened implements AsyncDisposable {
  constructor(readonly graph: Graph, readonly volume: Volume) {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.graph.stop();
  }
}

async function open(cluster: Cluster, name: string): Promise<Opened> {
  const { env } = cluster;
  const address = { ...cluster.server(), volume: name, path: "/", text: name };
  const graph = await openGraph(address, TYPES, env, () => {});
  return new Opened(
    graph,
    new Volume({ top: graph.top, inodes: graph.inodes, env, call: ROOT }),
  );
}
