/** The extended attributes by which a mount ends split-brains. */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EAGAIN, EINVAL, EIO } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import type { Inode } from "core/inode.ts";
import { str, valueText, Xdata } from "core/xdata.ts";
import { fails } from "tests/conformance/place.ts";
import { Scene } from "tests/fakes/replica_scene.ts";

const STATUS = "replica.split-brain-status";

async function status(scene: Scene, inode: Inode): Promise<string> {
  const { xattrs } = await scene.top.getxattr(ROOT, { inode, name: STATUS });
  return valueText(xattrs!.raw(STATUS)!)!;
}

function order(scene: Scene, inode: Inode, name: string, value: string) {
  const xattrs = Xdata.of([[`replica.split-brain-${name}`, str(value)]]);
  return scene.top.setxattr(ROOT, { inode, xattrs, flags: 0 });
}

Deno.test("cluster/replicate split-brain: the status tells what is split, and all copies, in GlusterFS's words", async () => {
  const scene = await Scene.of({ copies: 2 });
  const { inode } = await scene.split("f", ["short", "longer one"]);
  equal(
    await status(scene, inode),
    "data-split-brain:yes    metadata-split-brain:no    Choices:v-client-0,v-client-1",
  );
  const { inode: sound } = await scene.create("g");
  await scene.calm();
  equal(await status(scene, sound), "The file is not under data or metadata split-brain");
  scene.links[1]!.turn(false);
  await fails(status(scene, inode), EAGAIN);
});

Deno.test("cluster/replicate split-brain: a choice lasts its minutes, and caches above are told", async () => {
  const scene = await Scene.of({ copies: 2 });
  const { fd, inode } = await scene.split("f", ["short", "longer one"]);
  const events: GraphEvent["type"][] = [];
  scene.top.listen(({ type }) => events.push(type));
  await order(scene, inode, "choice-timeout", "2");
  await order(scene, inode, "choice", "v-client-1");
  deepEqual(events, ["cache-invalidation"]);
  equal(await scene.read(fd), "longer one");
  scene.clock.advance(2 * 60_000 + 1);
  await fails(scene.read(fd), EIO);
});

Deno.test("cluster/replicate split-brain: only a copy of a split file can be chosen, with all copies there", async () => {
  const scene = await Scene.of({ copies: 2 });
  const { inode } = await scene.split("f", ["short", "longer one"]);
  await fails(order(scene, inode, "choice", "v-client-2"), EINVAL);
  await fails(order(scene, inode, "heal-finalize", "nobody"), EINVAL);
  await fails(order(scene, inode, "choice-timeout", "soon"), EINVAL);
  const { inode: sound } = await scene.create("g");
  await scene.calm();
  await fails(order(scene, sound, "choice", "v-client-0"), EINVAL);
  scene.links[1]!.turn(false);
  await fails(order(scene, inode, "choice", "v-client-0"), EAGAIN);
  await fails(order(scene, inode, "heal-finalize", "v-client-0"), EAGAIN);
});

Deno.test("cluster/replicate split-brain: finalize heals from the copy it names", async () => {
  const scene = await Scene.of({ copies: 2 });
  const { fd, inode } = await scene.split("f", ["short", "longer one"]);
  await order(scene, inode, "choice", "v-client-1");
  await order(scene, inode, "heal-finalize", "v-client-0");
  equal(await scene.read(fd), "short");
  for (const index of [0, 1]) equal(await scene.content(index, inode), "short");
  deepEqual(await scene.allMarks(inode), ["", ""]);
  equal(await status(scene, inode), "The file is not under data or metadata split-brain");
});
