/**
 * `deno task fuzz [--cases N] [--seed S]`: malformed records against a brick, and half as many against
 * a management daemon; ends with what became of them.
 */

import { parseArgs } from "@std/cli/parse-args";
import { fuzzBrick } from "tests/fuzz/brick_fuzz.ts";
import { fuzzDaemon } from "tests/fuzz/daemon_fuzz.ts";

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
const daemon = await fuzzDaemon(seed, Math.floor(cases / 2));
say(
  `${daemon.closed} connections closed by the management daemon, ${daemon.goodCalls} volfiles right, ` +
    `memory grew by ${(daemon.growthBytes / MIB).toFixed(1)} MiB`,
);
const errors = [...result.errors, ...daemon.errors];
for (const line of errors.slice(0, 20)) say(line);
const failed = errors.length > 0 ||
  Math.max(result.growthBytes, daemon.growthBytes) > GROWTH_MAX;
say(failed ? `failed; again with --seed ${seed} --cases ${cases}` : "no crash, no error");
Deno.exit(failed ? 1 : 0);
