/** Split-brains that end by a person's word. */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { gfidReq, newGfid } from "tests/conformance/place.ts";
import { testEnv } from "tests/fakes/node.ts";
import { Scene } from "tests/fakes/replica_scene.ts";
import { decideFile } from "xlators/cluster/replicate/heal_decide.ts";
import { needOf } from "xlators/cluster/replicate/heal_file.ts";
import { HealSet } from "xlators/cluster/replicate/heal_set.ts";

function healSet({ links, on }: Scene): HealSet {
  return new HealSet({
    name: "v-replicate-0",
    copies: links,
    copyNames: links.map(({ name }) => name),
    arbiter: false,
    favorite: "none",
    granular: false,
    env: testEnv(),
    inodes: on.inodes,
  });
}

/** What each copy has under a name of the root: its content, or "none". */
async function contents(scene: Scene, name: string): Promise<string[]> {
  return await Promise.all(scene.on.bricks.map(async (brick, index) => {
    try {
      const { stat } = await brick.lookup(ROOT, { parent: scene.root, name });
      return await scene.content(index, scene.on.inodes.of(stat.gfid));
    } catch {
      return "none";
    }
  }));
}

Deno.test("cluster/replicate decide: data is healed from the bigger copy, the newer one, or a given one", async () => {
  for (
    const [right, expected] of [["size", "longer one"], ["mtime", "short"], [
      1,
      "longer one",
    ]] as const
  ) {
    const scene = await Scene.of({ copies: 2 });
    const { inode } = await scene.split("f", ["short", "longer one"]);
    const mtime = { sec: 5, nsec: 0 };
    await scene.on.bricks[1]!.setattr(ROOT, { inode, changes: { mtime } });
    equal(await decideFile(healSet(scene), "/f", right), "healed");
    deepEqual(await contents(scene, "f"), [expected, expected]);
    equal(await decideFile(healSet(scene), `gfid:${inode.gfid}`, right), "not split-brain");
  }
});

Deno.test("cluster/replicate decide: of files of one name all copies get the bigger, the newer or the given one", async () => {
  for (
    const [right, expected] of [["size", "longer one"], ["mtime", "short"], [0, "short"]] as const
  ) {
    const scene = await Scene.of({ copies: 2 });
    await scene.splitName("f", ["short", "longer one"]);
    const [, brick] = scene.on.bricks;
    const { stat } = await brick!.lookup(ROOT, { parent: scene.root, name: "f" });
    const changes = { mtime: { sec: 5, nsec: 0 } };
    await brick!.setattr(ROOT, { inode: scene.on.inodes.of(stat.gfid), changes });
    equal(await decideFile(healSet(scene), "/f", right), "name healed");
    deepEqual(await contents(scene, "f"), [expected, expected]);
    const { fd } = await scene.top.open(ROOT, {
      inode: scene.on.inodes.of(
        (await scene.top.lookup(ROOT, { parent: scene.root, name: "f" })).stat.gfid,
      ),
      flags: 0,
    });
    equal(await scene.read(fd), expected);
  }
});

Deno.test("cluster/replicate decide: a directory and a file of one name end as the one that is given", async () => {
  const scene = await Scene.of({ copies: 2 });
  await scene.splitName("f", ["file"]);
  const args = { parent: scene.root, name: "f", mode: 0o755, umask: 0 };
  await scene.on.bricks[1]!.mkdir(ROOT, { ...args, xdata: gfidReq(newGfid()) });
  await scene.blame(scene.root, 0, 1, { entry: 1 });
  await scene.blame(scene.root, 1, 0, { entry: 1 });
  equal(await decideFile(healSet(scene), "/f", "size"), "directory");
  equal(await decideFile(healSet(scene), "/f", 0), "name healed");
  deepEqual(await contents(scene, "f"), ["file", "file"]);
});

Deno.test("cluster/replicate decide: what cannot be told is left, and said", async () => {
  const scene = await Scene.of({ copies: 2 });
  await scene.split("f", ["aa", "bb"]);
  await scene.splitName("n", ["aa", "bb"]);
  const set = healSet(scene);
  equal(await decideFile(set, "/f", "size"), "no bigger file");
  equal(await decideFile(set, "/n", "size"), "no bigger file");
  equal(await decideFile(set, "/none", "size"), "not found");
  equal(await decideFile(set, "/", "size"), "not found");
  equal(await decideFile(set, "gfid:nonsense", "size"), "not found");
  scene.links[1]!.turn(false);
  equal(await decideFile(set, "/n", 0), "copies away");
  equal(await decideFile(set, "/f", 0), "copies away");
  scene.links[1]!.turn(true);
  deepEqual(await contents(scene, "f"), ["aa", "bb"]);
  deepEqual(await contents(scene, "n"), ["aa", "bb"]);
});

Deno.test("cluster/replicate decide: attributes alone are as one copy has them, not by size or time", async () => {
  const scene = await Scene.of({ copies: 2 });
  const { inode } = await scene.create("f");
  await scene.blame(inode, 0, 1, { metadata: 1 });
  await scene.blame(inode, 1, 0, { metadata: 1 });
  const set = healSet(scene);
  equal(await decideFile(set, "/f", "size"), "only attributes");
  equal(await decideFile(set, "/f", "mtime"), "only attributes");
  equal(await decideFile(set, "/f", 1), "healed");
});

Deno.test("cluster/replicate decide: a directory whose copies blame each other is shown as split, and merged", async () => {
  const scene = await Scene.of({ copies: 2 });
  const set = healSet(scene);
  const args = { parent: scene.root, mode: 0o755, umask: 0 };
  for (const [index, brick] of scene.on.bricks.entries()) {
    await brick.mkdir(ROOT, { ...args, name: `of-${index}`, xdata: gfidReq(newGfid()) });
    await scene.blame(scene.root, index, 1 - index, { entry: 1 });
  }
  equal((await needOf(set, scene.root)).need, "split-brain");
  const root = `gfid:${scene.root.gfid}`;
  equal(await decideFile(set, root, "size"), "directory");
  equal(await decideFile(set, root, 0), "healed");
  for (const brick of scene.on.bricks) {
    for (const name of ["of-0", "of-1"]) await brick.lookup(ROOT, { parent: scene.root, name });
  }
  equal((await needOf(set, scene.root)).need, "nothing");
});
