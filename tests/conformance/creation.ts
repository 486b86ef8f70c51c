/** Create, mkdir, mknod, symlink: gfids that the client chooses, modes, owners, xattrs from the start. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import type { Call } from "core/call.ts";
import { EEXIST, EIO, EISDIR, ENODATA, ENOENT, EPERM } from "core/errno.ts";
import { O_CREAT, O_EXCL, O_RDWR, O_TRUNC } from "core/fops.ts";
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "core/iatt.ts";
import { NULL_GFID } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";
import { PREOP_CHECK_FAILED, PREOP_PARENT_KEY } from "core/xdata_keys.ts";
import {
  type Cases,
  fails,
  gfidReq,
  newGfid,
  Place,
  text,
  xattrs,
} from "tests/conformance/place.ts";

export const creation: Cases = {
  async "create makes an empty file with the wished gfid and opens it"(subject) {
    const place = await Place.of(subject);
    const gfid = newGfid();
    const { reply, fd } = await place.create("f", { mode: 0o640, xdata: gfidReq(gfid) });
    const { stat } = reply;
    deepEqual([stat.gfid, stat.mode, stat.size, stat.nlink], [gfid, S_IFREG | 0o640, 0, 1]);
    deepEqual([reply.preParent?.gfid, reply.postParent?.gfid], [place.dir.gfid, place.dir.gfid]);
    await place.write(fd, 0, "x");
    await place.close(fd);
    equal((await place.lookup("f")).stat.gfid, gfid);
  },

  async "without a wished gfid, or with a zero one, all are refused with EPERM"(subject) {
    const place = await Place.of(subject);
    for (const xdata of [undefined, gfidReq(NULL_GFID)]) {
      const make = { parent: place.dir, name: "n", mode: 0o644, umask: 0, xdata };
      await fails(place.ask("create", { ...make, flags: O_RDWR }), EPERM);
      await fails(place.ask("mkdir", make), EPERM);
      await fails(place.ask("mknod", { ...make, rdev: 0 }), EPERM);
      await fails(place.ask("symlink", { ...make, target: "t" }), EPERM);
    }
    deepEqual(await place.names(), []);
  },

  async "a gfid that another inode has is refused"(subject) {
    const place = await Place.of(subject);
    const { gfid } = await place.file("f", "keep");
    const args = { parent: place.dir, name: "d", mode: 0o755, umask: 0, xdata: gfidReq(gfid) };
    await fails(place.ask("mkdir", args), EEXIST, EPERM);
    await fails(place.ask("symlink", { ...args, target: "t" }), EEXIST, EPERM);
    await fails(place.create("g", { xdata: gfidReq(gfid) }), EEXIST, EPERM);
    deepEqual(await place.names(), ["f"]);
    equal(await place.content(subject.inodes.of(gfid)), "keep");
  },

  async "create of a name that is there opens it and keeps its gfid"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "old");
    const { reply, fd } = await place.create("f", { flags: O_CREAT | O_RDWR });
    equal(reply.stat.gfid, inode.gfid);
    equal(text(await place.read(fd, 0, 10)), "old");
    await place.close(fd);
  },

  async "create with O_EXCL of a name that is there is EEXIST"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "old");
    await fails(place.create("f", { flags: O_CREAT | O_EXCL | O_RDWR }), EEXIST);
    equal(await place.content(inode), "old");
  },

  async "create with O_TRUNC of a name that is there empties it"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "old");
    const { fd } = await place.create("f", { flags: O_CREAT | O_TRUNC | O_RDWR });
    await place.close(fd);
    equal((await place.stat(inode)).size, 0);
  },

  async "create of a directory's name is an error"(subject) {
    const place = await Place.of(subject);
    await place.mkdir("d");
    await fails(place.create("d"), EISDIR, EEXIST);
  },

  async "mkdir, mknod and symlink of a name that is there are EEXIST"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "old");
    const make = { parent: place.dir, name: "f", mode: 0o755, umask: 0 };
    await fails(place.ask("mkdir", { ...make, xdata: gfidReq() }), EEXIST);
    await fails(place.ask("mknod", { ...make, rdev: 0, xdata: gfidReq() }), EEXIST);
    await fails(place.ask("symlink", { ...make, target: "t", xdata: gfidReq() }), EEXIST);
    equal((await place.lookup("f")).stat.gfid, inode.gfid);
  },

  async "mkdir makes a directory with two links, and its parent gets one more"(subject) {
    const place = await Place.of(subject);
    const gfid = newGfid();
    const args = { parent: place.dir, name: "d", mode: 0o751, umask: 0, xdata: gfidReq(gfid) };
    const { stat } = await place.ask("mkdir", args);
    deepEqual([stat.gfid, stat.mode, stat.nlink], [gfid, S_IFDIR | 0o751, 2]);
    equal((await place.stat(place.dir)).nlink, 3);
  },

  async "mode bits above the permissions are kept"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f", { mode: S_IFREG | 0o4711 });
    await place.close(fd);
    equal((await place.stat(inode)).mode, S_IFREG | 0o4711);
    const dir = await place.mkdir("d", place.dir, S_IFDIR | 0o1777);
    equal((await place.stat(dir)).mode, S_IFDIR | 0o1777);
  },

  async "mknod makes files, fifos and sockets"(subject) {
    const place = await Place.of(subject);
    for (const type of [S_IFREG, S_IFIFO, S_IFSOCK]) {
      const name = `n${type}`;
      const args = { parent: place.dir, name, mode: type | 0o600, umask: 0, rdev: 0 };
      const { stat } = await place.ask("mknod", { ...args, xdata: gfidReq() });
      equal(stat.mode, type | 0o600);
      equal((await place.lookup(name)).stat.mode & S_IFMT, type);
    }
  },

  async "mknod of devices answers major and minor"(subject) {
    const place = await Place.of(subject);
    const rdev = (1 << 8) | 3;
    for (const type of [S_IFCHR, S_IFBLK]) {
      const args = { parent: place.dir, name: `n${type}`, mode: type | 0o600, umask: 0, rdev };
      const { stat } = await place.ask("mknod", { ...args, xdata: gfidReq() });
      deepEqual([stat.mode, stat.rdev], [type | 0o600, 2 ** 32 + 3]);
    }
  },

  async "symlink keeps its target, readlink answers it"(subject) {
    const place = await Place.of(subject);
    for (
      const [name, target] of [["a", "../x/y"], ["b", "/abs"], ["c", "ü".repeat(500)]] as const
    ) {
      const args = { parent: place.dir, name, target, umask: 0, xdata: gfidReq() };
      const { stat } = await place.ask("symlink", args);
      deepEqual([stat.mode & S_IFMT, stat.size], [S_IFLNK, encodeName(target).length]);
      const inode = subject.inodes.of(stat.gfid);
      equal((await place.ask("readlink", { inode, size: 4096 })).target, target);
    }
  },

  async "an empty symlink target is an error"(subject) {
    const place = await Place.of(subject);
    const args = { parent: place.dir, name: "l", target: "", umask: 0, xdata: gfidReq() };
    await fails(place.ask("symlink", args), ENOENT);
    deepEqual(await place.names(), []);
  },

  async "the caller owns what it makes"(subject) {
    const place = await Place.of(subject);
    await place.ask("setattr", { inode: place.dir, changes: { mode: 0o777 } });
    const call: Call = { ...subject.call, uid: 1234, gid: 2345, groups: [] };
    const make = { parent: place.dir, mode: 0o755, umask: 0 };
    const created = { ...make, name: "f", flags: O_RDWR, xdata: gfidReq() };
    const file = await place.ask("create", created, call);
    await place.close(file.fd);
    const made = [
      file,
      await place.ask("mkdir", { ...make, name: "d", xdata: gfidReq() }, call),
      await place.ask("mknod", { ...make, name: "n", rdev: 0, xdata: gfidReq() }, call),
      await place.ask("symlink", { ...make, name: "l", target: "t", xdata: gfidReq() }, call),
    ];
    for (const { stat } of made) deepEqual([stat.uid, stat.gid], [1234, 2345]);
  },

  async "a setgid directory gives its group, and its bit to directories"(subject) {
    const place = await Place.of(subject);
    const changes = { mode: 0o2777, gid: 777 };
    await place.ask("setattr", { inode: place.dir, changes: { gid: changes.gid } });
    await place.ask("setattr", { inode: place.dir, changes: { mode: changes.mode } });
    const dir = await place.stat(await place.mkdir("d"));
    deepEqual([dir.gid, dir.mode], [777, S_IFDIR | 0o2755]);
    const file = await place.stat(await place.file("f"));
    deepEqual([file.gid, file.mode], [777, S_IFREG | 0o644]);
  },

  async "extended attributes in xdata are on the new inode"(subject) {
    const place = await Place.of(subject);
    const given = xattrs({ "trusted.glusterfs.dht": new Uint8Array(16).fill(7), "user.a": "b" });
    const make = { parent: place.dir, mode: 0o755, umask: 0 };
    const xdata = () => given.merged(gfidReq());
    const { fd, reply } = await place.create("f", { xdata: xdata() });
    await place.close(fd);
    const stats = [
      reply.stat,
      (await place.ask("mkdir", { ...make, name: "d", xdata: xdata() })).stat,
      (await place.ask("mknod", { ...make, name: "n", rdev: 0, xdata: xdata() })).stat,
    ];
    for (const { gfid } of stats) {
      const inode = subject.inodes.of(gfid);
      deepEqual(await place.xattr(inode, "trusted.glusterfs.dht"), new Uint8Array(16).fill(7));
      equal(text((await place.xattr(inode, "user.a"))!), "b");
      const all = (await place.ask("getxattr", { inode, name: "" })).xattrs;
      ok(!all?.has("gfid-req"), "the wish itself was stored");
    }
  },

  async "a parent whose attribute changed refuses new names, and says why"(subject) {
    const place = await Place.of(subject);
    const key = "trusted.glusterfs.dht", old = new Uint8Array(16), now = new Uint8Array(16).fill(1);
    await place.setxattr(place.dir, { [key]: now });
    const asked = (value: Uint8Array) =>
      gfidReq().with(PREOP_PARENT_KEY, key).merged(xattrs({ [key]: value }));
    const make = { parent: place.dir, name: "d", mode: 0o755, umask: 0 };
    const failure = await fails(place.ask("mkdir", { ...make, xdata: asked(old) }), EIO);
    equal(failure.xdata?.get(PREOP_CHECK_FAILED), 1);
    await fails(place.create("f", { xdata: asked(old) }), EIO);
    deepEqual(await place.names(), []);
    const { stat } = await place.ask("mkdir", { ...make, xdata: asked(now) });
    await place.close((await place.create("f", { xdata: asked(now) })).fd);
    deepEqual(await place.names(), ["d", "f"]);
    await fails(place.xattr(subject.inodes.of(stat.gfid), key), ENODATA);
  },

  async "a parent's times change with its entries"(subject) {
    const place = await Place.of(subject);
    const old = { mtime: { sec: 1000, nsec: 0 } };
    await place.ask("setattr", { inode: place.dir, changes: old });
    await place.file("f");
    ok((await place.stat(place.dir)).mtime > 1000, "create did not change mtime");
    await place.ask("setattr", { inode: place.dir, changes: old });
    await place.unlink("f");
    ok((await place.stat(place.dir)).mtime > 1000, "unlink did not change mtime");
  },
};
