/** Stat, setattr and access. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { S_IFDIR, S_IFREG } from "core/iatt.ts";
import { ROOT_GFID } from "core/inode.ts";
import { type Cases, gfidReq, Place } from "tests/conformance/place.ts";

const THEN = { sec: 1_000_000_000, nsec: 123_456_789 };
const LATER = { sec: 1_200_000_000, nsec: 1 };

export const attributes: Cases = {
  async "stat and fstat agree"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    await place.write(fd, 0, "hello");
    deepEqual((await place.ask("fstat", { fd })).stat, await place.stat(inode));
    await place.close(fd);
  },

  async "the root has the root's gfid and is a directory"({ top, inodes, call }) {
    const { stat } = await top.stat(call, { inode: inodes.root });
    deepEqual([stat.gfid, stat.mode & 0o170000], [ROOT_GFID, S_IFDIR]);
  },

  async "blocks are never more than the size needs"(subject) {
    const place = await Place.of(subject);
    const stat = await place.stat(await place.file("f", "x"));
    ok(stat.blocks <= 1, `${stat.blocks} blocks for one byte`);
    ok(stat.blksize > 0);
  },

  async "setattr changes the mode and nothing else"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "x");
    const before = await place.stat(inode);
    const { pre, post } = await place.ask("setattr", { inode, changes: { mode: 0o4750 } });
    deepEqual([pre?.mode, post?.mode], [S_IFREG | 0o644, S_IFREG | 0o4750]);
    const { ctime: _c, ctimeNsec: _n, ...after } = await place.stat(inode);
    const { ctime: _d, ctimeNsec: _o, ...old } = before;
    deepEqual(after, { ...old, mode: S_IFREG | 0o4750 });
  },

  async "setattr ignores type bits in the mode"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.ask("setattr", { inode, changes: { mode: S_IFREG | 0o600 } });
    equal((await place.stat(inode)).mode, S_IFREG | 0o600);
  },

  async "setattr changes owner and group, each alone"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    const owners = async () => {
      const { uid, gid } = await place.stat(inode);
      return [uid, gid];
    };
    await place.ask("setattr", { inode, changes: { uid: 11 } });
    deepEqual(await owners(), [11, subject.call.gid]);
    await place.ask("setattr", { inode, changes: { gid: 22 } });
    deepEqual(await owners(), [11, 22]);
    await place.ask("setattr", { inode, changes: { uid: 0, gid: 0 } });
    deepEqual(await owners(), [0, 0]);
  },

  async "setattr changes times to the nanosecond, each alone"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "x");
    await place.ask("setattr", { inode, changes: { atime: THEN, mtime: LATER } });
    let stat = await place.stat(inode);
    deepEqual([stat.atime, stat.atimeNsec], [THEN.sec, THEN.nsec]);
    deepEqual([stat.mtime, stat.mtimeNsec], [LATER.sec, LATER.nsec]);
    await place.ask("setattr", { inode, changes: { mtime: THEN } });
    stat = await place.stat(inode);
    deepEqual([stat.atime, stat.mtime, stat.mtimeNsec], [THEN.sec, THEN.sec, THEN.nsec]);
    await place.ask("setattr", { inode, changes: { atime: LATER } });
    stat = await place.stat(inode);
    deepEqual([stat.atime, stat.mtime], [LATER.sec, THEN.sec]);
  },

  async "setattr sets times to now"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.ask("setattr", { inode, changes: { atime: THEN, mtime: THEN } });
    await place.ask("setattr", { inode, changes: { atime: "now", mtime: "now" } });
    const stat = await place.stat(inode);
    ok(stat.atime > LATER.sec && stat.mtime > LATER.sec, "the times are old");
  },

  async "setattr of times before 1970 works"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    const mtime = { sec: -100, nsec: 5 };
    await place.ask("setattr", { inode, changes: { mtime } });
    const stat = await place.stat(inode);
    deepEqual([stat.mtime, stat.mtimeNsec], [-100, 5]);
  },

  async "setattr of nothing succeeds and changes nothing"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "x");
    const { ctime: _c, ctimeNsec: _n, ...before } = await place.stat(inode);
    await place.ask("setattr", { inode, changes: {} });
    const { ctime: _d, ctimeNsec: _o, ...after } = await place.stat(inode);
    deepEqual(after, before);
  },

  async "setattr works on directories and does not touch what is in them"(subject) {
    const place = await Place.of(subject);
    const inode = await place.mkdir("d");
    const file = await place.file("f", "x", inode);
    await place.ask("setattr", { inode, changes: { mode: 0o700, uid: 5, mtime: THEN } });
    const stat = await place.stat(inode);
    deepEqual([stat.mode, stat.uid, stat.mtime], [S_IFDIR | 0o700, 5, THEN.sec]);
    equal((await place.stat(file)).uid, subject.call.uid);
  },

  async "setattr on a symbolic link changes the link, not its target"(subject) {
    const place = await Place.of(subject);
    const file = await place.file("f");
    const made = { parent: place.dir, name: "l", target: "f", umask: 0, xdata: gfidReq() };
    const inode = subject.inodes.of((await place.ask("symlink", made)).stat.gfid);
    await place.ask("setattr", { inode, changes: { uid: 7, gid: 8, mtime: THEN } });
    const stat = await place.stat(inode);
    deepEqual([stat.uid, stat.gid, stat.mtime], [7, 8, THEN.sec]);
    ok((await place.stat(file)).uid !== 7, "the target was changed");
  },

  async "fsetattr changes mode, owner and times"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    const changes = { mode: 0o600, uid: 3, gid: 4, atime: THEN, mtime: LATER };
    const { post } = await place.ask("fsetattr", { fd, changes: { uid: 3, gid: 4 } });
    deepEqual([post?.uid, post?.gid], [3, 4]);
    await place.ask("fsetattr", { fd, changes });
    const stat = await place.stat(inode);
    deepEqual(
      [stat.mode & 0o7777, stat.uid, stat.gid, stat.atime, stat.mtime],
      [0o600, 3, 4, THEN.sec, LATER.sec],
    );
    await place.close(fd);
  },

  async "access is granted to the superuser"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    for (const mask of [0, 2, 4, 6]) await place.ask("access", { inode, mask });
    await place.ask("access", { inode: place.dir, mask: 7 });
  },
};
