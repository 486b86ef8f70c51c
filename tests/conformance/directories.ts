/** Readdir and readdirp: all entries once, cookies that last, changes while listing. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { EBADF, ENOTDIR } from "core/errno.ts";
import type { Dirent, DirentPlus } from "core/fops.ts";
import { S_IFMT } from "core/iatt.ts";
import { type Fd, gfidToBytes, type Inode } from "core/inode.ts";
import { equalBytes } from "core/lib/bytes.ts";
import { Xdata } from "core/xdata.ts";
import { type Cases, fails, gfidReq, Place, xattrs } from "tests/conformance/place.ts";

const DT_DIR = 4, DT_REG = 8, DT_LNK = 10;

/** A directory of `count` files, quickly made. */
async function crowd(place: Place, count: number): Promise<Inode> {
  const dir = await place.mkdir("crowd");
  for (let at = 0; at < count; at += 50) {
    await Promise.all(
      Array.from({ length: Math.min(50, count - at) }, (_, i) =>
        place.ask("mknod", {
          parent: dir,
          name: `file-${at + i}`,
          mode: 0o100644,
          umask: 0,
          rdev: 0,
          xdata: gfidReq(),
        })),
    );
  }
  return dir;
}

async function opendir(place: Place, inode = place.dir): Promise<Fd> {
  return (await place.ask("opendir", { inode })).fd;
}

function plain<T extends Dirent>(entries: readonly T[]): T[] {
  return entries.filter(({ name }) => name !== "." && name !== "..");
}

// All entries from a cookie on, by readdir.
async function rest(place: Place, fd: Fd, from: bigint, size: number): Promise<Dirent[]> {
  const all: Dirent[] = [];
  for (let offset = from;;) {
    const { entries, eof } = await place.ask("readdir", { fd, offset, size });
    all.push(...entries);
    if (eof || !entries.length) return all;
    offset = entries.at(-1)!.offset;
  }
}

export const directories: Cases = {
  async "an empty directory lists nothing but . and .."(subject) {
    const place = await Place.of(subject);
    const fd = await opendir(place);
    const { entries, eof } = await place.ask("readdirp", { fd, offset: 0n, size: 4096 });
    deepEqual(plain(entries), []);
    if (entries.length) deepEqual(entries.map(({ name }) => name).sort(), [".", ".."]);
    ok(eof || (await rest(place, fd, entries.at(-1)!.offset, 4096)).length === 0);
    await place.ask("releasedir", { fd });
  },

  async "readdir answers names, types and inode numbers"(subject) {
    const place = await Place.of(subject);
    const made = new Map([
      ["f", [await place.file("f"), DT_REG]],
      ["d", [await place.mkdir("d"), DT_DIR]],
    ] as [string, [Inode, number]][]);
    const link = { parent: place.dir, name: "l", target: "f", umask: 0, xdata: gfidReq() };
    const { stat } = await place.ask("symlink", link);
    made.set("l", [subject.inodes.of(stat.gfid), DT_LNK]);
    const fd = await opendir(place);
    const entries = plain(await rest(place, fd, 0n, 4096));
    deepEqual(entries.map(({ name }) => name).sort(), ["d", "f", "l"]);
    for (const { name, type } of entries) ok([0, made.get(name)![1]].includes(type), name);
    await place.ask("releasedir", { fd });
  },

  async "readdirp answers attributes, and inode numbers of the gfid"(subject) {
    const place = await Place.of(subject);
    await place.file("f", "hello");
    const dir = await place.mkdir("d");
    const entries = await place.list();
    deepEqual(entries.map(({ name }) => name).sort(), ["d", "f"]);
    for (const { name, stat, type, ino } of entries) {
      const looked = (await place.lookup(name)).stat;
      ok(stat, `${name} has no attributes`);
      deepEqual([stat.gfid, stat.size, stat.mode], [looked.gfid, looked.size, looked.mode]);
      equal(type, (stat.mode & S_IFMT) >> 12);
      const id = gfidToBytes(stat.gfid);
      equal(ino, new DataView(id.buffer, id.byteOffset).getBigUint64(8));
    }
    equal(entries.find(({ name }) => name === "d")?.stat?.gfid, dir.gfid);
  },

  async "readdirp answers the extended attributes that are asked for"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { "trusted.glusterfs.dht.linkto": "v-client-1\0", "user.x": "y" });
    const fd = await opendir(place);
    const xdata = xattrs({ "trusted.glusterfs.dht.linkto": "" });
    const { entries } = await place.ask("readdirp", { fd, offset: 0n, size: 4096, xdata });
    const entry = plain(entries)[0] as DirentPlus;
    deepEqual([...entry.xdata?.names() ?? []], ["trusted.glusterfs.dht.linkto"]);
    await place.ask("releasedir", { fd });
  },

  async "3,000 entries come once each, in small replies"(subject) {
    const place = await Place.of(subject);
    const dir = await crowd(place, 3000);
    const entries = await place.list(dir, 4096);
    equal(entries.length, 3000);
    equal(new Set(entries.map(({ name }) => name)).size, 3000);
    const cookies = new Set(entries.map(({ offset }) => offset));
    equal(cookies.size, 3000, "cookies repeat");
    const fd = await opendir(place, dir);
    equal(plain(await rest(place, fd, 0n, 1000)).length, 3000);
    await place.ask("releasedir", { fd });
  },

  async "replies stay near the size that was asked for"(subject) {
    const place = await Place.of(subject);
    const dir = await crowd(place, 500);
    const fd = await opendir(place, dir);
    const { entries, eof } = await place.ask("readdir", { fd, offset: 0n, size: 2048 });
    ok(entries.length > 0 && entries.length < 200 && !eof, `${entries.length} entries`);
    const tiny = await place.ask("readdirp", { fd, offset: 0n, size: 1 });
    ok(tiny.entries.length <= 2, `${tiny.entries.length} entries for one byte`);
    await place.ask("releasedir", { fd });
  },

  async "a listing goes on from any cookie, in any order"(subject) {
    const place = await Place.of(subject);
    const dir = await crowd(place, 300);
    const fd = await opendir(place, dir);
    const all = await rest(place, fd, 0n, 100_000);
    for (const at of [250, 10, 299, 0, 150]) {
      const after = await rest(place, fd, all[at]!.offset, 100_000);
      deepEqual(after.map(({ name }) => name), all.slice(at + 1).map(({ name }) => name));
    }
    equal((await rest(place, fd, 0n, 4096)).length, all.length, "rewinding");
    await place.ask("releasedir", { fd });
  },

  async "a cookie of one fd works in another fd of the directory"(subject) {
    const place = await Place.of(subject);
    const dir = await crowd(place, 200);
    const first = await opendir(place, dir), second = await opendir(place, dir);
    const all = await rest(place, first, 0n, 100_000);
    const after = await rest(place, second, all[100]!.offset, 4096);
    deepEqual(after.map(({ name }) => name), all.slice(101).map(({ name }) => name));
    await place.ask("releasedir", { fd: first });
    await place.ask("releasedir", { fd: second });
  },

  async "entries removed while listing do not disturb the others"(subject) {
    const place = await Place.of(subject);
    const dir = await crowd(place, 400);
    const fd = await opendir(place, dir);
    const seen: string[] = [];
    for (let offset = 0n, eof = false; !eof;) {
      const reply = await place.ask("readdirp", { fd, offset, size: 8192 });
      eof = reply.eof || !reply.entries.length;
      for (const { name } of plain(reply.entries)) {
        seen.push(name);
        await place.unlink(name, dir);
      }
      offset = reply.entries.at(-1)?.offset ?? offset;
    }
    equal(new Set(seen).size, seen.length, "an entry came twice");
    equal(seen.length, 400);
    deepEqual(await place.names(dir), []);
    await place.ask("releasedir", { fd });
  },

  async "a new listing sees what was made and removed before it"(subject) {
    const place = await Place.of(subject);
    await place.file("a");
    await place.file("b");
    deepEqual(await place.names(), ["a", "b"]);
    await place.unlink("a");
    await place.rename("b", "c");
    deepEqual(await place.names(), ["c"]);
  },

  async "a rewound fd sees new entries"(subject) {
    const place = await Place.of(subject);
    const fd = await opendir(place);
    deepEqual(plain(await rest(place, fd, 0n, 4096)), []);
    await place.file("f");
    deepEqual(plain(await rest(place, fd, 0n, 4096)).map(({ name }) => name), ["f"]);
    await place.ask("releasedir", { fd });
  },

  async "the root does not list the brick's private directory"(subject) {
    const place = await Place.of(subject);
    const all = await place.names(subject.inodes.root);
    ok(!all.includes(".glusterfs"), "listed");
    ok(all.length > 0, "nothing at all is listed");
  },

  async "readdir of a file's fd fails"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    await fails(place.ask("readdir", { fd, offset: 0n, size: 4096 }), ENOTDIR, EBADF);
    await fails(place.ask("readdirp", { fd, offset: 0n, size: 4096 }), ENOTDIR, EBADF);
    await place.close(fd);
  },

  async "extended attributes of entries are their own"(subject) {
    const place = await Place.of(subject);
    for (const name of ["a", "b", "c"]) {
      await place.setxattr(await place.file(name), { "user.name": name });
    }
    const fd = await opendir(place);
    const xdata: Xdata = xattrs({ "user.name": "" });
    const { entries } = await place.ask("readdirp", { fd, offset: 0n, size: 65_536, xdata });
    for (const { name, xdata: answer } of plain(entries)) {
      const value = answer?.raw("user.name");
      ok(value?.type === "ptr" && equalBytes(value.value, new TextEncoder().encode(name)), name);
    }
    await place.ask("releasedir", { fd });
  },
};
