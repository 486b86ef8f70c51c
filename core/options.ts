/**
 * Options declared once: a table of kinds drives reading a volfile, `volume set` and `get`, help,
 * reconfiguration and the manual. `Values<typeof table>` is what the layer gets, typed.
 */

/** What every kind shares. */
export interface OptionSpec<T> {
  /** Name of the kind for people: "bool", "size", … */
  readonly kind: string;
  readonly default: T;
  /** One or two sentences for `volume set help` and the manual. */
  readonly help: string;
  /** Name in `volume set`, such as "features.read-only"; absent: only for volfiles. */
  readonly volumeKey?: string | undefined;
  /** False if changing it needs a new graph. */
  readonly live: boolean;
  /** What values look like, for help. */
  readonly values: string;
  /** Of numbers: the least and the greatest that is right. */
  readonly range?: { readonly min: number; readonly max: number };
  /** The value that `text` spells; throws RangeError saying what is expected. */
  parse(text: string): T;
  /** The inverse of `parse`. */
  print(value: T): string;
}

interface Common<T> {
  readonly default: T;
  readonly help: string;
  readonly volumeKey?: string;
  readonly live?: boolean;
}

/**
 * Options of a type by name. A name with `*` (once) stands for all names of that form; its value is
 * a map from what stood for the star to the parsed value.
 */
// deno-lint-ignore no-explicit-any -- the element types are inferred per table by `Values`
export type OptionTable = Readonly<Record<string, OptionSpec<any>>>;

type ValueOf<S> = S extends OptionSpec<infer T> ? T : never;
/** The parsed values of a table. */
export type Values<T extends OptionTable> = {
  readonly [K in keyof T]: K extends `${string}*${string}` ? ReadonlyMap<string, ValueOf<T[K]>>
    : ValueOf<T[K]>;
};

function spec<T>(
  kind: string,
  common: Common<T>,
  values: string,
  parse: (text: string) => T,
  print: (value: T) => string,
): OptionSpec<T> {
  return {
    kind,
    default: common.default,
    help: common.help,
    volumeKey: common.volumeKey,
    live: common.live ?? true,
    values,
    parse,
    print,
  };
}

const TRUE = new Set(["on", "yes", "true", "enable", "1"]);
const FALSE = new Set(["off", "no", "false", "disable", "0"]);

/** on/off, yes/no, true/false, enable/disable, 1/0. */
export function bool(common: Common<boolean>): OptionSpec<boolean> {
  return spec("bool", common, "on|off", (text) => {
    const lower = text.toLowerCase();
    if (TRUE.has(lower)) return true;
    if (FALSE.has(lower)) return false;
    throw new RangeError(`expected on or off, got "${text}"`);
  }, (value) => value ? "on" : "off");
}

/** A whole number within bounds. */
export function int(common: Common<number> & { min?: number; max?: number }): OptionSpec<number> {
  const min = common.min ?? Number.MIN_SAFE_INTEGER, max = common.max ?? Number.MAX_SAFE_INTEGER;
  const values = common.max === undefined ? `${min} or more` : `${min} to ${max}`;
  const whole = spec("int", common, values, (text) => {
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
    return within(value, min, max, text, `a whole number, ${values}`);
  }, String);
  return { ...whole, range: { min, max } };
}

function within(value: number, min: number, max: number, text: string, expected: string): number {
  if (value >= min && value <= max) return value;
  throw new RangeError(`expected ${expected}, got "${text}"`);
}

const SIZE_UNITS = ["", "K", "M", "G", "T", "P"];

/** Bytes: a number with an optional unit KB, MB, GB, TB, PB (powers of 1024). */
export function size(common: Common<number> & { min?: number; max?: number }): OptionSpec<number> {
  const min = common.min ?? 0, max = common.max ?? Number.MAX_SAFE_INTEGER;
  const bytes = spec("size", common, "bytes, or a number with KB, MB, GB, TB", (text) => {
    const match = /^(\d+(?:\.\d+)?)\s*([KMGTP]?)i?B?$/i.exec(text);
    const value = match
      ? Math.floor(Number(match[1]) * 1024 ** SIZE_UNITS.indexOf(match[2]!.toUpperCase()))
      : NaN;
    return within(value, min, max, text, `a size such as 512KB or 1GB, ${min} to ${max} bytes`);
  }, String);
  return { ...bytes, range: { min, max } };
}

const SECONDS = new Map([
  ["", 1],
  ["s", 1],
  ["sec", 1],
  ["m", 60],
  ["min", 60],
  ["h", 3600],
  [
    "hr",
    3600,
  ],
  ["d", 86400],
  ["days", 86400],
  ["w", 604800],
  ["wk", 604800],
]);

/** Seconds: a number with an optional unit s, min, hr, days, wk; ms for parts of one. */
export function duration(
  common: Common<number> & { min?: number; max?: number },
): OptionSpec<number> {
  const min = common.min ?? 0, max = common.max ?? Number.MAX_SAFE_INTEGER;
  const time = spec("duration", common, "seconds, or a number with ms, min, hr, days", (text) => {
    const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text);
    const unit = (match?.[2] ?? "").toLowerCase();
    const factor = unit === "ms" ? 0.001 : SECONDS.get(unit) ?? NaN;
    const value = match ? Number(match[1]) * factor : NaN;
    return within(value, min, max, text, `a time such as 10 or 5min, ${min} to ${max} seconds`);
  }, String);
  return { ...time, range: { min, max } };
}

/** A share of 100, with or without the sign: "12.5%". */
export function percent(common: Common<number>): OptionSpec<number> {
  const share = spec("percent", common, "0 to 100, with or without %", (text) => {
    const match = /^(\d+(?:\.\d+)?)%?$/.exec(text);
    return within(match ? Number(match[1]) : NaN, 0, 100, text, "a percentage, 0 to 100");
  }, (value) => `${value}%`);
  return { ...share, range: { min: 0, max: 100 } };
}

/** A share or an amount: "5%" or a size; `storage.reserve` is one. */
export type ShareOrSize = { readonly percent: number } | { readonly bytes: number };
/** A percentage, or an amount in bytes. */
export function shareOrSize(common: Common<ShareOrSize>): OptionSpec<ShareOrSize> {
  const bytes = size({ default: 0, help: "" });
  return spec("share", common, "0 to 100 (percent), or a size", (text): ShareOrSize => {
    const match = /^(\d+(?:\.\d+)?)%?$/.exec(text);
    if (match && Number(match[1]) <= 100) return { percent: Number(match[1]) };
    return { bytes: bytes.parse(text) };
  }, (value) => "percent" in value ? `${value.percent}%` : String(value.bytes));
}

/** One of a few words. */
export function oneOf<const W extends string>(
  words: readonly W[],
  common: Common<W>,
): OptionSpec<W> {
  return spec("choice", common, words.join("|"), (text) => {
    const word = words.find((each) => each.toLowerCase() === text.toLowerCase());
    if (word === undefined) {
      throw new RangeError(`expected one of ${words.join(", ")}, got "${text}"`);
    }
    return word;
  }, String);
}

/** Any text. */
export function text(common: Common<string>): OptionSpec<string> {
  return spec("text", common, "text", (value) => value, (value) => value);
}

/** Text or nothing. */
export function optionalText(
  common: Omit<Common<string>, "default">,
): OptionSpec<string | undefined> {
  const all = { ...common, default: undefined };
  return spec<string | undefined>("text", all, "text", (value) => value, (value) => value ?? "");
}

/** Words separated by commas or blanks. */
export function list(common: Common<readonly string[]>): OptionSpec<readonly string[]> {
  return spec(
    "list",
    common,
    "words separated by commas",
    (value) => value.split(/[\s,]+/).filter((word) => word !== ""),
    (value) => value.join(","),
  );
}

/** A file mode in octal digits. */
export function octal(common: Common<number>): OptionSpec<number> {
  return spec("mode", common, "octal digits, such as 0755", (text) => {
    if (!/^0?[0-7]{1,4}$/.test(text)) throw new RangeError(`expected octal digits, got "${text}"`);
    return parseInt(text, 8);
  }, (value) => value.toString(8).padStart(4, "0"));
}

/** An option that cannot be read. `option` is its name; the message has no location yet. */
export class OptionError extends RangeError {
  constructor(readonly option: string, message: string) {
    super(message);
  }
}

/** Which entry of `table` a name belongs to: the entry's key and what stood for its star. */
export function findOption(
  table: OptionTable,
  name: string,
): { key: string; star?: string } | undefined {
  if (Object.hasOwn(table, name) && !name.includes("*")) return { key: name };
  for (const key of Object.keys(table)) {
    const star = key.indexOf("*");
    if (star < 0) continue;
    const before = key.slice(0, star), after = key.slice(star + 1);
    if (
      name.length > key.length - 1 && name.startsWith(before) && name.endsWith(after)
    ) return { key, star: name.slice(before.length, name.length - after.length) };
  }
  return undefined;
}

/**
 * The values that `given` spells, defaults for the rest. Throws OptionError on a bad value.
 * Names the table does not have are reported to `unknown`: an old daemon must not fail on a newer
 * volfile, but a person wants to know about a typing error.
 */
export function readOptions<T extends OptionTable>(
  table: T,
  given: ReadonlyMap<string, string>,
  unknown: (name: string) => void = () => {},
): Values<T> {
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(table)) {
    values[key] = key.includes("*") ? new Map() : option.default;
  }
  for (const [name, text] of given) {
    const found = findOption(table, name);
    if (!found) {
      unknown(name);
      continue;
    }
    let value: unknown;
    try {
      value = table[found.key]!.parse(text);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new OptionError(name, `option "${name}": ${error.message}`);
    }
    if (found.star === undefined) values[found.key] = value;
    else (values[found.key] as Map<string, unknown>).set(found.star, value);
  }
  return values as Values<T>;
}
