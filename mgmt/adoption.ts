/**
 * Reads volumes that GlusterFS made out of its state directory, so that we can serve their bricks
 * under the same id, the same client names (pending marks on bricks name clients) and the same
 * options. The directory is input like any other: what is missing, too long, or does not fit
 * together is refused with a line that says so.
 */

import { fitsVolfile } from "core/volfile.ts";
import { plain } from "mgmt/plain.ts";
import type { BrickRecord, VolumeKind, VolumeRecord } from "mgmt/records.ts";
import { isUuid } from "mgmt/state/state_files.ts";
import { OWN_STRIPE, pairsOf, VOLUME_TYPE } from "mgmt/state/volume_info.ts";
import { isFreeKey } from "mgmt/volume_options/mod.ts";

/** A brick as GlusterFS remembers it. Releases before 3.10 do not tell the UUID of its node. */
export interface AdoptedBrick extends Omit<BrickRecord, "nodeId" | "made"> {
  readonly nodeId?: string;
}

/** A volume as GlusterFS remembers it: what a record needs but for its state and time of creation. */
export interface AdoptedVolume extends Omit<VolumeRecord, "state" | "createdAt" | "bricks"> {
  readonly bricks: readonly AdoptedBrick[];
  /** GlusterFS had started it: its own brick processes may still be running. */
  readonly started: boolean;
}

const INFO_BYTES_MAX = 1 << 20, BRICK_BYTES_MAX = 64 << 10, BRICKS_MAX = 10_000;
const HOST_MAX = 255, PATH_MAX = 4095, LOGIN_MAX = 255;

/** Keys of `info` that are no options of the volume. */
const OWN_KEYS: ReadonlySet<string> = new Set([
  ...["type", "count", "status", "port", "sub_count", "stripe_count", OWN_STRIPE],
  ...["replica_count", "arbiter_count", "thin_arbiter_count", "disperse_count"],
  ...["redundancy_count", "version", "transport-type", "volume-id", "username", "password"],
  ...["op-version", "client-op-version", "quota-version", "tier-enabled", "caps"],
  ...["parent_volname", "restored_from_snap", "restored_from_snapname"],
  ...["restored_from_snapname_id", "snap-max-hard-limit", "snap_plugin"],
]);

/**
 * Reads volume `name` from a state directory such as "/var/lib/glusterd", or one of ours. Changes
 * nothing. Throws RangeError, a line for people: what is wrong with which file.
 */
export async function readGlusterState(directory: string, name: string): Promise<AdoptedVolume> {
  if (!/^[A-Za-z0-9_-]{1,255}$/.test(name)) {
    throw new RangeError(`Cannot adopt "${name}": not the name of a volume`);
  }
  const folder = `${directory}/vols/${name}`;
  const info = await readPairs(`${folder}/info`, INFO_BYTES_MAX);
  const shape = readShape(info);
  const bricks = await readBricks(folder, name, info);
  checkShape(info, shape, bricks.length);
  return {
    name,
    id: uuid(info, "volume-id"),
    ...shape,
    bricks,
    options: optionsOf(info),
    username: login(info, "username"),
    password: login(info, "password"),
    version: number(info, "version"),
    nextClient: nextClientAfter(bricks.map(({ clientName }) => clientName)),
    started: number(info, "status") === 1,
  };
}

/** One more than the highest number at the end of `names`, "VOLUME-client-N". */
export function nextClientAfter(names: readonly string[]): number {
  return Math.max(-1, ...names.map((name) => Number(/-client-(\d+)$/.exec(name)?.[1] ?? -1))) + 1;
}

/** A file's pairs, and which file it is. */
interface Pairs {
  readonly file: string;
  readonly pairs: ReadonlyMap<string, string>;
}

type Shape = Pick<
  VolumeRecord,
  "kind" | "replicaCount" | "arbiterCount" | "disperseCount" | "redundancyCount" | "stripeCount"
>;

async function readPairs(file: string, bytesMax: number): Promise<Pairs> {
  return { file, pairs: pairsOf(await readSmall(file, bytesMax)) };
}

async function readSmall(file: string, bytesMax: number): Promise<string> {
  let bytes: Uint8Array;
  try {
    // Opening a pipe would wait for its other end.
    const { isFile, size } = await Deno.stat(file);
    if (!isFile || size > bytesMax) {
      throw new RangeError(`Cannot read "${file}": it is no file of at most ${bytesMax} bytes`);
    }
    bytes = await Deno.readFile(file);
  } catch (error) {
    if (error instanceof RangeError) throw error;
    const missing = error instanceof Deno.errors.NotFound;
    throw new RangeError(
      `Cannot read "${file}": ${missing ? "there is no such file" : plain(error)}`,
    );
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new RangeError(`Cannot read "${file}": it is no text`);
  }
}

function wrong({ file }: Pairs, key: string, why: string): RangeError {
  return new RangeError(`Cannot adopt the volume of "${file}": "${key}" ${why}`);
}

function text(from: Pairs, key: string): string {
  const value = from.pairs.get(key);
  if (value === undefined || value === "") throw wrong(from, key, "is missing");
  return value;
}

function number(from: Pairs, key: string, absent?: number): number {
  if (absent !== undefined && !from.pairs.has(key)) return absent;
  const value = text(from, key);
  if (!/^\d{1,9}$/.test(value)) throw wrong(from, key, "is no number");
  return Number(value);
}

function uuid(from: Pairs, key: string): string {
  const value = text(from, key).toLowerCase();
  if (!isUuid(value)) throw wrong(from, key, "is no UUID");
  return value;
}

function login(from: Pairs, key: string): string {
  const value = text(from, key);
  if (value.length > LOGIN_MAX) throw wrong(from, key, "is too long");
  checkVolfileText(from, key, value);
  return value;
}

function readShape(info: Pairs): Shape {
  const kind = kindOf(info);
  if (number(info, "thin_arbiter_count", 0) > 0) {
    throw wrong(info, "thin_arbiter_count", "asks for a thin arbiter, which we do not have");
  }
  if (number(info, "transport-type", 0) === 1) {
    throw wrong(info, "transport-type", "asks for RDMA, which we do not have");
  }
  const dispersed = kind === "disperse";
  return {
    kind,
    // Before 3.1 only sub_count told how many copies there are.
    replicaCount: kind === "replicate"
      ? number(info, "sub_count")
      : number(info, "replica_count", 1),
    arbiterCount: number(info, "arbiter_count", 0),
    disperseCount: dispersed ? number(info, "disperse_count") : 0,
    redundancyCount: dispersed ? number(info, "redundancy_count") : 0,
    stripeCount: kind === "stripe" ? number(info, "stripe_count") : 1,
  };
}

function kindOf(info: Pairs): VolumeKind {
  const type = number(info, "type");
  switch (type) {
    case VOLUME_TYPE.distribute:
      return "distribute";
    case VOLUME_TYPE.replicate:
      return "replicate";
    case VOLUME_TYPE.disperse:
      return "disperse";
    case VOLUME_TYPE.stripe:
    case VOLUME_TYPE.stripedReplicate:
      if (info.pairs.get(OWN_STRIPE) === "own") return "stripe";
      throw wrong(info, "type", "is striped by GlusterFS, whose layout of stripes we do not read");
    default:
      throw wrong(info, "type", `is ${type}, which we do not know`);
  }
}

function checkShape(info: Pairs, shape: Shape, bricks: number): void {
  const { kind, replicaCount, arbiterCount, disperseCount, redundancyCount, stripeCount } = shape;
  if (replicaCount < 1 || (kind === "replicate" && replicaCount < 2)) {
    throw wrong(info, "replica_count", "is no count of copies");
  }
  if (arbiterCount > 1 || (arbiterCount === 1 && replicaCount < 3)) {
    throw wrong(info, "arbiter_count", "does not fit the count of copies");
  }
  if (kind === "disperse" && (redundancyCount < 1 || 2 * redundancyCount >= disperseCount)) {
    throw wrong(info, "redundancy_count", "does not fit disperse_count");
  }
  if (kind === "stripe" && stripeCount < 2) throw wrong(info, "stripe_count", "is less than 2");
  const set = (disperseCount || replicaCount) * stripeCount;
  if (bricks === 0 || bricks % set) {
    throw wrong(info, "count", `is ${bricks}, not a multiple of ${set}`);
  }
}

async function readBricks(folder: string, volume: string, info: Pairs): Promise<AdoptedBrick[]> {
  const count = number(info, "count");
  if (count > BRICKS_MAX) throw wrong(info, "count", `is more than ${BRICKS_MAX}`);
  const bricks: AdoptedBrick[] = [];
  const names = new Set<string>();
  for (let index = 0; index < count; index++) {
    const key = text(info, `brick-${index}`);
    if (/[/\0]/.test(key) || key.length > 255) {
      throw wrong(info, `brick-${index}`, "is no name of a file");
    }
    const brick = readBrick(
      await readPairs(`${folder}/bricks/${key}`, BRICK_BYTES_MAX),
      `${volume}-client-${index}`,
    );
    if (names.has(brick.clientName)) {
      throw wrong(info, `brick-${index}`, `has the name ${brick.clientName} of another brick`);
    }
    names.add(brick.clientName);
    bricks.push(brick);
  }
  return bricks;
}

/** `named`: the brick's client where its release wrote no name of one: they went by position. */
function readBrick(from: Pairs, named: string): AdoptedBrick {
  const host = text(from, "hostname"), path = text(from, "path");
  if (host.length > HOST_MAX || /[\s:/]/.test(host.replace(/^[0-9a-fA-F:]+$/, ""))) {
    throw wrong(from, "hostname", "is no host");
  }
  if (!isBrickPath(path)) throw wrong(from, "path", "is no absolute path");
  if (number(from, "decommissioned", 0) !== 0) {
    throw wrong(
      from,
      "decommissioned",
      "says that the brick is being removed: finish or stop remove-brick with GlusterFS first",
    );
  }
  const clientName = from.pairs.get("brick-id") || named;
  if (!/^[A-Za-z0-9_-]{1,255}-client-\d{1,9}$/.test(clientName)) {
    throw wrong(from, "brick-id", "is no name of a client");
  }
  const port = number(from, "listen-port", 0);
  if (port > 0xffff) throw wrong(from, "listen-port", "is no port");
  return {
    host,
    path,
    ...(from.pairs.has("uuid") ? { nodeId: uuid(from, "uuid") } : {}),
    clientName,
    ...(port ? { port } : {}),
  };
}

function isBrickPath(path: string): boolean {
  return path.length <= PATH_MAX && /^(\/[^/\0]+)+$/.test(path) &&
    !path.split("/").some((part) => part === "." || part === "..");
}

/** All other keys but bricks are options; those of geo-replication are not. */
function optionsOf(info: Pairs): Readonly<Record<string, string>> {
  const options = [...info.pairs].filter(([key]) =>
    !OWN_KEYS.has(key) && !/^(ta-)?brick-\d+$/.test(key) && /^[\w-]+(\.[\w.-]+)+$/.test(key)
  );
  for (const [key, value] of options) if (!isFreeKey(key)) checkVolfileText(info, key, value);
  return Object.fromEntries(options);
}

function checkVolfileText(from: Pairs, key: string, value: string): void {
  if (fitsVolfile(value)) return;
  throw wrong(from, key, "has a backtick: GlusterFS's programs would run what is behind it");
}
