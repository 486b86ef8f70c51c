/**
 * `deno task sim [--seeds N] [--from S] [--system NAME [--seed S] [--failures N]]`: plays seeds, shared out
 * among all systems unless one is named, and ends with 1 if one fails. `--seed` plays one and prints
 * all that happened; `--failures` is after how many failures of a system the rest is left out.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "@std/cli/parse-args";
import { play, type RunReport } from "tests/sim/scenario.ts";
import { DAILY, SYSTEMS } from "tests/sim/systems_all.ts";
import type { System } from "tests/sim/systems.ts";

const LINES_SHOWN = 60, FAILURES_SHOWN = 5;

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
  let events = 0, failed = 0, played = 0;
  for (let seed = from; seed < from + count && failed < most; seed++) {
    const report = await play(system, seed);
    events += report.events;
    played++;
    if (report.failure === undefined) continue;
    failed++;
    console.log(describe(system, report, failed === 1 ? LINES_SHOWN : 0));
  }
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `${system.name}: ${played} seeds, ${failed} failed, ${(played / seconds).toFixed(1)} seeds/s, ${
      Math.round(events / played)
    } events a seed`,
  );
  return failed === 0;
}

async function daily(from: number, count: number): Promise<boolean> {
  let well = true;
  for (const [system, share] of DAILY) {
    const fine = await many(system, from, Math.ceil(count * share / 100), FAILURES_SHOWN);
    well &&= fine;
  }
  return well;
}

async function main(): Promise<void> {
  const args = parseArgs(Deno.args, { string: ["seeds", "seed", "from", "system", "failures"] });
  const number = (text: string | undefined, otherwise: number) =>
    text === undefined ? otherwise : Number(text);
  const from = number(args.from, 1), count = number(args.seeds, 500);
  let well = true;
  if (args.system === undefined && args.seed === undefined) well = await daily(from, count);
  else {
    const system = SYSTEMS.find(({ name }) => args.system === name);
    if (!system) {
      console.error(`Unknown system; there are ${SYSTEMS.map(({ name }) => name).join(", ")}`);
      Deno.exit(2);
    }
    well = args.seed === undefined
      ? await many(system, from, count, number(args.failures, FAILURES_SHOWN))
      : await one(system, Number(args.seed));
  }
  Deno.exit(well ? 0 : 1);
}

if (import.meta.main) await main();
