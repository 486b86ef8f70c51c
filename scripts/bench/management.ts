/**
 * How fast commands are and how much memory the management daemon takes, with many volumes: 100 of 4
 * bricks each, 10 of them started. Everything is in a private directory; bricks stay empty.
 *
 * `--volumes N`, `--started N`, `--rounds N` (each command is run that often, in turns). Prints a table;
 * with `--write` it goes to docs/bench/management.md, too.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { realClock } from "core/env.ts";
import { median, table } from "./report.ts";

const MORTAR = new URL("../mortar", import.meta.url).pathname;
const REPORT = new URL("../../docs/bench/management.md", import.meta.url).pathname;
const BRICKS = 4;

const { values } = parseArgs({
  options: {
    volumes: { type: "string", default: "100" },
    started: { type: "string", default: "10" },
    rounds: { type: "string", default: "20" },
    write: { type: "boolean", default: false },
  },
});

/** Runs a command to its end; answers milliseconds. Throws if it fails. */
async function timed(home: string, words: readonly string[]): Promise<number> {
  const began = realClock.monotonic();
  const { code, stderr, stdout } = await new Deno.Command(MORTAR, {
    args: ["--home", home, "--mode=script", ...words],
    stdin: "null",
  }).output();
  const took = realClock.monotonic() - began;
  if (code === 0) return took;
  const said = new TextDecoder().decode(stderr) + new TextDecoder().decode(stdout);
  throw new Error(`mortar ${words.join(" ")}: ${said.trim()}`);
}

/** Without a brick or a daemon: what a command line costs at least. */
const ALONE = ["--version"];

function commandsFor(volume: string, stopped: string): readonly (readonly string[])[] {
  return [
    ALONE,
    ["volume", "list"],
    ["volume", "info"],
    ["volume", "info", volume],
    ["volume", "status", volume],
    ["volume", "status", volume, "detail"],
    ["volume", "status", volume, "clients"],
    ["volume", "get", volume, "all"],
    ["volume", "set", volume, "network.ping-timeout", "20"],
    ["volume", "reset", volume, "network.ping-timeout"],
    ["volume", "profile", volume, "start"],
    ["volume", "profile", volume, "info"],
    ["volume", "profile", volume, "stop"],
    ["volume", "top", volume, "open"],
    ["volume", "set", stopped, "cluster.min-free-disk", "5%"],
    ["volume", "graph", volume],
    ["system::", "getspec", volume],
    ["peer", "status"],
    ["pool", "list"],
  ];
}

function residentMiB(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]) / 1024;
}

async function startDaemon(home: string): Promise<Deno.ChildProcess> {
  const child = new Deno.Command(MORTAR, {
    args: ["mgmt", "--home", home, "--port", "0", "--log-file", `${home}.log`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  for (let tries = 200;; tries--) {
    try {
      await timed(home, ["volume", "list"]);
      return child;
    } catch (error) {
      if (tries === 0) throw error;
      await realClock.delay(50);
    }
  }
}

function nameOf(index: number): string {
  return `v${String(index).padStart(3, "0")}`;
}

async function fill(home: string, dir: string, volumes: number, started: number): Promise<void> {
  for (let index = 0; index < volumes; index++) {
    const name = nameOf(index);
    const bricks = Array.from({ length: BRICKS }, (_, at) => `127.0.0.1:${dir}/${name}-${at}`);
    await timed(home, ["volume", "create", name, "replica", "2", ...bricks, "force"]);
    if (index < started) await timed(home, ["volume", "start", name]);
  }
}

async function measure(home: string, rounds: number): Promise<Map<string, number[]>> {
  const all = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const words of commandsFor("v000", "v050")) {
      const times = all.get(words.join(" ")) ?? [];
      times.push(await timed(home, words));
      all.set(words.join(" "), times);
    }
  }
  return all;
}

async function main(): Promise<void> {
  const volumes = Number(values.volumes), started = Number(values.started);
  const rounds = Number(values.rounds);
  const dir = await Deno.makeTempDir({ prefix: "mortar-bench-" });
  const home = `${dir}/home`;
  const daemon = await startDaemon(home);
  try {
    await fill(home, dir, volumes, started);
    const filled = residentMiB(daemon.pid);
    const times = await measure(home, rounds);
    const report = [
      "# Commands of the management daemon",
      "",
      `${volumes} volumes of ${BRICKS} bricks, ${started} of them started; each command ${rounds} times, in turns, ` +
      "from `scripts/mortar` to its end, in milliseconds of wall clock. `deno task bench:mgmt --write` makes this page.",
      "",
      table(
        ["command", "median", "least", "most"],
        [...times].map(([words, list]) => [
          `\`${words}\``,
          ...[median(list), Math.min(...list), Math.max(...list)].map((ms) => ms.toFixed(0)),
        ]),
      ),
      `Memory of the daemon (resident): ${filled.toFixed(0)} MiB with all volumes made, ${
        residentMiB(daemon.pid).toFixed(0)
      } MiB after these commands.`,
      "",
    ].join("\n");
    console.log(report);
    if (values.write) await Deno.writeTextFile(REPORT, report);
  } finally {
    for (let index = 0; index < started; index++) {
      await timed(home, ["volume", "stop", nameOf(index), "force"]).catch(() => {});
    }
    daemon.kill("SIGTERM");
    await daemon.status;
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) await main();
