/**
 * The state directory as GlusterFS keeps it, for people, scripts and tools. The store is the truth;
 * these files are a view of it that nobody of us reads back, but for adoption. They are made anew
 * after every change and when the daemon starts, so a crash between two of them leaves an older
 * view until then, and never half a file.
 */

import { cstring, sys } from "core/sys/calls.ts";
import type { Places } from "mgmt/home.ts";
import type { BrickRecord, VolumeRecord } from "mgmt/records.ts";
import { makeDirectory, replaceFile } from "mgmt/state/replace_file.ts";
import {
  brickInfo,
  brickKey,
  type BrickMount,
  globalOptionsInfo,
  NO_REBALANCE,
  nodeInfo,
  pairsOf,
  volumeInfo,
} from "mgmt/state/volume_info.ts";

/**
 * Writes `glusterd.info`, `options` and the directories that glusterd has. Throws what the file
 * system throws.
 */
export async function writeNodeFiles(
  places: Places,
  nodeId: string,
  globalOptions: Readonly<Record<string, string>>,
): Promise<void> {
  for (const name of ["vols", "peers", "snaps"]) await makeDirectory(`${places.home}/${name}`);
  await replaceFile(`${places.home}/glusterd.info`, nodeInfo(nodeId));
  await replaceFile(`${places.home}/options`, globalOptionsInfo(globalOptions));
}

/** The node's UUID that `glusterd.info` tells; undefined if there is none that is right. */
export async function readNodeId(places: Places): Promise<string | undefined> {
  const text = await readIfThere(`${places.home}/glusterd.info`);
  const id = pairsOf(text ?? "").get("UUID")?.toLowerCase();
  return id && isUuid(id) ? id : undefined;
}

/** Whether `text` is a UUID in lower case that names something. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text) && !/^[0-]+$/.test(text);
}

/** Whether the file is there that makes management speak TLS. */
export async function hasSecureAccess(places: Places): Promise<boolean> {
  return await readIfThere(`${places.home}/secure-access`) !== undefined;
}

/** Where a volume's files are. Throws RangeError for a name that is no name of one directory. */
export function volumeDirectory(places: Places, volume: string): string {
  if (!/^[A-Za-z0-9_.-]+$/.test(volume) || /^\.+$/.test(volume)) {
    throw new RangeError(`Cannot use "${volume}" as the name of a directory`);
  }
  return `${places.home}/vols/${volume}`;
}

/**
 * Makes `vols/VOLUME` what `volume` and `volfiles` (text by file name, such as
 * "VOLUME.tcp-fuse.vol") say. Files that are right already stay as they are; volfiles and bricks
 * that the volume no longer has go; other files stay. Files have logins: mode 0600. Throws
 * RangeError, and what the file system throws.
 */
export async function writeStateFiles(
  places: Places,
  volume: VolumeRecord,
  volfiles: ReadonlyMap<string, string>,
  nodeId: string,
): Promise<void> {
  const directory = volumeDirectory(places, volume.name);
  const info = volumeInfo(volume);
  const described = new Map([["node_state.info", NO_REBALANCE], ["snapd.info", "snapd-port=0\n"]]);
  for (const brick of volume.bricks) {
    const mount = brick.nodeId === nodeId ? mountOf(brick) : undefined;
    described.set(`bricks/${brickKey(brick)}`, brickInfo(brick, mount));
  }
  for (const name of volfiles.keys()) {
    if (!name.endsWith(".vol") || name.includes("/")) {
      throw new RangeError(`Cannot write "${name}": not the name of a volfile`);
    }
  }
  await makeDirectory(`${directory}/bricks`);
  await Promise.all([
    ...[...described].map(([name, text]) => replaceFile(`${directory}/${name}`, text)),
    // They follow from the rest: after a crash of the machine they are simply made again.
    ...[...volfiles].map(([name, text]) =>
      replaceFile(`${directory}/${name}`, text, { sync: false })
    ),
  ]);
  // After all that it names.
  await replaceFile(`${directory}/info`, info);
  removeOthers(`${directory}/bricks`, (name) => described.has(`bricks/${name}`));
  removeOthers(directory, (name) => volfiles.has(name) || !/\.(vol|new)$/.test(name));
}

/** Removes what `writeStateFiles` made, and all else in that directory. Nothing there: done. */
export async function removeStateFiles(places: Places, volume: string): Promise<void> {
  const directory = volumeDirectory(places, volume);
  // Half a directory would look like a broken volume.
  const trash = `${places.home}/trash`;
  await makeDirectory(trash);
  const gone = `${trash}/${volume}.deleted`;
  await removeTree(gone);
  try {
    await Deno.rename(directory, gone);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  await removeTree(gone);
}

/** Names of volumes that have a directory. */
export async function volumesWithFiles(places: Places): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(`${places.home}/vols`)) {
      if (entry.isDirectory) names.push(entry.name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}

/** Removes what is at `path`, if there is something. */
export async function removeTree(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function removeOthers(directory: string, stays: (name: string) => boolean): void {
  for (const { name, isDirectory } of Deno.readDirSync(directory)) {
    if (!isDirectory && !stays(name)) Deno.removeSync(`${directory}/${name}`);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Where the brick is mounted; undefined while its directory is not there. */
function mountOf({ path }: BrickRecord): BrickMount | undefined {
  const STATFS_SIZE = 120, FSID_OFFSET = 56;
  const answer = new Uint8Array(STATFS_SIZE);
  if (sys.statfs(cstring(path), answer) < 0) return undefined;
  const fileSystem = new DataView(answer.buffer).getBigUint64(FSID_OFFSET, true);
  try {
    const device = Deno.statSync(path).dev;
    let root = path;
    while (root !== "" && Deno.statSync(parent(root) || "/").dev === device) root = parent(root);
    return { directory: path.slice(root.length), fileSystem };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
