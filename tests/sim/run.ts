/** `deno task sim`: plays seeds, and ends with 1 if one fails; see `USAGE`. */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "@std/cli/parse-args";
import { type Failure, failureOf, Player } from "tests/sim/players.ts";
import { play } from "tests/sim/scenario.ts";
import { DAILY, systemNamed, SYSTEMS } from "tests/sim/systems_all.ts";

const USAGE = `Usage: deno task sim [OPTIONS]
Plays volumes under simulated faults and ends with 1 if a promise is broken.

  --seeds N       How many seeds (500), shared out among all systems
  --from S        The first of them (1)
  --system NAME   Only this one; any other name for a list
  --seed S        Replay this one of the system and print all that happened
  --jobs N        How many threads play (as many as there are processors)
  --failures N    After how many failures of a system the rest is left out (5)`;

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

const NUMBERS = ["seeds", "seed", "from", "failures", "jobs"] as const;

async function main(): Promise<void> {
  const unknown: string[] = [];
  const args = parseArgs(Deno.args, {
    string: ["system", ...NUMBERS],
    boolean: ["help"],
    unknown(word: string): boolean {
      unknown.push(word);
      return false;
    },
  });
  if (args.help) return console.log(USAGE);
  const number = (text: string | undefined, otherwise: number) =>
    text === undefined ? otherwise : Number(text);
  // What is no number would play nothing, and find nothing wrong.
  for (const each of NUMBERS) {
    const least = each === "seed" || each === "from" ? 0 : 1;
    const value = number(args[each], least);
    if (!Number.isSafeInteger(value) || value < least) unknown.push(`--${each} ${args[each]}`);
  }
  if (unknown.length > 0) {
    console.error(`Not understood: ${unknown.join(", ")}\n${USAGE}`);
    Deno.exit(2);
  }
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
