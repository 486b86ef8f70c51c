/** Names on which copies differ, where an arbiter is among those that answer. */

import { ROOT } from "core/call.ts";
import { ENOTCONN } from "core/errno.ts";
import { fails } from "tests/conformance/place.ts";
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
