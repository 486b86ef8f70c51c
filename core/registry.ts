/** Kinds of translators: what a volfile's `type` line can name. */

import type { OptionTable, Values } from "core/options.ts";
import type { Node, Xlator } from "core/xlator.ts";

/** A kind of layer with its table of options. */
export interface XlatorType<T extends OptionTable = OptionTable> {
  /** As in a volfile, and the folder under `xlators/`. */
  readonly type: string;
  /** Other names under which volfiles know it. */
  readonly aliases?: readonly string[];
  readonly summary: string;
  readonly options: T;
  /** How many subvolumes it takes. */
  readonly subvolumes: "none" | "one" | "many";
  /** A layer that must be between it and every volume of type `over` below it. */
  readonly needs?: { readonly layer: string; readonly over: string };
  /** A relation between options; answers what is wrong, or undefined. */
  check?(values: Values<T>): string | undefined;
  create(node: Node, values: Values<T>): Xlator;
}

/** Declares a kind: `create` and `check` are typed from `options`. */
export function defineXlator<const T extends OptionTable>(type: XlatorType<T>): XlatorType<T> {
  return type;
}

/** Kinds by name, as graph building takes them. */
export type XlatorTypes = ReadonlyMap<string, XlatorType>;

/** A table of kinds from a list, by type and by alias. */
// deno-lint-ignore no-explicit-any -- each type keeps its own option table; the map forgets it
export function xlatorTypes(types: readonly XlatorType<any>[]): XlatorTypes {
  return new Map(
    types.flatMap((type) =>
      [type.type, ...type.aliases ?? []].map((name) => [name, type as XlatorType])
    ),
  );
}
