/**
 * Bricks are killed, stopped and cut off, one at a time, while fio writes and verifies through our
 * mount and GlusterFS's at once: different files, and halves of one. Nothing that was written may
 * read differently, nobody may see an error, and all copies end equal. `MORTAR_LONG=1`: 100 faults
 * for each layout.
 */

// deno-lint-ignore-file no-console -- the long form tells its figures

import { ok, strictEqual as equal } from "node:assert/strict";
import { Cluster, e2e, LONG } from "tests/e2e/harness.ts";
import { healed } from "tests/e2e/heals.ts";
import { Campaign } from "tests/e2e/faults.ts";
import { FioLoad, SHARED_KIB } from "tests/e2e/fio_load.ts";
import { OurMount } from "tests/e2e/our_mount.ts";
import { healedByUs, startOwnHealer } from "tests/e2e/own_heal.ts";
import { must } from "tests/e2e/process.ts";
import type { Layout } from "tests/e2e/volfiles.ts";

const PROGRAMS = ["/usr/lib/x86_64-linux-gnu/glusterfs/glfsheal", "fio", "getfattr"];
const PING_SECONDS = 5;
const DIRECT = "direct-io-mode=enable,attribute-timeout=0,entry-timeout=0";

interface Plan {
  readonly layout: Layout;
  readonly faults: number;
  /** Whose healer heals between faults, and after them. */
  readonly healer: "ours" | "GlusterFS's";
}

async function campaign({ layout, faults, healer }: Plan): Promise<void> {
  await using cluster = await Cluster.start({
    layout,
    hosts: true,
    client: { pingTimeout: PING_SECONDS },
  });
  await using ours = await OurMount.of(cluster, DIRECT);
  await using theirs = await cluster.mount(DIRECT);
  const mounts = [ours.path, theirs.path];
  const faulty = new Campaign(cluster, mounts);
  await faulty.prepare();
  // fio removes a file that is too short and makes it again: not under each other's hands.
  await must(["truncate", "-s", `${SHARED_KIB * 2}K`, `${ours.path}/shared`]);
  const healing = healer === "ours" ? await startOwnHealer(cluster) : await cluster.startHealer();
  const loads: FioLoad[] = [], began = performance.now();
  for (const [index, mount] of mounts.entries()) {
    const directory = `${mount}/work-${index}`;
    await Deno.mkdir(directory);
    const shared = { path: `${mount}/shared`, half: index as 0 | 1 };
    loads.push(new FioLoad({ directory, shared, cwd: cluster.dir }));
  }
  try {
    for (let count = 0; count < faults; count++) {
      const victim = cluster.bricks[count % cluster.bricks.length]!;
      // Over time every brick meets every fault.
      await faulty.fault(count + Math.floor(count / 6), victim);
      for (const load of loads) load.check();
    }
  } finally {
    await Promise.all(loads.map((load) => load.stop()));
  }
  await faulty.whole();
  await healing.end("SIGTERM");
  // GlusterFS's healer sets a time that it saw before while others go on writing.
  await (healer === "ours" ? healedByUs(cluster) : healed(cluster, { times: false }));
  const sums = (mount: string) => must(["sh", "-c", 'cd "$1"; md5sum s* w*/*', "sh", mount]);
  equal(await sums(ours.path), await sums(theirs.path));
  ok(loads.every(({ passes }) => passes > 0), "fio was not done even once");
  if (!LONG) return;
  const kinds = [...faulty.done].map(([name, times]) => `${times} ${name}`).join(", ");
  const seconds = Math.round((performance.now() - began) / 1000);
  const passes = loads.map((load) => load.passes).join(", ");
  console.log(`${layout}: ${kinds} in ${seconds} s; passes of fio: ${passes}`);
}

const PLANS: readonly Plan[] = LONG
  ? [
    { layout: "replica3", faults: 100, healer: "ours" },
    { layout: "arbiter", faults: 100, healer: "ours" },
    { layout: "replica", faults: 100, healer: "ours" },
    { layout: "replica3", faults: 12, healer: "GlusterFS's" },
  ]
  : [{ layout: "replica3", faults: 6, healer: "ours" }];

for (const plan of PLANS) {
  e2e(
    `own faults, ${plan.layout}: ${plan.faults} faults under two kinds of mounts lose nothing, ` +
      `${plan.healer} healer`,
    PROGRAMS,
    () => campaign(plan),
  );
}
