/**
 * A volume as the lines of GlusterFS's state directory: `vols/VOLUME/info` and
 * `vols/VOLUME/bricks/HOST:-dashed-path`. Scripts, monitoring and backups read them, a real glusterd can
 * be started on them, and a volume is adopted from them. Keys and their order are those of
 * glusterd 10.3.
 */

import {
  type BrickRecord,
  setSize,
  type VolumeKind,
  type VolumeRecord,
  type VolumeState,
} from "mgmt/records.ts";

/** `GF_CLUSTER_TYPE_*`. Numbers of striped volumes are those of releases that had them. */
export const VOLUME_TYPE = {
  distribute: 0,
  stripe: 1,
  replicate: 2,
  stripedReplicate: 3,
  disperse: 4,
} as const;

/** `GLUSTERD_STATUS_*`. A volume that comes or goes is not to be started by whoever reads this. */
const STATUS: Readonly<Record<VolumeState, number>> = {
  creating: 0,
  created: 0,
  started: 1,
  stopped: 2,
  deleting: 2,
};

/** The oldest clients that know what such a volume needs, as 10.3 writes it. */
const CLIENT_OP_VERSION: Readonly<Record<VolumeKind, number>> = {
  distribute: 2,
  replicate: 30800,
  disperse: 30600,
  stripe: 2,
};
const OP_VERSION = 40000;

const NO_ID = "00000000-0000-0000-0000-000000000000";

/** Says that a striped volume has our layout, not the one of GlusterFS before 6. */
export const OWN_STRIPE = "stripe-layout";

/** Lines "key=value". Throws RangeError where a value would begin another line. */
function lines(pairs: readonly (readonly [string, string | number])[]): string {
  return pairs.map(([key, value]) => {
    if (/[\n\0]/.test(`${value}`)) {
      throw new RangeError(`Cannot write "${key}": its value has more than one line`);
    }
    return `${key}=${value}\n`;
  }).join("");
}

/** What glusterd calls a brick in names of files: "HOST:-d-backends-b1". */
export function brickKey({ host, path }: Pick<BrickRecord, "host" | "path">): string {
  return `${host}:${path.replaceAll("/", "-")}`;
}

/** The text of `info`. It has the volume's password. Throws RangeError. */
export function volumeInfo(volume: VolumeRecord): string {
  const { options, bricks, arbiterCount, stripeCount } = volume;
  return lines([
    ["type", typeNumber(volume)],
    ["count", bricks.length],
    ["status", STATUS[volume.state]],
    ["sub_count", subCount(volume)],
    ["replica_count", volume.replicaCount],
    ...(stripeCount > 1 ? [["stripe_count", stripeCount], [OWN_STRIPE, "own"]] as const : []),
    ...(arbiterCount > 0 ? [["arbiter_count", arbiterCount]] as const : []),
    ["disperse_count", volume.disperseCount],
    ["redundancy_count", volume.redundancyCount],
    ["version", volume.version],
    ["transport-type", 0],
    ["volume-id", volume.id],
    ["username", volume.username],
    ["password", volume.password],
    ["op-version", OP_VERSION],
    ["client-op-version", CLIENT_OP_VERSION[volume.kind]],
    ["quota-version", 0],
    ["tier-enabled", 0],
    ["parent_volname", "N/A"],
    ["restored_from_snap", NO_ID],
    ["snap-max-hard-limit", 256],
    ...Object.entries(options),
    ...bricks.map((brick, index) => [`brick-${index}`, brickKey(brick)] as const),
  ]);
}

function typeNumber({ kind, replicaCount }: VolumeRecord): number {
  if (kind === "stripe" && replicaCount > 1) return VOLUME_TYPE.stripedReplicate;
  return VOLUME_TYPE[kind];
}

/** Bricks of one subvolume of cluster/distribute; 0 where that is a single brick. */
function subCount(volume: VolumeRecord): number {
  const size = setSize(volume) * volume.stripeCount;
  return size > 1 ? size : 0;
}

/** Where a brick's directory is. */
export interface BrickMount {
  /** Below the root of its file system; empty if it is that root. */
  readonly directory: string;
  /** `f_fsid` of that file system. */
  readonly fileSystem: bigint;
}

/** The text of a brick's file; `mount`: of a brick of this node that is there. Throws RangeError. */
export function brickInfo(brick: BrickRecord, mount: BrickMount | undefined): string {
  return lines([
    ["uuid", brick.nodeId],
    ["hostname", brick.host],
    ["path", brick.path],
    ["real_path", brick.path],
    ["listen-port", brick.port ?? 0],
    ["rdma.listen-port", 0],
    ["decommissioned", 0],
    ["brick-id", brick.clientName],
    ...(mount?.directory ? [["mount_dir", mount.directory]] as const : []),
    ["snap-status", 0],
    ["brick-fsid", `${mount?.fileSystem ?? 0n}`],
  ]);
}

/** `node_state.info`: no rebalance was ever asked for. */
export const NO_REBALANCE: string = lines([
  ["rebalance_status", 0],
  ["status", 0],
  ["rebalance_op", 0],
  ["rebalance-id", NO_ID],
  ["rebalanced-files", 0],
  ["size", 0],
  ["scanned", 0],
  ["failures", 0],
  ["skipped", 0],
  ["run-time", "0.000000"],
]);

/** `glusterd.info`. */
export function nodeInfo(nodeId: string): string {
  return lines([["UUID", nodeId], ["operating-version", 100000]]);
}

/** `options`: what is set for all volumes. Throws RangeError. */
export function globalOptionsInfo(options: Readonly<Record<string, string>>): string {
  return lines([...Object.entries(options), ["global-option-version", 0]]);
}

/** Pairs of such a text, in its order; lines that are none are left out. */
export function pairsOf(text: string): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0) pairs.set(line.slice(0, at), line.slice(at + 1));
  }
  return pairs;
}
