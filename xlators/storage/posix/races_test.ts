/** What others do between the steps of a fop, and requests that would have the brick harm itself. */

import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { realClock } from "core/env.ts";
import { E2BIG, EEXIST, ENOENT, EPERM, ESTALE } from "core/errno.ts";
import { O_APPEND, O_CREAT, O_RDWR } from "core/fops.ts";
import type { Gfid } from "core/inode.ts";
import { ptr, str, Xdata } from "core/xdata.ts";
import { gfidReq, IS_ROOT, run, TestBrick } from "tests/fakes/posix_brick.ts";

const ignore = !IS_ROOT;
/** More directories than a brick keeps open. */
const DIRS = 1100;

async function opens(brick: TestBrick, gfid: Gfid): Promise<void> {
  const { fd } = await brick.top.opendir(ROOT, { inode: brick.inodes.of(gfid) });
  await brick.top.releasedir(ROOT, { fd });
}

Deno.test({
  name: "storage/posix: a put that fails removes its own file, not what has its name meanwhile",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    await brick.file("precious", "kept");
    const tooLarge = Xdata.of([["user.big", ptr(new Uint8Array(70_000))]]);
    const made = brick.top.put(ROOT, {
      parent: brick.root,
      name: "f",
      mode: 0o644,
      umask: 0,
      flags: 0,
      offset: 0,
      data: new Uint8Array(1),
      xattrs: tooLarge,
      xdata: gfidReq(),
    });
    const names = { oldParent: brick.root, oldName: "precious", newParent: brick.root };
    await brick.top.rename(ROOT, { ...names, newName: "f" });
    await rejects(made, (error) => E2BIG.matches(error));
    equal(Deno.readTextFileSync(`${brick.path}/f`), "kept");
    await brick.restart();
    equal((await brick.lookup("f")).gfid, (await brick.lookup("f")).gfid);
    await brick.reopen(await brick.lookup("f")).then((fd) => brick.top.release(ROOT, { fd }));
  },
});

Deno.test({
  name: "storage/posix: fops that fail do not keep directories open beyond the limit",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const dirs = [];
    for (let i = 0; i < DIRS; i++) dirs.push(await brick.mkdir(`d${i}`));
    const open = () => (brick.top.state() as { openDirectories: number }).openDirectories;
    await brick.restart();
    for (const parent of dirs) {
      await rejects(brick.lookup("none", parent), (error) => ENOENT.matches(error));
    }
    ok(open() < DIRS, `${open()} are open`);
  },
});

Deno.test({
  name: "storage/posix: a create whose directory goes meanwhile leaves no file open",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const dir = await brick.mkdir("d");
    await brick.file("f", "x", dir);
    const making = brick.create("f", { parent: dir, flags: O_RDWR | O_CREAT });
    const gone = brick.top.rmdir(ROOT, { parent: brick.root, name: "d", flags: 1 });
    await rejects(making, (error) => ESTALE.matches(error));
    await gone;
    equal((brick.top.state() as { openFiles: number }).openFiles, 0);
  },
});

Deno.test({
  name: "storage/posix: an append that the disk cut short goes on where it stopped",
  ignore,
  async fn() {
    const disk = await Deno.makeTempDir({ prefix: "posix-small-" });
    await run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk);
    let brick: TestBrick | undefined;
    try {
      // The disk is full half way; by the time the rest is written somebody has made room.
      let full = false;
      const makeRoom = () => {
        if (full && Deno.statSync(`${disk}/f`).size > 5) {
          full = false;
          Deno.removeSync(`${disk}/filler`);
        }
        return realClock.monotonic();
      };
      const clock = { ...realClock, monotonic: makeRoom };
      brick = await TestBrick.start({ reserve: "0" }, disk, { clock });
      const { fd } = await brick.create("f", { flags: O_RDWR | O_APPEND });
      await brick.write(fd, "start");
      await run("sh", "-c", `dd if=/dev/zero of=${disk}/filler bs=64k count=48 status=none`);
      await run("sh", "-c", `dd if=/dev/zero of=${disk}/more bs=64k status=none || true`);
      await Deno.truncate(`${disk}/more`, Deno.statSync(`${disk}/more`).size - 256 * 1024);
      full = true;
      const data = Uint8Array.from({ length: 1 << 20 }, (_, i) => i % 251);
      await brick.write(fd, data, 5);
      const found = Deno.readFileSync(`${disk}/f`);
      equal(full, false, "the disk was full half way");
      equal(found.length, 5 + data.length);
      deepEqual(found.subarray(5), data);
      await brick.top.release(ROOT, { fd });
    } finally {
      await brick?.top.stop();
      await run("umount", disk);
      await Deno.remove(disk);
    }
  },
});

Deno.test({
  name: "storage/posix: no name is made of a directory's handle",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { gfid } = await brick.mkdir("d");
    const args = { parent: brick.root, name: "stolen", xdata: gfidReq(gfid) };
    await rejects(brick.top.namelink(ROOT, args), (error) => EPERM.matches(error));
    await brick.restart();
    await opens(brick, gfid);
  },
});

Deno.test({
  name: "storage/posix: no directory is made inside of itself",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const a = await brick.mkdir("a"), b = await brick.mkdir("b", a);
    for (const { gfid } of [a, b]) {
      const args = { parent: b, name: "c", mode: 0o755, umask: 0, xdata: gfidReq(gfid) };
      await rejects(brick.top.mkdir(ROOT, args), (error) => EEXIST.matches(error));
    }
    deepEqual([...Deno.readDirSync(`${brick.path}/a/b`)], []);
    await brick.restart();
    for (const { gfid } of [a, b]) await opens(brick, gfid);
  },
});

Deno.test({
  name: "storage/posix: arithmetic does not touch what a file knows of its names",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const inode = await brick.file("f");
    const xattrs = Xdata.of([["trusted.gfid2path.0123456789abcdef", ptr(new Uint8Array(40))]]);
    const asked = brick.top.xattrop(ROOT, { inode, op: "or", xattrs, xdata: undefined });
    await rejects(asked, (error) => EPERM.matches(error));
  },
});

Deno.test({
  name: "storage/posix: of the patterns that one request asks for, 64 are looked at",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const inode = await brick.file("f");
    const set = Xdata.of([["user.a", ptr(new Uint8Array(1))]]);
    await brick.top.setxattr(ROOT, { inode, xattrs: set, flags: 0 });
    const asks = async (patterns: string[]) => {
      const xdata = Xdata.of(patterns.map((each) => [each, str("")]));
      return (await brick.top.stat(ROOT, { inode, xdata })).xdata?.has("user.a") ?? false;
    };
    const others = Array.from({ length: 63 }, (_, i) => `*none${i}`);
    equal(await asks([...others, "user.*"]), true);
    equal(await asks([...others, "*last", "user.*"]), false);
    equal(await asks(["*".repeat(250) + "user.a"]), false, "longer than any name");
  },
});
