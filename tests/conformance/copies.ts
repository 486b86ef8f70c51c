/** Copy_file_range, put and rchecksum: data that does not travel. */

import {
  deepStrictEqual as deepEqual,
  notDeepStrictEqual as notDeepEqual,
  strictEqual as equal,
} from "node:assert/strict";
import { createHash } from "node:crypto";
import { EEXIST, EPERM } from "core/errno.ts";
import {
  bytes,
  type Cases,
  fails,
  gfidReq,
  newGfid,
  pattern,
  Place,
  text,
  xattrs,
} from "tests/conformance/place.ts";

export const copies: Cases = {
  async "copyFileRange copies between files"(subject) {
    const place = await Place.of(subject);
    const { fd: source, inode: from } = await place.create("a");
    const { fd, inode: to } = await place.create("b");
    await place.write(source, 0, pattern(200_000));
    await place.write(fd, 0, "start");
    const args = { source, sourceOffset: 1000, fd, offset: 5, size: 150_000, flags: 0 };
    const reply = await place.ask("copyFileRange", args);
    equal(reply.size, 150_000);
    deepEqual([reply.stat?.gfid, reply.post?.gfid], [from.gfid, to.gfid]);
    equal(text(await place.read(fd, 0, 5)), "start");
    deepEqual(await place.read(fd, 5, 200_000), pattern(200_000).slice(1000, 151_000));
    await place.close(source, fd);
  },

  async "copyFileRange past the source's end copies what there is"(subject) {
    const place = await Place.of(subject);
    const { fd: source } = await place.create("a");
    const { fd } = await place.create("b");
    await place.write(source, 0, "hello");
    const args = { source, sourceOffset: 2, fd, offset: 0, size: 4096, flags: 0 };
    equal((await place.ask("copyFileRange", args)).size, 3);
    equal(text(await place.read(fd, 0, 10)), "llo");
    equal((await place.ask("copyFileRange", { ...args, sourceOffset: 100 })).size, 0);
    await place.close(source, fd);
  },

  async "put makes a file with data and attributes at once"(subject) {
    const place = await Place.of(subject);
    const gfid = newGfid();
    const args = {
      parent: place.dir,
      name: "p",
      mode: 0o640,
      umask: 0,
      flags: 0,
      offset: 0,
      data: bytes("content"),
      xattrs: xattrs({ "user.kind": "put" }),
    };
    const { stat } = await place.ask("put", { ...args, xdata: gfidReq(gfid) });
    deepEqual([stat.gfid, stat.size], [gfid, 7]);
    const inode = subject.inodes.of(gfid);
    equal(await place.content(inode), "content");
    equal(text((await place.xattr(inode, "user.kind"))!), "put");
    await fails(place.ask("put", { ...args, name: "q" }), EPERM);
    deepEqual(await place.names(), ["p"]);
  },

  async "put does not fail halfway when the name is there"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("p", "old");
    const args = {
      parent: place.dir,
      name: "p",
      mode: 0o640,
      umask: 0,
      flags: 0o200,
      offset: 0,
      data: bytes("new"),
      xattrs: undefined,
      xdata: gfidReq(),
    };
    try {
      await place.ask("put", args);
    } catch (error) {
      equal(EEXIST.matches(error), true);
      equal(await place.content(inode), "old");
    }
    deepEqual(await place.names(), ["p"]);
  },

  async "rchecksum answers the SHA-256 of a range, and a weak sum of it"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    await place.write(fd, 0, pattern(100_000));
    const sum = (offset: number, size: number) => place.ask("rchecksum", { fd, offset, size });
    const range = pattern(100_000).subarray(4096, 4096 + 65_536);
    const { strong, weak } = await sum(4096, 65_536);
    deepEqual(strong.slice(), new Uint8Array(createHash("sha256").update(range).digest()));
    deepEqual(await sum(4096, 65_536), await sum(4096, 65_536));
    const other = await sum(4097, 65_536);
    notDeepEqual([other.weak, other.strong], [weak, strong]);
    await place.close(fd);
  },
};
