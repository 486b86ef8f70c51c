/** What `volume set` is asked for: options and values, read and checked before anything changes. */

import { fitsVolfile } from "core/volfile.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { findVolumeOption, isFreeKey } from "mgmt/volume_options/mod.ts";
import { RULES } from "mgmt/volume_options/rules.ts";
import { hint } from "mgmt/volume_options/unknown.ts";
import { NONE } from "mgmt/volume_options/rows.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";
import { wrongValue } from "mgmt/volume_options/wrong_value.ts";

/** The name that stands for all volumes. */
export const ALL = "all";

/** An option and the value that it shall get. */
export interface Setting {
  /** With its family: "cluster.quorum-type". */
  readonly key: string;
  readonly value: string;
  /** Undefined for keys that are free: "user.…". */
  readonly option: VolumeOption | undefined;
}

const VALUE_MAX = 4096;

/** The settings that words spell, KEY VALUE KEY VALUE …. Throws Refusal on an option that there is not. */
export function readSettings(words: readonly string[]): readonly Setting[] {
  const settings: Setting[] = [];
  for (let at = 0; at + 1 < words.length; at += 2) {
    settings.push(setting(words[at]!, words[at + 1]!));
  }
  return settings;
}

function setting(name: string, given: string): Setting {
  const option = findVolumeOption(name);
  if (!option && !isFreeKey(name)) {
    throw new Refusal(`option : ${name} does not exist${hint(name)}`);
  }
  // As in GlusterFS: blanks that a shell's quotes let through mean nothing, but in free values.
  const value = option ? given.replace(/\s/g, "") : given;
  const key = option?.key ?? name;
  if (value === "") throw new Refusal(`option ${key} needs a value; "volume reset" takes it away`);
  // deno-lint-ignore no-control-regex -- these would break volfiles and listings
  if (/[\0-\x1f\x7f]/.test(key + value) || value.length > VALUE_MAX || key.length > 255) {
    throw new Refusal(
      `option ${
        JSON.stringify(key.slice(0, 255))
      }: no control characters, at most ${VALUE_MAX} characters`,
    );
  }
  if (!option && /[=\s]/.test(key)) {
    throw new Refusal(`option ${JSON.stringify(key)}: no "=" in names, and no blanks`);
  }
  if (option && !fitsVolfile(value)) {
    throw new Refusal(
      `option ${key}: GlusterFS's programs would run what is between backticks; leave them out`,
    );
  }
  return { key, value, option };
}

/** Checks settings for a volume, or for all (undefined). Throws Refusal on the first that is not right. */
export function checkSettings(
  settings: readonly Setting[],
  volume: VolumeRecord | undefined,
): void {
  const after = { ...volume?.options };
  for (const { key, value } of settings) after[key] = value;
  for (const { key, value, option } of settings) {
    checkScope(option, volume);
    if (!option) continue;
    const why = RULES.get(key)?.early?.({ key, value, volume, after }) ??
      fixedTo(option, value) ?? wrongValue(option, value) ??
      RULES.get(key)?.late?.({ key, value, volume, after });
    if (why !== undefined) throw new Refusal(why);
  }
}

/** Whether an option may be set or reset for a volume, or for all (undefined). Throws Refusal. */
export function checkScope(
  option: VolumeOption | undefined,
  volume: VolumeRecord | undefined,
): void {
  if (option?.key === "cluster.max-op-version") throw new Refusal("Not a valid option to set");
  if (volume && option?.global) throw new Refusal("Not a valid option for single volume");
  if (!volume && !option?.global) throw new Refusal("Not a valid option for all volumes");
}

// A wrong value is no reason of its own where none but the default is right.
function fixedTo(option: VolumeOption, value: string): string | undefined {
  const { key, spec, shown, fixed } = option;
  if (fixed === undefined) return undefined;
  if (shown === NONE) return `option ${key} cannot be set: ${fixed}`;
  const isDefault = wrongValue(option, value) === undefined &&
    spec.print(spec.parse(value)) === spec.print(spec.parse(shown));
  return isDefault ? undefined : `option ${key} can only be ${shown}: ${fixed}`;
}
