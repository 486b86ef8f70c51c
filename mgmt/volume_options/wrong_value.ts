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

/**
 * Why `value` cannot be the option's; undefined if it can. What GlusterFS says comes first, and it knows
 * an option by its name in volfiles only; what to do instead follows.
 */
export function wrongValue(row: VolumeOption, value: string): string | undefined {
  try {
    row.spec.parse(value);
    return undefined;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const name = row.option.replace(/^!/, "");
    return `${reason(name, row.spec, value)}; ${row.key} takes ${row.spec.values}`;
  }
}

function reason(name: string, spec: OptionSpec<unknown>, value: string): string {
  const { kind } = spec;
  if (kind === "bool") return `option ${name} ${value}: '${value}' is not a valid boolean value`;
  if (kind === "choice") {
    const words = spec.values.replaceAll("|", ", ");
    return `option ${name} ${value}: '${value}' is not valid (possible options are ${words}.)`;
  }
  const number = numberOf(kind, value);
  const { min, max } = kind === "share" ? { min: 0, max: 100 } : spec.range ?? NO_RANGE;
  if (number !== undefined) {
    return max === Number.MAX_SAFE_INTEGER
      ? `'${number}' in 'option ${name} ${value}' is smaller than minimum value '${min}'`
      : `'${number}' in 'option ${name} ${value}' is out of range [${min} - ${max}]`;
  }
  if (kind === "duration") return `invalid time format "${value}" in "option ${name}"`;
  return kind in NUMBERS
    ? `invalid number format "${value}" in option "${name}"`
    : `option ${name} ${value}: '${value}' is not valid`;
}

const NO_RANGE = { min: 0, max: Number.MAX_SAFE_INTEGER };

// The number that `value` spells, as GlusterFS prints it; undefined if it is none.
function numberOf(kind: string, value: string): string | undefined {
  const share = kind === "percent"
    ? /^\d+(\.\d+)?%?$/
    : kind === "share"
    ? /^\d+(\.\d+)?%$/
    : undefined;
  if (share) return share.test(value) ? parseFloat(value).toFixed(6) : undefined;
  try {
    return NUMBERS[kind]?.parse(value).toString();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
