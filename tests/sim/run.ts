/**
 * `deno task sim --seeds N [--from S] [--system NAME] [--seed S]`: plays seeds, and ends with 1 if one
 * fails. `--seed` plays one and prints all that happened.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "@std/cli/parse-args";
import { play, type RunReport } from "tests/sim/scenario.ts";
import { SYSTEMS } from "tests/sim/systems_all.ts";
import type { System } from "tests/sim/systems.ts";

const LINES_SHOWN = 60;

function describe(
  system: System,
  { seed, failure, timeMs, trace }: RunReport,
  lines: number,
): string {
  const error = failure instanceof Error && failure.name !== "SimFailure"
    ? failure.stack ?? failure.message
    : String(failure);
  return [
    `seed ${seed} on ${system.name} fails at ${timeMs.toFixed(3)} ms: ${error}`,
    ...lines ? trace.slice(-lines) : [],
  ].join("\n");
}

async function one(system: System, seed: number): Promise<boolean> {
  const report = await play(system, seed, { keepTrace: true });
  console.log(JSON.stringify(report.swarm));
  if (report.failure === undefined) {
    console.log(report.trace.join("\n"));
    console.log(`seed ${seed} on ${system.name}: well, ${report.events} events`);
    return true;
  }
  console.log(describe(system, report, Infinity));
  return false;
}

async function many(system: System, from: number, count: number, most: number): Promise<boolean> {
  const began = performance.now();
  let events = 0, failed = 0;
  for (let seed = from; seed < from + count && failed < most; seed++) {
    const report = await play(system, seed);
    events += report.events;
    if (report.failure === undefined) continue;
    failed++;
    console.log(describe(system, report, failed === 1 ? LINES_SHOWN : 0));
  }
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `${system.name}: ${count} seeds, ${failed} failed, ${(count / seconds).toFixed(1)} seeds/s, ${
      Math.round(events / count)
    } events a seed`,
  );
  return failed === 0;
}

async function main(): Promise<void> {
  const args = parseArgs(Deno.args, { string: ["seeds", "seed", "from", "system", "failures"] });
  const systems = SYSTEMS.filter(({ name }) => args.system === undefined || args.system === name);
  if (!systems.length) {
    console.error(`Unknown system; there are ${SYSTEMS.map(({ name }) => name).join(", ")}`);
    Deno.exit(2);
  }
  let well = true;
  for (const system of systems) {
    const fine = args.seed === undefined
      ? await many(
        system,
        Number(args.from ?? 1),
        Number(args.seeds ?? 100),
        Number(args.failures ?? 5),
      )
      : await one(system, Number(args.seed));
    well &&= fine;
  }
  Deno.exit(well ? 0 : 1);
}

if (import.meta.main) await main();
