/** Layers for tests, that `debug.trace` and its like put above another one. */

import type { VolumeRecord } from "mgmt/records.ts";
import { type Layer, layerOf, shortType } from "mgmt/volgen/layers.ts";

const SWITCHES = ["debug.trace", "debug.error-gen", "debug.delay-gen"];

/** Those that are wanted above the layer `place`: a type, or "client" for the whole of a client. */
export function debugLayers({ name, options }: VolumeRecord, place: string): Layer[] {
  return SWITCHES.filter((key) => options[key] === shortType(place))
    .map((key) => layerOf(name, key.replace(".", "/")));
}
