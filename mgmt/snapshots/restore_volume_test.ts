import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import type { Json } from "core/xlator.ts";
import { MANAGED } from "mgmt/commands/mod.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { KEYS, type VolumeRecord } from "mgmt/records.ts";
import { restoreOf } from "mgmt/snapshots/restore_volume.ts";
import { SNAPSHOT_KEYS, type SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";

const NODE = "c026f440-4e6b-4598-bfcd-de78e0922d8d";
const ID = "5c0de000-0000-4000-8000-000000000001";

function volume(state: VolumeRecord["state"], directory: string): VolumeRecord {
  return {
    ...{ name: "v", id: "id-of-v", state, kind: "replicate", replicaCount: 2, arbiterCount: 0 },
    ...{ disperseCount: 0, redundancyCount: 0, stripeCount: 1, options: {}, username: "u" },
    ...{ password: "p", version: 1, nextClient: 2, createdAt: 0 },
    bricks: [0, 1].map((at) => ({
      ...{ host: "h", path: `${directory}/${at}`, nodeId: NODE, clientName: `v-client-${at}` },
    })),
  };
}

function snapshot(name: string, missing: readonly string[] = []): SnapshotRecord {
  return {
    ...{ name, id: ID, volume: "v", state: "kept", active: false, epoch: 1, createdAt: 0, missing },
  };
}

const MISSING = [
  snapshot("part", ["v-client-1"]),
  snapshot("nowhere", ["v-client-0", "v-client-1"]),
];

async function scene(state: VolumeRecord["state"] = "stopped", directory = "/b") {
  const fake = fakeCluster();
  await fake.store.transact((transaction) => {
    transaction.put(KEYS.volume("v"), volume(state, directory) as unknown as Json);
    for (const each of [snapshot("s"), snapshot("other"), ...MISSING]) {
      transaction.put(SNAPSHOT_KEYS.snapshot(each.name), each as unknown as Json);
    }
    return Promise.resolve();
  });
  const dispatcher = new Dispatcher(fake.cluster, MANAGED);
  const run = (line: string) =>
    dispatcher.run({ words: line.split(" "), form: "text", manner: "mortar", confirmed: true });
  return { ...fake, run };
}

Deno.test("mgmt/snapshots: all bricks of a stopped volume are restored, and nothing is left to do", async () => {
  const { run, bricks, cluster } = await scene();
  equal(
    (await run("snapshot restore s")).stdout,
    "Snapshot restore: s: Snap restored successfully\n",
  );
  deepEqual([...bricks.restored], [["/b/0", [ID]], ["/b/1", [ID]]]);
  equal(await restoreOf(cluster, "v"), undefined);
});

Deno.test("mgmt/snapshots: a brick that misses the snapshot is named to its copies, which are restored", async () => {
  const { run, bricks } = await scene();
  equal((await run("snapshot restore part")).exitCode, 0);
  deepEqual([...bricks.restored], [["/b/0", [ID, "v-client-1"]]]);
});

Deno.test("mgmt/snapshots: a brick that misses the snapshot and that others wait for is named", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const { run, bricks } = await scene("stopped", directory);
    const index = `${directory}/1/.glusterfs/indices/xattrop`;
    await Deno.mkdir(index, { recursive: true });
    await Deno.writeTextFile(`${index}/xattrop-${ID}`, "");
    equal((await run("snapshot restore part")).exitCode, 0);
    bricks.restored.clear();
    await Deno.writeTextFile(`${index}/${ID}`, "");
    match((await run("snapshot restore part")).stderr, /\/1, which misses .* start volume v until/);
    equal(bricks.restored.size, 0);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("mgmt/snapshots: what cannot be restored is refused before anything is done", async () => {
  const started = await scene("started");
  match((await started.run("snapshot restore s")).stderr, /Volume \(v\) has been started\. Volume/);
  const { run, bricks } = await scene();
  match(
    (await run("snapshot restore nowhere")).stderr,
    /missing on h:\/b\/0, h:\/b\/1, and no copy/,
  );
  match((await run("snapshot restore none")).stderr, /Snapshot \(none\) does not exist/);
  deepEqual([started.bricks.restored.size, bricks.restored.size], [0, 0]);
});

Deno.test("mgmt/snapshots: a restore that failed is ended before the volume starts, by whoever asks", async () => {
  for (const again of ["snapshot restore s", "volume start v force"]) {
    const { run, bricks, cluster } = await scene();
    bricks.broken.set("h:/b/1", "the disk is gone");
    match(
      (await run("snapshot restore s")).stderr,
      /was not restored: the disk is gone; mend that/,
    );
    deepEqual(await restoreOf(cluster, "v"), { volume: "v", snapshot: "s" });
    match((await run("volume start v force")).stderr, /was not restored/);
    equal((await cluster.volume("v")).state, "stopped");
    match((await run("snapshot restore other")).stderr, /do it first: mortar snapshot restore s/);
    match((await run("snapshot delete s")).stderr, /being restored from snapshot s/);
    bricks.broken.clear();
    bricks.restored.clear();
    equal((await run(again)).exitCode, 0, again);
    deepEqual([...bricks.restored.keys()], ["/b/0", "/b/1"]);
    equal(await restoreOf(cluster, "v"), undefined);
  }
});
