/** Fallocate, discard, zerofill and seek. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { EBADF, EFBIG, EINVAL, ENXIO, EOPNOTSUPP } from "core/errno.ts";
import { type Cases, fails, pattern, Place, text } from "tests/conformance/place.ts";

const KEEP_SIZE = 1, PUNCH_HOLE = 2, ZERO_RANGE = 16;
const KIB = 1024;

// A file of 256 KiB without a zero byte in it.
async function full(place: Place, name = "f") {
  const made = await place.create(name);
  await place.write(made.fd, 0, pattern(256 * KIB));
  return made;
}

export const ranges: Cases = {
  async "fallocate grows the file and takes space"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await place.write(fd, 0, "x");
    await place.ask("fallocate", { fd, mode: 0, offset: 0, size: 256 * KIB });
    const stat = await place.stat(inode);
    equal(stat.size, 256 * KIB);
    ok(stat.blocks * 512 >= 256 * KIB, `only ${stat.blocks} blocks`);
    equal(text(await place.read(fd, 0, 2)), "x\0");
    await place.close(fd);
  },

  async "fallocate that keeps the size takes space only"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await place.write(fd, 0, "x");
    await place.ask("fallocate", { fd, mode: KEEP_SIZE, offset: 0, size: 256 * KIB });
    equal((await place.stat(inode)).size, 1);
    await place.close(fd);
  },

  async "fallocate that punches a hole zeros the range and keeps the size"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await full(place);
    const mode = PUNCH_HOLE | KEEP_SIZE;
    await place.ask("fallocate", { fd, mode, offset: 64 * KIB, size: 64 * KIB });
    await expectZeros(place, fd, 64 * KIB, 64 * KIB);
    equal((await place.stat(inode)).size, 256 * KIB);
    await place.close(fd);
  },

  async "fallocate that zeros a range works or is EOPNOTSUPP"(subject) {
    const place = await Place.of(subject);
    const { fd } = await full(place);
    const args = { fd, mode: ZERO_RANGE, offset: 64 * KIB, size: 64 * KIB };
    try {
      await place.ask("fallocate", args);
      await expectZeros(place, fd, 64 * KIB, 64 * KIB);
    } catch (error) {
      ok(EOPNOTSUPP.matches(error), String(error));
    }
    await place.close(fd);
  },

  async "fallocate with unknown modes or an empty range fails"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await full(place);
    const refused = [EINVAL, EOPNOTSUPP];
    await fails(place.ask("fallocate", { fd, mode: 0x4000, offset: 0, size: 4096 }), ...refused);
    await fails(place.ask("fallocate", { fd, mode: PUNCH_HOLE, offset: 0, size: 9 }), ...refused);
    await fails(place.ask("fallocate", { fd, mode: 0, offset: 0, size: 0 }), EINVAL);
    await fails(place.ask("fallocate", { fd, mode: 0, offset: -1, size: 5 }), EINVAL, EFBIG);
    equal((await place.stat(inode)).size, 256 * KIB);
    deepEqual(await place.read(fd, 0, 256 * KIB), pattern(256 * KIB));
    await place.close(fd);
  },

  async "discard zeros a range, keeps the size and frees space"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await full(place);
    const { pre, post } = await place.ask("discard", { fd, offset: 64 * KIB, size: 128 * KIB });
    deepEqual([pre?.size, post?.size], [256 * KIB, 256 * KIB]);
    await expectZeros(place, fd, 64 * KIB, 128 * KIB);
    ok((await place.stat(inode)).blocks * 512 <= 192 * KIB, "no space was freed");
    await place.close(fd);
  },

  async "discard at odd offsets zeros exactly the range"(subject) {
    const place = await Place.of(subject);
    const { fd } = await full(place);
    await place.ask("discard", { fd, offset: 5000, size: 50_001 });
    await expectZeros(place, fd, 5000, 50_001);
    await place.close(fd);
  },

  async "discard past the end changes nothing"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await full(place);
    await place.ask("discard", { fd, offset: 300 * KIB, size: 100 * KIB });
    equal((await place.stat(inode)).size, 256 * KIB);
    await place.close(fd);
  },

  async "zerofill zeros exactly the range"(subject) {
    const place = await Place.of(subject);
    const { fd } = await full(place);
    await place.ask("zerofill", { fd, offset: 70_001, size: 33_333 });
    await expectZeros(place, fd, 70_001, 33_333);
    await place.close(fd);
  },

  async "zerofill past the end grows the file"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await full(place);
    await place.ask("zerofill", { fd, offset: 200 * KIB, size: 100 * KIB });
    equal((await place.stat(inode)).size, 300 * KIB);
    await place.close(fd);
  },

  async "ranges that end past 2^53 or start below zero fail and change nothing"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await full(place);
    const far = { fd, offset: Number.MAX_SAFE_INTEGER - 10, size: 4096 };
    const below = { fd, offset: -4096, size: 4096 };
    for (const range of [far, below]) {
      await fails(place.ask("fallocate", { ...range, mode: 0 }), EFBIG, EINVAL);
      await fails(place.ask("discard", range), EFBIG, EINVAL);
      await fails(place.ask("zerofill", range), EFBIG, EINVAL);
    }
    equal((await place.stat(inode)).size, 256 * KIB);
    await place.close(fd);
  },

  async "an fd opened to read changes no ranges"(subject) {
    const place = await Place.of(subject);
    const { fd: writer, inode } = await full(place);
    const fd = await place.open(inode, 0);
    await fails(place.ask("fallocate", { fd, mode: 0, offset: 0, size: 1 << 20 }), EBADF);
    await fails(place.ask("discard", { fd, offset: 0, size: 4096 }), EBADF);
    await fails(place.ask("zerofill", { fd, offset: 0, size: 4096 }), EBADF);
    deepEqual(await place.read(fd, 0, 256 * KIB), pattern(256 * KIB));
    await place.close(fd, writer);
  },

  async "seek finds data and holes"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    await place.write(fd, 1 << 20, pattern(64 * KIB));
    await place.ask("ftruncate", { fd, offset: 4 << 20 });
    const seek = async (offset: number, what: "data" | "hole") =>
      (await place.ask("seek", { fd, offset, what })).offset;
    equal(await seek(0, "data"), 1 << 20);
    equal(await seek(0, "hole"), 0);
    equal(await seek((1 << 20) + 10, "data"), (1 << 20) + 10);
    equal(await seek(1 << 20, "hole"), (1 << 20) + 64 * KIB);
    await fails(place.ask("seek", { fd, offset: 2 << 20, what: "data" }), ENXIO);
    await fails(place.ask("seek", { fd, offset: 4 << 20, what: "hole" }), ENXIO);
    await fails(place.ask("seek", { fd, offset: 5 << 20, what: "data" }), ENXIO);
    await place.close(fd);
  },

  async "seek finds the end as a hole where there is none before"(subject) {
    const place = await Place.of(subject);
    const { fd } = await full(place);
    equal((await place.ask("seek", { fd, offset: 5, what: "hole" })).offset, 256 * KIB);
    await place.close(fd);
  },
};

async function expectZeros(
  place: Place,
  fd: Parameters<Place["write"]>[0],
  offset: number,
  size: number,
): Promise<void> {
  const expected = pattern(256 * KIB).fill(0, offset, offset + size);
  deepEqual(await place.read(fd, 0, 256 * KIB), expected);
}
