import { match, strictEqual as equal } from "node:assert/strict";
import type { Json } from "core/xlator.ts";
import { MANAGED } from "mgmt/commands/mod.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { KEYS, type VolumeRecord } from "mgmt/records.ts";
import { SNAPSHOT_KEYS, type SnapshotRecord } from "mgmt/snapshots/snapshot_record.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";

const SNAPSHOT: SnapshotRecord = {
  ...{ name: "s", id: "5c0de000-0000-4000-8000-000000000001", volume: "v", state: "kept" },
  ...{ active: false, epoch: 1, createdAt: 0, missing: [] },
};

/** What `snapshot clone` says of a snapshot of a clone that reads through `depth` volumes. */
async function refused(depth: number, more: Partial<VolumeRecord> = {}): Promise<string> {
  const { cluster, store } = fakeCluster();
  const origins = Array.from({ length: depth }, (_, at) => ({ path: `/b/${at}`, reader: "r" }));
  const volume: VolumeRecord = {
    ...{ name: "v", id: "id-of-v", state: "started", kind: "distribute", replicaCount: 1 },
    ...{ arbiterCount: 0, disperseCount: 0, redundancyCount: 0, stripeCount: 1, options: {} },
    ...{ username: "u", password: "p", version: 1, nextClient: 1, createdAt: 0 },
    bricks: [{
      ...{ host: "h", path: "/b/own", nodeId: cluster.nodeId, clientName: "v-client-0", origins },
    }],
    cloneOf: { volume: "below", reader: "r" },
    ...more,
  };
  await store.transact((transaction) => {
    transaction.put(KEYS.volume("v"), volume as unknown as Json);
    transaction.put(SNAPSHOT_KEYS.snapshot("s"), SNAPSHOT as unknown as Json);
    return Promise.resolve();
  });
  const asked = { form: "text", manner: "mortar", confirmed: true } as const;
  const words = ["snapshot", "clone", "c", "s"];
  const { stderr, exitCode } = await new Dispatcher(cluster, MANAGED).run({ ...asked, words });
  equal(exitCode, 1);
  equal(stderr.trimEnd().split("\n").length, 1, stderr);
  return stderr;
}

Deno.test("mgmt/snapshots: a clone is as deep as 64 volumes, and then to be flattened", async () => {
  match(await refused(64), /Volume v reads through 64 others already; flatten it first/);
  // One less is only refused because its brick does not run here.
  match(await refused(63), /One or more bricks are not running: start h:\/b\/own/);
});

Deno.test("mgmt/snapshots: a volume that is being flattened is not cloned", async () => {
  match(
    await refused(1, { flatten: { id: "task" } }),
    /Volume v is being flattened; clone it when/,
  );
});
