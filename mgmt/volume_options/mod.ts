/** The table of all options of `volume set`. */

import { ABSENT } from "mgmt/volume_options/absent.ts";
import { DAEMON } from "mgmt/volume_options/daemon.ts";
import { DIAGNOSTICS } from "mgmt/volume_options/diagnostics.ts";
import { DISPERSE } from "mgmt/volume_options/disperse.ts";
import { DISTRIBUTE } from "mgmt/volume_options/distribute.ts";
import { FEATURES } from "mgmt/volume_options/features.ts";
import { NETWORK } from "mgmt/volume_options/network.ts";
import { ownRows } from "mgmt/volume_options/own.ts";
import { PERFORMANCE } from "mgmt/volume_options/performance.ts";
import { REPLICATE } from "mgmt/volume_options/replicate.ts";
import { STORAGE } from "mgmt/volume_options/storage.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

/** In this order they are listed: what one thing is about stands together. */
const FAMILIES = [
  "cluster",
  "disperse",
  "dht",
  "rebalance",
  "performance",
  "network",
  "client",
  "server",
  "auth",
  "ssl",
  "transport",
  "storage",
  "features",
];

function familyRank({ key }: VolumeOption): number {
  const rank = FAMILIES.indexOf(familyOf(key));
  return rank < 0 ? FAMILIES.length : rank;
}

/** What stands before the first dot: "cluster". */
export function familyOf(key: string): string {
  return key.slice(0, key.indexOf("."));
}

/** Every option by its name. An option that one of our translators declares comes from there alone. */
export const VOLUME_OPTIONS: ReadonlyMap<string, VolumeOption> = table([
  ...DISTRIBUTE,
  ...REPLICATE,
  ...DISPERSE,
  ...PERFORMANCE,
  ...NETWORK,
  ...STORAGE,
  ...FEATURES,
  ...DIAGNOSTICS,
  ...DAEMON,
  ...ABSENT,
  ...ownRows(),
]);

function table(all: readonly VolumeOption[]): ReadonlyMap<string, VolumeOption> {
  const sorted = all.toSorted((a, b) => familyRank(a) - familyRank(b));
  const found = new Map<string, VolumeOption>();
  for (const option of sorted) {
    if (found.has(option.key)) throw new Error(`Volume option ${option.key} is declared twice`);
    found.set(option.key, option);
  }
  return found;
}

/** Names without their family: "quorum-type" stands for "cluster.quorum-type"; undefined: for several. */
const SHORT: ReadonlyMap<string, VolumeOption | undefined> = shortNames();

function shortNames(): ReadonlyMap<string, VolumeOption | undefined> {
  const found = new Map<string, VolumeOption | undefined>();
  for (const option of VOLUME_OPTIONS.values()) {
    const short = option.key.slice(option.key.indexOf(".") + 1);
    found.set(short, found.has(short) ? undefined : option);
  }
  return found;
}

/** The option of a name, with its family or, where that is enough to know it, without. */
export function findVolumeOption(key: string): VolumeOption | undefined {
  return VOLUME_OPTIONS.get(key) ?? (key.includes(".") ? undefined : SHORT.get(key));
}

/** Options that hooks and people keep with a volume, which nothing here knows the meaning of. */
export function isFreeKey(key: string): boolean {
  return key.startsWith("user.") && key.length > "user.".length;
}
