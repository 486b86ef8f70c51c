import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { buildGraph } from "core/graph.ts";
import type { VolumeBlock } from "core/volfile.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import {
  brickKey,
  graphKey,
  type GraphName,
  otherKey,
  stateVolfiles,
  volfileBlocks,
  volfileKeys,
  volfileText,
} from "mgmt/volgen/volfiles.ts";
import type { VolgenInput } from "mgmt/volgen/volgen.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";
import { TYPES } from "xlators/mod.ts";

const PASSWORD = "the-password";

function input(count: number, over: Partial<VolumeRecord> = {}): VolgenInput {
  const volume: VolumeRecord = {
    name: "v",
    id: "6c16648c-78a8-4e52-8cfb-ad295ebf2258",
    state: "started",
    kind: "distribute",
    replicaCount: 1,
    arbiterCount: 0,
    disperseCount: 0,
    redundancyCount: 0,
    stripeCount: 1,
    bricks: Array.from({ length: count }, (_, index) => ({
      host: "h",
      path: `/b/${index}`,
      nodeId: "node",
      clientName: `v-client-${index}`,
    })),
    options: { "transport.address-family": "inet" },
    username: "the-user",
    password: PASSWORD,
    version: 1,
    nextClient: count,
    createdAt: 0,
    ...over,
  };
  return { volume, globalOptions: {}, nodeId: "node", bindToHost: false };
}

const REPLICA = { kind: "replicate", replicaCount: 2 } as const;
const STRIPE = { kind: "stripe", stripeCount: 2 } as const;

function graph(given: VolgenInput, name: GraphName, trusted = true): VolumeBlock[] {
  return volfileBlocks(given, graphKey(given.volume, name), trusted)!;
}

function find(blocks: readonly VolumeBlock[], name: string): VolumeBlock {
  const block = blocks.find((each) => each.name === name);
  ok(block, `no ${name} among ${blocks.map((each) => each.name)}`);
  return block;
}

/** What building warns of. Throws what building throws. */
function built(blocks: readonly VolumeBlock[]): string[] {
  const lines: string[] = [];
  buildGraph(blocks, TYPES, testEnv({ log: new LinesLog(lines) }));
  return lines;
}

Deno.test("mgmt/volgen: the graphs of bricks are built without a word", () => {
  const arbiter = { kind: "replicate", replicaCount: 3, arbiterCount: 1 } as const;
  const disperse = { kind: "disperse", disperseCount: 3, redundancyCount: 1 } as const;
  for (const over of [{}, arbiter, disperse, STRIPE, { options: { "debug.trace": "posix" } }]) {
    const given = input(6, over);
    for (const brick of given.volume.bricks) {
      deepEqual(built(volfileBlocks(given, brickKey(given.volume, brick), true)!), []);
    }
  }
});

Deno.test("mgmt/volgen: our own client builds its graph of what we have", () => {
  const options = { "performance.io-cache": "on", "network.ping-timeout": "7" };
  deepEqual(built(graph(input(2, { options }), "own")), []);
  deepEqual(built(graph(input(2, { options }), "proxy")), []);
  const near = input(2, {
    options: { "cluster.nufa": "on", "performance.parallel-readdir": "on" },
  });
  deepEqual(built(graph(near, "own")), []);
  equal(find(graph(near, "client"), "v-dht").type, "cluster/nufa");
});

Deno.test("mgmt/volgen: what is in images is shown by our own client and the proxy alone", () => {
  const given = input(2, { ...REPLICA, options: { "features.qcow2": "on" } });
  for (const name of ["own", "proxy", "client", "heal"] as const) {
    const found = graph(given, name).filter(({ type }) => type === "features/qcow2");
    equal(found.length, name === "own" || name === "proxy" ? 1 : 0, name);
  }
  // Whatever is answered early, it is seen in images, too.
  deepEqual(find(graph(given, "own"), "v").subvolumes, ["v-qcow2"]);
  deepEqual(built(graph(given, "own")), []);
  ok(!graph(input(2), "own").some(({ type }) => type === "features/qcow2"));
});

Deno.test("mgmt/volgen: only the last brick of each set is an arbiter", () => {
  const given = input(6, { kind: "replicate", replicaCount: 3, arbiterCount: 1 });
  const arbiters = given.volume.bricks.map((brick) =>
    volfileText(given, brickKey(given.volume, brick), true)!.includes("features/arbiter")
  );
  deepEqual(arbiters, [false, false, true, false, false, true]);
});

Deno.test("mgmt/volgen: clients keep the names that they were given, whatever bricks there are", () => {
  const given = input(2, REPLICA);
  const [first, second] = given.volume.bricks;
  const bricks = [{ ...second!, clientName: "v-client-4" }, {
    ...first!,
    clientName: "v-client-1",
  }];
  const blocks = graph(input(2, { ...REPLICA, bricks }), "client");
  const set = find(blocks, "v-replicate-0");
  deepEqual(set.subvolumes, ["v-client-4", "v-client-1"]);
  equal(set.options.get("afr-pending-xattr"), "v-client-4,v-client-1");
  equal(find(blocks, "v-client-4").options.get("remote-subvolume"), "/b/1");
});

Deno.test("mgmt/volgen: strangers get clients' volfiles alone, and never the login", () => {
  const given = input(4, REPLICA);
  for (const key of volfileKeys(given.volume)) {
    const own = volfileText(given, key, true)!, others = volfileText(given, key, false);
    ok(own.includes(PASSWORD), key);
    ok(!others?.includes(PASSWORD), key);
    equal(others !== undefined, ["v", "v.mortar", "v.proxy"].includes(key), key);
  }
});

Deno.test("mgmt/volgen: a key may begin with a slash or end with the transport", () => {
  const given = input(1);
  const text = volfileText(given, "v", true)!;
  equal(volfileText(given, "/v", true), text);
  equal(volfileText(given, "v.tcp", true), text);
  for (const key of ["", "/", "v.", "w", "v.tcp.tcp", "shd/v", "rebalance/v", "v.h.b-1"]) {
    equal(volfileText(given, key, true), undefined, key);
  }
});

Deno.test("mgmt/volgen: the keys of a volume are those that have volfiles", () => {
  for (const given of [input(1), input(4, REPLICA), input(4, STRIPE)]) {
    for (const key of volfileKeys(given.volume)) ok(volfileText(given, key, true), key);
  }
  deepEqual(volfileKeys(input(1).volume), [
    "v",
    "v.mortar",
    "proxy/v",
    "v.proxy",
    "v.h.b-0",
    "client_per_brick/v.client.h.b-0.vol",
  ]);
});

Deno.test("mgmt/volgen: files of the state directory are named as glusterd names them", () => {
  deepEqual([...stateVolfiles(input(4, REPLICA)).keys()], [
    "trusted-v.tcp-fuse.vol",
    "v.tcp-fuse.vol",
    "v-shd.vol",
    "v-rebalance.vol",
    "v.h.b-0.vol",
    "v.h.b-1.vol",
    "v.h.b-2.vol",
    "v.h.b-3.vol",
  ]);
});

Deno.test("mgmt/volgen: stripes are over bricks or over sets of copies, and not for GlusterFS", () => {
  const plain = input(4, STRIPE);
  equal(volfileText(plain, "v", true), undefined);
  const blocks = graph(plain, "own");
  deepEqual(find(blocks, "v-stripe-1").subvolumes, ["v-client-2", "v-client-3"]);
  deepEqual(find(blocks, "v-dht").subvolumes, ["v-stripe-0", "v-stripe-1"]);
  const copied = graph(input(8, { ...STRIPE, replicaCount: 2 }), "own");
  deepEqual(find(copied, "v-stripe-1").subvolumes, ["v-replicate-2", "v-replicate-3"]);
  ok(volfileText(plain, "v.proxy", false));
});

Deno.test("mgmt/volgen: a proxy serves a client's graph, and its clients find it by its name", () => {
  const given = input(2, REPLICA);
  const blocks = graph(given, "proxy"), server = blocks.at(-1)!;
  equal(server.type, "protocol/server");
  deepEqual(server.subvolumes, ["v-proxy"]);
  equal(server.options.get("auth.addr.v-proxy.allow"), "*");
  ok(!blocks.some(({ type }) => type === "performance/write-behind"));
  const [client] = graph(given, "proxy-client", false);
  equal(client!.options.get("remote-subvolume"), "v-proxy");
  equal(client!.options.get("remote-host"), "h");
  // Or a mount would go on to show what others changed, from the kernel's memory.
  find(graph(given, "proxy-client", false), "v-md-cache");
  // Names in libgfapi have no dots.
  deepEqual(
    ["/v-proxy", "v-1-proxy", "v-proxy.tcp", "v.proxy", "v", "-proxy", "proxy/v-proxy"].map(
      otherKey,
    ),
    [
      "v.proxy",
      "v-1.proxy",
      "v.proxy",
      ...[undefined, undefined, undefined, undefined],
    ],
  );
  // A proxy listens on loopback, and who gets the login is on its machine.
  equal(graph(given, "proxy-client")[0]!.options.get("remote-host"), "127.0.0.1");
});

Deno.test("mgmt/volgen: bricks bind to their host where the daemon does, and know who shares a disk", () => {
  const given = { ...input(1), bindToHost: true, sharing: () => 3 };
  const blocks = volfileBlocks(given, "v.h.b-0", true)!;
  equal(blocks.at(-1)!.options.get("transport.socket.bind-address"), "h");
  equal(find(blocks, "v-posix").options.get("shared-brick-count"), "3");
});

Deno.test("mgmt/volgen: who may read and write, and what is unknown", () => {
  const options = {
    "auth.allow": "10.*",
    "auth.reject": "10.9.*",
    "user.mark": "x",
    "no.such": "y",
  };
  const server = volfileBlocks(input(1, { options }), "v.h.b-0", true)!.at(-1)!.options;
  equal(server.get("auth.addr./b/0.allow"), "10.*");
  equal(server.get("auth.addr./b/0.reject"), "10.9.*");
  ok(!volfileText(input(1, { options }), "v", true)!.includes("mark"));
});

Deno.test("mgmt/volgen: a text for each of a hundred volumes' keys takes no time", () => {
  const given = input(4, REPLICA);
  const began = performance.now();
  for (let at = 0; at < 100; at++) volfileText(given, "v", true);
  ok(performance.now() - began < 30_000);
});

Deno.test("mgmt/volgen: our client has the layers that pay there, and others where they were asked for", () => {
  const types = (options: Record<string, string>) =>
    graph(input(2, { ...REPLICA, options }), "own").map(({ type }) => type)
      .filter((type) => type.startsWith("performance/") && type !== "performance/io-threads");
  const usual = ["write-behind", "readdir-ahead", "quick-read", "md-cache"]
    .map((each) => `performance/${each}`);
  deepEqual(types({}), usual);
  for (
    const [key, layer] of [["stat-prefetch", "md-cache"], ["quick-read", "quick-read"], [
      "readdir-ahead",
      "readdir-ahead",
    ]]
  ) {
    const without = usual.filter((each) => each !== `performance/${layer}`);
    deepEqual(types({ [`performance.${key}`]: "off" }), without);
  }
  const all = ["open-behind", "read-ahead"].map((key) => [`performance.${key}`, "on"]);
  deepEqual(types(Object.fromEntries(all)), [
    "performance/write-behind",
    "performance/read-ahead",
    "performance/readdir-ahead",
    "performance/open-behind",
    "performance/quick-read",
    "performance/md-cache",
  ]);
  // GlusterFS's clients get what its daemon writes.
  const theirs = graph(input(2, REPLICA), "client").map(({ type }) => type);
  ok(theirs.includes("performance/open-behind"));
});
