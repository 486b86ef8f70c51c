/** How many snapshots a volume may have. */

import type { SnapshotSettings, VolumeHistoryRecord } from "mgmt/snapshots/snapshot_record.ts";

/** The limits that count for one volume. */
export interface Limits {
  /** As set for the volume, or for all. */
  readonly hard: number;
  /** The smaller of the volume's and that of all. */
  readonly effective: number;
  /** From here on the oldest goes, or one is warned. */
  readonly soft: number;
}

/** The limits of a volume. */
export function limitsOf(settings: SnapshotSettings, history: VolumeHistoryRecord): Limits {
  const hard = history.hardLimit ?? settings.hardLimit;
  const effective = Math.min(hard, settings.hardLimit);
  return { hard, effective, soft: Math.floor(effective * settings.softLimit / 100) };
}
