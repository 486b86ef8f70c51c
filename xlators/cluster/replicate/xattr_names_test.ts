import { strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { O_RDWR } from "core/fops.ts";
import { str, valueText, Xdata } from "core/xdata.ts";
import { WRITERS_XATTR } from "core/xdata_keys.ts";
import { Scene } from "tests/fakes/replica_scene.ts";

Deno.test("cluster/replicate: who writes to a file is asked of all copies, and told once", async () => {
  const scene = await Scene.of();
  const told = ["", "7 guest\n8 other", "7 guest"];
  for (const [index, brick] of scene.on.bricks.entries()) {
    brick.fgetxattr = (_call, { name }) =>
      Promise.resolve({ xattrs: Xdata.of([[name, str(told[index]!)]]) });
  }
  const { inode } = await scene.create("f");
  const { fd } = await scene.on.top.open(ROOT, { inode, flags: O_RDWR });
  const ask = async () => {
    const { xattrs } = await scene.on.top.fgetxattr(ROOT, { fd, name: WRITERS_XATTR });
    return valueText(xattrs!.raw(WRITERS_XATTR)!);
  };
  equal(await ask(), "7 guest\n8 other");
  scene.links[1]!.turn(false);
  equal(await ask(), "7 guest");
  scene.links[2]!.turn(false);
  scene.links[1]!.turn(true);
  await scene.calm();
  equal(await ask(), "7 guest\n8 other");
});
