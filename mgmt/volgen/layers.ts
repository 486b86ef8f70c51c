/**
 * A graph while it is put together, from the bottom up. Options are kept in the order they were
 * given; GlusterFS's daemon prints the last one first, and so does `blocks`.
 */

import { findOption } from "core/options.ts";
import type { VolumeBlock } from "core/volfile.ts";
import { TYPES } from "xlators/mod.ts";

/** A layer that is not printed yet. */
export interface Layer {
  readonly name: string;
  readonly type: string;
  /** A later value for a name takes the place of the earlier one. */
  readonly options: Map<string, string>;
  readonly below: readonly string[];
}

type Options = Readonly<Record<string, string | undefined>>;

/** A layer; options that are undefined are left out. */
export function layer(
  name: string,
  type: string,
  options: Options = {},
  below: readonly string[] = [],
): Layer {
  const given = Object.entries(options).filter((each): each is [string, string] =>
    each[1] !== undefined
  );
  return { name, type, options: new Map(given), below };
}

/** A layer named as GlusterFS names it, "VOLUME-io-cache" for performance/io-cache. */
export function layerOf(volume: string, type: string, options: Options = {}): Layer {
  return layer(`${volume}-${shortType(type)}`, type, options);
}

/** "io-cache" for performance/io-cache. */
export function shortType(type: string): string {
  return type.slice(type.lastIndexOf("/") + 1);
}

/** Layers that name no others stand on the one before them. */
export function stacked(layers: readonly Layer[], bottom?: Layer): Layer[] {
  let under = bottom;
  return layers.map((each) => {
    const linked = under && each.below.length === 0 ? { ...each, below: [under.name] } : each;
    under = linked;
    return linked;
  });
}

/** The layers as a volfile has them. */
export function blocks(layers: readonly Layer[]): VolumeBlock[] {
  return layers.map(({ name, type, options, below }) => ({
    name,
    type,
    options: new Map([...options].reverse()),
    subvolumes: below,
    line: 0,
  }));
}

/** The layers with the options that ours of their types know: each other one would be a warning in every log. */
export function forOurs(layers: readonly Layer[]): Layer[] {
  return layers.map((each) => {
    const table = TYPES.get(each.type)?.options;
    if (!table) return each;
    const options = [...each.options].filter(([name]) => findOption(table, name));
    return { ...each, options: new Map(options) };
  });
}
