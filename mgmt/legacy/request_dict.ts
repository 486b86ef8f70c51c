/** Dictionaries of the `gluster` program: read with every value checked, and written. */

import { str, valueText, Xdata } from "core/xdata.ts";
import { Refusal } from "mgmt/cli/managed.ts";

/** What a reply's dictionary has, in the order it is written. */
export type Entries = readonly (readonly [name: string, value: string | number])[];

/** What a verb that was carried out tells. */
export interface Told {
  readonly entries: Entries;
  /** A number that goes with success. */
  readonly errno?: number;
  /** What a person reads of the success, if it is not the usual. */
  readonly note?: string;
}

/** Longest value that is taken: the list of bricks of a large volume. */
const TEXT_MAX = 64 << 10;

/** The keys of a request. What is wrong is refused with the key's name. */
export class RequestDict {
  readonly #dict: Xdata | undefined;

  constructor(dict: Xdata | undefined) {
    this.#dict = dict;
  }

  has(name: string): boolean {
    return this.#dict?.has(name) ?? false;
  }

  /** A value that must be there and say something. Throws Refusal. */
  text(name: string): string {
    const text = this.optionalText(name);
    if (text === undefined || text === "") throw wrong(name, "it is missing");
    return text;
  }

  /** A value that may be missing, or empty. Throws Refusal if it is no text. */
  optionalText(name: string): string | undefined {
    const raw = this.#dict?.raw(name);
    if (!raw) return undefined;
    const text = valueText(raw);
    if (text === undefined || text.length > TEXT_MAX) throw wrong(name, "it is no text");
    // deno-lint-ignore no-control-regex -- these are what is refused
    if (/[\0-\x1f\x7f]/.test(text)) throw wrong(name, "it has control characters");
    return text;
  }

  /** A count or a set of bits; `missing` if it is not there, refused if that is not given either. */
  number(name: string, max: number, missing?: number): number {
    const text = this.optionalText(name);
    if (text === undefined && missing !== undefined) return missing;
    const value = /^\d{1,9}$/.test(text ?? "") ? Number(text) : -1;
    if (value < 0 || value > max) throw wrong(name, `expected a number up to ${max}`);
    return value;
  }

  /** Whether a number is there and is 1. */
  flag(name: string): boolean {
    return this.number(name, 1, 0) === 1;
  }

  /** The values of name1, name2, … as far as there are any. */
  list(name: string, max: number): string[] {
    const values: string[] = [];
    for (let at = 1; this.has(`${name}${at}`); at++) {
      if (at > max) throw wrong(name, `there are more than ${max}`);
      values.push(this.optionalText(`${name}${at}`) ?? "");
    }
    return values;
  }

  /** The dictionary of a reply: what was asked, as GlusterFS gives it back, and `entries`. */
  reply(entries: Entries): Xdata {
    const all = new Map(this.#dict ?? []);
    for (const [name, value] of dictionary(entries)) all.set(name, value);
    return new Xdata(all);
  }
}

/** A dictionary with nothing but `entries`. */
export function dictionary(entries: Entries): Xdata {
  return Xdata.of(entries.map(([name, value]) => [name, str(String(value))] as const));
}

/** A request that cannot be understood. */
export function wrong(name: string, why: string): Refusal {
  return new Refusal(`Cannot read the request: "${name}": ${why}`);
}
