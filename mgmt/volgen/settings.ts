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

/** Who runs a graph. */
export type Role = "client" | "brick" | "heal";

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

// What was set, or what the daemon supplies.
function written(
  settings: Settings,
  { key, supplied, shown }: VolumeOption,
): string | undefined {
  return settings[key] ?? (supplied ? shown : undefined);
}

// The translators that a row goes to.
function targets({ xlator, option, also = [] }: VolumeOption): readonly OptionTarget[] {
  const first = xlator === undefined ? [] : [{ xlator, option }];
  return [...first, ...also].filter((target) => !target.option.startsWith("!"));
}

/**
 * Who alone gets an option, though layers of its type are in other graphs, too: what is logged, and by
 * how many threads, is set for each role; some options make only a healer do something.
 */
function roleOf({ xlator, places }: VolumeOption): Role | undefined {
  const [place] = places;
  if (places.length !== 1 || place === "daemon") return undefined;
  return xlator === STATS || place === "heal" ? place : undefined;
}

/** Gives every layer the options of its type that are for all roles. */
export function applySettings(layers: readonly Layer[], settings: Settings): void {
  apply(layers, settings, undefined);
}

/** Gives every layer the options of its type that are for `role` alone. */
export function applyRole(layers: readonly Layer[], settings: Settings, role: Role): void {
  apply(layers, settings, role);
}

function apply(layers: readonly Layer[], settings: Settings, role: Role | undefined): void {
  const byType = Map.groupBy(layers, ({ type }) => type);
  forEachTarget(settings, (row, { xlator, option }, value) => {
    if (roleOf(row) !== role || option.includes("*")) return;
    for (const { options } of byType.get(xlator) ?? []) options.set(option, value);
  });
}

/** Gives `layer` its options in whose names a star stands for the path of a brick. */
export function applyPath(layer: Layer, settings: Settings, path: string): void {
  forEachTarget(settings, (_row, { xlator, option }, value) => {
    if (xlator !== layer.type || !option.includes("*")) return;
    layer.options.set(option.replace("*", () => path), value);
  });
}

function forEachTarget(
  settings: Settings,
  found: (row: VolumeOption, target: OptionTarget, value: string) => void,
): void {
  for (const row of VOLUME_OPTIONS.values()) {
    const value = written(settings, row);
    if (value === undefined || ELSEWHERE.has(row.key)) continue;
    for (const target of targets(row)) found(row, target, value);
  }
}

/** The row of an option as a volfile spells it. */
export function rowOf(type: string, option: string): VolumeOption | undefined {
  for (const row of VOLUME_OPTIONS.values()) {
    if (targets(row).some((each) => each.xlator === type && each.option === option)) return row;
  }
  return undefined;
}
