/** Directories that are empty on some copies only, since the others missed something in them. */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { ENOTEMPTY } from "core/errno.ts";
import type { Inode } from "core/inode.ts";
import { fails, gfidReq } from "tests/conformance/place.ts";
import { Scene } from "tests/fakes/replica_scene.ts";

async function directory(scene: Scene, name: string): Promise<Inode> {
  const args = { parent: scene.root, name, mode: 0o755, umask: 0, xdata: gfidReq() };
  return scene.on.inodes.of((await scene.top.mkdir(ROOT, args)).stat.gfid);
}

/** Whether each brick has `name` in its root. */
async function has(scene: Scene, name: string): Promise<boolean[]> {
  return await Promise.all(
    scene.on.bricks.map((brick) =>
      brick.lookup(ROOT, { parent: scene.root, name }).then(() => true, () => false)
    ),
  );
}

/** A file in a directory is removed, or made, while copy 2 is away; then it is back. */
async function scattered(what: "removed" | "made"): Promise<{ scene: Scene; inode: Inode }> {
  const scene = await Scene.of(), { links } = scene;
  const inode = await directory(scene, "d");
  const away = async (act: () => Promise<unknown>) => {
    links[2]!.turn(false);
    await act();
    await scene.calm();
    links[2]!.turn(true);
  };
  const make = () => scene.create("f", inode);
  if (what === "made") await away(make);
  else {
    await make();
    await scene.calm();
    await away(() => scene.top.unlink(ROOT, { parent: inode, name: "f", flags: 0 }));
  }
  return { scene, inode };
}

Deno.test("cluster/replicate: a directory that is removed where it is empty is blamed on the copy where it is not", async () => {
  const { scene } = await scattered("removed");
  await scene.top.rmdir(ROOT, { parent: scene.root, name: "d", flags: 0 });
  await scene.calm();
  deepEqual(await has(scene, "d"), [false, false, true]);
  const marks = await scene.allMarks(scene.root);
  deepEqual(marks.slice(0, 2), ["2:0/0/1", "2:0/0/1"]);
});

Deno.test("cluster/replicate: a directory is not said to be removed that only a copy lost which lacks what is in it", async () => {
  const { scene } = await scattered("made");
  await fails(scene.top.rmdir(ROOT, { parent: scene.root, name: "d", flags: 0 }), ENOTEMPTY);
  await scene.calm();
  deepEqual(await has(scene, "d"), [true, true, false]);
  deepEqual(await scene.allMarks(scene.root), ["dirty:0/0/1", "dirty:0/0/1", "dirty:0/0/1"]);
});

Deno.test("cluster/replicate: of two copies without a quorum, the one that has what the other missed keeps it", async () => {
  const scene = await Scene.of({ copies: 2 });
  const inode = await directory(scene, "d");
  scene.links[0]!.turn(false);
  await scene.create("f", inode);
  await scene.calm();
  scene.links[0]!.turn(true);
  await fails(scene.top.rmdir(ROOT, { parent: scene.root, name: "d", flags: 0 }), ENOTEMPTY);
  await scene.calm();
  deepEqual(await scene.allMarks(scene.root), ["dirty:0/0/1", "dirty:0/0/1"]);
});

Deno.test("cluster/replicate: a directory goes in the place of one that is empty on the copies that are right", async () => {
  const { scene } = await scattered("removed");
  await directory(scene, "e");
  const [oldParent, newParent] = [scene.root, scene.root];
  await scene.top.rename(ROOT, { oldParent, oldName: "e", newParent, newName: "d" });
  await scene.calm();
  deepEqual(await has(scene, "e"), [false, false, true]);
  const [first, second] = await scene.allMarks(scene.root);
  equal(first?.startsWith("2:0/0/"), true, first);
  equal(second, first);
});
