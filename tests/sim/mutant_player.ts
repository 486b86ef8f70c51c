/** What a process with a planted bug runs: seeds until one fails. Prints which, as JSON. */

// deno-lint-ignore-file no-console -- a command's output

import { failureOf } from "tests/sim/players.ts";
import { play } from "tests/sim/scenario.ts";
import { systemNamed } from "tests/sim/systems_all.ts";

/** What is played. */
interface Search {
  readonly system: string;
  /** From 1 to this one. */
  readonly seeds: number;
  /** The first to be played. */
  readonly known?: number;
  /** Those that are left out: they fail without the bug. */
  readonly anyway: readonly number[];
}

/** The first seed that fails; undefined: none does. */
export interface Found {
  readonly seed: number | undefined;
  /** How it fails. */
  readonly what: string;
}

async function search({ system: name, seeds, known, anyway }: Search): Promise<Found> {
  const system = systemNamed(name), left = new Set(known === undefined ? [] : [known]);
  for (let seed = 1; seed <= seeds; seed++) left.add(seed);
  for (const seed of anyway) left.delete(seed);
  for (const seed of left) {
    const report = await play(system, seed);
    if (report.failure !== undefined) return { seed, what: failureOf(name, report).what };
  }
  return { seed: undefined, what: "" };
}

if (import.meta.main) {
  console.log(JSON.stringify(await search(JSON.parse(Deno.args[0]!) as Search)));
}
