/** What the management daemon remembers of snapshots, as values in its store. */

import { type Gfid, parseGfid } from "core/inode.ts";
import { count, type Fields, fields, list, oneOf, text } from "mgmt/records.ts";

/** A snapshot of a volume, or of one of its files. */
export interface SnapshotRecord {
  readonly name: string;
  /** A UUID, lower-case text: what bricks know it by. */
  readonly id: string;
  /** What its maker says of it. */
  readonly description?: string;
  /** Name of the volume. */
  readonly volume: string;
  /**
   * `creating`: it is being taken, or its daemon died meanwhile: then it is undone. Never shown, as
   * long as that lasts.
   */
  readonly state: "creating" | "kept";
  /** It can be mounted, and is in the volume's directory of snapshots. */
  readonly active: boolean;
  /** The epoch of the volume that it ended. */
  readonly epoch: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Bricks that do not have it, by `BrickRecord.clientName`. */
  readonly missing: readonly string[];
  /** The file that it is of; absent: it is of the whole volume. */
  readonly file?: SnapshotFile;
  /** Prefix of the schedule that took it; absent: somebody did. */
  readonly schedule?: string;
  /** Id of the snapshot that it was received from; absent: it is no copy. */
  readonly origin?: string;
}

/** The file that a snapshot is of. */
export interface SnapshotFile {
  /** Its path in the volume when the snapshot was taken, with a slash before it. */
  readonly path: string;
  readonly gfid: Gfid;
}

/** Bricks that still have to forget a snapshot. */
export interface RemovalRecord {
  /** Of the snapshot. */
  readonly id: string;
  readonly volume: string;
  /** By `BrickRecord.clientName`. */
  readonly bricks: readonly string[];
}

/** What is remembered of a volume for its snapshots. */
export interface VolumeHistoryRecord {
  /** The epoch that was handed out last; 0: none was. */
  readonly epoch: number;
  /** Most snapshots that there may be; absent: as many as the limit of all volumes. */
  readonly hardLimit?: number;
}

/** What `snapshot config` sets for all volumes. */
export interface SnapshotSettings {
  /** Most snapshots of one volume. */
  readonly hardLimit: number;
  /** Percent of the hard limit from which on the oldest goes, or one is warned. */
  readonly softLimit: number;
  readonly autoDelete: boolean;
  readonly activateOnCreate: boolean;
}

/** As GlusterFS has them. */
export const DEFAULT_SETTINGS: SnapshotSettings = {
  hardLimit: 256,
  softLimit: 90,
  autoDelete: false,
  activateOnCreate: false,
};

/** Most that the limit can be set to; GlusterFS's is 256. */
export const HARD_LIMIT_MAX = 10_000;

/** Keys in the store. */
export const SNAPSHOT_KEYS = {
  snapshot: (name: string) => `snapshot/${name}`,
  snapshots: "snapshot/",
  removal: (id: string) => `snapshot-removal/${id}`,
  removals: "snapshot-removal/",
  history: (volume: string) => `volume-history/${volume}`,
  histories: "volume-history/",
  settings: "snapshot-settings",
} as const;

/** The snapshot that `value` spells. Throws RangeError naming the field that is not right. */
export function snapshotRecord(value: unknown): SnapshotRecord {
  const at = fields(value, "snapshot");
  return {
    name: text(at, "name"),
    id: text(at, "id"),
    ...at["description"] === undefined ? {} : { description: text(at, "description") },
    volume: text(at, "volume"),
    state: oneOf(at, "state", ["creating", "kept"]),
    active: yes(at, "active"),
    epoch: count(at, "epoch"),
    createdAt: count(at, "createdAt"),
    missing: names(at, "missing"),
    ...at["file"] === undefined ? {} : { file: snapshotFile(at["file"]) },
    ...at["schedule"] === undefined ? {} : { schedule: text(at, "schedule") },
    ...at["origin"] === undefined ? {} : { origin: text(at, "origin") },
  };
}

function snapshotFile(value: unknown): SnapshotFile {
  const at = fields(value, "file"), gfid = parseGfid(text(at, "gfid"));
  if (!gfid) throw new RangeError('Cannot read a record: "gfid" is none');
  return { path: text(at, "path"), gfid };
}

/** The removal that `value` spells. Throws RangeError. */
export function removalRecord(value: unknown): RemovalRecord {
  const at = fields(value, "removal");
  return { id: text(at, "id"), volume: text(at, "volume"), bricks: names(at, "bricks") };
}

/** What is remembered of a volume; nothing yet if it is undefined. Throws RangeError. */
export function volumeHistoryRecord(value: unknown): VolumeHistoryRecord {
  if (value === undefined) return { epoch: 0 };
  const at = fields(value, "volume's history");
  return {
    epoch: count(at, "epoch"),
    ...at["hardLimit"] === undefined ? {} : { hardLimit: count(at, "hardLimit") },
  };
}

/** The settings that `value` spells; those by default if it is undefined. Throws RangeError. */
export function snapshotSettings(value: unknown): SnapshotSettings {
  if (value === undefined) return DEFAULT_SETTINGS;
  const at = fields(value, "set of settings");
  return {
    hardLimit: count(at, "hardLimit"),
    softLimit: count(at, "softLimit"),
    autoDelete: yes(at, "autoDelete"),
    activateOnCreate: yes(at, "activateOnCreate"),
  };
}

/** Reads a record as its users will, if it is one of snapshots. Throws RangeError. */
export function checkSnapshotRecord(key: string, value: unknown): void {
  if (key.startsWith(SNAPSHOT_KEYS.snapshots)) {
    const { name } = snapshotRecord(value);
    if (SNAPSHOT_KEYS.snapshot(name) !== key) {
      throw new RangeError(`it is of the snapshot "${name}"`);
    }
  } else if (key.startsWith(SNAPSHOT_KEYS.removals)) removalRecord(value);
  else if (key.startsWith(SNAPSHOT_KEYS.histories)) volumeHistoryRecord(value);
  else if (key === SNAPSHOT_KEYS.settings) snapshotSettings(value);
}

/** A field that is true or false. Throws RangeError. */
export function yes(at: Fields, name: string): boolean {
  const value = at[name];
  if (typeof value !== "boolean") {
    throw new RangeError(`Cannot read a record: "${name}" is no yes or no`);
  }
  return value;
}

function names(at: Fields, name: string): readonly string[] {
  return list(at, name).map((each) => text({ [name]: each }, name));
}
