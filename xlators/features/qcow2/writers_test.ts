import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { EBUSY, EFBIG, EROFS } from "core/errno.ts";
import { type Args, O_ACCMODE, O_RDWR, type Reply } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { Volume } from "core/volume.ts";
import { str, withKey, Xdata } from "core/xdata.ts";
import { OPEN_FD_COUNT, WRITERS_XATTR } from "core/xdata_keys.ts";
import { PassThrough, type Xlator } from "core/xlator.ts";
import { ImageTree } from "tests/fakes/image_tree.ts";
import { callFrom, node, testClient } from "tests/fakes/node.ts";
import { inFolder, QEMU, run } from "tests/fakes/qemu_images.ts";
import { locks } from "xlators/features/locks/locks.ts";

const MIB = 1 << 20;
const DISK = "/.qcow2/images/vm.qcow2/disk.raw";

function test(
  name: string,
  options: Record<string, string>,
  body: (tree: ImageTree, folder: string) => Promise<void>,
  over: (brick: Xlator) => Xlator = (brick) => brick,
): void {
  Deno.test(`features/qcow2: ${name}`, { ignore: !QEMU }, () =>
    inFolder(async (folder) => {
      await run(folder, "qemu-img", ["create", "-q", "-f", "qcow2", "vm.qcow2", "4M"]);
      const tree = new ImageTree(
        options,
        (brick) =>
          over(locks.create(
            node("locks", [brick]),
            readOptions(locks.options, new Map<string, string>()),
          )),
      );
      await tree.put(`${folder}/vm.qcow2`, "/vm.qcow2");
      await body(tree, folder);
      await tree.top.stop!();
    }));
}

test(
  "a disk is written, read meanwhile, and QEMU finds it sound",
  { write: "on" },
  async (tree, folder) => {
    const disk = await tree.volume.open(DISK, { read: true, write: true });
    await disk.write(MIB, new Uint8Array(100_000).fill(5));
    // Not flushed yet, and seen by all the same.
    deepEqual((await tree.volume.readFile(DISK)).subarray(MIB - 1, MIB + 1), Uint8Array.of(0, 5));
    equal(await disk.seek(0, "data"), MIB);
    await disk.discard(MIB, 65536);
    equal(await disk.seek(0, "data"), MIB + 65536);
    await rejects(disk.write(4 * MIB - 1, new Uint8Array(2)), (error) => EFBIG.matches(error));
    await disk.sync();
    await disk.close();
    equal((tree.top.state!() as { writing: number }).writing, 0);
    await Deno.writeFile(`${folder}/after.qcow2`, await tree.below.readFile("/vm.qcow2"));
    await run(folder, "qemu-img", ["check", "-q", "after.qcow2"]);
    await run(folder, "qemu-img", ["convert", "-O", "raw", "after.qcow2", "after"]);
    deepEqual(await Deno.readFile(`${folder}/after`), await tree.volume.readFile(DISK));
  },
);

test(
  "a disk that somebody has open is not written, and the log names him",
  { write: "on" },
  async (tree) => {
    const client = testClient(
      "CTX_ID:1-GRAPH_ID:0-PID:12-HOST:kvm1-PC_NAME:v-client-0-RECON_NO:-0",
    );
    const { top: _, ...rest } = { top: tree.top, inodes: tree.inodes, env: tree.env };
    const theirs = new Volume({ ...rest, top: tree.brick, call: callFrom(client) });
    const guest = await theirs.open("/vm.qcow2", { read: true, write: true });
    await guest.lock("read", { start: 101n, size: 1n });
    await rejects(tree.volume.open(DISK, { write: true }), (error) => EBUSY.matches(error));
    ok(tree.log.lines.some((line) => line.includes("kvm1")), tree.log.lines.join("\n"));
    await guest.close();
    const disk = await tree.volume.open(DISK, { write: true });
    // Now it is the others who have to wait.
    equal(
      (await theirs.using(
        "/vm.qcow2",
        {},
        (file) => file.blocker("write", { start: 101n, size: 1n }),
      ))?.type,
      "read",
    );
    await disk.close();
  },
);

/** A brick that says what ours does of who has files open, or only counts, as GlusterFS's. */
class Opened extends PassThrough {
  readonly #open = new Map<Fd, Call>();
  names = true;

  override async open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    const reply = await this.child.open(call, args);
    this.#open.set(reply.fd, call);
    return reply;
  }

  override release(call: Call, args: Args<"release">): Promise<Reply<"release">> {
    this.#open.delete(args.fd);
    return this.child.release(call, args);
  }

  override async fstat(call: Call, args: Args<"fstat">): Promise<Reply<"fstat">> {
    const reply = await this.child.fstat(call, args);
    const count = [...this.#open.keys()].filter(({ inode }) => inode === args.fd.inode).length;
    return args.xdata?.has(OPEN_FD_COUNT)
      ? { ...reply, xdata: withKey(reply.xdata, OPEN_FD_COUNT, count) }
      : reply;
  }

  override fgetxattr(call: Call, args: Args<"fgetxattr">): Promise<Reply<"fgetxattr">> {
    if (args.name !== WRITERS_XATTR || !this.names) return this.child.fgetxattr(call, args);
    const others = [...this.#open].filter(([fd]) => fd !== args.fd && fd.flags & O_ACCMODE);
    const lines = others.map(([, { pid, client }]) => `${pid} ${client.id}`);
    return Promise.resolve({ xattrs: Xdata.of([[WRITERS_XATTR, str(lines.join("\n"))]]) });
  }
}

for (const names of [true, false]) {
  const who = names ? "process 4711 on kvm2" : "another client";
  test(
    `a disk that ${who} has open without locks is not written until it is closed`,
    { write: "on" },
    async (tree) => {
      const opened = tree.brick as Opened;
      opened.names = names;
      const client = testClient("CTX_ID:1-PID:12-HOST:kvm2-PC_NAME:v-client-0-RECON_NO:-0");
      const guest = { ...callFrom(client), pid: 4711 };
      const { inode } = await tree.below.lookup("/vm.qcow2");
      const { fd } = await opened.open(guest, { inode, flags: O_RDWR });
      // Open for that, too, and not in the way.
      await tree.volume.readFile(DISK);
      await rejects(tree.volume.open(DISK, { write: true }), (error) => EBUSY.matches(error));
      ok(tree.log.lines.some((line) => line.includes(who)), tree.log.lines.join("\n"));
      await tree.volume.readFile(DISK);
      await opened.release(guest, { fd });
      const disk = await tree.volume.open(DISK, { write: true });
      await disk.close();
    },
    (brick) => new Opened(node("opened", [brick])),
  );
}

test("without the option nothing is written; snapshots never are", {}, async (tree) => {
  await rejects(tree.volume.open(DISK, { write: true }), (error) => EROFS.matches(error));
  await rejects(
    tree.top.access(ROOT, {
      inode: (await tree.volume.lookup(DISK)).inode,
      mask: 2,
    }),
    (error) => EROFS.matches(error),
  );
  equal((await tree.volume.stat(DISK)).mode & 0o222, 0);
});
