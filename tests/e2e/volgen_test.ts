/** Real clients and healers on the graphs that volume records become, for every shape of volume. */

import { notStrictEqual as notEqual, strictEqual as equal } from "node:assert/strict";
import { e2e, LONG } from "tests/e2e/harness.ts";
import { graphKey } from "mgmt/volgen/volfiles.ts";
import { must, until } from "tests/e2e/process.ts";
import { type Shape, VolgenCluster } from "tests/e2e/volgen_cluster.ts";

const HEAL_MS = 240_000;
const GLFSHEAL = "/usr/lib/x86_64-linux-gnu/glusterfs/glfsheal";

/** A shape, which bricks miss something, and which have to be away when it is read. */
interface Case {
  readonly name: string;
  readonly shape: Shape;
  readonly victims: readonly number[];
  readonly others: readonly number[];
  /** Not in CI, which has no time for it. */
  readonly long?: boolean;
}

const SOON = { "cluster.heal-timeout": "60" };
const CACHES = {
  "performance.read-ahead": "on",
  "performance.readdir-ahead": "on",
  "performance.io-cache": "on",
  "performance.nl-cache": "on",
  "performance.parallel-readdir": "on",
  "performance.cache-invalidation": "on",
  "features.cache-invalidation": "on",
  "performance.client-io-threads": "on",
};
const SHARD = { "features.shard": "on", "features.shard-block-size": "4MB" };
const REPLICA = { kind: "replicate", replicaCount: 2 } as const;
const ARBITER = { kind: "replicate", replicaCount: 3, arbiterCount: 1 } as const;
const DISPERSE = { kind: "disperse", disperseCount: 3, redundancyCount: 1 } as const;
const WIDE = { kind: "disperse", disperseCount: 6, redundancyCount: 2 } as const;

const CASES: readonly Case[] = [
  {
    name: "replica 2",
    shape: { ...REPLICA, bricks: 2, options: SOON },
    victims: [0],
    others: [1],
    long: true,
  },
  {
    name: "replica 3, sharded",
    shape: { kind: "replicate", replicaCount: 3, bricks: 3, options: { ...SOON, ...SHARD } },
    victims: [0],
    others: [1],
    long: true,
  },
  {
    name: "replica 3 with an arbiter",
    shape: { ...ARBITER, bricks: 3, options: SOON },
    victims: [0],
    others: [1],
  },
  {
    name: "disperse 2+1",
    shape: { ...DISPERSE, bricks: 3, options: SOON },
    victims: [0],
    others: [1],
  },
  {
    name: "disperse 4+2",
    shape: { ...WIDE, bricks: 6, options: SOON },
    victims: [0, 3],
    others: [1, 2],
    long: true,
  },
  {
    name: "2 sets of replica 2, all caches",
    shape: { ...REPLICA, bricks: 4, options: { ...SOON, ...CACHES } },
    victims: [0, 2],
    others: [1, 3],
  },
  {
    name: "2 sets of disperse 2+1, all caches",
    shape: { ...DISPERSE, bricks: 6, options: { ...SOON, ...CACHES } },
    victims: [0, 4],
    others: [1, 3],
    long: true,
  },
];

const BEFORE = `set -e; cd "$1"; mkdir -p some/where; seq 1 200000 > large
for i in $(seq 1 15); do seq 1 $((i * 50)) > some/$i; done; ln -s some/1 soft; ln large hard`;
const CHANGES = `set -e; cd "$1"; seq 1 200000 >> large; mkdir other
for i in $(seq 1 15); do seq 1 $((i * 70)) > some/where/$i; done; rm some/3; mv some/4 other/four`;
const SUMS = 'cd "$1" && find . -type f | sort | xargs sha256sum';

async function sh(script: string, directory: string): Promise<string> {
  return await must(["sh", "-c", script, "sh", directory]);
}

for (const { name, shape, victims, others } of CASES.filter(({ long }) => LONG || !long)) {
  e2e(
    `mgmt/volgen, ${name}: bricks miss changes, are healed, and have them`,
    [GLFSHEAL],
    async () => {
      await using cluster = await VolgenCluster.start(shape);
      await using mount = await cluster.mount();
      await sh(BEFORE, mount.path);
      for (const victim of victims) await cluster.killBrick(victim);
      await sh(CHANGES, mount.path);
      const sums = await sh(SUMS, mount.path);
      await Promise.all(victims.map((victim) => cluster.startBrick(victim)));
      notEqual(await cluster.pendingHeals(), 0);
      await cluster.startHealer();
      await until("all is healed", async () => await cluster.pendingHeals() === 0, HEAL_MS, 500);
      for (const other of others) await cluster.killBrick(other);
      await using fresh = await cluster.mount();
      equal(await sh(SUMS, fresh.path), sums);
    },
  );
}

e2e("mgmt/volgen, 2 bricks: both get files, and fio finds what it wrote", ["fio"], async () => {
  const options = { ...CACHES, "performance.write-behind-window-size": "2MB" };
  await using cluster = await VolgenCluster.start({ kind: "distribute", bricks: 2, options });
  await using mount = await cluster.mount();
  await sh(BEFORE, mount.path);
  const sums = await sh(SUMS, mount.path);
  for (const { path } of cluster.volume.bricks) notEqual(await sh("ls $1/some", path), "where\n");
  await using fresh = await cluster.mount();
  equal(await sh(SUMS, fresh.path), sums);
  await must(
    cluster.space.inside([
      ...["fio", "--name=job", "--ioengine=gfapi", "--volume=vol", "--brick=127.0.0.1"],
      ...["--filename=fio", "--rw=randwrite", "--bs=64k", "--size=8M", "--verify=crc32c"],
    ]),
    { cwd: cluster.dir },
  );
});

e2e("mgmt/volgen, a proxy: clients of it and of the bricks see the same", [], async () => {
  await using cluster = await VolgenCluster.start({ kind: "distribute", bricks: 2 });
  await cluster.startProxy();
  await using through = await cluster.mount(graphKey(cluster.volume, "proxy-client"));
  await sh(BEFORE, through.path);
  await sh(CHANGES, through.path);
  await using straight = await cluster.mount();
  equal(await sh(SUMS, straight.path), await sh(SUMS, through.path));
});
