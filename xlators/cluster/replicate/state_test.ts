/** What the layer tells of itself, as scripts written for GlusterFS look for it. */

import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { Scene } from "tests/fakes/replica_scene.ts";

Deno.test("cluster/replicate: each copy is told of with its key of marks behind it, and the quorum", async () => {
  const scene = await Scene.of({ copies: 3, values: { "afr-pending-xattr": "v-0,v-1,v-2" } });
  scene.links[1]!.turn(false);
  const told = () => Object.entries(scene.top.state() as { [name: string]: unknown });
  deepEqual(told().slice(0, 10), [
    ["child_count", 3],
    ["child_up[0]", 1],
    ["pending_key[0]", "trusted.afr.v-0"],
    ["child_up[1]", 0],
    ["pending_key[1]", "trusted.afr.v-1"],
    ["child_up[2]", 1],
    ["pending_key[2]", "trusted.afr.v-2"],
    ["arbiter", null],
    ["quorum-type", "auto"],
    ["up", 1],
  ]);
  scene.links[2]!.turn(false);
  deepEqual(told().find(([name]) => name === "up"), ["up", 0]);
});
