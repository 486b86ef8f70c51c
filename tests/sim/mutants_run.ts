/**
 * `deno task sim:mutants [--only TEXT] [--write]`: plants every bug of `mutants.ts` and shows which
 * seed finds it; ends with 1 if one lives. `--write` keeps the seeds, so that the tests begin with
 * them.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "@std/cli/parse-args";
import { keepSeeds, knownSeeds, tryMutants } from "tests/sim/mutant_trial.ts";
import { MUTANTS } from "tests/sim/mutants.ts";

async function main(): Promise<void> {
  const { only, write } = parseArgs(Deno.args, { string: ["only"], boolean: ["write"] });
  const mutants = MUTANTS.filter(({ name }) => only === undefined || name.includes(only));
  const known = knownSeeds(), kept = new Map<string, number>();
  const trials = tryMutants(mutants, navigator.hardwareConcurrency);
  let caught = 0;
  for (const [index, { name }] of mutants.entries()) {
    const trial = await trials[index]!;
    const what = trial.what.split("\n", 1)[0];
    console.log(`${trial.fate}: ${name}: ${what}`);
    if (trial.fate !== "caught") continue;
    caught++;
    known.set(name, trial.seed);
  }
  for (const { name } of MUTANTS) if (known.has(name)) kept.set(name, known.get(name)!);
  if (write) keepSeeds(kept);
  console.log(`caught ${caught} of ${mutants.length} planted bugs`);
  Deno.exit(caught === mutants.length ? 0 : 1);
}

if (import.meta.main) await main();
