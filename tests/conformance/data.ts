/** Reading, writing and truncating. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { EBADF, EFBIG, EINVAL, EISDIR, ENOENT, ESTALE, FopError } from "core/errno.ts";
import { O_APPEND, O_RDWR, O_TRUNC, O_WRONLY } from "core/fops.ts";
import { Fd } from "core/inode.ts";
import {
  bytes,
  type Cases,
  fails,
  newGfid,
  pattern,
  Place,
  text,
} from "tests/conformance/place.ts";

const MAX = Number.MAX_SAFE_INTEGER;

export const data: Cases = {
  async "what is written is read back, with attributes before and after"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    const { pre, post } = await place.write(fd, 0, "hello");
    deepEqual([pre?.size, post?.size, post?.gfid], [0, 5, inode.gfid]);
    const reply = await place.ask("readv", { fd, offset: 1, size: 3, flags: 0 });
    deepEqual([text(reply.data), reply.eof, reply.stat?.size], ["ell", false, 5]);
    await place.close(fd);
  },

  async "a read that reaches the end says so"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    await place.write(fd, 0, "hello");
    const read = async (offset: number, size: number) => {
      const { data, eof } = await place.ask("readv", { fd, offset, size, flags: 0 });
      return [text(data), eof];
    };
    deepEqual(await read(0, 5), ["hello", true]);
    deepEqual(await read(0, 4), ["hell", false]);
    deepEqual(await read(3, 100), ["lo", true]);
    deepEqual(await read(5, 10), ["", true]);
    deepEqual(await read(1 << 20, 10), ["", true]);
    deepEqual(await read(2 ** 40, 10), ["", true]);
    await place.close(fd);
  },

  async "an empty file reads as nothing"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    const { data, eof } = await place.ask("readv", { fd, offset: 0, size: 4096, flags: 0 });
    deepEqual([data.length, eof], [0, true]);
    await place.close(fd);
  },

  async "a megabyte at odd offsets comes back"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    const all = pattern(1 << 20);
    for (let at = 0; at < all.length; at += 77_777) {
      await place.write(fd, at, all.subarray(at, at + 77_777));
    }
    deepEqual(await place.read(fd, 0, 2 << 20), all);
    deepEqual(await place.read(fd, 12_345, 54_321), all.subarray(12_345, 12_345 + 54_321));
    await place.close(fd);
  },

  async "a read may be put into the caller's buffer, and no further"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    const all = pattern(10_000);
    await place.write(fd, 0, all);
    const into = new Uint8Array(5000).fill(255);
    const args = { fd, offset: 100, size: 4096, flags: 0, into };
    const { data } = await place.ask("readv", args);
    deepEqual(data.slice(), all.slice(100, 4196));
    ok(into.subarray(4096).every((byte) => byte === 255), "wrote beyond size");
    await place.close(fd);
  },

  async "a written buffer may be used again once the write is answered"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    const buffer = bytes("first");
    await place.write(fd, 0, buffer);
    buffer.fill(0);
    equal(text(await place.read(fd, 0, 5)), "first");
    await place.close(fd);
  },

  async "two reads do not share their answer"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    await place.write(fd, 0, "first");
    const one = await place.read(fd, 0, 5);
    await place.write(fd, 0, "other");
    const two = await place.read(fd, 0, 5);
    deepEqual([text(one), text(two)], ["first", "other"]);
    await place.close(fd);
  },

  async "parallel writes and reads of one file keep their places"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    const parts = Array.from({ length: 64 }, (_, i) => pattern(3000, i));
    await Promise.all(parts.map((part, i) => place.write(fd, i * 3000, part)));
    const read = await Promise.all(parts.map((_, i) => place.read(fd, i * 3000, 3000)));
    deepEqual(read, parts);
    await place.close(fd);
  },

  async "a write beyond the end leaves zeros between"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await place.write(fd, 100_000, "end");
    const start = await place.read(fd, 0, 100_000);
    ok(start.length === 100_000 && start.every((byte) => byte === 0), "not zeros");
    equal((await place.stat(inode)).size, 100_003);
    await place.close(fd);
  },

  async "offsets past 4 GiB work, and holes take no space"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    for (const offset of [2 ** 31, 2 ** 32 + 5, 5 * 2 ** 32 + 1]) {
      await place.write(fd, offset, `at ${offset}`);
      equal(text(await place.read(fd, offset, 100)).slice(0, 3), "at ");
    }
    const stat = await place.stat(inode);
    ok(stat.size > 5 * 2 ** 32, "size");
    ok(stat.blocks * 512 < 2 ** 20, `${stat.blocks} blocks for holes`);
    await place.close(fd);
  },

  async "writes that end past 2^53 fail and change nothing"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await fails(place.write(fd, MAX, pattern(4096)), EFBIG, EINVAL);
    await fails(place.write(fd, MAX - 100, pattern(4096)), EFBIG, EINVAL);
    await fails(place.write(fd, -1, "x"), EINVAL, EFBIG);
    equal((await place.stat(inode)).size, 0);
    await place.close(fd);
  },

  async "reads near 2^53 answer nothing or fail, and never crash"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    await place.write(fd, 0, "x");
    for (const offset of [MAX, MAX - 4096, MAX - 10]) {
      try {
        equal((await place.read(fd, offset, 4096)).length, 0);
      } catch (error) {
        ok(error instanceof FopError && [EINVAL.errno, EFBIG.errno].includes(error.errno));
      }
    }
    await fails(place.read(fd, -1, 10), EINVAL, EFBIG);
    await place.close(fd);
  },

  async "O_APPEND writes go to the end"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "one ");
    const fd = await place.open(inode, O_RDWR | O_APPEND);
    await place.write(fd, 0, "two ");
    await place.write(fd, 0, "three");
    await place.close(fd);
    equal(await place.content(inode), "one two three");
  },

  async "an fd opened to read does not write, and the other way round"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "keep");
    const reader = await place.open(inode, 0), writer = await place.open(inode, O_WRONLY);
    await fails(place.write(reader, 0, "lost"), EBADF);
    await fails(place.ask("ftruncate", { fd: reader, offset: 0 }), EBADF, EINVAL);
    await fails(place.read(writer, 0, 4), EBADF);
    equal(await place.content(inode), "keep");
    await place.close(reader, writer);
  },

  async "open with O_TRUNC empties"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "old");
    await place.close(await place.open(inode, O_WRONLY | O_TRUNC));
    equal((await place.stat(inode)).size, 0);
  },

  async "open with O_TRUNC empties what is only read through it, too"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "old");
    const fd = await place.open(inode, O_TRUNC);
    equal(await place.content(inode), "");
    await fails(place.write(fd, 0, "x"), EBADF);
    await place.close(fd);
  },

  async "a directory is not opened to write, read or truncated"(subject) {
    const place = await Place.of(subject);
    const inode = await place.mkdir("d");
    await fails(place.ask("open", { inode, flags: O_RDWR }), EISDIR);
    await fails(place.ask("truncate", { inode, offset: 0 }), EISDIR, EINVAL);
  },

  async "truncate cuts and grows with zeros"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "hello world");
    const { pre, post } = await place.ask("truncate", { inode, offset: 5 });
    deepEqual([pre?.size, post?.size], [11, 5]);
    await place.ask("truncate", { inode, offset: 8 });
    equal(await place.content(inode), "hello\0\0\0");
    await place.ask("truncate", { inode, offset: 0 });
    equal(await place.content(inode), "");
  },

  async "ftruncate cuts and grows with zeros"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await place.write(fd, 0, pattern(10_000));
    await place.ask("ftruncate", { fd, offset: 4097 });
    const { post } = await place.ask("ftruncate", { fd, offset: 8192 });
    equal(post?.size, 8192);
    const all = await place.read(fd, 0, 8192);
    deepEqual(all.slice(0, 4097), pattern(10_000).slice(0, 4097));
    ok(all.slice(4097).every((byte) => byte === 0), "old bytes came back");
    await place.close(fd);
    equal((await place.stat(inode)).size, 8192);
  },

  async "truncate to sizes near 2^53 or below zero fails and changes nothing"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await place.write(fd, 0, "keep");
    await fails(place.ask("truncate", { inode, offset: -1 }), EINVAL, EFBIG);
    await fails(place.ask("ftruncate", { fd, offset: -1 }), EINVAL, EFBIG);
    await place.close(fd);
    equal(await place.content(inode), "keep");
  },

  async "writes of nothing change nothing"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await place.write(fd, 100, "");
    equal((await place.stat(inode)).size, 0);
    await place.close(fd);
  },

  async "an anonymous fd reads and writes without having been opened"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "hello");
    const fd = new Fd(inode, O_RDWR, true);
    equal(text(await place.read(fd, 0, 5)), "hello");
    await place.write(fd, 5, " you");
    equal((await place.ask("fstat", { fd })).stat.size, 9);
    equal(await place.content(inode), "hello you");
  },

  async "fsync, data only or not, and flush succeed"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    await place.write(fd, 0, "x");
    const { post } = await place.ask("fsync", { fd, dataOnly: false });
    if (post) equal(post.size, 1);
    await place.ask("fsync", { fd, dataOnly: true });
    await place.close(fd);
  },

  async "a write changes mtime and ctime"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await place.ask("setattr", { inode, changes: { mtime: { sec: 1000, nsec: 0 } } });
    await place.write(fd, 0, "x");
    ok((await place.stat(inode)).mtime > 1000);
    await place.close(fd);
  },

  async "statfs answers sizes that make sense"(subject) {
    const { statfs } = await subject.top.statfs(subject.call, { inode: subject.inodes.root });
    ok(statfs.bsize >= 512 && statfs.frsize >= 512, "block sizes");
    ok(statfs.blocks > 0 && statfs.bfree <= statfs.blocks && statfs.bavail <= statfs.bfree);
    equal(statfs.namemax, 255);
  },

  async "statfs of an inode that is not there is ESTALE"(subject) {
    const inode = subject.inodes.of(newGfid());
    await fails(subject.top.statfs(subject.call, { inode }), ESTALE, ENOENT);
  },
};
