/** What `volume info` tells of a volume, from its record alone. */

import { dashed } from "mgmt/home.ts";
import { brickText, distributeCount, isArbiter, setSize, type VolumeRecord } from "mgmt/records.ts";

/** A brick as `volume info` shows it. */
export type InfoBrick = {
  /** "HOST:PATH". */
  readonly name: string;
  /** UUID of its node. */
  readonly hostUuid: string;
  readonly isArbiter: boolean;
};

/** A name and what it is set to. */
export type NamedValue = { readonly name: string; readonly value: string };

/** One volume. */
export type VolumeInfo = {
  readonly name: string;
  /** UUID. */
  readonly id: string;
  /** As GlusterFS numbers them: 0 created, 1 started, 2 stopped. */
  readonly status: number;
  readonly statusText: string;
  readonly snapshotCount: number;
  readonly brickCount: number;
  /** Subvolumes of cluster/distribute. */
  readonly distCount: number;
  /** Bricks of one of them: GlusterFS's dictionaries call this dist_count. */
  readonly leafCount: number;
  /** Copies; 1 without replication. */
  readonly replicaCount: number;
  readonly arbiterCount: number;
  readonly disperseCount: number;
  readonly redundancyCount: number;
  /** 1 without striping. */
  readonly stripeCount: number;
  /** GlusterFS's number of the kind (GF_CLUSTER_TYPE_*): 0 plain, 1 stripe, 2 replicate, 3 both, 4 disperse. */
  readonly baseType: number;
  /** The same, 5 more if several such are distributed over. */
  readonly type: number;
  /** "Distributed-Replicate" and so on. */
  readonly typeText: string;
  readonly bricks: readonly InfoBrick[];
  /** What was set, the latest first, as GlusterFS lists it. */
  readonly options: readonly NamedValue[];
  /** What an administrator should know besides: it is shown as options are. GlusterFS has no such lines. */
  readonly remarks?: readonly NamedValue[];
};

const STATUSES = { created: 0, started: 1, stopped: 2 } as const;
const STATUS_TEXTS = ["Created", "Started", "Stopped"] as const;
const PLAIN = 0, STRIPE = 1, REPLICATE = 2, STRIPED_REPLICATE = 3, DISPERSE = 4;
/** What is added to a kind's number where several such are distributed over. */
const DISTRIBUTED = 5;
const TYPE_TEXTS = [
  "Distribute",
  "Stripe",
  "Replicate",
  "Striped-Replicate",
  "Disperse",
  "Tier",
  "Distributed-Stripe",
  "Distributed-Replicate",
  "Distributed-Striped-Replicate",
  "Distributed-Disperse",
] as const;

/** What of a volume is not in its record. */
export interface Circumstances {
  /** Keys of volfiles that are not ours. */
  readonly handWritten: readonly string[];
  /** Bricks keep their attributes under `user.*`: no GlusterFS can take them over as they are. */
  readonly userAttributes: boolean;
  readonly snapshots: number;
}

/** What there is to tell of a volume. */
export function volumeInfo(volume: VolumeRecord, circumstances?: Circumstances): VolumeInfo {
  const remarks = circumstances ? remarksOn(volume, circumstances) : [];
  const { state, bricks } = volume;
  const status = state === "started" || state === "stopped" ? STATUSES[state] : STATUSES.created;
  const distCount = distributeCount(volume);
  const base = baseType(volume);
  const type = base !== PLAIN && distCount > 1 ? base + DISTRIBUTED : base;
  return {
    name: volume.name,
    id: volume.id,
    status,
    statusText: STATUS_TEXTS[status],
    snapshotCount: circumstances?.snapshots ?? 0,
    brickCount: bricks.length,
    distCount,
    leafCount: setSize(volume) * volume.stripeCount,
    replicaCount: volume.replicaCount,
    arbiterCount: volume.arbiterCount,
    disperseCount: volume.disperseCount,
    redundancyCount: volume.redundancyCount,
    stripeCount: volume.stripeCount,
    baseType: base,
    type,
    typeText: TYPE_TEXTS[type] ?? "",
    bricks: bricks.map((brick, index) => ({
      name: brickText(brick),
      hostUuid: brick.nodeId,
      isArbiter: isArbiter(volume, index),
    })),
    options: Object.entries(volume.options).map(([name, value]) => ({ name, value })).reverse(),
    ...remarks.length ? { remarks } : {},
  };
}

function remarksOn(
  { name, bricks }: VolumeRecord,
  { handWritten, userAttributes }: Circumstances,
): NamedValue[] {
  const keys = [name, ...bricks.map(({ host, path }) => `${name}.${host}.${dashed(path)}`)];
  return [
    ...keys.filter((key) => handWritten.includes(key))
      .map((key) => ({ name: "hand-written-volfile", value: key })),
    ...userAttributes ? [{ name: "brick-attributes", value: "user.*" }] : [],
  ];
}

/** GlusterFS's number of what one subvolume of cluster/distribute is. */
export function baseType(
  { stripeCount, replicaCount, disperseCount }: Pick<
    VolumeRecord,
    "stripeCount" | "replicaCount" | "disperseCount"
  >,
): number {
  if (disperseCount) return DISPERSE;
  if (stripeCount > 1) return replicaCount > 1 ? STRIPED_REPLICATE : STRIPE;
  return replicaCount > 1 ? REPLICATE : PLAIN;
}

/** "2 x (2 + 1) = 6": how the bricks make sets. */
export function brickCounts(info: VolumeInfo): string {
  const { brickCount, distCount, stripeCount, replicaCount, arbiterCount } = info;
  const { disperseCount, redundancyCount } = info;
  if (info.baseType === PLAIN) return `${brickCount}`;
  const set = disperseCount
    ? [`(${disperseCount - redundancyCount} + ${redundancyCount})`]
    : arbiterCount
    ? [`(${replicaCount - arbiterCount} + ${arbiterCount})`]
    : replicaCount > 1
    ? [`${replicaCount}`]
    : [];
  const stripe = stripeCount > 1 ? [`${stripeCount}`] : [];
  return `${[`${distCount}`, ...stripe, ...set].join(" x ")} = ${brickCount}`;
}
