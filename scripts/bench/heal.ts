/** How fast a file that a brick missed comes back to it: by glustershd or by our healer. */

import { startOwnHealer } from "tests/e2e/own_heal.ts";
import { type BrickKind, type Cluster } from "tests/e2e/harness.ts";
import { cpuSeconds, must, until } from "tests/e2e/process.ts";
import { Mounted } from "./mounted.ts";

const NAME = "healed", MEBIBYTES = 1024;
const PATIENCE_MS = 600_000, LOOK_MS = 20;

/** What a heal took. CPU in seconds. */
export interface Healed {
  readonly mebibytes: number;
  readonly seconds: number;
  readonly healer: number;
  readonly bricks: number;
}

/** Writes 1 GiB while the second brick is away, and has it healed. */
export async function healThroughput(cluster: Cluster, kind: BrickKind): Promise<Healed> {
  const [source, sink] = cluster.bricks;
  await sink!.end();
  {
    await using mounted = await Mounted.of(cluster, kind);
    const to = `of=${mounted.path}/${NAME}`;
    await must(["dd", "if=/dev/urandom", to, "bs=1M", `count=${MEBIBYTES}`], {
      timeoutMs: PATIENCE_MS,
    });
  }
  await sink!.start();
  const bricksBefore = brickCpu(cluster);
  const healer = kind === "ours" ? await startOwnHealer(cluster) : await cluster.startHealer();
  try {
    await until(
      "the heal begins",
      () => blocksOf(`${sink!.path}/${NAME}`) > 0,
      PATIENCE_MS,
      LOOK_MS,
    );
    const begin = performance.now();
    await until("the heal ends", () => pending(source!.path) === 0, PATIENCE_MS, LOOK_MS);
    const seconds = (performance.now() - begin) / 1000;
    const used = cpuSeconds(healer.pid), bricks = brickCpu(cluster) - bricksBefore;
    await must(["cmp", `${source!.path}/${NAME}`, `${sink!.path}/${NAME}`]);
    return { mebibytes: MEBIBYTES, seconds, healer: used, bricks };
  } finally {
    await healer.end("SIGTERM");
    await using mounted = await Mounted.of(cluster, kind);
    await Deno.remove(`${mounted.path}/${NAME}`);
  }
}

function brickCpu({ bricks }: Cluster): number {
  return bricks.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
}

function blocksOf(path: string): number {
  try {
    return Deno.statSync(path).blocks ?? 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

// Entries that the brick has on record as missed by another; its own file there is none.
function pending(brick: string): number {
  const names = [...Deno.readDirSync(`${brick}/.glusterfs/indices/xattrop`)];
  return names.filter(({ name }) => !name.startsWith("xattrop-")).length;
}
