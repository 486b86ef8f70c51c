/** What was written is on stable storage before the marks of the write are taken off. */

import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EDQUOT } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import { Fd } from "core/inode.ts";
import { fails } from "tests/conformance/place.ts";
import { Scene } from "tests/fakes/replica_scene.ts";

async function written(scene: Scene) {
  const file = await scene.create("f");
  await scene.write(file.fd, "abcd");
  await scene.calm();
  for (const link of scene.links) link.seen.length = 0;
  return file;
}

Deno.test("cluster/replicate sync: what is written without opening the file is synced, too", async () => {
  const scene = await Scene.of();
  const { inode } = await written(scene);
  await scene.write(new Fd(inode, O_RDWR, true), "xy");
  await scene.calm();
  for (const link of scene.links) {
    const fops = link.seen.map(({ fop }) => fop).join(" ");
    ok(/writev fsync f?xattrop/.test(fops), fops);
  }
});

Deno.test("cluster/replicate sync: a sync that failed everywhere is tried again before the marks go", async () => {
  const scene = await Scene.of();
  const { inode, fd } = await written(scene);
  await scene.write(fd, "xy");
  for (const link of scene.links) link.fate = (fop) => fop === "fsync" ? EDQUOT : "pass";
  await fails(scene.top.fsync(ROOT, { fd, dataOnly: false }), EDQUOT);
  await scene.calm();
  deepEqual(await scene.allMarks(inode), ["dirty:1/0/0", "dirty:1/0/0", "dirty:1/0/0"]);
});
