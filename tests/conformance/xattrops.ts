/** Xattrop and fxattrop: arithmetic that cluster layers keep their records with. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { EINVAL, ENODATA, EOPNOTSUPP, ERANGE, FopError } from "core/errno.ts";
import type { XattropKind } from "core/fops.ts";
import type { Inode } from "core/inode.ts";
import { type Cases, fails, Place, text, xattrs } from "tests/conformance/place.ts";

const KEY = "trusted.afr.v-client-0";

function be32(...values: number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, i) => view.setInt32(i * 4, value));
  return new Uint8Array(view.buffer);
}

function be64(...values: bigint[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.length * 8));
  values.forEach((value, i) => view.setBigInt64(i * 8, value));
  return new Uint8Array(view.buffer);
}

// The answer for KEY.
async function op(place: Place, inode: Inode, kind: XattropKind, value: Uint8Array) {
  const reply = await place.ask("xattrop", { inode, op: kind, xattrs: xattrs({ [KEY]: value }) });
  const answer = reply.xattrs?.raw(KEY);
  return answer?.type === "ptr" ? answer.value.slice() : undefined;
}

export const xattrops: Cases = {
  async "add32 adds big-endian numbers and answers the sums"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    deepEqual(await op(place, inode, "add32", be32(1, 0, 0)), be32(1, 0, 0));
    deepEqual(await op(place, inode, "add32", be32(2, 300, -1)), be32(3, 300, -1));
    deepEqual(await op(place, inode, "add32", be32(-3, 0, 1)), be32(0, 300, 0));
    deepEqual(await place.xattr(inode, KEY), be32(0, 300, 0));
  },

  async "add32 wraps at its own 32 bits"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await op(place, inode, "add32", be32(0x7fffffff, 5, 0));
    deepEqual(await op(place, inode, "add32", be32(1, 1, 0)), be32(-0x80000000, 6, 0));
  },

  async "add64 adds big-endian numbers of 64 bits"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await op(place, inode, "add64", be64(2n ** 40n, 1n));
    deepEqual(
      await op(place, inode, "add64", be64(2n ** 55n + 1n, -2n)),
      be64(2n ** 55n + 2n ** 40n + 1n, -1n),
    );
  },

  async "zeros are not written and answer what is there"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    deepEqual(await op(place, inode, "add32", be32(0, 0, 0)), be32(0, 0, 0));
    await fails(place.xattr(inode, KEY), ENODATA);
    await op(place, inode, "add32", be32(1, 2, 3));
    deepEqual(await op(place, inode, "add32", be32(0, 0, 0)), be32(1, 2, 3));
  },

  async "get-and-set stores the new value and answers the old"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    const first = await op(place, inode, "get-and-set", be32(1, 2));
    ok(!first || first.every((byte) => byte === 0), "an old value of nothing");
    deepEqual(await place.xattr(inode, KEY), be32(1, 2));
    deepEqual(await op(place, inode, "get-and-set", be32(0, 0)), be32(1, 2));
    deepEqual(await place.xattr(inode, KEY), be32(0, 0));
  },

  async "add32-default starts from the default where there is nothing"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    deepEqual(await op(place, inode, "add32-default", be32(1, 2, 10, 20)), be32(11, 22));
    deepEqual(await op(place, inode, "add32-default", be32(1, 2, 10, 20)), be32(12, 24));
  },

  async "add64-default starts from the default where there is nothing"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    deepEqual(await op(place, inode, "add64-default", be64(1n, 10n)), be64(11n));
    deepEqual(await op(place, inode, "add64-default", be64(1n, 10n)), be64(12n));
  },

  async "or and and combine bits, or are refused"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { [KEY]: Uint8Array.of(0b1100, 1, 0, 0) });
    try {
      deepEqual(
        await op(place, inode, "or", Uint8Array.of(0b1010, 0, 0, 0)),
        Uint8Array.of(0b1110, 1, 0, 0),
      );
      deepEqual(
        await op(place, inode, "and", Uint8Array.of(0b0111, 1, 0, 0)),
        Uint8Array.of(0b0110, 1, 0, 0),
      );
    } catch (error) {
      ok(EINVAL.matches(error) || EOPNOTSUPP.matches(error), String(error));
      deepEqual(await place.xattr(inode, KEY), Uint8Array.of(0b1100, 1, 0, 0));
    }
  },

  async "several keys are answered each"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    const given = xattrs({ "trusted.afr.dirty": be32(1, 0, 0), [KEY]: be32(0, 0, 0) });
    const { xattrs: answer } = await place.ask("xattrop", { inode, op: "add32", xattrs: given });
    deepEqual([...answer?.names() ?? []].sort(), ["trusted.afr.dirty", KEY]);
    await fails(place.xattr(inode, KEY), ENODATA);
    deepEqual(await place.xattr(inode, "trusted.afr.dirty"), be32(1, 0, 0));
  },

  async "xattrop of nothing succeeds"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    const reply = await place.ask("xattrop", { inode, op: "add32", xattrs: undefined });
    equal(reply.xattrs?.size ?? 0, 0);
  },

  async "parallel additions are all counted"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    const one = xattrs({ [KEY]: be32(1, 0, 2) });
    const answers = await Promise.all(
      Array.from(
        { length: 100 },
        (_, i) =>
          i % 2
            ? place.ask("xattrop", { inode, op: "add32", xattrs: one })
            : place.ask("fxattrop", { fd, op: "add32", xattrs: one }),
      ),
    );
    deepEqual(await place.xattr(inode, KEY), be32(100, 0, 200));
    const sums = answers.map(({ xattrs: answer }) => {
      const value = answer?.raw(KEY);
      ok(value?.type === "ptr");
      return new DataView(value.value.buffer, value.value.byteOffset).getInt32(0);
    });
    deepEqual(sums.sort((a, b) => a - b), Array.from({ length: 100 }, (_, i) => i + 1));
    await place.close(fd);
  },

  async "fxattrop works on the fd's file"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await place.ask("fxattrop", { fd, op: "add32", xattrs: xattrs({ [KEY]: be32(4, 5, 6) }) });
    deepEqual(await place.xattr(inode, KEY), be32(4, 5, 6));
    await place.close(fd);
  },

  async "xattrop works on directories"(subject) {
    const place = await Place.of(subject);
    deepEqual(await op(place, place.dir, "add32", be32(0, 0, 1)), be32(0, 0, 1));
    deepEqual(await place.xattr(place.dir, KEY), be32(0, 0, 1));
  },

  async "values of an odd size, or shorter than what is stored, change nothing but fail"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { [KEY]: "a text of some length" });
    try {
      await op(place, inode, "add32", be32(1));
    } catch (error) {
      ok(error instanceof FopError && (ERANGE.matches(error) || EINVAL.matches(error)), `${error}`);
      equal(text((await place.xattr(inode, KEY))!), "a text of some length");
    }
  },
};
