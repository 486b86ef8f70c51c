/** Extended attributes: set, get, list, remove; sizes, flags and reserved names. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import {
  E2BIG,
  EEXIST,
  EINVAL,
  ENAMETOOLONG,
  ENODATA,
  ENOSPC,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  FopError,
} from "core/errno.ts";
import type { Inode } from "core/inode.ts";
import { Xdata } from "core/xdata.ts";
import {
  type Cases,
  fails,
  gfidReq,
  pattern,
  Place,
  text,
  xattrs,
} from "tests/conformance/place.ts";

const CREATE = 1, REPLACE = 2;
const TOO_LARGE = [E2BIG, ERANGE, ENOSPC, EINVAL];

async function listed(place: Place, inode: Inode): Promise<string[]> {
  return [...(await place.ask("getxattr", { inode, name: "" })).xattrs?.names() ?? []].sort();
}

export const xattrCases: Cases = {
  async "values of files come back as they were set"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, {
      "user.text": "value",
      "user.empty": "",
      "trusted.binary": Uint8Array.of(0, 1, 255, 0),
      "security.test": "s",
    });
    equal(text((await place.xattr(inode, "user.text"))!), "value");
    equal((await place.xattr(inode, "user.empty"))?.length, 0);
    deepEqual(await place.xattr(inode, "trusted.binary"), Uint8Array.of(0, 1, 255, 0));
    deepEqual(await listed(place, inode), [
      "security.test",
      "trusted.binary",
      "user.empty",
      "user.text",
    ]);
  },

  async "values of directories come back as they were set"(subject) {
    const place = await Place.of(subject);
    await place.setxattr(place.dir, { "user.a": "b", "trusted.c": "d" });
    deepEqual(await listed(place, place.dir), ["trusted.c", "user.a"]);
    equal(text((await place.xattr(place.dir, "trusted.c"))!), "d");
  },

  async "trusted values of symbolic links are the link's own"(subject) {
    const place = await Place.of(subject);
    const file = await place.file("f");
    const made = { parent: place.dir, name: "l", target: "f", umask: 0, xdata: gfidReq() };
    const inode = subject.inodes.of((await place.ask("symlink", made)).stat.gfid);
    await place.setxattr(inode, { "trusted.a": "link" });
    equal(text((await place.xattr(inode, "trusted.a"))!), "link");
    await fails(place.xattr(file, "trusted.a"), ENODATA);
  },

  async "a listing has the values"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { "user.a": "1", "user.b": "2" });
    const { xattrs: all } = await place.ask("getxattr", { inode, name: "" });
    const value = all?.raw("user.b");
    equal(value?.type === "ptr" && text(value.value), "2");
  },

  async "a second value replaces the first, longer or shorter"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    for (const value of ["short", "a longer value", "x"]) {
      await place.setxattr(inode, { "user.a": value });
      equal(text((await place.xattr(inode, "user.a"))!), value);
    }
  },

  async "XATTR_CREATE fails on a name that is there, XATTR_REPLACE on one that is not"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await fails(place.setxattr(inode, { "user.a": "1" }, REPLACE), ENODATA);
    await place.setxattr(inode, { "user.a": "1" }, CREATE);
    await fails(place.setxattr(inode, { "user.a": "2" }, CREATE), EEXIST);
    equal(text((await place.xattr(inode, "user.a"))!), "1");
    await place.setxattr(inode, { "user.a": "3" }, REPLACE);
    equal(text((await place.xattr(inode, "user.a"))!), "3");
  },

  async "a missing value is ENODATA, to read and to remove"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await fails(place.xattr(inode, "user.none"), ENODATA);
    await fails(place.ask("removexattr", { inode, name: "user.none" }), ENODATA);
  },

  async "removexattr takes one value away"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { "user.a": "1", "user.b": "2" });
    await place.ask("removexattr", { inode, name: "user.a" });
    deepEqual(await listed(place, inode), ["user.b"]);
  },

  async "removexattr of the empty name takes all that xdata lists"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { "user.a": "1", "user.b": "2", "user.c": "3" });
    const xdata = xattrs({ "user.a": "", "user.none": "", "user.c": "" });
    await place.ask("removexattr", { inode, name: "", xdata });
    deepEqual(await listed(place, inode), ["user.b"]);
    await place.ask("removexattr", { inode, name: "" });
    await place.ask("removexattr", { inode, name: "", xdata: new Xdata(new Map()) });
    deepEqual(await listed(place, inode), ["user.b"]);
  },

  async "setting nothing succeeds"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await place.ask("setxattr", { inode, xattrs: undefined, flags: 0 });
    await place.ask("setxattr", { inode, xattrs: new Xdata(new Map()), flags: 0 });
    await place.ask("fsetxattr", { fd, xattrs: undefined, flags: 0 });
    deepEqual(await listed(place, inode), []);
    await place.close(fd);
  },

  async "the fops on an fd do the same"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await place.ask("fsetxattr", {
      fd,
      xattrs: xattrs({ "user.a": "1", "user.b": "2" }),
      flags: 0,
    });
    equal(text((await place.xattr(inode, "user.a"))!), "1");
    const all = (await place.ask("fgetxattr", { fd, name: "" })).xattrs;
    deepEqual([...all?.names() ?? []].sort(), ["user.a", "user.b"]);
    await fails(place.ask("fgetxattr", { fd, name: "user.none" }), ENODATA);
    await place.ask("fremovexattr", { fd, name: "user.a" });
    await fails(place.ask("fremovexattr", { fd, name: "user.a" }), ENODATA);
    await place.ask("fremovexattr", { fd, name: "", xdata: xattrs({ "user.b": "" }) });
    deepEqual(await listed(place, inode), []);
    await place.close(fd);
  },

  async "the brick's own attributes are not listed and not readable"(subject) {
    const place = await Place.of(subject);
    const root = await listed(place, subject.inodes.root);
    for (const inode of [await place.file("f"), place.dir]) {
      deepEqual(await listed(place, inode), []);
    }
    ok(!root.includes("trusted.gfid") && !root.includes("trusted.glusterfs.volume-id"), `${root}`);
  },

  async "the brick's own attributes cannot be set by applications"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "x");
    const mine = new Uint8Array(16).fill(9);
    const refused = (answer: Promise<unknown>) =>
      answer.catch((error) => ok(error instanceof FopError, String(error)));
    await refused(place.setxattr(inode, { "trusted.gfid": mine }));
    await refused(place.setxattr(inode, { "trusted.gfid2path.0123456789abcdef": "x/y" }));
    await refused(place.setxattr(subject.inodes.root, { "trusted.glusterfs.volume-id": mine }));
    await refused(place.ask("xattrop", {
      inode,
      op: "get-and-set",
      xattrs: xattrs({ "trusted.gfid": mine }),
    }));
    equal((await place.lookup("f")).stat.gfid, inode.gfid);
    equal((await place.ask("lookup", { inode, name: "" })).stat.gfid, inode.gfid);
    deepEqual(await listed(place, inode), []);
  },

  async "the brick's own attributes cannot be removed"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "x");
    const name = "trusted.gfid";
    await fails(place.ask("removexattr", { inode, name }), EPERM, ENODATA, EINVAL);
    const xdata = xattrs({ [name]: "" });
    await place.ask("removexattr", { inode, name: "", xdata }).catch((error) =>
      ok(error instanceof FopError, String(error))
    );
    equal((await place.lookup("f")).stat.gfid, inode.gfid);
  },

  async "a value of 3 KiB works"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { "user.large": pattern(3000) });
    deepEqual(await place.xattr(inode, "user.large"), pattern(3000));
  },

  async "values up to 64 KiB work or are ENOSPC, as the disk can"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    for (const size of [4096, 40_000, 65_536]) {
      try {
        await place.setxattr(inode, { "user.large": pattern(size) });
      } catch (error) {
        ok(error instanceof FopError && TOO_LARGE.some((each) => each.matches(error)));
        continue;
      }
      deepEqual(await place.xattr(inode, "user.large"), pattern(size));
    }
  },

  async "values past 64 KiB fail and change nothing"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { "user.a": "keep" });
    await fails(place.setxattr(inode, { "user.a": pattern(65_537) }), ...TOO_LARGE);
    await fails(place.setxattr(inode, { "user.b": pattern(1 << 20) }), ...TOO_LARGE);
    equal(text((await place.xattr(inode, "user.a"))!), "keep");
    deepEqual(await listed(place, inode), ["user.a"]);
  },

  async "names that are too long, empty or of no name space fail"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    const refused = [ERANGE, EINVAL, ENAMETOOLONG, EOPNOTSUPP, EPERM];
    await fails(place.setxattr(inode, { [`user.${"n".repeat(251)}`]: "x" }), ...refused);
    await fails(place.setxattr(inode, { "": "x" }), ...refused);
    await fails(place.setxattr(inode, { "nonsense": "x" }), ...refused);
    await fails(place.setxattr(inode, { "user.a\0b": "x" }), ...refused);
    await fails(place.xattr(inode, `user.${"n".repeat(251)}`), ...refused, ENODATA);
    await fails(place.xattr(inode, "glusterfs.no-such-thing"), EOPNOTSUPP, ENODATA);
    deepEqual(await listed(place, inode), []);
  },

  async "a name of 255 bytes works"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    const name = `user.${"n".repeat(250)}`;
    await place.setxattr(inode, { [name]: "x" });
    deepEqual(await listed(place, inode), [name]);
  },

  async "values survive rename and are shared by links"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.setxattr(inode, { "user.a": "1" });
    await place.rename("f", "g");
    await place.ask("link", { inode, parent: place.dir, name: "h" });
    await place.unlink("g");
    equal(text((await place.xattr(inode, "user.a"))!), "1");
  },
};
