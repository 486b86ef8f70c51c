import {
  deepStrictEqual as deepEqual,
  notStrictEqual as notEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { realClock } from "core/env.ts";
import { EBADF, EINVAL, ENOSPC, ENXIO } from "core/errno.ts";
import { O_APPEND, O_DIRECT, O_RDWR, O_SYNC } from "core/fops.ts";
import { Fd } from "core/inode.ts";
import { pool, sys } from "core/sys/calls.ts";
import { Events, newEpoll } from "core/sys/epoll.ts";
import { turns } from "core/sys/turns.ts";
import { calling } from "tests/fakes/calling.ts";
import { internal, IS_ROOT, run, TestBrick } from "tests/fakes/posix_brick.ts";
import { weakChecksum } from "core/lib/block_sums.ts";

const ignore = !IS_ROOT;

function pattern(size: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, i) => 1 + (i * 7 + (i >> 8)) % 255);
}

/** A file of so many bytes, open. */
async function filled(brick: TestBrick, size: number) {
  const { fd } = await brick.create("f");
  const data = pattern(size);
  await brick.write(fd, data);
  return { fd, data };
}

Deno.test({
  name: "storage/posix: cached data is read into the caller's buffer, wherever in it",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd, data } = await filled(brick, 100_000);
    const pool = new Uint8Array(1 << 20);
    const into = pool.subarray(123, 123 + 4096);
    const reply = await brick.top.readv(ROOT, { fd, offset: 50_001, size: 4096, flags: 0, into });
    equal(reply.data, into);
    deepEqual(into, data.subarray(50_001, 54_097));
    equal(pool[122], 0);
    equal(pool[123 + 4096], 0);
    equal(reply.eof, false);
    const end = await brick.top.readv(ROOT, { fd, offset: 99_000, size: 4096, flags: 0, into });
    equal(end.data.length, 1000);
    equal(end.eof, true);
    await brick.top.release(ROOT, { fd });
  },
});

Deno.test({
  name: "storage/posix: data that is not cached is read all the same",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd, data } = await filled(brick, 1 << 20);
    await brick.top.fsync(ROOT, { fd, dataOnly: false });
    await run(
      "dd",
      `of=${brick.path}/f`,
      "oflag=nocache",
      "conv=notrunc,fdatasync",
      "count=0",
      "status=none",
    );
    const { data: back } = await brick.top.readv(ROOT, { fd, offset: 0, size: 1 << 20, flags: 0 });
    deepEqual(back, data);
    await brick.top.release(ROOT, { fd });
  },
});

Deno.test({
  name:
    "storage/posix: data that is not cached is read in place, and by another thread after others came",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd, data } = await filled(brick, 100_000);
    let cached = -11;
    using _ = calling({ preadv2: () => cached });
    const pooled = async (held: boolean) => {
      turns.held = held;
      turns.crowded = 0;
      const before = pool.calls;
      const args = { fd, offset: 50_001, size: 49_000, flags: 0, into: new Uint8Array(50_000) };
      const reply = await brick.top.readv(ROOT, args);
      // What the page cache had is not read again.
      const known = Math.max(cached, 0);
      deepEqual(reply.data.subarray(known), data.subarray(50_001 + known, 99_001));
      equal(reply.eof, false);
      return pool.calls - before;
    };
    for (cached of [-11, 1, 4096, 48_999]) {
      equal(await pooled(false), 0);
      equal(await pooled(true), 1);
    }
    // Nothing is where the file ends.
    const end = { fd, offset: 99_000, size: 4096, flags: 0 };
    cached = -11;
    for (const held of [false, true]) {
      turns.held = held;
      const { data: last, eof } = await brick.top.readv(ROOT, end);
      deepEqual(last, data.subarray(99_000));
      equal(eof, true);
    }
    await brick.top.release(ROOT, { fd });
  },
});

Deno.test({
  name: "storage/posix: an fd with O_DIRECT takes aligned and unaligned requests",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd } = await brick.create("f", { flags: O_RDWR | O_DIRECT });
    const data = pattern(3 << 20);
    await brick.write(fd, data);
    await brick.write(fd, "unaligned", 4097);
    data.set(new TextEncoder().encode("unaligned"), 4097);
    const whole = await brick.top.readv(ROOT, { fd, offset: 0, size: 3 << 20, flags: 0 });
    deepEqual(whole.data, data);
    const part = await brick.top.readv(ROOT, { fd, offset: 4000, size: 1000, flags: 0 });
    deepEqual(part.data, data.subarray(4000, 5000));
    const end = await brick.top.readv(ROOT, { fd, offset: 3 << 20, size: 4096, flags: 0 });
    equal(end.data.length, 0);
    equal(end.eof, true);
    await brick.top.release(ROOT, { fd });
  },
});

Deno.test({
  name: "storage/posix: writes with O_APPEND go to the end, writes with O_SYNC are answered",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd, inode } = await brick.create("f");
    await brick.write(fd, "12345");
    const append = await brick.reopen(inode, O_RDWR | O_APPEND);
    await brick.write(append, "678", 0);
    const sync = await brick.reopen(inode, O_RDWR | O_SYNC);
    await brick.write(sync, "S", 0);
    equal(await brick.read(fd), "S2345678");
    for (const each of [fd, append, sync]) await brick.top.release(ROOT, { fd: each });
  },
});

Deno.test({
  name: "storage/posix: an fd released while its fsync is under way does not disturb it",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd, inode } = await brick.create("f");
    await brick.write(fd, pattern(1 << 20));
    const synced = brick.top.fsync(ROOT, { fd, dataOnly: false });
    await brick.top.release(ROOT, { fd });
    await rejects(brick.read(fd), (error) => EBADF.matches(error));
    // A number that was closed would be taken by the next file that is opened.
    const next = await brick.reopen(inode);
    notEqual(next.sysfd, fd.sysfd);
    equal((await synced).post?.size, 1 << 20);
    await brick.top.release(ROOT, { fd: next });
  },
});

Deno.test({
  name: "storage/posix: an anonymous fd is open for one fop",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const inode = await brick.file("f", "hello");
    const fd = new Fd(inode, 0, true);
    await brick.top.writev(ROOT, { fd, data: new TextEncoder().encode("J"), offset: 0, flags: 0 });
    const { data } = await brick.top.readv(ROOT, { fd, offset: 0, size: 10, flags: 0 });
    equal(new TextDecoder().decode(data), "Jello");
    await brick.top.fsync(ROOT, { fd, dataOnly: true });
    equal((await brick.top.fstat(ROOT, { fd })).stat.size, 5);
    equal((brick.top.state() as { openFiles: number }).openFiles, 0);
  },
});

Deno.test({
  name: "storage/posix: another brick's fd, and one that was closed, are EBADF",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    await using other = await TestBrick.start();
    const { fd } = await brick.create("f");
    await rejects(other.read(fd), (error) => EBADF.matches(error));
    await brick.top.release(ROOT, { fd });
    for (const fop of [brick.read(fd), brick.top.release(ROOT, { fd })]) {
      await rejects(fop, (error) => EBADF.matches(error));
    }
    const { fd: dir } = await brick.top.opendir(ROOT, { inode: brick.root });
    await rejects(
      brick.top.readv(ROOT, { fd: dir, offset: 0, size: 1, flags: 0 }),
      (error) => EBADF.matches(error),
    );
    await brick.top.releasedir(ROOT, { fd: dir });
  },
});

Deno.test({
  name: "storage/posix: the last name of a large file goes at once, its blocks later",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd, gfid } = await brick.create("large");
    await brick.top.fallocate(ROOT, { fd, mode: 0, offset: 0, size: 100 << 20 });
    await brick.top.release(ROOT, { fd });
    await brick.top.unlink(ROOT, { parent: brick.root, name: "large", flags: 0 });
    await rejects(Deno.lstat(brick.handle(gfid)));
    await rejects(Deno.lstat(`${brick.path}/large`));
    while ([...Deno.readDirSync(`${brick.path}/.glusterfs/landfill`)].length) {
      await realClock.delay(5);
    }
  },
});

Deno.test({
  name: "storage/posix: holes are found, punched and zeroed",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd } = await brick.create("f");
    await brick.write(fd, pattern(64 << 10), 64 << 10);
    const seek = async (what: "data" | "hole", offset: number) =>
      (await brick.top.seek(ROOT, { fd, offset, what })).offset;
    equal(await seek("data", 0), 64 << 10);
    equal(await seek("hole", 64 << 10), 128 << 10);
    await brick.top.discard(ROOT, { fd, offset: 64 << 10, size: 32 << 10 });
    equal(await seek("data", 0), 96 << 10);
    await brick.top.zerofill(ROOT, { fd, offset: 96 << 10, size: 64 << 10 });
    const { data } = await brick.top.readv(ROOT, {
      fd,
      offset: 96 << 10,
      size: 64 << 10,
      flags: 0,
    });
    ok(data.length === 64 << 10 && data.every((byte) => byte === 0));
    await rejects(seek("data", 1 << 30), (error) => ENXIO.matches(error));
    await brick.top.release(ROOT, { fd });
  },
});

Deno.test({
  name: "storage/posix: only daemons use the reserve",
  ignore,
  async fn() {
    await using brick = await TestBrick.start({ reserve: "100" });
    const heal = internal(-6);
    const { fd } = await brick.create("f", { call: heal });
    const write = { fd, data: pattern(10), offset: 0, flags: 0 };
    await rejects(brick.top.writev(ROOT, write), (error) => ENOSPC.matches(error));
    await rejects(brick.create("g"), (error) => ENOSPC.matches(error));
    await brick.top.writev(heal, write);
    equal((await brick.top.statfs(ROOT, { inode: brick.root })).statfs.bavail, 0);
    await brick.top.unlink(ROOT, { parent: brick.root, name: "f", flags: 0 });
    await brick.top.release(ROOT, { fd });
  },
});

Deno.test({
  name: "storage/posix: checksums are what healers of GlusterFS compare",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd } = await brick.create("f");
    await brick.write(fd, "Wikipedia");
    const { weak, strong } = await brick.top.rchecksum(ROOT, { fd, offset: 0, size: 4096 });
    // Adler-32 of it is 0x11e60398; from 0 instead of 1 each half is less by what the 1 adds.
    equal(weak, ((0x11e6 - 9) << 16) | 0x0397);
    const sum = await run("sha256sum", `${brick.path}/f`);
    equal([...strong].map((byte) => byte.toString(16).padStart(2, "0")).join(""), sum.slice(0, 64));
    equal(weakChecksum(new Uint8Array(100_000)), 0);
    await brick.top.release(ROOT, { fd });
  },
});

Deno.test({
  name: "storage/posix: ranges beyond what files have are EINVAL and change nothing",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd } = await brick.create("f");
    await brick.write(fd, "abc");
    const far = Number.MAX_SAFE_INTEGER;
    const bad = [
      brick.top.readv(ROOT, { fd, offset: far, size: 10, flags: 0 }),
      brick.top.readv(ROOT, { fd, offset: -1, size: 10, flags: 0 }),
      brick.top.readv(ROOT, { fd, offset: 0, size: 2 ** 32, flags: 0 }),
      brick.top.writev(ROOT, { fd, data: pattern(4), offset: far - 1, flags: 0 }),
      brick.top.fallocate(ROOT, { fd, mode: 0, offset: far, size: far }),
      brick.top.discard(ROOT, { fd, offset: 0, size: 0 }),
    ];
    for (const each of bad) await rejects(each, (error) => EINVAL.matches(error));
    equal((await brick.top.fstat(ROOT, { fd })).stat.size, 3);
    await brick.top.release(ROOT, { fd });
  },
});

Deno.test({
  name: "storage/posix: fallocate refuses modes that move data",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd } = await brick.create("f");
    for (const mode of [8, 32, 1 << 20]) {
      await rejects(
        brick.top.fallocate(ROOT, { fd, mode, offset: 0, size: 4096 }),
        (error) => (error as { code: string }).code === "EOPNOTSUPP",
      );
    }
    await brick.top.release(ROOT, { fd });
  },
});

Deno.test({
  name: "storage/posix: a range of a file is copied into another",
  ignore,
  async fn() {
    await using brick = await TestBrick.start();
    const { fd: source } = await brick.create("a"), { fd } = await brick.create("b");
    await brick.write(source, "0123456789");
    await brick.write(fd, "__________");
    const args = { source, sourceOffset: 2, fd, offset: 5, size: 3, flags: 0 };
    equal((await brick.top.copyFileRange(ROOT, args)).size, 3);
    equal(await brick.read(fd), "_____234__");
    for (const each of [source, fd]) await brick.top.release(ROOT, { fd: each });
  },
});

Deno.test({
  name: "storage/posix: after a write that took long the next ones are made on another thread",
  ignore,
  async fn() {
    let now = 0, naps = true;
    const epoll = newEpoll(), nobody = new Events(1);
    // Every look at the clock finds 20 ms gone, mostly asleep: so does every write.
    const monotonic = () => {
      if (naps) nobody.wait(epoll, 1);
      return now += 20;
    };
    const clock = { ...realClock, monotonic };
    await using brick = await TestBrick.start({}, undefined, { clock });
    const { fd } = await brick.create("f");
    const pooled = async (content: string, offset: number) => {
      const before = pool.calls;
      await brick.write(fd, content, offset);
      return pool.calls - before;
    };
    equal(await pooled("first", 0), 0);
    equal(await pooled("second", 5), 1);
    now += 1000;
    equal(await pooled("!", 11), 0);
    equal(await pooled("?", 12), 1);
    equal(await brick.read(fd), "firstsecond!?");
    // Others had the processor: another thread would not have been faster.
    naps = false;
    let quick = 0;
    for (let i = 0; i < 20; i++) {
      now += 1000;
      equal(await pooled("x", 20), 0);
      if (await pooled("y", 20) === 0) quick++;
    }
    // A few may have met a lock of the file system's.
    ok(quick >= 10);
    await brick.top.release(ROOT, { fd });
    sys.close(epoll);
  },
});
