/** Our own healer on a cluster of a test. */

import type { Cluster } from "tests/e2e/harness.ts";
import { expectHealedBricks } from "tests/e2e/heals.ts";
import { Process, until } from "tests/e2e/process.ts";
import { healVolfile } from "tests/e2e/volfiles.ts";

const MORTAR = Deno.env.get("MORTAR") ?? new URL("../../scripts/mortar", import.meta.url).pathname;
const HEAL_MS = 90_000, SAME_MS = 20_000;

/** Starts `mortar heal` on the cluster's volume; the caller ends it. */
export async function startOwnHealer(cluster: Cluster): Promise<Process> {
  const volfile = `${cluster.dir}/own-shd.vol`;
  await Deno.writeTextFile(volfile, healVolfile(cluster.clientFacts()));
  const argv = [MORTAR, "heal", "-f", volfile];
  return new Process(cluster.space.inside(argv), `${cluster.dir}/own-shd.log`);
}

/** Heals with our own healer until GlusterFS's glfsheal finds nothing to do and all bricks are equal. */
export async function healedByUs(cluster: Cluster): Promise<void> {
  const healer = await startOwnHealer(cluster);
  try {
    await until(
      "nothing is left to heal",
      async () => (await cluster.pendingHeals()).every((each) => each === 0),
      HEAL_MS,
      500,
    );
    let difference: unknown;
    const same = () =>
      expectHealedBricks(cluster).then(() => true, (error) => {
        difference = error;
        return false;
      });
    await until("all bricks hold the same", same, SAME_MS, 500).catch((error) => {
      throw new Error(`${error}\n${difference}`);
    });
  } catch (error) {
    throw new Error(`${error}\nmortar heal: ${healer.lastWords()}`);
  } finally {
    await healer.end("SIGTERM");
  }
}
