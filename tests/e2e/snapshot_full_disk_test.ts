/** A history on a disk that is full. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { ENOSPC } from "core/errno.ts";
import type { Fd } from "core/inode.ts";
import { snapshotLayer } from "tests/fakes/snapshot_layer.ts";
import { IS_ROOT, run, TestBrick } from "tests/fakes/posix_brick.ts";
import type { Snapshot } from "xlators/features/snapshot/snapshot.ts";

const UNIT = 4096, UNITS = 512;

for (const durability of ["strict", "relaxed"] as const) {
  Deno.test({
    name:
      `features/snapshot: on a full disk, ${durability}, writes are refused and nothing is lost`,
    ignore: !IS_ROOT,
    fn: async () => {
      const mount = await Deno.makeTempDir({ prefix: "sb-full-" });
      await run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mount);
      try {
        await story(`${mount}/brick`, durability);
      } finally {
        await run("umount", "-l", mount);
        await Deno.remove(mount);
      }
    },
  });
}

async function story(path: string, durability: "strict" | "relaxed"): Promise<void> {
  await Deno.mkdir(path);
  const brick = await TestBrick.start({ reserve: "0" }, path);
  let layer = await snapshotLayer(brick, { durability });
  const { fd, gfid } = await brick.create("f");
  const live = new Uint8Array(UNITS * UNIT).map((_, at) => at % 251);
  await write(layer, fd, 0, live);
  const old = live.slice();
  await take(layer, "s1", 1);
  const changed = async (from: number): Promise<number> => {
    let refused = 0;
    for (let unit = from; unit < UNITS; unit++) {
      const data = new Uint8Array(UNIT).fill(unit);
      if (await write(layer, fd, unit * UNIT, data)) live.set(data, unit * UNIT);
      else refused++;
    }
    return refused;
  };
  const exact = async () => {
    const seen = new Uint8Array(UNITS * UNIT);
    await layer.history!.view("s1")!.read(gfid, 0, seen);
    deepEqual(seen, old);
    const { data } = await layer.readv(ROOT, { fd, offset: 0, size: live.length, flags: 0 });
    deepEqual(new Uint8Array(data), live);
  };

  equal(await changed(UNITS - 8), 0);
  await fill(layer, brick);
  ok(await changed(0) > UNITS / 2);
  await exact();
  // It is refused, and then it is not there.
  const taken = await take(layer, "s2", 2).then(() => true, (error) => {
    ok(ENOSPC.matches(error), String(error));
    return false;
  });
  equal(layer.histories.list().length, taken ? 2 : 1);
  // Nothing is left of the room that the refused ones had begun to take.
  ok(await changed(0) > UNITS / 2);

  await layer.stop();
  layer = await snapshotLayer(brick, { durability });
  equal(layer.histories.trouble(), undefined);
  await exact();
  // Snapshots can go: they give room back.
  for (const { id } of layer.histories.list()) await layer.histories.remove(id);
  await layer.history!.collected();
  equal(await changed(0), 0);
  equal(layer.history!.usage().bytes, 0);
  await layer.release(ROOT, { fd });
  await layer.stop();
  await brick.top.stop();
}

function take(layer: Snapshot, id: string, epoch: number): Promise<void> {
  const facts = { kind: "snapshot" as const, file: undefined, created: 0, active: true };
  return layer.histories.take(undefined, { id, name: id, epoch, ...facts });
}

/** False: there was no room. */
async function write(layer: Snapshot, fd: Fd, offset: number, data: Uint8Array): Promise<boolean> {
  try {
    await layer.writev(ROOT, { fd, offset, data, flags: 0 });
    return true;
  } catch (error) {
    ok(ENOSPC.matches(error), String(error));
    return false;
  }
}

/** Until not even a page is left. */
async function fill(layer: Snapshot, brick: TestBrick): Promise<void> {
  const { fd } = await brick.create("filling");
  let offset = 0;
  for (const size of [65_536, UNIT, 512]) {
    while (await write(layer, fd, offset, new Uint8Array(size).fill(1))) offset += size;
  }
  await layer.release(ROOT, { fd });
}
