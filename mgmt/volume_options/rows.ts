/** How tables of volume options are written: one line a row, kinds of values by name. */

import {
  bool,
  duration,
  int,
  oneOf,
  type OptionSpec,
  percent,
  shareOrSize,
  size,
  text,
} from "core/options.ts";
import { addressList } from "mgmt/volume_options/addresses.ts";
import type { OptionPlace, OptionTarget, VolumeOption } from "mgmt/volume_options/volume_option.ts";

// deno-lint-ignore no-explicit-any -- each row has its own kind of value
type AnySpec = OptionSpec<any>;

/** A kind of value: makes the spec of a row from its help and its default's spelling. */
export type Kind = (help: string, shown: string) => AnySpec;

/** No default: nothing is written into volfiles until it is set. */
export const NONE = "(null)";

// deno-lint-ignore no-explicit-any -- the default is what the kind's own parser makes of the spelling
function kind(make: (common: { default: any; help: string }) => AnySpec): Kind {
  return (help, shown) => {
    const spec = make({ default: undefined, help });
    return shown === NONE ? spec : { ...spec, default: spec.parse(shown) };
  };
}

interface Range {
  readonly min?: number;
  readonly max?: number;
}

function range(min: number | undefined, max: number | undefined): Range {
  return { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
}

/** on or off, in all spellings. */
export const onOff: Kind = kind(bool);
/** Any text. */
export const anyText: Kind = kind(text);
/** 0 to 100. */
export const share: Kind = kind(percent);
/** 0 to 100, or a size. */
export const shareOrBytes: Kind = kind(shareOrSize);
/** Host names, addresses and networks, separated by commas. */
export const addresses: Kind = kind(addressList);

/** A whole number. */
export function whole(min?: number, max?: number): Kind {
  return kind((common) => int({ ...common, ...range(min, max) }));
}

/** Bytes. */
export function bytes(min?: number, max?: number): Kind {
  return kind((common) => size({ ...common, ...range(min, max) }));
}

/** Seconds. */
export function seconds(min?: number, max?: number): Kind {
  return kind((common) => duration({ ...common, ...range(min, max) }));
}

/** One of a few words. */
export function words(...all: readonly string[]): Kind {
  return kind((common) => oneOf(all, common));
}

/** An absolute path. */
export const absolutePath: Kind = kind((common) => ({
  ...text(common),
  kind: "path",
  values: "an absolute path",
  parse(value) {
    if (value.startsWith("/") && !value.includes("\n")) return value;
    throw new RangeError(`expected an absolute path, got "${value}"`);
  },
}));

/** What else a row may say; see VolumeOption. `option` where it is not what follows the first dot of the key. */
export interface RowExtras {
  readonly option?: string;
  readonly also?: readonly OptionTarget[];
  readonly supplied?: true;
  readonly helpShown?: string;
  readonly places?: readonly OptionPlace[];
  readonly global?: true;
  readonly hidden?: true;
  readonly unlisted?: true;
  readonly guarded?: true;
  readonly fixed?: string;
}

/** Key, kind of value, default as GlusterFS spells it, help, and the rest. */
export type Row = readonly [
  key: string,
  kind: Kind,
  shown: string,
  help: string,
  extras?: RowExtras,
];

/** Rows of the options of one type of translator; undefined: of the daemon. */
export function rows(xlator: string | undefined, table: readonly Row[]): VolumeOption[] {
  return table.map(([key, kind, shown, help, extras = {}]) => ({
    key,
    xlator,
    option: optionName(key),
    spec: { ...kind(help, shown), volumeKey: key },
    shown,
    places: placesOf(xlator),
    ...extras,
  }));
}

function optionName(key: string): string {
  return key.slice(key.indexOf(".") + 1);
}

const CLIENT_XLATORS = new Set([
  "cluster/distribute",
  "cluster/nufa",
  "cluster/switch",
  "features/qcow2",
  "features/shard",
  "features/snapview-client",
  "features/quiesce",
  "features/cloudsync",
]);

const HEALER_XLATORS = new Set(["cluster/replicate", "cluster/disperse", "protocol/client"]);

const EVERYWHERE = new Set(["debug/io-stats", "performance/io-threads"]);

/** Whose graphs have translators of a type. */
export function placesOf(xlator: string | undefined): readonly OptionPlace[] {
  if (xlator === undefined) return ["daemon"];
  if (EVERYWHERE.has(xlator)) return ["client", "brick"];
  if (HEALER_XLATORS.has(xlator)) return ["client", "heal"];
  if (CLIENT_XLATORS.has(xlator) || xlator.startsWith("performance/")) return ["client"];
  return ["brick"];
}
