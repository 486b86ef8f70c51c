import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { PID_NO_ROOT_SQUASH, PID_SELF_HEAL, ROOT } from "core/call.ts";
import { realClock } from "core/env.ts";
import { E2BIG, EACCES, ENODATA, EOPNOTSUPP, EPERM } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import type { Fd, Inode } from "core/inode.ts";
import { fromHex, toHex } from "core/lib/bytes.ts";
import { ptr, valueText, withKey, Xdata } from "core/xdata.ts";
import {
  CONTENT,
  CONTENT_LIMIT,
  GFID_REQ,
  LIST_XATTR,
  OPEN_FD_COUNT,
  SET_CTIME_MDATA,
  WRITERS_XATTR,
  XATTR_POSTSTAT,
} from "core/xdata_keys.ts";
import { pack, parseMdata } from "xlators/storage/posix/mdata.ts";
import { callFrom, testClient } from "tests/fakes/node.ts";
import { gfidReq, internal, IS_ROOT, run, TestBrick } from "tests/fakes/posix_brick.ts";
import { combine } from "xlators/storage/posix/xattrop.ts";
import { namePattern } from "core/lib/name_pattern.ts";

const ignore = !IS_ROOT;
const utf8 = (text: string) => new TextEncoder().encode(text);

function pairs(values: Record<string, string | Uint8Array>): Xdata {
  return Xdata.of(
    Object.entries(values).map(([name, value]) => [
      name,
      ptr(typeof value === "string" ? utf8(value) : value),
    ]),
  );
}

async function names(brick: TestBrick, inode: Inode, call = ROOT): Promise<string[]> {
  const { xattrs } = await brick.top.getxattr(call, { inode, name: "" });
  return [...xattrs?.names() ?? []].sort();
}

async function text(brick: TestBrick, inode: Inode, name: string): Promise<unknown> {
  return (await brick.top.getxattr(ROOT, { inode, name })).xattrs?.raw(name)?.value;
}

Deno.test({
  name:
    "storage/posix: a brick's own attributes are neither listed, nor read, nor changed by clients",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const inode = await brick.file("f");
    const value = pairs({ "user.a": "1", "trusted.b": "2" });
    await brick.top.setxattr(ROOT, { inode, xattrs: value, flags: 0 });
    deepEqual(await names(brick, inode), ["trusted.b", "user.a"]);
    const hidden = [
      "trusted.gfid",
      "trusted.glusterfs.mdata",
      "trusted.gfid2path.0000000000000000",
    ];
    for (const name of hidden) {
      await rejects(brick.top.getxattr(ROOT, { inode, name }), (error) => ENODATA.matches(error));
    }
    for (const name of ["trusted.gfid", "trusted.glusterfs.volume-id"]) {
      await rejects(
        brick.top.setxattr(ROOT, { inode, xattrs: pairs({ name, [name]: "x" }), flags: 0 }),
        (error) => EPERM.matches(error),
      );
      await rejects(
        brick.top.removexattr(internal(-6), { inode, name }),
        (error) => EPERM.matches(error),
      );
    }
    const refused: [string, typeof EPERM][] = [
      ["trusted.gfid2path.1", EOPNOTSUPP],
      ["glusterfs.pathinfo", EACCES],
      ["nonsense.x", EOPNOTSUPP],
    ];
    for (const [name, failure] of refused) {
      const fop = brick.top.setxattr(ROOT, { inode, xattrs: pairs({ [name]: "x" }), flags: 0 });
      await rejects(fop, (error) => failure.matches(error), name);
    }
    const big = pairs({ "user.ok": "1", "user.big": new Uint8Array(65537) });
    await rejects(
      brick.top.setxattr(ROOT, { inode, xattrs: big, flags: 0 }),
      (error) => E2BIG.matches(error),
    );
    deepEqual(await names(brick, inode), ["trusted.b", "user.a"]);
  },
});

Deno.test({
  name: "storage/posix: setxattr tells the attributes before and after, of nothing too",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const inode = await brick.file("f");
    const { xdata } = await brick.top.setxattr(ROOT, { inode, xattrs: undefined, flags: 0 });
    equal(xdata?.get(XATTR_POSTSTAT)?.gfid, inode.gfid);
  },
});

Deno.test({
  name: "storage/posix: attributes of symbolic links and special files are their own",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const file = await brick.file("f");
    const make = { parent: brick.root, umask: 0 };
    const link = await brick.top.symlink(ROOT, {
      ...make,
      name: "l",
      target: "f",
      xdata: gfidReq(),
    });
    const fifo = await brick.top.mknod(ROOT, {
      ...make,
      name: "p",
      mode: 0o010644,
      rdev: 0,
      xdata: gfidReq(),
    });
    for (const { stat } of [link, fifo]) {
      const inode = brick.inodes.of(stat.gfid);
      await brick.top.setxattr(ROOT, { inode, xattrs: pairs({ "trusted.x": "own" }), flags: 0 });
      deepEqual(await names(brick, inode), ["trusted.x"]);
    }
    deepEqual(await names(brick, file), []);
  },
});

Deno.test({
  name: "storage/posix: lookup answers what is asked for: attributes by pattern, counts, content",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const inode = await brick.file("f", "content");
    const values = pairs({
      "trusted.afr.v-client-0": "a",
      "trusted.afr.dirty": "b",
      "user.c": "c",
    });
    await brick.top.setxattr(ROOT, { inode, xattrs: values, flags: 0 });
    const fd = await brick.reopen(inode);
    const asked = pairs({ "trusted.afr.*": "", "user.none": "" }).with(OPEN_FD_COUNT, 1)
      .with(CONTENT_LIMIT, 64).with(GFID_REQ, inode.gfid);
    const args = { parent: brick.root, name: "f" };
    const { xdata } = await brick.top.lookup(ROOT, { ...args, xdata: asked });
    deepEqual([...xdata!.names()].sort(), [
      CONTENT.name,
      OPEN_FD_COUNT.name,
      "trusted.afr.dirty",
      "trusted.afr.v-client-0",
    ]);
    equal(xdata!.get(OPEN_FD_COUNT), 1);
    deepEqual(xdata!.get(CONTENT), utf8("content"));
    // By another name, and as long as it is now.
    await brick.top.link(ROOT, { inode, parent: brick.root, name: "g" });
    await brick.top.truncate(ROOT, { inode, offset: 3 });
    const other = await brick.top.lookup(ROOT, { ...args, name: "g", xdata: asked });
    deepEqual(other.xdata!.get(CONTENT), utf8("con"));
    const list = withKey(undefined, LIST_XATTR, true);
    const all = await brick.top.lookup(ROOT, { ...args, xdata: list });
    deepEqual([...all.xdata!.names()].sort(), [
      "trusted.afr.dirty",
      "trusted.afr.v-client-0",
      "user.c",
    ]);
    await brick.top.release(ROOT, { fd });
  },
});

Deno.test({
  name: "storage/posix: virtual attributes say where a file is and what its names are",
  ignore,
  async fn() {
    await using brick = await TestBrick.start({
      hostname: "host",
      "glusterd-uuid": "4f7a9f3e-0000-4000-8000-000000000001",
    });
    const dir = await brick.mkdir("Dir"), file = await brick.file("File", "", dir);
    await brick.top.link(ROOT, { inode: file, parent: brick.root, name: "second" });
    equal(
      await text(brick, dir, "trusted.glusterfs.pathinfo"),
      `<POSIX(${brick.path}):host:${brick.path}/Dir>`,
    );
    const paths = String(await text(brick, file, "glusterfs.gfidtopath")).split(":").sort();
    deepEqual(paths, ["/Dir/File", "/second"]);
    ok(paths.includes(String(await text(brick, file, "glusterfs.gfid2path"))));
    equal(await text(brick, dir, "glusterfs.gfidtopath"), "/Dir");
    equal(await text(brick, dir, "glusterfs.gfid2path"), "/Dir");
    equal(await text(brick, brick.root, "glusterfs.ancestry.path"), "/");
    equal(await text(brick, dir, "glusterfs.get_real_filename:file"), "File");
    await rejects(
      text(brick, dir, "glusterfs.get_real_filename:none"),
      (error) => ENODATA.matches(error),
    );
    equal(
      await text(brick, brick.root, "trusted.glusterfs.node-uuid"),
      "4f7a9f3e-0000-4000-8000-000000000001",
    );
    // A name that a crash left in the attributes only is not told.
    await Deno.remove(`${brick.path}/second`);
    equal(await text(brick, file, "glusterfs.gfidtopath"), "/Dir/File");
  },
});

Deno.test({
  name: "storage/posix: who has a file open for writing is told, but for who asks and healers",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const of = (id: string, pid: number) => ({ ...callFrom(testClient(id)), pid });
    const { inode, fd } = await brick.create("f", { call: of("CTX_ID:1\n5 c", 31) });
    const guest = of("guest", 7), flags = O_RDWR;
    const { fd: theirs } = await brick.top.open(guest, { inode, flags });
    await brick.top.open(guest, { inode, flags });
    await brick.top.open(of("reader", 8), { inode, flags: 0 });
    await brick.top.open(of("healer", PID_SELF_HEAL), { inode, flags });
    equal(await text(brick, inode, WRITERS_XATTR), "31 CTX_ID:1?5 c\n7 guest");
    const besides = async (fd: Fd) => {
      const { xattrs } = await brick.top.fgetxattr(ROOT, { fd, name: WRITERS_XATTR });
      return valueText(xattrs!.raw(WRITERS_XATTR)!);
    };
    equal(await besides(fd), "7 guest");
    // Twice open, and once asked about.
    equal(await besides(theirs), "31 CTX_ID:1?5 c\n7 guest");
    await brick.top.release(ROOT, { fd });
    equal(await text(brick, inode, WRITERS_XATTR), "7 guest");
    const xattrs = pairs({ [WRITERS_XATTR]: "1 nobody" });
    await rejects(
      brick.top.setxattr(ROOT, { inode, xattrs, flags: 0 }),
      (error) => EACCES.matches(error),
    );
    // As programs are through a mount that root is not squashed on.
    const { fd: odd } = await brick.top.open(of("odd", PID_NO_ROOT_SQUASH), { inode, flags });
    equal(await text(brick, inode, WRITERS_XATTR), "7 guest\n0 odd");
    await brick.top.release(ROOT, { fd: odd });
    for (let pid = 100; pid < 200; pid++) await brick.top.open(of("many", pid), { inode, flags });
    equal(String(await text(brick, inode, WRITERS_XATTR)).split("\n").length, 64);
  },
});

Deno.test("storage/posix: xattrop adds big-endian numbers that wrap, and begins with defaults", () => {
  const value = Uint8Array.of(0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff);
  combine("add32", value, Uint8Array.of(0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 2));
  deepEqual(value, Uint8Array.of(0, 0, 0, 3, 0, 0, 0, 1));
  const long = new Uint8Array(8);
  combine("add64-default", long, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7));
  deepEqual(long, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 9));
  combine("add64-default", long, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7));
  deepEqual(long, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 11));
});

Deno.test("storage/posix: patterns of names are those of fnmatch", () => {
  ok(namePattern("trusted.afr.*").test("trusted.afr.v-client-0"));
  ok(!namePattern("trusted.afr.*").test("user.trusted.afr.x"));
  ok(namePattern("a?c").test("abc"));
  ok(namePattern("[!x]y[0-9]").test("ay5"));
  ok(!namePattern("[!x]y[0-9]").test("xy5"));
  ok(!namePattern("a.c").test("abc"));
  ok(namePattern("*.glusterfs.*.xtime").test("trusted.glusterfs.a.b.xtime"));
  ok(namePattern("a[b").test("a[b"));
  ok(namePattern("[]]").test("]"));
  ok(namePattern("**").test(""));
  // Sixty stars: time for it is bounded.
  ok(!namePattern("*a".repeat(60) + "b").test("a".repeat(255)));
});

// Times that clients tell.

Deno.test("storage/posix: the times' attribute has the bytes that GlusterFS writes", () => {
  // On a brick of glusterfsd 10.3, client graph with features/utime: `echo x > f`, then
  // `touch -d 1960-01-01T00:00:00Z f`, each followed by `getfattr -n trusted.glusterfs.mdata -e hex`.
  const made = "010000000000000000000000006b02dcd90000000024381d89" +
    "000000006b02dcd90000000024381d89000000006b02dcd900000000241ca517";
  const written = { sec: 0x6b02dcd9, nsec: 0x24381d89 };
  const times = { ctime: written, mtime: written, atime: { sec: 0x6b02dcd9, nsec: 0x241ca517 } };
  deepEqual(parseMdata(fromHex(made)), times);
  equal(toHex(pack(times)), made);
  const touched = "010000000000000000000000006b02dcd90000000025b271e7" +
    "ffffffffed3008800000000000000000ffffffffed3008800000000000000000";
  const long = { sec: Date.UTC(1960, 0, 1) / 1000, nsec: 0 };
  deepEqual(parseMdata(fromHex(touched))?.mtime, long);
  equal(toHex(pack({ ...parseMdata(fromHex(touched))!, mtime: long })), touched);
});

Deno.test({
  name:
    "storage/posix: times of clients are kept, only grow, and are reported instead of the disk's",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const at = (sec: number) => ({ ...ROOT, ctime: { sec, nsec: 1 } });
    const { fd, inode } = await brick.create("f", { call: at(1000) });
    const times = async () => {
      const { stat } = await brick.top.stat(ROOT, { inode });
      return [stat.atime, stat.mtime, stat.ctime];
    };
    deepEqual(await times(), [1000, 1000, 1000]);
    const data = utf8("x");
    await brick.top.writev(at(2000), { fd, data, offset: 0, flags: 0 });
    await brick.top.writev(at(1500), { fd, data, offset: 0, flags: 0 });
    deepEqual(await times(), [1000, 2000, 2000]);
    await brick.top.setattr(at(2500), { inode, changes: { mtime: { sec: 5, nsec: 0 } } });
    deepEqual(await times(), [1000, 5, 2500]);
    await brick.top.release(ROOT, { fd });
    await brick.restart();
    deepEqual(await times(), [1000, 5, 2500]);
    equal((await brick.top.lookup(ROOT, { parent: brick.root, name: "f" })).stat.mtime, 5);
    deepEqual(await names(brick, inode), []);
    deepEqual(await names(brick, inode, internal(-6)), ["trusted.glusterfs.mdata"]);
  },
});

Deno.test({
  name: "storage/posix: a file from before gets its times by set-ctime-mdata, and not by utimes",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const inode = await brick.file("f");
    const changes = { mtime: { sec: 77, nsec: 0 } };
    await brick.top.setattr({ ...ROOT, ctime: undefined }, { inode, changes });
    equal((await brick.top.stat(ROOT, { inode })).stat.mtime, 77);
    const time = { sec: 500, nsec: 0 };
    const given = withKey(undefined, SET_CTIME_MDATA, { atime: time, mtime: time, ctime: time });
    await brick.top.setxattr(ROOT, { inode, xattrs: given, flags: 0 });
    equal((await brick.top.stat(ROOT, { inode })).stat.mtime, 500);
  },
});

// The disk.

Deno.test({
  name: "storage/posix: a brick whose disk refuses writes says so once",
  ignore,
  async fn() {
    await using brick = await TestBrick.start({ "health-check-interval": "10ms" });
    const state = () => brick.top.state() as { lastHealthCheckMs: number | null };
    while (state().lastHealthCheckMs === null) await realClock.delay(5);
    await brick.top.stop();
    await Deno.remove(`${brick.path}/.glusterfs/health_check`);
    await Deno.mkdir(`${brick.path}/.glusterfs/health_check`);
    await brick.open();
    const heard: string[] = [];
    brick.top.listen((event) => heard.push(event.type));
    while (heard.length === 0) await realClock.delay(5);
    await realClock.delay(30);
    deepEqual(heard, ["failing"]);
    const lines = brick.log.lines.filter((line) => line.includes("health check failed"));
    equal(lines.length, 1);
  },
});

Deno.test({
  name: "storage/posix: a directory of 3,000 names is listed whole and in turns",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const dir = await brick.mkdir("d");
    const script = 'cd "$0" && seq -f name-%05.0f 1 3000 | xargs touch';
    await run("sh", "-c", script, `${brick.path}/d`);
    const { fd } = await brick.top.opendir(ROOT, { inode: dir });
    const seen = new Set<string>();
    let offset = 0n;
    for (let eof = false; !eof;) {
      const reply = await brick.top.readdir(ROOT, { fd, offset, size: 131072 });
      ok(reply.entries.length <= 256, "few enough that others hardly wait");
      for (const entry of reply.entries) {
        ok(!seen.has(entry.name), entry.name);
        seen.add(entry.name);
        offset = entry.offset;
      }
      eof = reply.eof;
    }
    equal(seen.size, 3002);
    await brick.top.releasedir(ROOT, { fd });
  },
});

Deno.test({
  name: "storage/posix: on a disk that is slow to tell attributes a listing comes in small answers",
  ignore,
  async fn() {
    let now = 0;
    const clock = { ...realClock, monotonic: () => now += 5 };
    await using brick = await TestBrick.start({}, undefined, { clock });
    const dir = await brick.mkdir("d");
    await run("sh", "-c", 'cd "$0" && seq 1 100 | xargs touch', `${brick.path}/d`);
    const { fd } = await brick.top.opendir(ROOT, { inode: dir });
    const seen = new Set<string>();
    let offset = 0n, answers = 0;
    for (let eof = false; !eof; answers++) {
      const reply = await brick.top.readdir(ROOT, { fd, offset, size: 131072 });
      for (const entry of reply.entries) seen.add(entry.name);
      offset = reply.entries.at(-1)?.offset ?? offset;
      eof = reply.eof;
    }
    equal(seen.size, 102);
    ok(answers >= 6, `${answers} answers`);
    await brick.top.releasedir(ROOT, { fd });
  },
});
