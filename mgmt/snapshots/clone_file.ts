/**
 * A new file that begins as what a snapshot has of another one, at once. Bricks make a clone of an
 * empty file beside the origin; so one is made under another name, which cluster/distribute places
 * on the bricks that have the origin, becomes the clone there, and then gets its name.
 */

import { ENOENT, FopError } from "core/errno.ts";
import { exists } from "core/lib/files.ts";
import { isRegular, S_IFREG } from "core/iatt.ts";
import type { Gfid, Inode } from "core/inode.ts";
import { viewGfid, viewKey } from "core/view_gfid.ts";
import { namesOf, walk, type Walked, type Walker } from "core/volume_path.ts";
import { withKey } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { plain } from "mgmt/plain.ts";
import { setSize, type VolumeRecord } from "mgmt/records.ts";
import { type HistoryBrick, OrderFailed } from "mgmt/snapshots/history_brick.ts";
import type { SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";

/** Names that are tried until one is placed where it has to be: more than enough for 100 sets. */
const NAMES_MAX = 2000;
/** Nobody else is to look into it before it is the clone, which has its origin's mode. */
const MODE = S_IFREG | 0o600;

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
export function cloneFileOf(cluster: Cluster, wanted: WantedClone): Promise<Gfid> {
  return cluster.clients.use(wanted.volume.name, (live) => cloneIn(cluster, live, wanted));
}

async function cloneIn(cluster: Cluster, live: Walker, wanted: WantedClone): Promise<Gfid> {
  const { volume, snapshot } = wanted, sets = setsOf(cluster, volume);
  const [place, source] = await Promise.all([
    vacant(live, wanted),
    originOf(cluster, sets, wanted),
  ]);
  for (const bricks of sets) {
    const lacks = bricks.find(({ name, isUp }) => !isUp || snapshot.missing.includes(name));
    // With several sets it may be another one's.
    if (lacks && sets.length === 1) {
      throw cannot(wanted, `brick ${lacks.record.path} is down, or does not have the snapshot`);
    }
    if (lacks) continue;
    const gfid = await cloneAt(cluster, live, wanted, { place, source, bricks });
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

// The place for the new name.
async function vacant(live: Walker, wanted: WantedClone): Promise<Walked> {
  let walked: Walked;
  try {
    walked = await walk(live, wanted.path, false);
  } catch (error) {
    throw error instanceof FopError ? cannot(wanted, plain(error)) : error;
  }
  if (walked.found) throw cannot(wanted, "there is something of that name");
  return walked;
}

/** Gfid of the file in the snapshot, as bricks have it. */
async function originOf(
  cluster: Cluster,
  sets: readonly (readonly HistoryBrick[])[],
  wanted: WantedClone,
): Promise<Gfid> {
  const { snapshot, source, volume } = wanted;
  if (snapshot.file) return snapshot.file.gfid;
  const known = await toldOrigin(sets, wanted);
  if (known) return known;
  try {
    return await cluster.clients.once(`snaps/${snapshot.name}/${volume.name}`, async (view) => {
      const { found } = await walk(view, source, true);
      if (!found) throw ENOENT;
      return viewGfid(found.stat.gfid, viewKey(snapshot.id));
    });
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    throw cannot(wanted, `"${source}" in the snapshot: ${plain(error)}`);
  }
}

/**
 * What bricks themselves say is behind the path: sooner than a client of the view. Undefined: they are
 * not of one mind, or it is no plain file, so that such a client has to say.
 */
async function toldOrigin(
  sets: readonly (readonly HistoryBrick[])[],
  { snapshot, source }: WantedClone,
): Promise<Gfid | undefined> {
  const names = namesOf(source);
  try {
    const told = await Promise.all(sets.map((bricks) =>
      Promise.all(bricks.map(async (brick) => {
        const found = await brick.lookUp(snapshot.id, names);
        return found?.isLinkFile ? undefined : found;
      }))
    ));
    const [found, ...others] = told.filter((set) => set.some((each) => each));
    const first = found?.[0];
    if (!first || others.length || !isRegular(first)) return undefined;
    return found.every((each) => each?.gfid === first.gfid) ? first.gfid : undefined;
  } catch (error) {
    if (error instanceof OrderFailed) return undefined;
    throw error;
  }
}

interface CloneParts {
  /** Of the new name. */
  readonly place: Walked;
  readonly source: Gfid;
  readonly bricks: readonly HistoryBrick[];
}

// Undefined: these bricks do not have the origin, and all is as before.
async function cloneAt(
  cluster: Cluster,
  live: Walker,
  wanted: WantedClone,
  { place: { parent, name }, source, bricks }: CloneParts,
): Promise<Gfid | undefined> {
  const { top, call } = live;
  try {
    const made = await placed(cluster, live, parent, bricks[0]!);
    if (!made) throw cannot(wanted, `no name was placed on ${bricks[0]!.record.path}`);
    const { inode } = made, { gfid } = inode;
    try {
      const order = { id: cluster.env.random.uuid(), snapshot: wanted.snapshot.id, source, gfid };
      const outcomes = await Promise.all(bricks.map((brick) => brick.cloneFile(order)));
      if (outcomes.includes(false)) return undefined;
      // A name that somebody else gave meanwhile is not taken away.
      await top.link(call, { inode, parent, name });
      return gfid;
    } finally {
      await top.unlink(call, { parent, name: made.name, flags: 0 }).catch(() => {});
    }
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw cannot(wanted, plain(error));
  }
}

// An empty file that is on that brick, in the directory of the one that is to be.
async function placed(
  { env: { random } }: Cluster,
  { top, inodes, call }: Walker,
  parent: Inode,
  { record: { path } }: HistoryBrick,
): Promise<{ readonly name: string; readonly inode: Inode } | undefined> {
  for (let tried = 0; tried < NAMES_MAX; tried++) {
    const name = `.clone-${random.uuid()}`, gfid = random.uuid() as Gfid;
    // What layers remember of it as it is made is there as long as this is.
    const inode = inodes.of(gfid);
    const xdata = withKey(undefined, GFID_REQ, gfid);
    await top.mknod(call, { parent, name, mode: MODE, rdev: 0, umask: 0, xdata });
    if (exists(`${path}/.glusterfs/${gfid.slice(0, 2)}/${gfid.slice(2, 4)}/${gfid}`)) {
      return { name, inode };
    }
    await top.unlink(call, { parent, name, flags: 0 });
  }
  return undefined;
}

function cannot({ path }: WantedClone, why: string): Refusal {
  return new Refusal(`Cannot make "${path}": ${why}`);
}
