/** What clients heal because somebody looked at it. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import type { Inode } from "core/inode.ts";
import { gfidReq } from "tests/conformance/place.ts";
import { Scene } from "tests/fakes/replica_scene.ts";

const ALL_ON = { "data-self-heal": "on", "metadata-self-heal": "on", "entry-self-heal": "on" };

function look(scene: Scene, name: string) {
  return scene.top.lookup(ROOT, { parent: scene.root, name });
}

// A file that copy 2 missed a write of.
async function missed(scene: Scene, name: string): Promise<Inode> {
  const { fd, inode } = await scene.create(name);
  await scene.write(fd, "old!");
  await scene.calm();
  scene.links[2]!.turn(false);
  await scene.write(fd, "new!");
  await scene.calm();
  scene.links[2]!.turn(true);
  return inode;
}

Deno.test("cluster/replicate heal on access: a file that is looked at gets its data, as the option says", async () => {
  for (const option of ["off", "on", "open"]) {
    const scene = await Scene.of({ values: { "data-self-heal": option } });
    const inode = await missed(scene, "f");
    await look(scene, "f");
    await scene.calm();
    equal(await scene.content(2, inode), option === "off" ? "old!" : "new!");
    equal(await scene.marks(0, inode), option === "off" ? "2:2/0/0" : "");
  }
});

Deno.test("cluster/replicate heal on access: only parts whose option is on are healed", async () => {
  const scene = await Scene.of({ values: { "metadata-self-heal": "on" } });
  const inode = await missed(scene, "f");
  scene.links[2]!.turn(false);
  await scene.top.setattr(ROOT, { inode, changes: { mode: 0o600 } });
  scene.links[2]!.turn(true);
  await look(scene, "f");
  await scene.calm();
  equal(await scene.content(2, inode), "old!");
  equal((await scene.on.bricks[2]!.stat(ROOT, { inode })).stat.mode & 0o777, 0o600);
  equal(await scene.marks(0, inode), "2:2/0/0");
});

Deno.test("cluster/replicate heal on access: attributes that differ without a mark are healed", async () => {
  const scene = await Scene.of({ values: ALL_ON });
  const { inode } = await scene.create("f");
  await scene.calm();
  await scene.on.bricks[1]!.setattr(ROOT, { inode, changes: { mode: 0o600 } });
  await look(scene, "f");
  await scene.calm();
  const modes = await Promise.all(scene.on.bricks.map((brick) => brick.stat(ROOT, { inode })));
  equal(new Set(modes.map(({ stat }) => stat.mode)).size, 1);
});

Deno.test("cluster/replicate heal on access: a name that a copy misses is made there", async () => {
  const scene = await Scene.of({ values: ALL_ON });
  scene.links[2]!.turn(false);
  await scene.create("f");
  await scene.calm();
  scene.links[2]!.turn(true);
  const { stat } = await look(scene, "f");
  await scene.calm();
  const there = await scene.on.bricks[2]!.lookup(ROOT, { parent: scene.root, name: "f" });
  equal(there.stat.gfid, stat.gfid);
  deepEqual(await scene.allMarks(scene.root), ["", "", ""]);
});

Deno.test("cluster/replicate heal on access: a name that a dead client left on some copies is made on all", async () => {
  const scene = await Scene.of({ values: ALL_ON });
  const args = { parent: scene.root, name: "d", mode: 0o755, umask: 0, xdata: gfidReq() };
  for (const brick of scene.on.bricks.slice(0, 2)) await brick.mkdir(ROOT, args);
  await look(scene, "d");
  await scene.calm();
  ok(await scene.on.bricks[2]!.lookup(ROOT, { parent: scene.root, name: "d" }));
});

Deno.test("cluster/replicate heal on access: so many are healed at once, so many wait, the rest is left", async () => {
  const bounds = { "background-self-heal-count": "2", "heal-wait-queue-length": "1" };
  const scene = await Scene.of({ values: { ...ALL_ON, ...bounds } });
  const names = ["a", "b", "c", "d", "e"];
  const inodes: Inode[] = [];
  for (const name of names) inodes.push(await missed(scene, name));
  const gate = Promise.withResolvers<"pass">();
  const heals = () => (scene.top.state() as { heals: number }).heals;
  scene.links[0]!.fate = (fop) => fop === "inodelk" ? gate.promise : "pass";
  for (const name of names) await look(scene, name);
  equal(heals(), 3);
  gate.resolve("pass");
  while (heals()) await new Promise((done) => setImmediate(done));
  const contents = await Promise.all(inodes.map((inode) => scene.content(2, inode)));
  equal(contents.filter((content) => content === "new!").length, 3);
});

Deno.test("cluster/replicate heal on access: count 0 heals nothing", async () => {
  const scene = await Scene.of({ values: { ...ALL_ON, "background-self-heal-count": "0" } });
  const inode = await missed(scene, "f");
  await look(scene, "f");
  await scene.calm();
  equal(await scene.content(2, inode), "old!");
});

Deno.test("cluster/replicate heal on access: what is open and written meanwhile is healed beside it", async () => {
  const scene = await Scene.of({ values: ALL_ON });
  const { fd, inode } = await scene.create("f");
  await scene.write(fd, "old!");
  await scene.calm();
  scene.links[2]!.turn(false);
  await scene.write(fd, "new!");
  scene.links[2]!.turn(true);
  await look(scene, "f");
  await scene.write(fd, "N");
  await scene.calm();
  for (const index of [0, 1, 2]) equal(await scene.content(index, inode), "New!");
});
