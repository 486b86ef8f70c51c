/**
 * Performance layers in a simulation. One line each of `TUNINGS` makes a layer part of the systems
 * over which it is played, alone and with the others.
 */

import type { XlatorType } from "core/registry.ts";
import type { SimRandom } from "tests/sim/random.ts";
import { VOLUME } from "tests/sim/client.ts";
import { mdCache } from "xlators/performance/md-cache/md_cache.ts";
import { openBehind } from "xlators/performance/open-behind/open_behind.ts";
import { quickRead } from "xlators/performance/quick-read/quick_read.ts";
import { readAhead } from "xlators/performance/read-ahead/read_ahead.ts";
import { readdirAhead } from "xlators/performance/readdir-ahead/readdir_ahead.ts";
import { writeBehind } from "xlators/performance/write-behind/write_behind.ts";

/** A layer that is to make clients faster, and what it may do to what they see. */
export interface Tuning {
  // deno-lint-ignore no-explicit-any -- each type keeps its own option table
  readonly type: XlatorType<any>;
  /** Option → values, of which each run draws one. */
  readonly options: Readonly<Record<string, readonly string[]>>;
  /** How long a client may not see what others changed, in milliseconds. */
  readonly staleMs: number;
}

/** The layers, lowest first, as volfiles stack them. */
export const TUNINGS: readonly Tuning[] = [
  {
    type: writeBehind,
    options: {
      "flush-behind": ["on", "off"],
      "trickling-writes": ["on", "off"],
      "strict-write-ordering": ["off", "off", "on"],
      "aggregate-size": ["8192", "131072"],
    },
    staleMs: 0,
  },
  { type: readAhead, options: { "page-size": ["4096", "131072"] }, staleMs: 1000 },
  { type: readdirAhead, options: { "rda-high-wmark": ["0", "4096", "131072"] }, staleMs: 1000 },
  { type: openBehind, options: { "lazy-open": ["on", "off"] }, staleMs: 0 },
  {
    type: quickRead,
    options: {
      "max-file-size": ["4096", "65536"],
      "cache-size": ["8192", "1048576"],
      "quick-read-cache-invalidation": ["off", "on"],
    },
    staleMs: 1000,
  },
  { type: mdCache, options: { "md-cache-timeout": ["1", "5"] }, staleMs: 5000 },
];

/** The blocks of `tunings` over the block named `below`; options are drawn. */
export function tuningBlocks(
  random: SimRandom,
  tunings: readonly Tuning[],
  below: string,
): string {
  let text = "", under = below;
  for (const { type: { type }, options } of tunings) {
    const name = `${VOLUME}-${type.slice(type.indexOf("/") + 1)}`;
    const lines = Object.entries(options).map(([key, values]) =>
      `option ${key} ${random.pick(values)}\n`
    );
    text += `volume ${name}\ntype ${type}\n${lines.join("")}subvolumes ${under}\nend-volume\n`;
    under = name;
  }
  return text;
}
