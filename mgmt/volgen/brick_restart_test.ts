import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { buildGraph } from "core/graph.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { VOLUME_OPTIONS } from "mgmt/volume_options/mod.ts";
import { brickGraph } from "mgmt/volgen/brick_graph.ts";
import { optionsForRestart } from "mgmt/volgen/brick_restart.ts";
import { testEnv } from "tests/fakes/node.ts";
import { TYPES } from "xlators/mod.ts";

const VOLUME: VolumeRecord = {
  name: "v",
  id: "6c16648c-78a8-4e52-8cfb-ad295ebf2258",
  state: "started",
  kind: "replicate",
  replicaCount: 2,
  arbiterCount: 0,
  disperseCount: 0,
  redundancyCount: 0,
  stripeCount: 1,
  bricks: [0, 1].map((index) => ({
    host: "h",
    path: `/b/${index}`,
    nodeId: "node",
    clientName: `v-client-${index}`,
  })),
  options: { "transport.address-family": "inet" },
  username: "the-user",
  password: "the-password",
  version: 1,
  nextClient: 2,
  createdAt: 0,
};

Deno.test("mgmt/volgen: options that bricks follow only from their start on are named, others not", () => {
  const changed = (options: Record<string, string>) =>
    optionsForRestart(VOLUME, { ...VOLUME.options, ...options });
  deepEqual(changed({}), []);
  deepEqual(changed({ "network.ping-timeout": "9", "features.read-only": "on" }), []);
  deepEqual(changed({ "features.acl": "off", "storage.reserve": "2", "features.ctime": "off" }), [
    "features.acl",
    "features.ctime",
  ]);
  const { options } = VOLUME;
  deepEqual(
    optionsForRestart({ ...VOLUME, options: { ...options, "features.acl": "off" } }, options),
    ["features.acl"],
  );
});

Deno.test("mgmt/volgen: what is named are the options that a brick's graph does not take over", () => {
  const blocks = (options: VolumeRecord["options"]) =>
    brickGraph(
      { volume: { ...VOLUME, options }, globalOptions: {}, nodeId: "node", bindToHost: false },
      0,
    );
  let named = 0, judged = 0;
  for (const key of VOLUME_OPTIONS.keys()) {
    for (const value of ["on", "off", "7", "64KB", "inet6"]) {
      const options = { ...VOLUME.options, [key]: value };
      let taken: boolean;
      try {
        const graph = buildGraph(blocks(VOLUME.options), TYPES, testEnv());
        taken = graph.reconfigure(blocks(options));
      } catch {
        continue; // no value of this option
      }
      const restart = optionsForRestart(VOLUME, options);
      equal(restart.length === 0, taken, `${key} ${value}`);
      judged++;
      named += restart.length;
    }
  }
  ok(named > 0 && judged > 100, `${named} of ${judged}`);
});
