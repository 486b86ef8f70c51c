/** What options are where nobody set them. */

import { setSize, type VolumeRecord } from "mgmt/records.ts";
import { shownDefault, type VolumeOption } from "mgmt/volume_options/volume_option.ts";

/** What GlusterFS 10 sets on new volumes, in its order. */
export function newVolumeOptions(kind: VolumeRecord["kind"]): Readonly<Record<string, string>> {
  const replicated = kind === "replicate";
  return {
    ...replicated ? { "performance.client-io-threads": "off" } : {},
    "nfs.disable": "on",
    "transport.address-family": "inet",
    "storage.fips-mode-rchecksum": "on",
    ...replicated ? { "cluster.granular-entry-heal": "on" } : {},
  };
}

/**
 * What a volume keeps when all is reset. Threads in clients then follow from its kind, and how it heals
 * names stays as it is once it may have been written to.
 */
export function optionsAfterReset({ kind, state, options }: VolumeRecord): Readonly<
  Record<string, string>
> {
  const kept = Object.entries(newVolumeOptions(kind)).flatMap(([key, value]) => {
    if (key === "performance.client-io-threads") return [];
    if (key !== "cluster.granular-entry-heal" || state === "created") return [[key, value]];
    const own = options[key];
    return own === undefined ? [] : [[key, own]];
  });
  return Object.fromEntries(kept);
}

/** The value that a volume has where none was set; undefined: the option's own default. */
export function defaultByKind(volume: VolumeRecord, key: string): string | undefined {
  if (volume.kind !== "replicate") return undefined;
  if (key === "performance.client-io-threads") return "off";
  return key === "cluster.quorum-type" && setSize(volume) % 2 ? "auto" : undefined;
}

/** What `volume get` shows for an option of a volume. */
export function shownValue(
  option: VolumeOption,
  volume: VolumeRecord,
  globalOptions: Readonly<Record<string, string>>,
): string {
  const { key } = option;
  return globalOptions[key] ?? volume.options[key] ?? defaultByKind(volume, key) ??
    shownDefault(option);
}
