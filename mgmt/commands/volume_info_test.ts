import { match, strictEqual as equal } from "node:assert/strict";
import type { Json } from "core/xlator.ts";
import { asJson } from "mgmt/cluster/cluster.ts";
import { volumeInfo } from "mgmt/commands/volume_info.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { KEYS, type VolumeRecord } from "mgmt/records.ts";
import { infoText } from "mgmt/status/info_shown.ts";
import { volumeInfo as infoOf } from "mgmt/status/volume_info.ts";
import type { Form } from "rpc/programs/commands.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";

function striped(name: string, bricks: number, shape: Partial<VolumeRecord>): VolumeRecord {
  return {
    name,
    id: "e620c8a5-ed05-41f0-98d7-84c10d63dd16",
    state: "created",
    kind: "stripe",
    replicaCount: 1,
    arbiterCount: 0,
    disperseCount: 0,
    redundancyCount: 0,
    stripeCount: 1,
    bricks: Array.from({ length: bricks }, (_, index) => ({
      host: "h",
      path: `/bricks/${name}${index}`,
      nodeId: "c026f440-4e6b-4598-bfcd-de78e0922d8d",
      clientName: `${name}-client-${index}`,
    })),
    options: {},
    username: "the-user",
    password: "the-password",
    version: 1,
    nextClient: bricks,
    createdAt: 0,
    ...shape,
  };
}

async function shown(
  volumes: readonly VolumeRecord[],
  form: Form,
  handWritten: readonly string[] = [],
): Promise<string> {
  const { cluster, store } = fakeCluster("/nowhere/mortar", {
    handWritten: () => Promise.resolve(handWritten),
  });
  await store.transact((transaction) => {
    for (const each of volumes) transaction.put(KEYS.volume(each.name), asJson(each) as Json);
    return Promise.resolve();
  });
  const { stdout } = await new Dispatcher(cluster, [volumeInfo]).run({
    words: ["volume", "info"],
    form,
    manner: "gluster",
    confirmed: true,
  });
  return stdout;
}

Deno.test("volume info: striped volumes tell their stripes as older GlusterFS did", async () => {
  const text = await shown([
    striped("a", 4, { stripeCount: 4 }),
    striped("b", 4, { stripeCount: 2 }),
    striped("c", 8, { stripeCount: 2, replicaCount: 2 }),
    striped("d", 4, { stripeCount: 2, replicaCount: 2 }),
  ], "text");
  equal(
    text.match(/^(Type|Number of Bricks): .*$/gm)!.join("; "),
    "Type: Stripe; Number of Bricks: 1 x 4 = 4; " +
      "Type: Distributed-Stripe; Number of Bricks: 2 x 2 = 4; " +
      "Type: Distributed-Striped-Replicate; Number of Bricks: 2 x 2 x 2 = 8; " +
      "Type: Striped-Replicate; Number of Bricks: 1 x 2 x 2 = 4",
  );
});

Deno.test("volume info: hand-written volfiles in use are told behind the options", async () => {
  const volume = striped("v", 2, { kind: "distribute", options: { "nfs.disable": "on" } });
  const keys = ["other", "v", "v.h.bricks-v1"];
  match(
    await shown([volume], "text", keys),
    /\nnfs\.disable: on\nhand-written-volfile: v\nhand-written-volfile: v\.h\.bricks-v1\n/,
  );
  equal(await shown([volume], "xml", keys), await shown([volume], "xml"));
});

Deno.test("volume info: bricks that no GlusterFS can read say so", () => {
  const volume = striped("v", 2, { kind: "distribute" });
  const circumstances = { handWritten: [], snapshots: 0, userAttributes: true };
  match(
    infoText(infoOf(volume, circumstances)),
    /\nOptions Reconfigured:\nbrick-attributes: user\.\*\n$/,
  );
  equal("remarks" in infoOf(volume, { ...circumstances, userAttributes: false }), false);
});

Deno.test("volume info: a volume's login is in no form", async () => {
  for (const form of ["text", "xml", "json"] as const) {
    const told = await shown([striped("v", 2, { kind: "distribute" })], form);
    equal(/the-user|the-password/.test(told), false);
  }
});
