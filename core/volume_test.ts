import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import {
  EAGAIN,
  EBADF,
  EBUSY,
  EEXIST,
  EFBIG,
  EINVAL,
  EIO,
  EISDIR,
  ELOOP,
  ENAMETOOLONG,
  ENODATA,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  ENXIO,
  ESTALE,
  type FopError,
} from "core/errno.ts";
import type { Args, Reply } from "core/fops.ts";
import { isDirectory, isRegular, isSymlink } from "core/iatt.ts";
import { InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { Volume } from "core/volume.ts";
import { pattern } from "tests/conformance/place.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { locks } from "xlators/features/locks/locks.ts";

/** Counts what is under way at once, and can fail writes. */
class Busy extends MemoryBrick {
  most = 0;
  failWrites = false;
  #now = 0;
  async #counted<T>(run: () => Promise<T>): Promise<T> {
    this.most = Math.max(this.most, ++this.#now);
    // Longer than a turn, so that what is started together overlaps.
    await new Promise((done) => setImmediate(done));
    this.#now--;
    return await run();
  }
  override readv(call: Call, args: Args<"readv">): Promise<Reply<"readv">> {
    return this.#counted(() => super.readv(call, args));
  }
  override writev(call: Call, args: Args<"writev">): Promise<Reply<"writev">> {
    return this.#counted(() => this.failWrites ? Promise.reject(EIO) : super.writev(call, args));
  }
}

function make() {
  const inodes = new InodeTable();
  const brick = new Busy(node("brick", [], { inodes }));
  const volume = new Volume({ top: brick, inodes, env: testEnv(), call: ROOT });
  return { brick, volume, inodes };
}

function fails(answer: Promise<unknown>, failure: FopError): Promise<void> {
  return rejects(answer, (error) => failure.matches(error));
}

const hello = new TextEncoder().encode("hello");

async function names(volume: Volume, path: string): Promise<string[]> {
  return (await Array.fromAsync(volume.readDir(path))).map(({ name }) => name).sort();
}

Deno.test("core/volume: a file is made, written, read, and its handle closed", async () => {
  const { volume, brick } = make();
  {
    await using file = await volume.open("/f", { read: true, write: true, create: true });
    await file.write(0, hello);
    deepStrictEqual(await file.read(1, 100), hello.subarray(1));
    await file.truncate(2);
    await file.sync();
    await file.sync({ dataOnly: true });
    strictEqual((await file.stat()).size, 2);
    strictEqual(brick.openFiles, 1);
  }
  strictEqual(brick.openFiles, 0);
  strictEqual((await volume.stat("f")).size, 2);
});

Deno.test("core/volume: a closed file is EBADF, closing twice is none", async () => {
  const { volume } = make();
  const file = await volume.open("f", { write: true, create: true });
  await file.close();
  await file.close();
  await fails(file.write(0, hello), EBADF);
  await fails(file.stat(), EBADF);
});

Deno.test("core/volume: open obeys create, exclusive, truncate, append and mode", async () => {
  const { volume } = make();
  await fails(volume.open("f"), ENOENT);
  await (await volume.open("f", { exclusive: true, write: true, mode: 0o600 })).close();
  strictEqual((await volume.stat("f")).mode & 0o777, 0o600);
  await fails(volume.open("f", { exclusive: true, write: true }), EEXIST);
  await volume.writeFile("f", hello);
  {
    await using file = await volume.open("f", { append: true });
    await file.write(0, hello);
  }
  strictEqual((await volume.stat("f")).size, 10);
  await (await volume.open("f", { truncate: true })).close();
  strictEqual((await volume.stat("f")).size, 0);
  await volume.mkdir("d");
  await fails(volume.open("d"), EISDIR);
});

Deno.test("core/volume: paths resolve . and .. inside the volume", async () => {
  const { volume, inodes } = make();
  await volume.mkdir("a");
  await volume.mkdir("a/b");
  await volume.writeFile("a/b/f", hello);
  for (const path of ["a/b/f", "/a/b/f", "//a/./b//f", "a/../a/b/../b/f", "../../a/b/f"]) {
    strictEqual((await volume.stat(path)).size, 5, path);
  }
  for (const path of ["", "/", ".", "..", "a/..", "a/b/../../.."]) {
    strictEqual((await volume.lookup(path)).inode, inodes.root, path);
  }
  strictEqual((await volume.lookup("a/b/.")).inode, (await volume.lookup("a/b/")).inode);
  await fails(volume.stat("a/b/f/.."), ENOTDIR);
  await fails(volume.stat("a/none/../b"), ENOENT);
});

Deno.test("core/volume: names with NUL are EINVAL, over 255 bytes ENAMETOOLONG", async () => {
  const { volume, brick } = make();
  const before = brick.inodeCount;
  await fails(volume.writeFile("a\0b", hello), EINVAL);
  await fails(volume.mkdir("n".repeat(256)), ENAMETOOLONG);
  await fails(volume.mkdir("ü".repeat(128)), ENAMETOOLONG);
  await fails(volume.stat("a/".repeat(40_000)), ENAMETOOLONG);
  strictEqual(brick.inodeCount, before);
  await volume.mkdir("ü".repeat(127));
});

Deno.test("core/volume: symbolic links are followed, relative and absolute, also to a new file", async () => {
  const { volume } = make();
  await volume.mkdir("d/e", { parents: true });
  await volume.writeFile("d/f", hello);
  await volume.symlink("../f", "d/e/up");
  await volume.symlink("/d/e/up", "abs");
  await volume.symlink("/d/f", "d/e/abs");
  await volume.symlink("d", "dir");
  await volume.symlink("../../../../d/f", "d/above");
  for (const path of ["abs", "d/e/up", "d/e/abs", "dir/f", "dir/e/up", "d/above"]) {
    ok(isRegular(await volume.stat(path)), path);
  }
  ok(isSymlink(await volume.lstat("abs")));
  ok(isSymlink(await volume.lstat("dir")));
  strictEqual(await volume.readlink("abs"), "/d/e/up");
  await fails(volume.readlink("d"), EINVAL);
  await volume.symlink("made", "dangling");
  strictEqual(await volume.exists("dangling"), false);
  await fails(volume.stat("dangling"), ENOENT);
  await fails(volume.open("dangling", { exclusive: true, write: true }), EEXIST);
  await volume.writeFile("dangling", hello);
  strictEqual((await volume.lstat("made")).size, 5);
});

Deno.test("core/volume: 40 symbolic links are followed, a loop is ELOOP", async () => {
  const { volume } = make();
  await volume.writeFile("l0", hello);
  for (let i = 1; i <= 41; i++) await volume.symlink(`l${i - 1}`, `l${i}`);
  strictEqual((await volume.stat("l40")).size, 5);
  await fails(volume.stat("l41"), ELOOP);
  await volume.symlink("loop", "loop");
  await fails(volume.stat("loop"), ELOOP);
  await fails(volume.writeFile("loop", hello), ELOOP);
  await volume.symlink("x/", "y");
  await volume.symlink("y/", "x");
  await fails(volume.stat("x/z"), ELOOP);
});

Deno.test("core/volume: mkdir with parents makes what is missing", async () => {
  const { volume } = make();
  await volume.mkdir("a/b/c", { parents: true, mode: 0o700 });
  await volume.mkdir("a/b/c", { parents: true });
  strictEqual((await volume.stat("a/b")).mode & 0o777, 0o700);
  await fails(volume.mkdir("a/b/c"), EEXIST);
  await fails(volume.mkdir("x/y"), ENOENT);
  await volume.writeFile("f", hello);
  await fails(volume.mkdir("f/g", { parents: true }), ENOTDIR);
  await fails(volume.mkdir("f", { parents: true }), EEXIST);
  await Promise.all([1, 2, 3].map((i) => volume.mkdir(`p/q/r/${i}`, { parents: true })));
  deepStrictEqual(await names(volume, "p/q/r"), ["1", "2", "3"]);
});

Deno.test("core/volume: rmdir, unlink, rename and link change names", async () => {
  const { volume } = make();
  await volume.mkdir("d");
  await volume.writeFile("d/f", hello);
  await fails(volume.rmdir("d"), ENOTEMPTY);
  await fails(volume.unlink("d"), EISDIR);
  await fails(volume.rmdir("/"), EBUSY);
  await fails(volume.rmdir("d/."), EINVAL);
  await volume.link("d/f", "g");
  strictEqual((await volume.stat("g")).nlink, 2);
  await fails(volume.link("d/f", "g"), EEXIST);
  await volume.rename("d/f", "h");
  await volume.rename("h", "g2");
  await volume.rename("g2", "d/k");
  await volume.unlink("g");
  deepStrictEqual([await names(volume, "/"), await names(volume, "d")], [["d"], ["k"]]);
  await fails(volume.rename("none", "x"), ENOENT);
  await fails(volume.rename("d", "/"), EBUSY);
  await volume.unlink("d/k");
  await volume.rmdir("d");
  deepStrictEqual(await names(volume, "/"), []);
});

Deno.test("core/volume: a directory of 5,000 entries is listed with attributes", async () => {
  const { volume, brick } = make();
  await volume.mkdir("d");
  for (let i = 0; i < 5000; i++) await volume.symlink("t", `d/${i}`);
  const all = await Array.fromAsync(volume.readDir("d"));
  strictEqual(new Set(all.map(({ name }) => name)).size, 5000);
  ok(all.every(({ stat }) => isSymlink(stat)));
  for await (const _ of volume.readDir("d")) break;
  strictEqual(brick.openFiles, 0, "a listing that was left is not closed");
  await fails(Array.fromAsync(volume.readDir("d/0")), ENOENT);
});

Deno.test("core/volume: attributes are changed by path and by handle", async () => {
  const { volume } = make();
  await volume.writeFile("f", hello);
  await volume.symlink("f", "l");
  await volume.chmod("l", 0o600);
  await volume.chown("l", 5, undefined);
  const then = { sec: 1000, nsec: 5 };
  await volume.utimes("l", "now", then);
  const stat = await volume.stat("f");
  deepStrictEqual([stat.mode & 0o777, stat.uid, stat.mtime, stat.mtimeNsec], [0o600, 0, 1000, 5]);
  strictEqual((await volume.lstat("l")).uid, 5);
  await using file = await volume.open("f", { write: true });
  await file.chmod(0o640);
  await file.utimes(then, then);
  strictEqual((await file.stat()).mode & 0o777, 0o640);
  await volume.access("f", 4);
  await volume.truncate("f", 2);
  strictEqual((await volume.stat("f")).size, 2);
  strictEqual((await volume.statfs()).namemax, 255);
});

Deno.test("core/volume: extended attributes are set, read, listed and removed", async () => {
  const { volume } = make();
  await volume.mkdir("d");
  await volume.setXattr("d", "user.b", hello, { create: true });
  await volume.setXattr("d", "user.a", new Uint8Array(0));
  await fails(volume.setXattr("d", "user.b", hello, { create: true }), EEXIST);
  await fails(volume.setXattr("d", "user.c", hello, { replace: true }), ENODATA);
  deepStrictEqual(await volume.getXattr("d", "user.b"), hello);
  strictEqual((await volume.getXattr("d", "user.a")).length, 0);
  deepStrictEqual(await volume.listXattrs("d"), ["user.a", "user.b"]);
  await volume.removeXattr("d", "user.a");
  await fails(volume.removeXattr("d", "user.a"), ENODATA);
  await fails(volume.getXattr("d", "user.a"), ENODATA);
  await fails(volume.getXattr("d", ""), EINVAL);
  await fails(volume.removeXattr("d", ""), EINVAL);
  await fails(volume.setXattr("d", "user.\0", hello), EINVAL);
});

Deno.test("core/volume: ranges are reserved, discarded, zeroed and found", async () => {
  const { volume } = make();
  await using file = await volume.open("f", { read: true, write: true, create: true });
  await file.write(0, pattern(65_536));
  await file.discard(4096, 8192);
  strictEqual(await file.seek(0, "hole"), 4096);
  strictEqual(await file.seek(4096, "data"), 12_288);
  await fails(file.seek(1 << 20, "data"), ENXIO);
  await file.zero(0, 10);
  strictEqual((await file.read(0, 11)).indexOf(pattern(11)[10]!), 10);
  await file.allocate(0, 100_000, { keepSize: true });
  strictEqual((await file.stat()).size, 65_536);
  await file.allocate(0, 100_000);
  strictEqual((await file.stat()).size, 100_000);
  await using copy = await volume.open("g", { write: true, read: true, create: true });
  strictEqual(await copy.copyFrom(file, 20_000, 0, 1000), 1000);
  deepStrictEqual(await copy.read(0, 1000), await file.read(20_000, 1000));
});

Deno.test("core/volume: large transfers go in chunks side by side, never more than their bound", async () => {
  const { volume, brick } = make();
  const data = pattern(7 * (1 << 20) + 12_345);
  strictEqual(await volume.writeFile("f", data), data.length);
  strictEqual(brick.most, 4);
  brick.most = 0;
  deepStrictEqual(await volume.readFile("f"), data);
  strictEqual(brick.most, 4);
  await using file = await volume.open("f", { write: true, read: true });
  await file.write(5, data);
  deepStrictEqual(await file.read(5, data.length), data);
});

Deno.test("core/volume: streams carry a file, or a part, in order", async () => {
  const { volume, brick } = make();
  const data = pattern(100_000);
  const source = async function* () {
    for (let at = 0; at < data.length; at += 7777) yield await data.subarray(at, at + 7777);
  };
  strictEqual(await volume.writeFile("f", source(), { chunkBytes: 1000, parallel: 3 }), 100_000);
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    const parts = await Array.fromAsync(stream);
    return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  };
  deepStrictEqual(await collect(volume.readStream("f", { chunkBytes: 999 })), data);
  const part = volume.readStream("f", { offset: 50, size: 1234, chunkBytes: 100 });
  deepStrictEqual(await collect(part), data.slice(50, 1284));
  const stream = volume.readStream("f", { chunkBytes: 100 }).getReader();
  await stream.read();
  await stream.cancel();
  strictEqual(brick.openFiles, 0, "a stream that was left is not closed");
});

Deno.test("core/volume: a failed write is thrown once, when no other is under way any more", async () => {
  const { volume, brick } = make();
  brick.failWrites = true;
  await fails(volume.writeFile("f", pattern(10 << 20)), EIO);
  strictEqual(brick.openFiles, 0);
  await volume.open("g", { write: true, create: true }).then((file) => file.close());
});

Deno.test("core/volume: a file that was replaced after it was looked up is looked up again", async () => {
  const { brick, volume } = make();
  await volume.writeFile("f", hello);
  const { open, setattr } = brick;
  let stale = 1;
  brick.open = (call, args) => stale-- > 0 ? Promise.reject(ESTALE) : open.call(brick, call, args);
  deepStrictEqual(await volume.readFile("f"), hello);
  stale = 2;
  await fails(volume.open("f"), ESTALE);
  stale = 1;
  brick.setattr = (call, args) =>
    stale-- > 0 ? Promise.reject(ESTALE) : setattr.call(brick, call, args);
  await volume.chmod("f", 0o600);
  strictEqual((await volume.stat("f")).mode & 0o777, 0o600);
});

Deno.test("core/volume: readFile refuses files beyond its bound", async () => {
  const { volume } = make();
  await volume.writeFile("f", hello);
  await fails(volume.readFile("f", { max: 4 }), EFBIG);
  deepStrictEqual(await volume.readFile("f", { max: 5 }), hello);
});

Deno.test("core/volume: of a failed read, or write, and a failed close the first is thrown, as a FopError", async () => {
  const { volume, brick } = make();
  await volume.writeFile("f", pattern(10));
  brick.flush = () => Promise.reject(ESTALE);
  brick.readv = () => Promise.reject(EIO);
  brick.writev = () => Promise.reject(EAGAIN);
  await fails(volume.readFile("f"), EIO);
  await fails(new Response(volume.readStream("f")).bytes(), EIO);
  await fails(volume.writeFile("f", pattern(10)), EAGAIN);
});

Deno.test("core/volume: what is made belongs to the caller", async () => {
  const { volume } = make();
  const theirs = volume.as({ ...ROOT, uid: 7, gid: 8 });
  await theirs.mkdir("d");
  await theirs.writeFile("d/f", hello);
  for (const path of ["d", "d/f"]) {
    const { uid, gid } = await volume.stat(path);
    deepStrictEqual([uid, gid], [7, 8]);
  }
  ok(isDirectory(await volume.stat("d")));
});

Deno.test("core/volume: handles lock each other out, and closing one lets the other in", async () => {
  const inodes = new InodeTable();
  const brick = new MemoryBrick(node("brick", [], { inodes }));
  const none = readOptions(locks.options, new Map());
  const top = locks.create(node("locks", [brick], { inodes }), none);
  const volume = new Volume({ top, inodes, env: testEnv(), call: ROOT });
  const first = await volume.open("f", { write: true, create: true });
  await using second = await volume.open("f", { write: true });
  await first.lock("write", { start: 0n, size: 10n });
  await fails(second.lock("write", { start: 5n, size: 1n }), EAGAIN);
  await second.lock("write", { start: 10n });
  const waiting = second.lock("write", { wait: true });
  await first.unlock({ size: 5n });
  await first.close();
  await waiting;
});
