/**
 * What a receiver has to do so that its volume becomes what a snapshot has: for all of it, or from an
 * older snapshot on. The same snapshots make the same plan, so that one can go on in its middle.
 *
 * From an older one: names first, deepest paths first, are taken away, or put aside if the inode is
 * elsewhere now; then new names are made, parents first; then data; then attributes, of directories
 * last, since what is done in them changes their times.
 */

import { isDirectory, isRegular, isSymlink } from "core/iatt.ts";
import type { Iatt } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import { kernelDevice } from "core/lib/device.ts";
import type { Volume } from "core/volume.ts";
import type { ShownChange } from "mgmt/commands/snapshot_diff.ts";
import type { Operation, SentAttributes } from "mgmt/snapshots/stream.ts";

/** One operation, made when it is its turn. */
export interface Planned {
  make(): Operation | Promise<Operation>;
  /** The file whose data is to follow. */
  readonly file?: { readonly path: string; readonly isNew: boolean };
}

/** Those that are no attribute of a file but of what keeps it. */
const OWN =
  /^(trusted\.(afr|glusterfs|gfid|gfid2path|pgfid|ec|bit-rot|mortar|SGI|io-stats)|glusterfs)\b/;

/** All that a volume holds. */
export async function* planAll(volume: Volume): AsyncGenerator<Planned> {
  const seen = new Map<Gfid, string>();
  yield* planTree(volume, "", seen);
  yield attributes(volume, "");
}

async function* planTree(
  volume: Volume,
  directory: string,
  seen: Map<Gfid, string>,
): AsyncGenerator<Planned> {
  for (const { name, stat } of await sorted(volume, directory)) {
    const path = directory === "" ? name : `${directory}/${name}`;
    const to = seen.get(stat.gfid);
    if (to !== undefined) {
      yield { make: () => ({ do: "link", path, to }) };
      continue;
    }
    yield made(volume, path, stat);
    if (isDirectory(stat)) yield* planTree(volume, path, seen);
    else if (stat.nlink > 1) seen.set(stat.gfid, path);
    yield attributes(volume, path);
  }
}

async function sorted(volume: Volume, directory: string) {
  const entries = await Array.fromAsync(volume.readDir(`/${directory}`));
  return entries.sort((one, other) => one.name < other.name ? -1 : 1);
}

function made(volume: Volume, path: string, stat: Iatt): Planned {
  if (isDirectory(stat)) return { make: () => ({ do: "directory", path }) };
  if (isRegular(stat)) {
    return {
      make: () => ({ do: "file", path, size: stat.size }),
      file: { path, isNew: true },
    };
  }
  if (isSymlink(stat)) {
    return {
      make: async () => ({ do: "symlink", path, target: await volume.readlink(`/${path}`) }),
    };
  }
  const { mode, rdev } = stat;
  return { make: () => ({ do: "node", path, mode, rdev: kernelDevice(rdev) }) };
}

function attributes(volume: Volume, path: string): Planned {
  return {
    make: async () => ({ do: "attributes", path, set: await attributesOf(volume, path) }),
  };
}

async function attributesOf(volume: Volume, path: string): Promise<SentAttributes> {
  const stat = await volume.lstat(`/${path}`), xattrs: [string, string][] = [];
  for (const name of isSymlink(stat) ? [] : await volume.listXattrs(`/${path}`)) {
    if (OWN.test(name)) continue;
    xattrs.push([name, (await volume.getXattr(`/${path}`, name)).toBase64()]);
  }
  const { mode, uid, gid, mtime, mtimeNsec, atime, atimeNsec } = stat;
  return { mode, uid, gid, mtime: [mtime, mtimeNsec], atime: [atime, atimeNsec], xattrs };
}

/** From an older snapshot on; `changes` are what differs. */
export async function* planChanges(
  volume: Volume,
  changes: readonly ShownChange[],
): AsyncGenerator<Planned> {
  const plain = changes.map((change, key) => ({
    ...{ key, kind: change.kind, data: change.data, path: change.path.slice(1) },
    from: change.from?.slice(1),
  }));
  const goes = plain.filter(({ kind }) => kind === "removed" || kind === "renamed")
    .map(({ key, path, from }) => ({ key, path: from ?? path, aside: from !== undefined }));
  for (const { key, path, aside } of goes.sort((one, other) => byDepth(other, one))) {
    yield { make: () => aside ? { do: "aside", path, key } : { do: "remove", path } };
  }
  yield { make: () => ({ do: "names done" }) };
  const comes = plain.filter(({ kind }) => kind === "added" || kind === "renamed").sort(byDepth);
  const stats = new Map<string, Iatt>();
  for (const { path, kind } of plain) {
    if (kind !== "removed") stats.set(path, await volume.lstat(`/${path}`));
  }
  const names = await firstNames(volume, comes, stats);
  const isEarly = ({ path, kind }: { readonly path: string; readonly kind: string }) =>
    kind === "renamed" || isDirectory(stats.get(path)!);
  // What others are linked to, or are in, is there before them.
  const early = comes.filter(isEarly), late = comes.filter((each) => !isEarly(each));
  for (const { key, path, kind } of [...early, ...late]) {
    const stat = stats.get(path)!, to = names.get(stat.gfid);
    if (kind === "renamed") yield { make: () => ({ do: "place", path, key }) };
    else if (to !== undefined && to !== path) yield { make: () => ({ do: "link", path, to }) };
    else if (!isRegular(stat)) yield made(volume, path, stat);
    // Others are linked to it before its data comes.
    else if (to !== undefined) yield { make: () => ({ do: "file", path, size: stat.size }) };
  }
  yield { make: () => ({ do: "names done" }) };
  const done = new Set<Gfid>();
  for (const { path, kind, data } of plain.filter(({ kind }) => kind !== "removed")) {
    const stat = stats.get(path)!, isNew = kind === "added";
    if (!isRegular(stat) || done.has(stat.gfid) || !(data || isNew)) continue;
    // One more name of a file that was there.
    if (isNew && (names.get(stat.gfid) ?? path) !== path) continue;
    done.add(stat.gfid);
    yield { make: () => ({ do: "file", path, size: stat.size }), file: { path, isNew } };
  }
  const touched = new Map([...stats].map(([path, stat]) => [path, isDirectory(stat)]));
  // The receiver puts inodes aside there.
  touched.set("", true);
  for (const { path, from, kind } of plain) {
    if (kind === "changed") continue;
    for (const each of [path, from ?? path]) {
      const parent = each.slice(0, Math.max(0, each.lastIndexOf("/")));
      if (!touched.has(parent) && await isDirectoryIn(volume, parent)) touched.set(parent, true);
    }
  }
  const order = [...touched].map(([path, isDirectory]) => ({ path, isDirectory }));
  const last = order.filter(({ isDirectory }) => isDirectory)
    .sort((one, other) => byDepth(other, one));
  for (const { path } of [...order.filter(({ isDirectory }) => !isDirectory), ...last]) {
    yield attributes(volume, path);
  }
}

async function isDirectoryIn(volume: Volume, path: string): Promise<boolean> {
  return await volume.exists(`/${path}`) && isDirectory(await volume.lstat(`/${path}`));
}

/** Parents first, then by path. */
function byDepth(one: { readonly path: string }, other: { readonly path: string }): number {
  const depth = ({ path }: { readonly path: string }) => path === "" ? 0 : path.split("/").length;
  return depth(one) - depth(other) || (one.path < other.path ? -1 : one.path > other.path ? 1 : 0);
}

/** For files with several names of which one is new: the name that is there before that. */
async function firstNames(
  volume: Volume,
  comes: readonly { readonly path: string; readonly kind: string }[],
  stats: ReadonlyMap<string, Iatt>,
): Promise<Map<Gfid, string>> {
  const first = new Map<Gfid, string>(), counts = new Map<Gfid, number>();
  const several = comes.filter(({ path }) => {
    const stat = stats.get(path)!;
    return !isDirectory(stat) && stat.nlink > 1;
  });
  for (const { path, kind } of several) {
    const { gfid } = stats.get(path)!;
    counts.set(gfid, (counts.get(gfid) ?? 0) + 1);
    if (kind === "renamed") first.set(gfid, path);
  }
  for (const { path } of several) {
    const { gfid } = stats.get(path)!;
    if (!first.has(gfid)) first.set(gfid, path);
  }
  const fresh = new Set(several.map(({ path }) => path));
  const wanted = new Set(
    several.map(({ path }) => stats.get(path)!)
      .filter(({ gfid, nlink }) => counts.get(gfid)! < nlink).map(({ gfid }) => gfid),
  );
  if (wanted.size) await findNames(volume, "", wanted, fresh, first);
  return first;
}

// Only a walk knows the other names of an inode.
async function findNames(
  volume: Volume,
  directory: string,
  wanted: Set<Gfid>,
  fresh: ReadonlySet<string>,
  found: Map<Gfid, string>,
): Promise<void> {
  for (const { name, stat } of await sorted(volume, directory)) {
    if (!wanted.size) return;
    const path = directory === "" ? name : `${directory}/${name}`;
    if (isDirectory(stat)) await findNames(volume, path, wanted, fresh, found);
    else if (wanted.has(stat.gfid) && !fresh.has(path)) {
      found.set(stat.gfid, path);
      wanted.delete(stat.gfid);
    }
  }
}
