/**
 * What the management daemon remembers, as values: they are stored as JSON, and read back through
 * the functions here, which say no to what they do not know.
 */

/** What a volume's bricks are to each other. `stripe` is for our own clients only. */
export type VolumeKind = "distribute" | "replicate" | "disperse" | "stripe";

/** One directory of a volume. Its position in `VolumeRecord.bricks` never changes. */
export interface BrickRecord {
  /** As given at creation; resolves to an address of the node that serves it. */
  readonly host: string;
  /** Absolute, without "." or ".." or a slash at its end. */
  readonly path: string;
  /** The node that serves it. */
  readonly nodeId: string;
  /**
   * Its name in client volfiles, "VOLUME-client-N"; pending marks on other bricks name it so, and
   * it is never given to another brick.
   */
  readonly clientName: string;
  /** Last port it was served on: asked for again at the next start. */
  readonly port?: number;
  /** The directory was made by us while the volume was made: goes when creation is undone. */
  readonly made?: true;
  /** Of a cloned volume: whose brick it began as, that one's origin, and so on. */
  readonly origins?: readonly OriginRecord[];
}

/** What a brick of a cloned volume began as. */
export interface OriginRecord {
  /** Directory of a brick, on the same node. */
  readonly path: string;
  /** Id of the reader in that brick's history. */
  readonly reader: string;
}

/**
 * Where a volume is in its life. `creating` and `deleting` are never shown: a daemon that finds them
 * at its start undoes the first and finishes the second.
 */
export type VolumeState = "creating" | "created" | "started" | "stopped" | "deleting";

/** A volume. */
export interface VolumeRecord {
  readonly name: string;
  /** UUID, as on its bricks in trusted.glusterfs.volume-id. */
  readonly id: string;
  readonly state: VolumeState;
  readonly kind: VolumeKind;
  /** Copies, arbiters among them; 1 if it is not replicated. */
  readonly replicaCount: number;
  /** Arbiters of each replica set: 0 or 1. */
  readonly arbiterCount: number;
  /** Bricks of one dispersed set, and how many of them may be lost; both 0 if it is not dispersed. */
  readonly disperseCount: number;
  readonly redundancyCount: number;
  /** Bricks, or replica sets, that a file is striped over; 1 if it is not. */
  readonly stripeCount: number;
  readonly bricks: readonly BrickRecord[];
  /** What was set, in the order it was set, by the names of `volume set`. */
  readonly options: Readonly<Record<string, string>>;
  /** Login of clients that got their volfile from us; in no log, no `ps`. */
  readonly username: string;
  readonly password: string;
  /** Grows with every change; volfiles of an older one are stale. */
  readonly version: number;
  /** Name of the client that the next new brick gets: VOLUME-client-⟨this⟩. */
  readonly nextClient: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** What it reads from; absent: nothing, all that it has is its own. */
  readonly cloneOf?: CloneOfRecord;
  /** It is made independent of what it reads from, or was. */
  readonly flatten?: FlattenRecord;
}

/** `volume flatten`, which ended when the volume reads from no other one. */
export interface FlattenRecord {
  /** UUID: as a task of the volume. */
  readonly id: string;
}

/** The volume that a clone reads from. */
export interface CloneOfRecord {
  readonly volume: string;
  /** Id of the reader that all of its bricks have for the clone. */
  readonly reader: string;
}

/** Who this node is. */
export interface NodeRecord {
  /** UUID; `glusterd.info` has the same. */
  readonly id: string;
}

/** Keys in the store. */
export const KEYS = {
  node: "node",
  /** Options of all volumes: `volume set all`. */
  options: "options",
  volume: (name: string) => `volume/${name}`,
  volumes: "volume/",
  task: (id: string) => `task/${id}`,
  tasks: "task/",
} as const;

/** Bricks of one set: the copies, or the fragments, of a file. A stripe's bricks are sets of their own. */
export function setSize(
  { replicaCount, disperseCount }: Pick<VolumeRecord, "replicaCount" | "disperseCount">,
): number {
  return disperseCount || replicaCount;
}

/** Subvolumes of cluster/distribute. */
export function distributeCount(volume: VolumeRecord): number {
  return volume.bricks.length / (setSize(volume) * volume.stripeCount);
}

/** Whether the last brick of every set only keeps names and attributes. */
export function isArbiter(volume: VolumeRecord, index: number): boolean {
  return volume.arbiterCount > 0 &&
    index % volume.replicaCount >= volume.replicaCount - volume.arbiterCount;
}

/** A brick as people name it: "host:/path". */
export function brickText({ host, path }: Pick<BrickRecord, "host" | "path">): string {
  return `${host}:${path}`;
}

const STATES: readonly VolumeState[] = ["creating", "created", "started", "stopped", "deleting"];
const KINDS: readonly VolumeKind[] = ["distribute", "replicate", "disperse", "stripe"];

/** The volume that `value` spells. Throws RangeError naming the field that is not right. */
export function volumeRecord(value: unknown): VolumeRecord {
  const at = fields(value, "volume");
  return {
    name: text(at, "name"),
    id: text(at, "id"),
    state: oneOf(at, "state", STATES),
    kind: oneOf(at, "kind", KINDS),
    replicaCount: count(at, "replicaCount"),
    arbiterCount: count(at, "arbiterCount"),
    disperseCount: count(at, "disperseCount"),
    redundancyCount: count(at, "redundancyCount"),
    stripeCount: count(at, "stripeCount"),
    bricks: list(at, "bricks").map(brickRecord),
    options: texts(at, "options"),
    username: text(at, "username"),
    password: text(at, "password"),
    version: count(at, "version"),
    nextClient: count(at, "nextClient"),
    createdAt: count(at, "createdAt"),
    ...(at["cloneOf"] === undefined ? {} : { cloneOf: cloneOfRecord(at["cloneOf"]) }),
    ...(at["flatten"] === undefined ? {} : { flatten: flattenRecord(at["flatten"]) }),
  };
}

function cloneOfRecord(value: unknown): CloneOfRecord {
  const at = fields(value, "clone");
  return { volume: text(at, "volume"), reader: text(at, "reader") };
}

function flattenRecord(value: unknown): FlattenRecord {
  return { id: text(fields(value, "flattening"), "id") };
}

function originRecord(value: unknown): OriginRecord {
  const at = fields(value, "origin");
  return { path: text(at, "path"), reader: text(at, "reader") };
}

function brickRecord(value: unknown): BrickRecord {
  const at = fields(value, "brick");
  return {
    host: text(at, "host"),
    path: text(at, "path"),
    nodeId: text(at, "nodeId"),
    clientName: text(at, "clientName"),
    ...(at["port"] === undefined ? {} : { port: count(at, "port") }),
    ...(at["made"] === true ? { made: true } : {}),
    ...(at["origins"] === undefined ? {} : { origins: list(at, "origins").map(originRecord) }),
  };
}

/** The node that `value` spells. Throws RangeError. */
export function nodeRecord(value: unknown): NodeRecord {
  return { id: text(fields(value, "node"), "id") };
}

/** Options by name. Throws RangeError. */
export function optionsRecord(value: unknown): Readonly<Record<string, string>> {
  return texts({ options: value }, "options");
}

/** A record that is being read: nothing is known of its fields. */
export type Fields = Readonly<Record<string, unknown>>;

/** The fields of `value`. Throws RangeError if it has none; `what` is for people. */
export function fields(value: unknown, what: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw new RangeError(`Cannot read a ${what}: it is no record`);
}

function wrong(name: string, expected: string): RangeError {
  return new RangeError(`Cannot read a record: "${name}" is not ${expected}`);
}

/** A field that is a text, and says something. Throws RangeError. */
export function text(at: Fields, name: string): string {
  const value = at[name];
  if (typeof value !== "string" || value === "") throw wrong(name, "a text");
  return value;
}

/** A field that is a whole number, 0 or more. Throws RangeError. */
export function count(at: Fields, name: string): number {
  const value = at[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw wrong(name, "a count");
  }
  return value;
}

/** A field that is a list. Throws RangeError. */
export function list(at: Fields, name: string): readonly unknown[] {
  const value = at[name];
  if (!Array.isArray(value)) throw wrong(name, "a list");
  return value;
}

/** A field that is one of a few words. Throws RangeError. */
export function oneOf<T extends string>(at: Fields, name: string, words: readonly T[]): T {
  const word = words.find((each) => each === at[name]);
  if (word === undefined) throw wrong(name, `one of ${words.join(", ")}`);
  return word;
}

function texts(at: Fields, name: string): Readonly<Record<string, string>> {
  const value = fields(at[name], name);
  for (const [key, each] of Object.entries(value)) {
    if (typeof each !== "string") throw wrong(`${name}.${key}`, "a text");
  }
  return value as Readonly<Record<string, string>>;
}
