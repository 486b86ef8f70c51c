/** Split-brains that clients end by the volume's policy. */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EIO } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import { fails } from "tests/conformance/place.ts";
import { Scene } from "tests/fakes/replica_scene.ts";

const policy = (name: string) => ({ copies: 2, values: { "favorite-child-policy": name } });

Deno.test("cluster/replicate favorite: the policy tells which copy of a split file is read, and keeps the other blamed", async () => {
  const scene = await Scene.of(policy("size"));
  const { fd, inode } = await scene.split("f", ["short", "longer one"]);
  equal(await scene.read(fd), "longer one");
  deepEqual(await scene.allMarks(inode), ["", "0:1/0/0"]);
});

Deno.test("cluster/replicate favorite: a split file can be written, opened and looked up, too", async () => {
  const scene = await Scene.of(policy("size"));
  const { fd, inode } = await scene.split("f", ["short", "longer one"]);
  await scene.write(fd, "L");
  await scene.calm();
  equal(await scene.read(fd), "Longer one");
  deepEqual(await scene.allMarks(inode), ["", "0:1/0/0"]);
  const other = await scene.split("g", ["a", "bb"]);
  const { stat } = await scene.top.lookup(ROOT, { parent: scene.root, name: "g" });
  equal(stat.size, 2);
  await scene.top.open(ROOT, { inode: other.inode, flags: O_RDWR });
});

Deno.test("cluster/replicate favorite: attributes of which each copy is blamed are decided, too", async () => {
  const scene = await Scene.of(policy("size"));
  const { inode } = await scene.create("f");
  await scene.calm();
  await scene.rewrite(1, inode, "larger");
  await scene.blame(inode, 0, 1, { metadata: 1 });
  await scene.blame(inode, 1, 0, { metadata: 1 });
  scene.links[0]!.turn(false);
  scene.links[0]!.turn(true);
  await scene.top.setattr(ROOT, { inode, changes: { mode: 0o600 } });
  deepEqual(await scene.marks(1, inode), "0:0/1/0");
});

Deno.test("cluster/replicate favorite: nothing is decided without a policy, without all copies, or by a tie", async () => {
  const none = await Scene.of(policy("none"));
  await fails(none.read((await none.split("f", ["a", "bb"])).fd), EIO);
  const away = await Scene.of({ copies: 3, values: { "favorite-child-policy": "size" } });
  const file = await away.split("f", ["a", "bb", "ccc"]);
  away.links[0]!.turn(false);
  await fails(away.read(file.fd), EIO);
  const tie = await Scene.of(policy("size"));
  await fails(tie.read((await tie.split("f", ["aa", "bb"])).fd), EIO);
  const directory = await Scene.of(policy("size"));
  await directory.blame(directory.root, 0, 1, { metadata: 1 });
  await directory.blame(directory.root, 1, 0, { metadata: 1 });
  const changes = { mode: 0o700 };
  await fails(directory.top.setattr(ROOT, { inode: directory.root, changes }), EIO);
});

Deno.test("cluster/replicate favorite: what more than half of the copies have is right by majority", async () => {
  const scene = await Scene.of({ copies: 3, values: { "favorite-child-policy": "majority" } });
  const { fd } = await scene.split("f", ["other", "same", "same"]);
  equal(await scene.read(fd), "same");
});

Deno.test("cluster/replicate favorite: of files of one name the policy's stays, on all copies", async () => {
  const scene = await Scene.of(policy("size"));
  await scene.splitName("f", ["short", "longer one"]);
  const { stat } = await scene.top.lookup(ROOT, { parent: scene.root, name: "f" });
  equal(stat.size, 10);
  for (const brick of scene.on.bricks) {
    equal((await brick.lookup(ROOT, { parent: scene.root, name: "f" })).stat.gfid, stat.gfid);
  }
  const split = await Scene.of(policy("none"));
  await split.splitName("f", ["short", "longer one"]);
  await fails(split.top.lookup(ROOT, { parent: split.root, name: "f" }), EIO);
});
