/**
 * `deno task sim:mutants [--only TEXT]`: plants every bug of `mutants.ts` and shows which seed finds it;
 * ends with 1 if one lives. The systems without a bug are played first: a seed that fails by itself
 * would kill anything.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "@std/cli/parse-args";
import { type Mutant, MUTANTS, tryMutant } from "tests/sim/mutants.ts";
import { play } from "tests/sim/scenario.ts";
import { SYSTEMS } from "tests/sim/systems_all.ts";

/** Mutants that are tried at once. */
const PARALLEL = 2;

// Seeds that fail without any planted bug, by system.
async function failingAnyway(mutants: readonly Mutant[]): Promise<string[]> {
  const failing: string[] = [];
  for (const system of SYSTEMS) {
    const own = mutants.filter((mutant) => mutant.system === system.name);
    const seeds = new Set(
      own.flatMap(({ from = 1, seeds }) => Array.from({ length: seeds }, (_, at) => from + at)),
    );
    for (const seed of seeds) {
      const { failure } = await play(system, seed);
      if (failure !== undefined) failing.push(`${system.name} ${seed}`);
    }
  }
  return failing;
}

async function main(): Promise<void> {
  const { only } = parseArgs(Deno.args, { string: ["only"] });
  const mutants = MUTANTS.filter(({ name }) => only === undefined || name.includes(only));
  const anyway = await failingAnyway(mutants);
  for (const each of anyway) console.log(`fails without a planted bug: ${each}`);
  const left = [...mutants];
  let living = 0;
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    for (let mutant = left.shift(); mutant; mutant = left.shift()) {
      const { fate, output } = await tryMutant(mutant);
      if (fate !== "killed") living++;
      const why = /seed .* fails .*/.exec(output)?.[0] ?? output.trim().split("\n").at(-1);
      console.log(`${fate}: ${mutant.name}: ${why ?? "the text is not there once"}`);
    }
  }));
  console.log(`${mutants.length - living} of ${mutants.length} planted bugs were found`);
  Deno.exit(living || anyway.length ? 1 : 0);
}

if (import.meta.main) await main();
