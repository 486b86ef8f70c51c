/**
 * What small files on our mount cost, in counts that do not depend on what else the machine does:
 * requests that the kernel makes of the mount and the mount of both bricks, for one file of each
 * phase. CPU beside it is only good as a ratio.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { INFO, profileRequest, readProfile } from "mgmt/brick/profile.ts";
import { Connection } from "rpc/connection.ts";
import { brickRequest, xlatorInfo } from "rpc/programs/brick_ops.ts";
import { connectTo } from "rpc/transport.ts";
import { type Brick, cannotRun, Cluster } from "tests/e2e/harness.ts";
import { must } from "tests/e2e/process.ts";
import { testEnv } from "tests/fakes/node.ts";
import { cpuSince, Mounted } from "./mounted.ts";
import { table } from "./report.ts";

const DRIVER = new URL("./small_files.py", import.meta.url).pathname;
const PHASES = ["create", "stat", "read", "readdir", "unlink"] as const;
/** What is done behind answers, such as giving up what was kept for a second, is over by then. */
const RESTED_MS = 2500;

/** Fops by name. */
type Counts = ReadonlyMap<string, number>;

async function served({ socket, path }: Brick): Promise<Counts> {
  const connection = new Connection(await connectTo({ kind: "unix", path: socket }), testEnv(), {});
  try {
    const request = brickRequest(xlatorInfo, path, profileRequest(INFO.cumulative, true));
    const [period] = readProfile((await connection.ask(xlatorInfo, request)).output).periods;
    return new Map(period!.fops.map(({ fop, hits }) => [fop, hits]));
  } finally {
    connection.close("done");
  }
}

async function servedByAll(bricks: readonly Brick[]): Promise<Counts> {
  const sums = new Map<string, number>();
  for (const brick of bricks) {
    for (const [fop, hits] of await served(brick)) sums.set(fop, (sums.get(fop) ?? 0) + hits);
  }
  return sums;
}

/** Requests of the kernel, and of the mount to all bricks: one may be several fops there. */
async function asked(mounted: Mounted): Promise<{ kernel: number; bricks: number }> {
  const figure = async (file: string, name: string) => {
    const text = await Deno.readTextFile(`${mounted.path}/.meta/${file}`);
    return Number(new RegExp(`^${name} = (\\d+)$`, "m").exec(text)![1]);
  };
  const layers = mounted.cluster.bricks.map((_, index) =>
    `graphs/active/${mounted.cluster.volume}-client-${index}/private`
  );
  const made = await Promise.all(layers.map((each) => figure(each, "connection.callsMade")));
  return { kernel: await figure("root/private", "calls"), bricks: made.reduce((a, b) => a + b) };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      files: { type: "string", default: "500" },
      rounds: { type: "string", default: "2" },
      performance: { type: "string", default: "on" },
    },
  });
  const reason = cannotRun();
  if (reason) {
    console.error(`Cannot count: ${reason}`);
    return 1;
  }
  const files = Number(values.files);
  const performance = values.performance === "all" ? "all" : values.performance === "on";
  await using cluster = await Cluster.start({
    layout: "replica",
    kinds: ["ours", "ours"],
    performance,
    brick: { counts: true },
  });
  await using mounted = await Mounted.of(cluster, "ours");
  const rest = () => new Promise((done) => setTimeout(done, RESTED_MS));
  for (let round = 1; round <= Number(values.rounds); round++) {
    const rows: string[][] = [];
    for (const phase of PHASES) {
      await rest();
      const before = await servedByAll(cluster.bricks), cpu = mounted.cpu();
      const calls = await asked(mounted);
      await must(["python3", DRIVER, phase, `${mounted.path}/small`, String(files)]);
      await rest();
      const now = await asked(mounted), { client, bricks } = cpuSince(cpu, mounted.cpu());
      const after = await servedByAll(cluster.bricks);
      const each = [...after].map(([fop, hits]) =>
        [fop, (hits - (before.get(fop) ?? 0)) / files] as const
      ).filter(([, count]) => count >= 0.02).sort(([, a], [, b]) => b - a);
      rows.push([
        phase,
        ((now.bricks - calls.bricks) / files).toFixed(2),
        ((now.kernel - calls.kernel) / files).toFixed(2),
        (client / files * 1000).toFixed(2),
        (bricks / files * 1000).toFixed(2),
        each.map(([fop, count]) => `${fop} ${count.toFixed(2)}`).join(", "),
      ]);
    }
    await must(["rm", "-r", `${mounted.path}/small`]);
    console.log(`Round ${round}, ${files} files, two copies; all figures for one file:\n`);
    const heads = [
      "phase",
      "requests",
      "of the kernel",
      "CPU ms client",
      "bricks",
      "fops of bricks",
    ];
    console.log(table(heads, rows));
  }
  return 0;
}

Deno.exit(await main());
