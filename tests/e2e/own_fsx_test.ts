/**
 * Random operations on our mount and on a local directory answer the same. `MORTAR_LONG=1`: a million
 * of them, of which each mistake names its seed: `fsx.py MOUNT LOCAL SEED COUNT` does the same again.
 */

import { ok } from "node:assert/strict";
import { Cluster, e2e, LONG } from "tests/e2e/harness.ts";
import { OurMount } from "tests/e2e/our_mount.ts";
import { CACHES, FRESH, Mounts, type Shape } from "tests/e2e/own_mounts.ts";
import { must, until } from "tests/e2e/process.ts";
import { expectSameTree, readTree, replicaDiffers, visible } from "tests/e2e/tree.ts";

const FSX = new URL("./fsx.py", import.meta.url).pathname;
/** Operations of one seed. */
const COUNT = LONG ? 25_000 : 1000;
const SEEDS = LONG ? 20 : 1;
const PATIENCE_MS = 3_600_000, SAME_MS = 60_000;

async function compared(
  mounts: readonly string[],
  firstSeed: number,
  seeds = SEEDS,
): Promise<void> {
  const local = await Deno.makeTempDir({ prefix: "fsx-" });
  try {
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const [first, ...more] = mounts;
      const argv = ["python3", FSX, first!, local, String(seed), String(COUNT), ...more];
      await must(argv, { timeoutMs: PATIENCE_MS, env: { FSX_KEEP: "1" } });
    }
  } finally {
    await Deno.remove(local, { recursive: true });
  }
}

// What is pending on a copy is told a moment after the last write was answered.
async function sameBricks(one: string, other: string): Promise<void> {
  let why: unknown;
  await until(
    "both bricks hold the same",
    async () => {
      const [a, b] = [visible(await readTree(one)), visible(await readTree(other))];
      ok(a.size > 1, "nothing was kept");
      try {
        expectSameTree(a, b, replicaDiffers);
        return true;
      } catch (error) {
        why = error;
        return false;
      }
    },
    SAME_MS,
    1000,
  ).catch((error) => {
    throw why ?? error;
  });
}

const SHAPES: Readonly<Record<string, Shape>> = {
  distributed: { bricks: 2, without: [] },
  replicated: { bricks: 2, layout: "replica 2", without: [] },
};

for (const [index, [name, shape]] of Object.entries(SHAPES).entries()) {
  e2e(
    `own fsx, ${name}: ${SEEDS * COUNT} operations answer as a local directory does`,
    [],
    async () => {
      await using mounts = await Mounts.start(shape);
      const path = await mounts.mount("acl");
      await compared([path], 1000 * (index + 1));
      if (shape.layout) await sameBricks(`${mounts.node.dir}/v1-0`, `${mounts.node.dir}/v1-1`);
    },
  );
}

e2e(
  `own fsx, two mounts: ${COUNT} operations through either answer as a local directory does`,
  [],
  async () => {
    await using mounts = await Mounts.start({ bricks: 2, without: [...CACHES, "write-behind"] });
    const options = `${FRESH},direct-io-mode=enable`;
    await compared([await mounts.mount(options), await mounts.mount(options)], 5000, 1);
  },
);

if (LONG) {
  e2e(
    `own fsx, GlusterFS's bricks: ${COUNT} operations answer as a local directory does`,
    [],
    async () => {
      const kinds = ["glusterfsd", "glusterfsd"] as const;
      await using cluster = await Cluster.start({ layout: "replica", kinds });
      await using mount = await OurMount.of(cluster, "acl");
      await compared([mount.path], 6000, 1);
    },
  );
}
