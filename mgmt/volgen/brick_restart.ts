/** Which options bricks that run cannot take over: a layer comes or goes, or a value counts from its start on. */

import { findOption } from "core/options.ts";
import type { VolumeBlock } from "core/volfile.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { brickGraph } from "mgmt/volgen/brick_graph.ts";
import { TYPES } from "xlators/mod.ts";

type Options = Readonly<Record<string, string>>;

/** Of the options that differ between `volume` and `options` those that bricks follow only when started again. */
export function optionsForRestart(volume: VolumeRecord, options: Options): string[] {
  const keys = new Set([...Object.keys(volume.options), ...Object.keys(options)]);
  const changed = [...keys].filter((key) => volume.options[key] !== options[key]);
  return changed.filter((key) => {
    const { [key]: _before, ...others } = volume.options;
    const after = options[key] === undefined ? others : { ...others, [key]: options[key] };
    return !isTakenOver(graph(volume, volume.options), graph(volume, after));
  });
}

// Of the first brick: none is made of other options than the others.
function graph(volume: VolumeRecord, options: Options): VolumeBlock[] {
  const input = {
    volume: { ...volume, options },
    globalOptions: {},
    nodeId: "",
    bindToHost: false,
  };
  return brickGraph(input, 0);
}

// The rule of `Graph.reconfigure`, for graphs that are not built.
function isTakenOver(before: readonly VolumeBlock[], after: readonly VolumeBlock[]): boolean {
  return before.length === after.length &&
    before.every((block, at) => block.name === after[at]!.name && isLive(block, after[at]!));
}

function isLive({ type, options }: VolumeBlock, after: VolumeBlock): boolean {
  const names = new Set([...options.keys(), ...after.options.keys()]);
  return [...names].every((name) => {
    if (options.get(name) === after.options.get(name)) return true;
    const table = TYPES.get(type)!.options, found = findOption(table, name);
    return !found || table[found.key]!.live;
  });
}
