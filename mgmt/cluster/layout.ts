/** From the words of `volume create` to the counts of a volume's record. */

import { Refusal } from "mgmt/cli/managed.ts";
import type { VolumeKind, VolumeRecord } from "mgmt/records.ts";

/** What `volume create` was given. */
export interface LayoutWords {
  readonly replica?: number | undefined;
  readonly arbiter?: number | undefined;
  /** 0: the word alone, all bricks are one set. */
  readonly disperse?: number | undefined;
  readonly "disperse-data"?: number | undefined;
  readonly redundancy?: number | undefined;
  readonly stripe?: number | undefined;
}

/** The part of a record that says how bricks work together. */
export type Layout = Pick<
  VolumeRecord,
  | "kind"
  | "replicaCount"
  | "arbiterCount"
  | "disperseCount"
  | "redundancyCount"
  | "stripeCount"
>;

const PLAIN: Layout = {
  kind: "distribute",
  replicaCount: 1,
  arbiterCount: 0,
  disperseCount: 0,
  redundancyCount: 0,
  stripeCount: 1,
};
/** Fragments that hold data, at most (GlusterFS's cluster/disperse). */
const DISPERSE_DATA_MAX = 16;

/** Throws Refusal saying which count is wrong and what fits. */
export function layoutOf(words: LayoutWords, brickCount: number): Layout {
  const dispersed = words.disperse !== undefined || words["disperse-data"] !== undefined ||
    words.redundancy !== undefined;
  if (dispersed && (words.replica !== undefined || words.arbiter !== undefined)) {
    throw new Refusal("disperse and replica cannot be combined; choose one of them");
  }
  if (dispersed && words.stripe !== undefined) {
    throw new Refusal("disperse and stripe cannot be combined; choose one of them");
  }
  const sets = dispersed ? disperse(words, brickCount) : replicate(words);
  const layout = stripe(sets, words.stripe);
  checkCount(layout, brickCount);
  return layout;
}

function replicate({ replica, arbiter }: LayoutWords): Layout {
  if (arbiter !== undefined && replica === undefined) {
    throw new Refusal("arbiter option must be preceded by replica option.");
  }
  if (replica === undefined) return PLAIN;
  if (replica < 2) throw new Refusal("replica count should be greater than 1");
  if (arbiter === undefined) return { ...PLAIN, kind: "replicate", replicaCount: replica };
  if (arbiter !== 1 || replica > 3) {
    throw new Refusal(
      "For arbiter configuration, replica count must be 2 and arbiter count must be 1. " +
        "The 3rd brick of the replica will be the arbiter",
    );
  }
  return { ...PLAIN, kind: "replicate", replicaCount: 3, arbiterCount: 1 };
}

function disperse(words: LayoutWords, brickCount: number): Layout {
  const data = words["disperse-data"];
  const whole = words.disperse || undefined;
  if (words.redundancy === 0) throw new Refusal("redundancy must be greater than 0");
  if (data === 0) throw new Refusal("disperse-data must be greater than 0");
  if (data !== undefined && whole !== undefined && words.redundancy !== undefined) {
    if (data + words.redundancy !== whole) {
      throw new Refusal(
        `disperse count ${whole} is not the sum of disperse-data (${data}) and redundancy (${words.redundancy})`,
      );
    }
  }
  const count = whole ??
    (data !== undefined && words.redundancy !== undefined ? data + words.redundancy : brickCount);
  if (count < 3) throw new Refusal(`disperse count must be greater than 2, got ${count}`);
  const redundancy = words.redundancy ??
    (data === undefined ? usualRedundancy(count) : count - data);
  if (redundancy < 1 || redundancy > Math.floor((count - 1) / 2)) {
    throw new Refusal(
      `redundancy must be greater than or equal to 1 and less than ${
        Math.floor((count + 1) / 2)
      } for a disperse ${count} volume`,
    );
  }
  if (count - redundancy > DISPERSE_DATA_MAX) {
    throw new Refusal("disperse-data bricks must be less than or equal to 16");
  }
  return { ...PLAIN, kind: "disperse", disperseCount: count, redundancyCount: redundancy };
}

// The one that leaves a power of two for data: files are written fastest so. Otherwise one.
function usualRedundancy(count: number): number {
  for (let redundancy = Math.floor((count - 1) / 2); redundancy > 0; redundancy--) {
    const data = count - redundancy;
    if ((data & (data - 1)) === 0) return redundancy;
  }
  return 1;
}

function stripe(sets: Layout, count: number | undefined): Layout {
  if (count === undefined) return sets;
  if (count < 2) throw new Refusal("stripe count should be greater than 1");
  const kind: VolumeKind = sets.kind === "distribute" ? "stripe" : sets.kind;
  return { ...sets, kind, stripeCount: count };
}

function checkCount(layout: Layout, brickCount: number): void {
  const size = (layout.disperseCount || layout.replicaCount) * layout.stripeCount;
  if (brickCount > 0 && brickCount % size === 0) return;
  const what = layout.stripeCount > 1 && layout.kind !== "stripe"
    ? `${layout.kind} count times stripe count`
    : layout.kind === "distribute"
    ? "required"
    : layout.kind === "replicate"
    ? "replica count"
    : `${layout.kind} count`;
  throw new Refusal(
    `number of bricks is not a multiple of ${what}: ${brickCount} given, ${size} make a set`,
  );
}
