/** Open files and directories: what they outlive, and how many there can be. */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { EBADF, ENOENT, ENOTDIR, ESTALE, FopError } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import { Fd, type Inode } from "core/inode.ts";
import {
  type Cases,
  fails,
  gfidReq,
  pattern,
  Place,
  text,
  xattrs,
} from "tests/conformance/place.ts";

// A file that has lost its name but is still open.
async function unlinked(place: Place): Promise<{ fd: Fd; inode: Inode }> {
  const { fd, inode } = await place.create("gone");
  await place.write(fd, 0, "hello");
  await place.unlink("gone");
  return { fd, inode };
}

export const handles: Cases = {
  async "an unlinked open file reads, writes and truncates"(subject) {
    const place = await Place.of(subject);
    const { fd } = await unlinked(place);
    equal(text(await place.read(fd, 0, 10)), "hello");
    await place.write(fd, 5, " world");
    await place.ask("ftruncate", { fd, offset: 8 });
    equal(text(await place.read(fd, 0, 20)), "hello wo");
    await place.ask("fsync", { fd, dataOnly: false });
    await place.close(fd);
  },

  async "an unlinked open file's attributes are read and changed"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await unlinked(place);
    await place.ask("fsetattr", { fd, changes: { mode: 0o600, uid: 12 } });
    const { stat } = await place.ask("fstat", { fd });
    deepEqual(
      [stat.gfid, stat.mode & 0o777, stat.uid, stat.nlink, stat.size],
      [inode.gfid, 0o600, 12, 0, 5],
    );
    await place.close(fd);
  },

  async "an unlinked open file's extended attributes work"(subject) {
    const place = await Place.of(subject);
    const { fd } = await unlinked(place);
    await place.ask("fsetxattr", { fd, xattrs: xattrs({ "user.a": "b" }), flags: 0 });
    const { xattrs: got } = await place.ask("fgetxattr", { fd, name: "user.a" });
    ok(got?.has("user.a"), "the attribute is not there");
    const add = xattrs({ "trusted.afr.dirty": Uint8Array.of(0, 0, 0, 1) });
    await place.ask("fxattrop", { fd, op: "add32", xattrs: add });
    await place.ask("fremovexattr", { fd, name: "user.a" });
    await place.close(fd);
  },

  async "an unlinked open file's ranges work"(subject) {
    const place = await Place.of(subject);
    const { fd } = await unlinked(place);
    await place.ask("fallocate", { fd, mode: 0, offset: 0, size: 8192 });
    await place.ask("zerofill", { fd, offset: 0, size: 2 });
    await place.ask("discard", { fd, offset: 2, size: 1 });
    equal((await place.ask("seek", { fd, offset: 0, what: "data" })).offset < 8192, true);
    equal(text(await place.read(fd, 0, 5)), "\0\0\0lo");
    await place.close(fd);
  },

  async "an unlinked file is gone when it is closed"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await unlinked(place);
    await fails(place.lookup("gone"), ENOENT);
    await place.close(fd);
    await fails(place.ask("lookup", { inode, name: "" }), ENOENT, ESTALE);
    await fails(place.ask("open", { inode, flags: O_RDWR }), ENOENT, ESTALE);
  },

  async "an unlinked file stays until its last fd is closed"(subject) {
    const place = await Place.of(subject);
    const { fd: first, inode } = await place.create("gone");
    const second = await place.open(inode);
    await place.write(first, 0, "hello");
    await place.unlink("gone");
    await place.close(first);
    equal(text(await place.read(second, 0, 5)), "hello");
    await place.close(second);
  },

  async "a name may be made anew while the old file is open"(subject) {
    const place = await Place.of(subject);
    const { fd: old } = await unlinked(place);
    const { fd } = await place.create("gone");
    await place.write(fd, 0, "new");
    deepEqual(
      [text(await place.read(old, 0, 9)), text(await place.read(fd, 0, 9))],
      ["hello", "new"],
    );
    await place.close(old, fd);
  },

  async "an fd follows its file through rename"(subject) {
    const place = await Place.of(subject);
    const { fd, inode } = await place.create("f");
    const dir = await place.mkdir("d");
    await place.rename("f", "g", place.dir, dir);
    await place.write(fd, 0, "after");
    await place.close(fd);
    equal(await place.content(inode), "after");
  },

  async "a released fd is EBADF"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.create("f");
    await place.close(fd);
    await fails(place.read(fd, 0, 1), EBADF);
    await fails(place.write(fd, 0, "x"), EBADF);
    await fails(place.ask("fstat", { fd }), EBADF);
  },

  async "an fd that nobody opened is EBADF"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "keep");
    const fd = new Fd(inode, O_RDWR);
    await fails(place.read(fd, 0, 1), EBADF);
    await fails(place.write(fd, 0, "lost"), EBADF);
    await fails(place.ask("readdir", { fd, offset: 0n, size: 4096 }), EBADF, ENOTDIR);
    equal(await place.content(inode), "keep");
  },

  async "an anonymous fd of a file that is gone is an error"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.unlink("f");
    await fails(place.read(new Fd(inode, 0, true), 0, 1), ENOENT, ESTALE, EBADF);
  },

  async "hundreds of open files keep apart"(subject) {
    const place = await Place.of(subject);
    const fds: Fd[] = [];
    for (let i = 0; i < 300; i++) {
      const { fd } = await place.create(`f${i}`);
      await place.write(fd, 0, `file ${i}`);
      fds.push(fd);
    }
    for (const [i, fd] of fds.entries()) equal(text(await place.read(fd, 0, 20)), `file ${i}`);
    await place.close(...fds);
  },

  async "opendir of a file is ENOTDIR, of a directory works"(subject) {
    const place = await Place.of(subject);
    await fails(place.ask("opendir", { inode: await place.file("f") }), ENOTDIR);
    const { fd } = await place.ask("opendir", { inode: place.dir });
    equal((await place.ask("fstat", { fd })).stat.gfid, place.dir.gfid);
    await place.ask("fsyncdir", { fd, dataOnly: false });
    await place.ask("releasedir", { fd });
  },

  async "fsync of an open directory works, too"(subject) {
    const place = await Place.of(subject);
    const { fd } = await place.ask("opendir", { inode: place.dir });
    equal((await place.ask("fsync", { fd, dataOnly: true })).post?.gfid, place.dir.gfid);
    await place.ask("releasedir", { fd });
  },

  async "a removed directory that is open lists nothing"(subject) {
    const place = await Place.of(subject);
    const inode = await place.mkdir("d");
    const { fd } = await place.ask("opendir", { inode });
    await place.ask("rmdir", { parent: place.dir, name: "d", flags: 0 });
    try {
      const { entries } = await place.ask("readdirp", { fd, offset: 0n, size: 4096 });
      deepEqual(entries.filter(({ name }) => name !== "." && name !== ".."), []);
    } catch (error) {
      ok(error instanceof FopError && (ENOENT.matches(error) || ESTALE.matches(error)));
    }
    await place.ask("releasedir", { fd });
    await fails(place.create("f", { parent: inode }), ENOENT, ESTALE);
  },

  async "a directory 60 levels deep works by name and by gfid"(subject) {
    const place = await Place.of(subject);
    const chain = [place.dir];
    for (let i = 0; i < 60; i++) chain.push(await place.mkdir(`level-${i}`, chain.at(-1)!));
    const deepest = chain.at(-1)!;
    const inode = await place.file("f", "deep", deepest);
    equal(await place.content(inode), "deep");
    equal((await place.lookup("f", deepest)).stat.gfid, inode.gfid);
    equal((await place.ask("lookup", { inode: deepest, name: "" })).stat.gfid, deepest.gfid);
    await place.setxattr(deepest, { "user.deep": "yes" });
    equal(text((await place.xattr(deepest, "user.deep"))!), "yes");
    await place.rename("level-0", "moved");
    await place.file("g", pattern(10), deepest);
    deepEqual(await place.names(deepest), ["f", "g"]);
  },

  async "paths longer than 4,096 bytes work"(subject) {
    const place = await Place.of(subject);
    let dir = place.dir;
    for (let i = 0; i < 20; i++) dir = await place.mkdir(`${"long".repeat(60)}-${i}`, dir);
    const inode = await place.file("f", "far", dir);
    equal(await place.content(inode), "far");
    await place.ask("setattr", { inode, changes: { mode: 0o600 } });
    equal((await place.stat(inode)).mode & 0o777, 0o600);
    const link = { parent: dir, name: "s", target: "f", umask: 0, xdata: gfidReq() };
    const made = subject.inodes.of((await place.ask("symlink", link)).stat.gfid);
    equal((await place.ask("readlink", { inode: made, size: 4096 })).target, "f");
    deepEqual(await place.names(dir), ["f", "s"]);
    await place.unlink("f", dir);
  },
};
