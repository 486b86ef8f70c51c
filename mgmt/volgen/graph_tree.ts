/** A graph for people: a tree from the top down, with the options that differ from their defaults. */

import { findOption, type OptionSpec } from "core/options.ts";
import type { VolumeBlock } from "core/volfile.ts";
import { rowOf } from "mgmt/volgen/settings.ts";
import { TYPES } from "xlators/mod.ts";

/** One layer, and those below it. */
export type GraphLayer = {
  readonly name: string;
  readonly type: string;
  readonly options: readonly { readonly name: string; readonly value: string }[];
  /** Calls that passed it, by operation; null where nobody counts. */
  readonly calls: Readonly<Record<string, number>> | null;
  /** It stands elsewhere in the tree, too: what is below it is shown there. */
  readonly again: boolean;
  readonly layers: readonly GraphLayer[];
};

/** Calls by operation, of the layers that count, by name. */
export type Calls = ReadonlyMap<string, Readonly<Record<string, number>>>;

const SECRET = /(^|[.-])password$/;

/**
 * The graph of `blocks`, whose last is the top. Layers that nothing above them uses are left out, as are
 * names that no block before has. Passwords are not told. Throws RangeError if there are no blocks.
 */
export function graphTree(blocks: readonly VolumeBlock[], calls: Calls = new Map()): GraphLayer {
  const top = blocks.at(-1);
  if (!top) throw new RangeError("Cannot show graph: volfile is empty");
  const above = new Map<string, VolumeBlock>(), below = new Map<VolumeBlock, VolumeBlock[]>();
  // Who names only what stands before cannot make a ring.
  for (const block of blocks) {
    below.set(block, block.subvolumes.flatMap((name) => above.get(name) ?? []));
    above.set(block.name, block);
  }
  const shown = new Set<VolumeBlock>();
  const show = (block: VolumeBlock): GraphLayer => {
    const again = shown.has(block);
    shown.add(block);
    return {
      name: block.name,
      type: block.type,
      options: again ? [] : unusual(block),
      calls: calls.get(block.name) ?? null,
      again,
      layers: again ? [] : below.get(block)!.map(show),
    };
  };
  return show(top);
}

function unusual({ type, options }: VolumeBlock): { name: string; value: string }[] {
  return [...options].filter(([name, value]) => !isDefault(type, name, value))
    .map(([name, value]) => ({ name, value: SECRET.test(name) ? "(not shown)" : value }));
}

/** Whether a layer would do the same without the option. */
export function isDefault(type: string, option: string, value: string): boolean {
  const table = TYPES.get(type)?.options, found = table && findOption(table, option);
  const own = found && found.star === undefined ? table[found.key]! : undefined;
  // What ours read and do not use has no default of its own.
  const spec = own?.default === undefined ? rowOf(type, option)?.spec : own;
  return spec !== undefined && isSame(spec, value);
}

function isSame(spec: OptionSpec<unknown>, value: string): boolean {
  try {
    return JSON.stringify(spec.parse(value)) === JSON.stringify(spec.default);
  } catch {
    return false;
  }
}

/** The tree as lines: only where a layer has several below it do they move to the right. */
export function treeLines(top: GraphLayer): string[] {
  const rows: (readonly [left: string, layer: GraphLayer])[] = [];
  const walk = (layer: GraphLayer, head: string, tail: string) => {
    rows.push([head + layer.name, layer]);
    const { layers } = layer;
    if (layers.length === 1) return walk(layers[0]!, tail, tail);
    layers.forEach((each, index) => {
      const last = index === layers.length - 1;
      walk(each, tail + (last ? "└─ " : "├─ "), tail + (last ? "   " : "│  "));
    });
  };
  walk(top, "", "");
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  const types = Math.max(...rows.map(([, { type }]) => type.length)) + 2;
  return rows.map(([left, layer]) =>
    (left.padEnd(width) + layer.type.padEnd(types) + details(layer)).trimEnd()
  );
}

function details({ options, calls, again }: GraphLayer): string {
  const given = options.map(({ name, value }) => `${name}=${value}`);
  const counted = Object.entries(calls ?? {}).map(([fop, count]) => `${fop} ${count}`);
  return [
    ...given,
    ...(again ? ["(as above)"] : []),
    ...(counted.length ? [`calls: ${counted.join(", ")}`] : []),
  ].join(" ");
}
