/** What is wrong with a value, in the words of GlusterFS where it has some that help. */

import { duration, int, type OptionSpec, size } from "core/options.ts";
import type { VolumeOption } from "mgmt/volume_options/volume_option.ts";

const ANY = { default: 0, help: "", min: Number.MIN_SAFE_INTEGER };

/** Numbers of a kind whatever their range, to tell a wrong number from what is none. */
const NUMBERS: Readonly<Record<string, OptionSpec<number>>> = {
  int: int(ANY),
  size: size(ANY),
  duration: duration(ANY),
};

/** Why `value` cannot be the option's; undefined if it can. */
export function wrongValue({ key, spec }: VolumeOption, value: string): string | undefined {
  try {
    spec.parse(value);
    return undefined;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return reason(key, spec, value);
  }
}

function reason(key: string, spec: OptionSpec<unknown>, value: string): string {
  if (spec.kind === "bool") {
    return `option ${key} ${value}: '${value}' is not a valid boolean value, use on or off`;
  }
  if (spec.kind === "choice") {
    const words = spec.values.replaceAll("|", ", ");
    return `option ${key} ${value}: '${value}' is not valid (possible options are ${words}.)`;
  }
  if (!spec.range) return `option ${key} ${value}: '${value}' is not valid, use ${spec.values}`;
  const number = numberOf(spec.kind, value);
  if (number === undefined) {
    return spec.kind === "duration"
      ? `invalid time format "${value}" in "option ${key}", use seconds or a number with ms, min, hr, days`
      : `invalid number format "${value}" in option "${key}", use ${spec.values}`;
  }
  const { min, max } = spec.range;
  return max === Number.MAX_SAFE_INTEGER
    ? `'${number}' in 'option ${key} ${value}' is smaller than minimum value '${min}'`
    : `'${number}' in 'option ${key} ${value}' is out of range [${min} - ${max}]`;
}

function numberOf(kind: string, value: string): number | undefined {
  // A percentage's own kind knows no range but 0 to 100.
  if (kind === "percent") return /^\d+(\.\d+)?%?$/.test(value) ? parseFloat(value) : undefined;
  try {
    return NUMBERS[kind]?.parse(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
