/**
 * `deno task sim [--seeds N] [--from S] [--system NAME [--seed S]] [--jobs N] [--failures N]`: plays
 * seeds, shared out among all systems unless one is named, and ends with 1 if one fails. `--seed`
 * plays one and prints all that happened; `--jobs` is how many threads play (as many as there are
 * processors); `--failures` is after how many failures of a system the rest is left out.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "@std/cli/parse-args";
import { type Failure, failureOf, Player } from "tests/sim/players.ts";
import { play } from "tests/sim/scenario.ts";
import { DAILY, systemNamed, SYSTEMS } from "tests/sim/systems_all.ts";

const LINES_SHOWN = 60, FAILURES_SHOWN = 5;
/** Seeds that a thread is given at once. */
const BATCH = 20;

function show({ what, trace }: Failure, lines: number): void {
  console.log([what, ...lines ? trace.slice(-lines) : []].join("\n"));
}

async function one(name: string, seed: number): Promise<boolean> {
  const report = await play(systemNamed(name), seed, { keepTrace: true });
  console.log(JSON.stringify(report.swarm));
  if (report.failure === undefined) {
    console.log(report.trace.join("\n"));
    console.log(`seed ${seed} on ${name}: well, ${report.events} events`);
    return true;
  }
  show(failureOf(name, report), Infinity);
  return false;
}

async function many(
  players: readonly Player[],
  name: string,
  from: number,
  count: number,
  most: number,
): Promise<boolean> {
  const began = performance.now();
  let next = from, events = 0, failed = 0, played = 0;
  await Promise.all(players.map(async (player) => {
    while (next < from + count && failed < most) {
      const batch = { system: name, from: next, count: Math.min(BATCH, from + count - next) };
      next += batch.count;
      const done = await player.play(batch);
      events += done.events;
      played += done.played;
      for (const failure of done.failures) show(failure, ++failed === 1 ? LINES_SHOWN : 0);
    }
  }));
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `${name}: seeds ${from} to ${from + count - 1}: ${played} played, ${failed} failed, ${
      (played / seconds).toFixed(1)
    } seeds/s, ${Math.round(events / played)} events a seed`,
  );
  return failed === 0;
}

async function main(): Promise<void> {
  const args = parseArgs(Deno.args, {
    string: ["seeds", "seed", "from", "system", "failures", "jobs"],
  });
  const number = (text: string | undefined, otherwise: number) =>
    text === undefined ? otherwise : Number(text);
  const { system } = args, most = number(args.failures, FAILURES_SHOWN);
  if (
    system === undefined ? args.seed !== undefined : !SYSTEMS.some(({ name }) => name === system)
  ) {
    console.error(`Name a system; there are ${SYSTEMS.map(({ name }) => name).join(", ")}`);
    Deno.exit(2);
  }
  const from = number(args.from, 1), count = number(args.seeds, 500);
  if (args.seed !== undefined) Deno.exit(await one(system!, Number(args.seed)) ? 0 : 1);
  const shares = system === undefined
    ? DAILY.map(([{ name }, share]) => [name, Math.ceil(count * share / 100)] as const)
    : [[system, count] as const];
  const jobs = number(args.jobs, navigator.hardwareConcurrency);
  const players = Array.from({ length: jobs }, () => new Player());
  let well = true;
  for (const [name, seeds] of shares) well = await many(players, name, from, seeds, most) && well;
  for (const player of players) player[Symbol.dispose]();
  Deno.exit(well ? 0 : 1);
}

if (import.meta.main) await main();
