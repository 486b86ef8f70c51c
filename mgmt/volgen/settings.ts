/**
 * What was set on a volume goes to the layers of a graph: every option to all layers of its type,
 * in the order of the table of options. What GlusterFS's daemon supplies is written even where it was
 * not set, as it does: clients of another version have other defaults.
 */

import { bool } from "core/options.ts";
import type { Layer } from "mgmt/volgen/layers.ts";
import type { OptionTarget, VolumeOption } from "mgmt/volume_options/volume_option.ts";
import { VOLUME_OPTIONS } from "mgmt/volume_options/mod.ts";

/** Options by their names in `volume set`. */
export type Settings = Readonly<Record<string, string>>;

/** Who runs a graph: what is logged, and by how many threads, is set for each. */
export type Role = "client" | "brick";

/** Written where a graph begins, and only where they are set. */
const ELSEWHERE = new Set(["transport.address-family", "auth.ssl-allow"]);

const STATS = "debug/io-stats";
const BOOL = bool({ default: false, help: "" });

/** Whether the switch `key` is on; `otherwise` where it is not set, or to no switch's word. */
export function isOn(settings: Settings, key: string, otherwise = false): boolean {
  const value = settings[key];
  if (value === undefined) return otherwise;
  try {
    return BOOL.parse(value);
  } catch {
    return otherwise;
  }
}

/** What is written for a row: what was set, or what the daemon supplies. */
export function written(settings: Settings, { key, supplied, shown }: VolumeOption) {
  return settings[key] ?? (supplied ? shown : undefined);
}

/** The translators that a row goes to. */
export function targets({ xlator, option, also = [] }: VolumeOption): readonly OptionTarget[] {
  const first = xlator === undefined ? [] : [{ xlator, option }];
  return [...first, ...also].filter((target) => !target.option.startsWith("!"));
}

// Options with a star are the bricks' own: the star stands for a brick's path.
function isForAll({ key, xlator, places }: VolumeOption): boolean {
  return !ELSEWHERE.has(key) && !(xlator === STATS && places.length === 1);
}

/** Gives every layer the options of its type that are not for one role or one brick. */
export function applySettings(layers: readonly Layer[], settings: Settings): void {
  const byType = Map.groupBy(layers, ({ type }) => type);
  for (const row of VOLUME_OPTIONS.values()) {
    const value = written(settings, row);
    if (value === undefined || !isForAll(row)) continue;
    for (const { xlator, option } of targets(row)) {
      if (option.includes("*")) continue;
      for (const { options } of byType.get(xlator) ?? []) options.set(option, value);
    }
  }
}

/** Gives the io-stats layers among `layers` what is set for `role`. */
export function applyRole(layers: readonly Layer[], settings: Settings, role: Role): void {
  const stats = layers.filter(({ type }) => type === STATS);
  for (const row of VOLUME_OPTIONS.values()) {
    const value = written(settings, row);
    if (value === undefined || isForAll(row) || row.xlator !== STATS) continue;
    if (row.places[0] !== role) continue;
    for (const { options } of stats) options.set(row.option, value);
  }
}

/** Options of `layer` in whose names a star stands for a brick's path. */
export function applyPath(layer: Layer, settings: Settings, path: string): void {
  for (const row of VOLUME_OPTIONS.values()) {
    const value = written(settings, row);
    if (value === undefined || ELSEWHERE.has(row.key)) continue;
    for (const { xlator, option } of targets(row)) {
      if (xlator !== layer.type || !option.includes("*")) continue;
      layer.options.set(option.replace("*", () => path), value);
    }
  }
}

/** The row of an option as a volfile spells it. */
export function rowOf(type: string, option: string): VolumeOption | undefined {
  for (const row of VOLUME_OPTIONS.values()) {
    if (targets(row).some((each) => each.xlator === type && each.option === option)) return row;
  }
  return undefined;
}
