/** What volfile generation is given; the files beside this one make blocks of it. */

import type { BrickRecord, VolumeRecord } from "mgmt/records.ts";

/** A volume, and what is set for all volumes. */
export interface VolgenInput {
  readonly volume: VolumeRecord;
  readonly globalOptions: Readonly<Record<string, string>>;
  /** UUID of the node that makes them. */
  readonly nodeId: string;
  /** Where bricks listen: undefined for all addresses, else the address of each brick's host. */
  readonly bindToHost: boolean;
  /** Only layers that GlusterFS has, too: for files that its programs may read. */
  readonly plain?: boolean;
  /** Nothing may be changed: of what a snapshot has. */
  readonly readOnly?: boolean;
  /** How many bricks of the volume are on a brick's file system; 1 each if absent. `df` divides by it. */
  readonly sharing?: (brick: BrickRecord) => number;
}

/** Who asks for a volfile: only our own nodes get the volume's login. */
export type Asker = "trusted" | "other";
