/** Names on which copies differ, where an arbiter is among those that answer. */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { ENOTCONN } from "core/errno.ts";
import type { Args } from "core/fops.ts";
import { withKey } from "core/xdata.ts";
import { CONTENT, CONTENT_LIMIT } from "core/xdata_keys.ts";
import { fails, text } from "tests/conformance/place.ts";
import { Scene } from "tests/fakes/replica_scene.ts";

function lookup(scene: Scene, name: string): Promise<unknown> {
  return scene.top.lookup(ROOT, { parent: scene.root, name });
}

async function without(scene: Scene, away: number, name: string): Promise<void> {
  scene.links[away]!.turn(false);
  await scene.create(name);
  scene.links[away]!.turn(true);
}

Deno.test("cluster/replicate lookup: that a copy which is behind lacks a name is not believed over the arbiter", async () => {
  const scene = await Scene.of({ arbiter: true });
  await without(scene, 0, "f");
  // Somebody is about to change it.
  for (const each of [0, 2]) {
    await scene.links[each]!.entrylk({ ...ROOT, lkOwner: "77" as typeof ROOT.lkOwner }, {
      inode: scene.root,
      domain: "v",
      name: "f",
      cmd: "lock",
      type: "write",
    });
  }
  scene.links[1]!.turn(false);
  await fails(lookup(scene, "f"), ENOTCONN);
});

Deno.test("cluster/replicate lookup: of a copy and an arbiter that each miss something neither is believed alone", async () => {
  const scene = await Scene.of({ arbiter: true });
  await without(scene, 0, "f");
  await without(scene, 2, "g");
  scene.links[1]!.turn(false);
  await fails(lookup(scene, "f"), ENOTCONN);
});

Deno.test("cluster/replicate lookup: what a file holds is told by a copy that is right, or by none", async () => {
  const scene = await Scene.of();
  const content = async (name: string) => {
    const xdata = withKey(undefined, CONTENT_LIMIT, 100);
    const { xdata: told } = await scene.top.lookup(ROOT, { parent: scene.root, name, xdata });
    const data = told?.get(CONTENT);
    return data && text(data);
  };
  const { fd } = await scene.create("f");
  scene.links[0]!.turn(false);
  await scene.write(fd, "new");
  await scene.top.release(ROOT, { fd });
  scene.links[0]!.turn(true);
  // They are asked in turns, each time one.
  for (const link of scene.links) link.seen.length = 0;
  const told = [await content("f"), await content("f"), await content("f")];
  deepEqual(told.sort(), ["new", "new", undefined]);
  for (const { seen } of scene.links) {
    equal(seen.filter(({ args }) => (args as Args<"lookup">).xdata?.has(CONTENT)).length, 1);
  }
  await scene.split("g", ["one", "two", "six"]);
  equal(await content("g"), undefined);
});
