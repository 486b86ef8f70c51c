/** `deno task fuzz [--cases N] [--seed S]`: malformed records against a brick; ends with what became of it. */

import { parseArgs } from "@std/cli/parse-args";
import { fuzzBrick } from "tests/fuzz/brick_fuzz.ts";

const MIB = 1 << 20;
const GROWTH_MAX = 96 * MIB;

const flags = parseArgs(Deno.args, { string: ["cases", "seed"] });
const cases = Number(flags.cases ?? 100_000);
const seed = Number(flags.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]);
const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));

say(`seed ${seed}: ${cases} cases`);
const started = performance.now();
const result = await fuzzBrick(seed, cases);
const seconds = ((performance.now() - started) / 1000).toFixed(1);
say(
  `${result.cases} cases in ${seconds} s, ${result.closed} connections closed by the brick, ` +
    `${result.goodCalls} calls of the other client right (slowest ${
      result.slowestMs.toFixed(1)
    } ms), ` +
    `memory grew by ${(result.growthBytes / MIB).toFixed(1)} MiB`,
);
for (const line of result.errors.slice(0, 20)) say(line);
const failed = result.errors.length > 0 || result.growthBytes > GROWTH_MAX;
say(failed ? `failed; again with --seed ${seed} --cases ${cases}` : "no crash, no error");
Deno.exit(failed ? 1 : 0);
