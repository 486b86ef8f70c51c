import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EBUSY, EEXIST, EINVAL, ENOENT, EUCLEAN } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import type { Inode } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";
import { ptr, valueText, Xdata } from "core/xdata.ts";
import { snapshotLayer } from "tests/fakes/snapshot_layer.ts";
import { IS_ROOT, TestBrick } from "tests/fakes/posix_brick.ts";
import type { Snapshot } from "xlators/features/snapshot/snapshot.ts";

const MIB = 1 << 20;

function test(name: string, body: (brick: TestBrick, layer: Snapshot) => Promise<void>): void {
  Deno.test({
    name: `features/snapshot: ${name}`,
    ignore: !IS_ROOT,
    fn: async () => {
      await using brick = await TestBrick.start();
      const layer = await snapshotLayer(brick);
      try {
        await body(brick, layer);
      } finally {
        await layer.stop();
      }
    },
  });
}

async function order(layer: Snapshot, inode: Inode, what: string, name: string): Promise<void> {
  const key = `trusted.glusterfs.block-snapshot-${what}`;
  await layer.setxattr(ROOT, { inode, xattrs: Xdata.of([[key, ptr(encodeName(name))]]), flags: 0 });
}

async function names(layer: Snapshot, inode: Inode): Promise<string> {
  const { xattrs } = await layer.getxattr(ROOT, { inode, name: "glusterfs.snapshots" });
  return valueText(xattrs!.raw("glusterfs.snapshots")!)!;
}

test("a file goes back to what its snapshot was, by attributes", async (brick, layer) => {
  const inode = await brick.file("f"), fd = await brick.reopen(inode);
  const write = async (offset: number, fill: number, size: number) => {
    const data = new Uint8Array(size).fill(fill);
    await layer.writev(ROOT, { fd, offset, data, flags: 0 });
  };
  const set = async (name: string, value: string) => {
    const xattrs = Xdata.of([[name, ptr(encodeName(value))]]);
    await layer.setxattr(ROOT, { inode, xattrs, flags: 0 });
  };
  const afr = "trusted.afr.dirty", counts = "\0\0\0\u0001\0\0\0\0\0\0\0\0";
  await write(0, 1, 10_000);
  await write(3 * MIB, 2, 5000);
  await set("user.a", "old");
  await layer.setattr(ROOT, { inode, changes: { mode: 0o600, uid: 7 } });
  const content = await Deno.readFile(brick.handle(inode.gfid));
  const { stat: was } = await layer.stat(ROOT, { inode });
  await order(layer, inode, "create", "before");
  equal(await names(layer, inode), "before");

  await write(4096, 9, 4096);
  await write(MIB, 9, 100);
  await layer.ftruncate(ROOT, { fd, offset: 2 * MIB });
  await set("user.a", "new");
  await set("user.b", "new");
  await set(afr, counts);
  await layer.setattr(ROOT, { inode, changes: { mode: 0o644, uid: 0 } });
  await order(layer, inode, "create", "after");
  const later = await Deno.readFile(brick.handle(inode.gfid));

  await rejects(order(layer, inode, "goto", "before"), (error) => EBUSY.matches(error));
  await layer.release(ROOT, { fd });
  await order(layer, inode, "goto", "before");
  deepEqual(await Deno.readFile(brick.handle(inode.gfid)), content);
  const { stat: is } = await layer.stat(ROOT, { inode });
  deepEqual([is.mode, is.uid, is.mtime, is.mtimeNsec], [was.mode, 7, was.mtime, was.mtimeNsec]);
  const { xattrs } = await layer.getxattr(ROOT, { inode, name: "" });
  equal(valueText(xattrs!.raw("user.a")!), "old");
  equal(xattrs!.has("user.b"), false);
  equal(xattrs!.has(afr), true);

  // What came after is still there.
  await order(layer, inode, "goto", "after");
  deepEqual(await Deno.readFile(brick.handle(inode.gfid)), later);
  await order(layer, inode, "remove", "before");
  equal(await names(layer, inode), "after");
  await order(layer, inode, "remove", "after");
  await layer.history!.collected();
  deepEqual(layer.history!.usage(), { rows: 0, bytes: 0 });
});

test(
  "a file whose copies differed then does not go back at each by itself",
  async (brick, layer) => {
    const inode = await brick.file("f");
    const blame = async (name: string, ...counts: number[]) => {
      const bytes = new Uint8Array(12), view = new DataView(bytes.buffer);
      counts.forEach((count, at) => view.setInt32(at * 4, count));
      const xattrs = Xdata.of([[name, ptr(bytes)]]);
      await layer.setxattr(ROOT, { inode, xattrs, flags: 0 });
    };
    await blame("trusted.afr.v-client-1", 1);
    await order(layer, inode, "create", "missed");
    await blame("trusted.afr.v-client-1", 0, 1);
    await blame("trusted.afr.dirty", 1);
    await order(layer, inode, "create", "alike");
    await rejects(order(layer, inode, "goto", "missed"), (error) => EUCLEAN.matches(error));
    await order(layer, inode, "goto", "alike");
    const { id: snapshot } = layer.history!.readers.list().find(({ name }) => name === "missed")!;
    const { gfid } = await brick.file("clone"), id = crypto.randomUUID();
    const clone = layer.histories.cloneFile({ id, snapshot, source: inode.gfid, gfid });
    await rejects(clone, (error) => EUCLEAN.matches(error));
  },
);

test("only what changed is written when a file goes back", async (brick, layer) => {
  const inode = await brick.file("f"), fd = await brick.reopen(inode, O_RDWR);
  await layer.writev(ROOT, { fd, offset: 0, data: new Uint8Array(MIB).fill(1), flags: 0 });
  await order(layer, inode, "create", "s");
  await layer.writev(ROOT, { fd, offset: 8192, data: new Uint8Array(10).fill(2), flags: 0 });
  await layer.release(ROOT, { fd });
  let bytes = 0;
  const { writev } = brick.top;
  brick.top.writev = (call, args) => {
    bytes += args.data.length;
    return writev.call(brick.top, call, args);
  };
  await order(layer, inode, "goto", "s");
  equal(bytes, 4096);
  await order(layer, inode, "remove", "s");
});

test("snapshots by attributes that cannot be are refused by name", async (brick, layer) => {
  const inode = await brick.file("f"), directory = await brick.mkdir("d");
  const refused = (what: string, name: string, with_: typeof ENOENT, of = inode) =>
    rejects(order(layer, of, what, name), (error) => with_.matches(error));
  await order(layer, inode, "create", "s");
  await refused("create", "s", EEXIST);
  await refused("goto", "other", ENOENT);
  await refused("remove", "other", ENOENT);
  await refused("create", "", EINVAL);
  await refused("create", "../s", EINVAL);
  await refused("create", "x".repeat(256), EINVAL);
  await refused("create", "s", EINVAL, directory);
  equal(await names(layer, inode), "s");
});
