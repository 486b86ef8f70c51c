/** What `volume info` tells of a volume, from its record alone. */

import {
  brickText,
  distributeCount,
  isArbiter,
  setSize,
  type VolumeKind,
  type VolumeRecord,
} from "mgmt/records.ts";

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
  /** What else is worth a line, such as a volfile of the administrator's; GlusterFS has no such lines. */
  readonly remarks: readonly NamedValue[];
};
