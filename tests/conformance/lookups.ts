/** Lookup in all its forms, and the rules of resolving by gfid. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { EINVAL, ENOENT, ENOTDIR, EPERM, ESTALE } from "core/errno.ts";
import { isDirectory, isRegular } from "core/iatt.ts";
import { NULL_GFID, ROOT_GFID } from "core/inode.ts";
import { type Cases, fails, gfidReq, newGfid, Place } from "tests/conformance/place.ts";

export const lookups: Cases = {
  async "the root answers a directory with the root's gfid"({ top, inodes, call }) {
    const { stat } = await top.lookup(call, { inode: inodes.root, name: "" });
    equal(stat.gfid, ROOT_GFID);
    ok(isDirectory(stat));
  },

  async "the name . in the root answers the root"({ top, inodes, call }) {
    const args = { inode: inodes.root, parent: inodes.root, name: "." };
    equal((await top.lookup(call, args)).stat.gfid, ROOT_GFID);
  },

  async "a name answers its inode and the parent's attributes"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "hello");
    const { stat, postParent } = await place.lookup("f");
    equal(stat.gfid, inode.gfid);
    equal(stat.size, 5);
    ok(isRegular(stat));
    equal(postParent?.gfid, place.dir.gfid);
  },

  async "a name with the gfid it is known by answers it again"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    const { stat } = await place.ask("lookup", { inode, parent: place.dir, name: "f" });
    equal(stat.gfid, inode.gfid);
  },

  async "a name that stands for another inode than expected answers the real one"(subject) {
    const place = await Place.of(subject);
    const real = await place.file("f");
    const inode = subject.inodes.of(newGfid());
    const { stat } = await place.ask("lookup", { inode, parent: place.dir, name: "f" });
    equal(stat.gfid, real.gfid);
  },

  async "an inode without a name is found by its gfid"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "abc");
    const { stat } = await place.ask("lookup", { inode, name: "" });
    deepEqual([stat.gfid, stat.size, stat.nlink], [inode.gfid, 3, 1]);
  },

  async "a directory without a name is found by its gfid"(subject) {
    const place = await Place.of(subject);
    const { stat } = await place.ask("lookup", { inode: await place.mkdir("d"), name: "" });
    ok(isDirectory(stat));
  },

  async "a missing name is ENOENT with the parent's attributes"(subject) {
    const place = await Place.of(subject);
    const failure = await fails(place.lookup("missing"), ENOENT);
    equal(failure.postParent?.gfid, place.dir.gfid);
  },

  async "a gfid that no file has is ENOENT or ESTALE"(subject) {
    const inode = subject.inodes.of(newGfid());
    await fails(subject.top.lookup(subject.call, { inode, name: "" }), ENOENT, ESTALE);
  },

  async "a name in a directory that is not there is ESTALE"(subject) {
    const parent = subject.inodes.of(newGfid());
    await fails(subject.top.lookup(subject.call, { parent, name: "f" }), ESTALE);
  },

  async "a name in a file is an error"(subject) {
    const place = await Place.of(subject);
    const parent = await place.file("f");
    await fails(place.lookup("x", parent), ENOTDIR, ESTALE, ENOENT);
  },

  async "no gfid and no name is an error"({ top, inodes, call }) {
    await fails(top.lookup(call, { name: "" }), EINVAL, ENOENT, ESTALE);
    const inode = inodes.of(NULL_GFID);
    await fails(top.lookup(call, { inode, name: "" }), EINVAL, ENOENT, ESTALE);
  },

  async "a wish for a gfid does not change what has one"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    const { stat } = await place.lookup("f", place.dir, gfidReq());
    equal(stat.gfid, inode.gfid);
  },

  async "the brick's private directory in the root is hidden"({ top, inodes, call }) {
    const args = { parent: inodes.root, name: ".glusterfs" };
    await fails(top.lookup(call, args), EPERM, ENOENT);
  },

  async "the name .glusterfs below the root is a name like any other"(subject) {
    const place = await Place.of(subject);
    const inode = await place.mkdir(".glusterfs");
    equal((await place.lookup(".glusterfs")).stat.gfid, inode.gfid);
  },

  async "fops on a gfid that no file has are ENOENT or ESTALE"(subject) {
    const place = await Place.of(subject);
    const inode = subject.inodes.of(newGfid());
    const stale = [ENOENT, ESTALE];
    await fails(place.ask("stat", { inode }), ...stale);
    await fails(place.ask("access", { inode, mask: 4 }), ...stale);
    await fails(place.ask("open", { inode, flags: 0 }), ...stale);
    await fails(place.ask("opendir", { inode }), ...stale);
    await fails(place.ask("readlink", { inode, size: 4096 }), ...stale);
    await fails(place.ask("truncate", { inode, offset: 0 }), ...stale);
    await fails(place.ask("setattr", { inode, changes: { mode: 0o600 } }), ...stale);
    await fails(place.setxattr(inode, { "user.a": "b" }), ...stale);
    await fails(place.ask("getxattr", { inode, name: "user.a" }), ...stale);
    await fails(place.ask("removexattr", { inode, name: "user.a" }), ...stale);
    await fails(place.ask("link", { inode, parent: place.dir, name: "l" }), ...stale);
    deepEqual(await place.names(), []);
  },

  async "names in a directory that is not there are ENOENT or ESTALE"(subject) {
    const place = await Place.of(subject);
    const parent = subject.inodes.of(newGfid());
    const make = { parent, name: "n", mode: 0o644, umask: 0 };
    const stale = [ENOENT, ESTALE];
    await fails(place.ask("mkdir", { ...make, xdata: gfidReq() }), ...stale);
    await fails(place.ask("mknod", { ...make, rdev: 0, xdata: gfidReq() }), ...stale);
    await fails(place.ask("create", { ...make, flags: 2, xdata: gfidReq() }), ...stale);
    const link = { parent, name: "n", target: "t", umask: 0, xdata: gfidReq() };
    await fails(place.ask("symlink", link), ...stale);
    await fails(place.ask("unlink", { parent, name: "n", flags: 0 }), ...stale);
    await fails(place.ask("rmdir", { parent, name: "n", flags: 0 }), ...stale);
    const inode = await place.file("f");
    await fails(place.ask("link", { parent, name: "n", inode }), ...stale);
    await fails(place.rename("f", "n", place.dir, parent), ...stale);
    deepEqual(await place.names(), ["f"]);
  },
};
