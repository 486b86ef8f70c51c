/** What a name may be; link, unlink, rename and rmdir. */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import {
  EBUSY,
  EEXIST,
  EINVAL,
  EISDIR,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
  ESTALE,
} from "core/errno.ts";
import { decodeName } from "core/lib/bytes.ts";
import { type Cases, fails, gfidReq, Place, text } from "tests/conformance/place.ts";

const WRONG = ["", "/", "a/b", "../x", "/etc/passwd", ".", "..", "a\0b", "\0"];
// Which of them fits depends on who looks first; none of them lets anything happen.
const REFUSED = [EINVAL, EPERM, ENOENT, EEXIST, EISDIR, EBUSY, ENOTEMPTY, ENOTDIR, ESTALE];

export const names: Cases = {
  async "names of 255 bytes work, 256 are ENAMETOOLONG everywhere"(subject) {
    const place = await Place.of(subject);
    const longest = "n".repeat(255), over = longest + "n", wide = "ü".repeat(128);
    const inode = await place.file(longest, "x");
    equal((await place.lookup(longest)).stat.gfid, inode.gfid);
    for (const name of [over, wide]) {
      const make = { parent: place.dir, name, mode: 0o755, umask: 0, xdata: gfidReq() };
      await fails(place.lookup(name), ENAMETOOLONG);
      await fails(place.create(name), ENAMETOOLONG);
      await fails(place.ask("mkdir", make), ENAMETOOLONG);
      await fails(place.ask("mknod", { ...make, rdev: 0 }), ENAMETOOLONG);
      await fails(place.ask("symlink", { ...make, target: "t" }), ENAMETOOLONG);
      await fails(place.ask("link", { inode, parent: place.dir, name }), ENAMETOOLONG);
      await fails(place.rename(longest, name), ENAMETOOLONG);
      await fails(place.rename(name, "x"), ENAMETOOLONG);
      await fails(place.unlink(name), ENAMETOOLONG);
      await fails(place.ask("rmdir", { parent: place.dir, name, flags: 0 }), ENAMETOOLONG);
    }
    deepEqual(await place.names(), [longest]);
  },

  async "names with / or NUL, empty ones, . and .. make nothing"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "keep");
    for (const name of WRONG) {
      const make = { parent: place.dir, name, mode: 0o755, umask: 0, xdata: gfidReq() };
      await fails(place.create(name), ...REFUSED);
      await fails(place.ask("mkdir", make), ...REFUSED);
      await fails(place.ask("mknod", { ...make, rdev: 0 }), ...REFUSED);
      await fails(place.ask("symlink", { ...make, target: "t" }), ...REFUSED);
      await fails(place.ask("link", { inode, parent: place.dir, name }), ...REFUSED);
      await fails(place.rename("f", name), ...REFUSED);
    }
    deepEqual(await place.names(), ["f"]);
    equal((await place.stat(inode)).nlink, 1);
  },

  async "names with / or NUL, empty ones, . and .. take nothing away"(subject) {
    const place = await Place.of(subject);
    const inner = await place.mkdir("inner");
    await place.file("f", "keep", inner);
    await place.file("outside", "keep");
    for (const name of [...WRONG, "../outside", "inner/f"]) {
      await fails(place.unlink(name, inner), ...REFUSED);
      await fails(place.ask("rmdir", { parent: inner, name, flags: 0 }), ...REFUSED);
      await fails(place.ask("rmdir", { parent: inner, name, flags: 1 }), ...REFUSED);
      await fails(place.rename(name, "taken", inner), ...REFUSED);
    }
    deepEqual(await place.names(), ["inner", "outside"]);
    deepEqual(await place.names(inner), ["f"]);
  },

  async "lookups never leave the directory"(subject) {
    const place = await Place.of(subject);
    const inner = await place.mkdir("inner");
    await place.file("f");
    for (const name of ["../f", "..", "/", "/etc", "a/../../f", "f\0g"]) {
      await fails(place.lookup(name, inner), ...REFUSED);
    }
    await fails(place.lookup("..", subject.inodes.root), ...REFUSED);
  },

  async "the brick's private directory can be neither made nor removed"(subject) {
    const place = await Place.of(subject);
    const parent = subject.inodes.root, name = ".glusterfs";
    const make = { parent, name, mode: 0o755, umask: 0, xdata: gfidReq() };
    await fails(place.ask("mkdir", make), ...REFUSED);
    await fails(place.create(name, { parent }), ...REFUSED);
    await fails(place.ask("symlink", { ...make, target: "t" }), ...REFUSED);
    await fails(place.ask("rmdir", { parent, name, flags: 1 }), ...REFUSED);
    await fails(place.ask("rmdir", { parent, name, flags: 0 }), ...REFUSED);
    await fails(place.unlink(name, parent), ...REFUSED);
    await fails(place.rename(name, "stolen", parent, place.dir), ...REFUSED);
    await place.file("f");
    await fails(place.rename("f", name, place.dir, parent), ...REFUSED);
    deepEqual(await place.names(), ["f"]);
  },

  async "names that are no UTF-8 come back as they were"(subject) {
    const place = await Place.of(subject);
    const name = decodeName(Uint8Array.of(0x66, 0xff, 0x80, 0xc3, 0x28));
    const inode = await place.file(name, "odd");
    equal((await place.lookup(name)).stat.gfid, inode.gfid);
    deepEqual(await place.names(), [name]);
    await place.unlink(name);
    deepEqual(await place.names(), []);
  },

  async "names with blanks, quotes, newlines and other scripts work"(subject) {
    const place = await Place.of(subject);
    const all = [" ", "a b", '"', "'", "\n", "\\", "*", "日本語", "🜁", "-rf", "#", "%2f"];
    for (const name of all) await place.file(name, name);
    deepEqual(await place.names(), [...all].sort());
    for (const name of all) {
      const { stat } = await place.lookup(name);
      equal(await place.content(subject.inodes.of(stat.gfid)), name);
    }
  },

  async "a link is another name of the same inode"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "one");
    const dir = await place.mkdir("d");
    const { stat } = await place.ask("link", { inode, parent: dir, name: "l" });
    deepEqual([stat.gfid, stat.nlink], [inode.gfid, 2]);
    equal((await place.lookup("l", dir)).stat.gfid, inode.gfid);
    await place.unlink("f");
    equal((await place.stat(inode)).nlink, 1);
    equal(await place.content(inode), "one");
  },

  async "a link to a name that is there is EEXIST, to a directory an error"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    await place.file("g");
    await fails(place.ask("link", { inode, parent: place.dir, name: "g" }), EEXIST);
    const dir = await place.mkdir("d");
    await fails(place.ask("link", { inode: dir, parent: place.dir, name: "l" }), EPERM);
    deepEqual(await place.names(), ["d", "f", "g"]);
  },

  async "a symbolic link can be linked"(subject) {
    const place = await Place.of(subject);
    const made = { parent: place.dir, name: "s", target: "nowhere", umask: 0, xdata: gfidReq() };
    const inode = subject.inodes.of((await place.ask("symlink", made)).stat.gfid);
    const { stat } = await place.ask("link", { inode, parent: place.dir, name: "t" });
    deepEqual([stat.gfid, stat.nlink], [inode.gfid, 2]);
  },

  async "unlink takes the name, and with the last one the file"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f");
    const { preParent, postParent } = await place.unlink("f");
    deepEqual([preParent?.gfid, postParent?.gfid], [place.dir.gfid, place.dir.gfid]);
    await fails(place.lookup("f"), ENOENT);
    await fails(place.ask("lookup", { inode, name: "" }), ENOENT, ESTALE);
    await fails(place.stat(inode), ENOENT, ESTALE);
    await fails(place.unlink("f"), ENOENT);
  },

  async "a removed file's gfid can be used again"(subject) {
    const place = await Place.of(subject);
    const { gfid } = await place.file("f", "old");
    await place.unlink("f");
    const { fd, inode } = await place.create("g", { xdata: gfidReq(gfid) });
    await place.close(fd);
    equal(await place.content(inode), "");
  },

  async "unlink of a directory and rmdir of a file are errors"(subject) {
    const place = await Place.of(subject);
    await place.mkdir("d");
    await place.file("f");
    await fails(place.unlink("d"), EISDIR, EPERM);
    await fails(place.ask("rmdir", { parent: place.dir, name: "f", flags: 0 }), ENOTDIR);
    deepEqual(await place.names(), ["d", "f"]);
  },

  async "rmdir takes an empty directory, and its parent loses a link"(subject) {
    const place = await Place.of(subject);
    const inode = await place.mkdir("d");
    await place.ask("rmdir", { parent: place.dir, name: "d", flags: 0 });
    equal((await place.stat(place.dir)).nlink, 2);
    await fails(place.ask("lookup", { inode, name: "" }), ENOENT, ESTALE);
    await fails(place.ask("rmdir", { parent: place.dir, name: "d", flags: 0 }), ENOENT);
  },

  async "rmdir of a directory with entries is ENOTEMPTY"(subject) {
    const place = await Place.of(subject);
    const dir = await place.mkdir("d");
    await place.file("f", "x", dir);
    await fails(place.ask("rmdir", { parent: place.dir, name: "d", flags: 0 }), ENOTEMPTY, EEXIST);
    deepEqual(await place.names(dir), ["f"]);
  },

  async "rmdir with flag 1 takes all that is in it"(subject) {
    const place = await Place.of(subject);
    const dir = await place.mkdir("d");
    await place.file("f", "x", await place.mkdir("e", dir));
    await place.ask("rmdir", { parent: place.dir, name: "d", flags: 1 });
    await fails(place.lookup("d"), ENOENT);
    deepEqual(await place.names(), []);
  },

  async "rename moves a file within and between directories"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "x");
    const dir = await place.mkdir("d");
    const reply = await place.rename("f", "g");
    equal(reply.stat?.gfid, inode.gfid);
    const moved = await place.rename("g", "h", place.dir, dir);
    equal(moved.postNewParent?.gfid, dir.gfid);
    equal((await place.lookup("h", dir)).stat.gfid, inode.gfid);
    await fails(place.lookup("f"), ENOENT);
    await fails(place.lookup("g"), ENOENT);
    equal(await place.content(inode), "x");
    equal((await place.stat(inode)).nlink, 1);
  },

  async "rename over a file replaces it"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("new", "new"), old = await place.file("f", "old");
    await place.rename("new", "f");
    equal((await place.lookup("f")).stat.gfid, inode.gfid);
    await fails(place.ask("lookup", { inode: old, name: "" }), ENOENT, ESTALE);
    deepEqual(await place.names(), ["f"]);
  },

  async "rename over a file that is open leaves it readable to who has it open"(subject) {
    const place = await Place.of(subject);
    const { inode: old, fd } = await place.create("f");
    await place.write(fd, 0, "old");
    await place.file("new", "new");
    await place.rename("new", "f");
    equal(text(await place.read(fd, 0, 10)), "old");
    equal((await place.ask("fstat", { fd })).stat.gfid, old.gfid);
    await place.close(fd);
    await fails(place.ask("lookup", { inode: old, name: "" }), ENOENT, ESTALE);
  },

  async "rename over another name of the same file changes nothing"(subject) {
    const place = await Place.of(subject);
    const inode = await place.file("f", "x");
    await place.ask("link", { inode, parent: place.dir, name: "g" });
    await place.rename("f", "g");
    equal((await place.stat(inode)).nlink, 2);
    deepEqual(await place.names(), ["f", "g"]);
    await place.rename("f", "f");
    equal(await place.content(inode), "x");
  },

  async "rename over one of several names of a file keeps the others"(subject) {
    const place = await Place.of(subject);
    const kept = await place.file("f", "kept");
    await place.ask("link", { inode: kept, parent: place.dir, name: "g" });
    await place.file("new", "new");
    await place.rename("new", "g");
    equal((await place.stat(kept)).nlink, 1);
    equal(await place.content(kept), "kept");
  },

  async "rename of a missing name is ENOENT and keeps the target"(subject) {
    const place = await Place.of(subject);
    await place.file("g", "keep");
    await fails(place.rename("f", "g"), ENOENT);
    deepEqual(await place.names(), ["g"]);
  },

  async "rename moves a directory with what is in it, deep handles included"(subject) {
    const place = await Place.of(subject);
    const dir = await place.mkdir("d"), to = await place.mkdir("to");
    const deep = await place.mkdir("e", dir);
    const inode = await place.file("f", "x", deep);
    await place.rename("d", "moved", place.dir, to);
    equal((await place.lookup("moved", to)).stat.gfid, dir.gfid);
    deepEqual(await place.names(deep), ["f"]);
    equal(await place.content(inode), "x");
    await place.file("g", "y", deep);
    deepEqual(await place.names(deep), ["f", "g"]);
    deepEqual([(await place.stat(place.dir)).nlink, (await place.stat(to)).nlink], [3, 3]);
  },

  async "rename over an empty directory replaces it, over a full one is ENOTEMPTY"(subject) {
    const place = await Place.of(subject);
    const dir = await place.mkdir("d"), full = await place.mkdir("full");
    await place.file("f", "x", full);
    await place.mkdir("empty");
    await fails(place.rename("d", "full"), ENOTEMPTY, EEXIST);
    await place.rename("d", "empty");
    equal((await place.lookup("empty")).stat.gfid, dir.gfid);
    deepEqual(await place.names(), ["empty", "full"]);
  },

  async "rename between files and directories is EISDIR or ENOTDIR"(subject) {
    const place = await Place.of(subject);
    await place.mkdir("d");
    await place.file("f");
    await fails(place.rename("f", "d"), EISDIR);
    await fails(place.rename("d", "f"), ENOTDIR);
    deepEqual(await place.names(), ["d", "f"]);
  },

  async "rename of a directory into itself is EINVAL"(subject) {
    const place = await Place.of(subject);
    const dir = await place.mkdir("d");
    const deep = await place.mkdir("e", dir);
    await fails(place.rename("d", "x", place.dir, dir), EINVAL);
    await fails(place.rename("d", "x", place.dir, deep), EINVAL);
    deepEqual(await place.names(dir), ["e"]);
  },
};
