/** `deno task fuzz:qcow2 [--cases N] [--seed S]`: spoiled qcow2 images; ends with what became of them. */

import { parseArgs } from "@std/cli/parse-args";
import { fuzzQcow2 } from "tests/fuzz/qcow2_fuzz.ts";

const flags = parseArgs(Deno.args, { string: ["cases", "seed"] });
const cases = Number(flags.cases ?? 100_000);
const seed = Number(flags.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]);
const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));

say(`seed ${seed}: ${cases} images`);
const started = performance.now();
const result = await fuzzQcow2(seed, cases);
const seconds = ((performance.now() - started) / 1000).toFixed(1);
say(
  `${result.cases} images in ${seconds} s: ${result.opened} opened, ${result.refused} ended with what ` +
    `is wrong with them, slowest ${result.slowestMs.toFixed(0)} ms, memory grew by ${
      (result.growthBytes / (1 << 20)).toFixed(1)
    } MiB`,
);
for (const line of result.errors.slice(0, 20)) say(line);
Deno.exit(result.errors.length ? 1 : 0);
