import { strictEqual as equal } from "node:assert/strict";
import { MUTANTS } from "tests/sim/mutants.ts";
import { type Trial, tryMutants } from "tests/sim/mutant_trial.ts";

// All are tried by as many processes as there are processors, from the first test on.
let trials: readonly Promise<Trial>[] | undefined;
const sanitize = { sanitizeOps: false, sanitizeResources: false };
let caught = 0;

for (const [index, { name }] of MUTANTS.entries()) {
  Deno.test(`sim: a planted bug is caught: ${name}`, sanitize, async () => {
    trials ??= tryMutants(MUTANTS, navigator.hardwareConcurrency);
    const { fate, what } = await trials[index]!;
    equal(fate, "caught", `${name} ${what}`);
    caught++;
  });
}

Deno.test("sim: at least twenty planted bugs are caught", () => {
  // deno-lint-ignore no-console -- what the tests of planted bugs are for, in one line
  console.log(`caught ${caught} of ${MUTANTS.length} planted bugs`);
  equal(caught >= 20, true);
});
