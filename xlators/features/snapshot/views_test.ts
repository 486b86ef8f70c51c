import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { type Call, ROOT } from "core/call.ts";
import { EROFS, ESTALE, FopError } from "core/errno.ts";
import { type FopName, FOPS, O_RDWR } from "core/fops.ts";
import { Fd, type Gfid, type Inode, InodeTable, ROOT_GFID } from "core/inode.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { LIST_XATTR } from "core/xdata_keys.ts";
import { SNAPSHOTS_GFID, viewGfid, viewKey, viewRoot } from "core/view_gfid.ts";
import { windTo } from "core/xlator.ts";
import { snapshotLayer } from "tests/fakes/snapshot_layer.ts";
import { gfidReq, internal, IS_ROOT, TestBrick } from "tests/fakes/posix_brick.ts";
import type { Snapshot } from "xlators/features/snapshot/snapshot.ts";

const ID = "5a5cb0b5-7a52-4f0a-9e0e-3b6b66a3d1c9";
const utf8 = (text: string) => new TextEncoder().encode(text);

/** A brick with its history, and the words of clients. */
class Place implements AsyncDisposable {
  layer!: Snapshot;
  inodes = new InodeTable();
  #epoch = 0;
  private constructor(readonly brick: TestBrick, readonly listed: boolean) {}

  static async start(listed = false): Promise<Place> {
    const place = new Place(await TestBrick.start(), listed);
    await place.open();
    return place;
  }

  async open(): Promise<void> {
    const { brick, listed } = this;
    this.inodes = brick.inodes;
    this.layer = await snapshotLayer(brick, { listed });
  }

  take(id: string, name: string, file?: Gfid): Promise<void> {
    const epoch = this.layer.histories.epoch();
    const reader = {
      id,
      name,
      kind: "snapshot",
      epoch,
      file,
      created: 5500,
      active: true,
    } as const;
    return this.layer.histories.take(undefined, reader);
  }

  /** What a path leads to, by lookups alone. */
  async at(path: string, xdata?: Xdata) {
    let inode = this.inodes.root;
    let reply = await this.layer.lookup(ROOT, { inode, name: "", xdata });
    for (const name of path.split("/").filter(Boolean)) {
      reply = await this.layer.lookup(ROOT, { parent: inode, name, xdata });
      inode = this.inodes.of(reply.stat.gfid);
    }
    return { ...reply, inode };
  }

  async read(path: string): Promise<string> {
    const { fd } = await this.layer.open(ROOT, { inode: (await this.at(path)).inode, flags: 0 });
    const { data } = await this.layer.readv(ROOT, { fd, offset: 0, size: 65536, flags: 0 });
    await this.layer.release(ROOT, { fd });
    return new TextDecoder().decode(data);
  }

  async names(inode: Inode, size = 65536, call: Call = ROOT): Promise<string[]> {
    const { fd } = await this.layer.opendir(call, { inode });
    const names: string[] = [];
    for (let offset = 0n;;) {
      const { entries, eof } = await this.layer.readdirp(call, { fd, offset, size });
      for (const entry of entries) {
        if (entry.name !== "." && entry.name !== "..") names.push(entry.name);
        offset = entry.offset;
      }
      ok(eof || entries.length);
      if (eof) break;
    }
    await this.layer.releasedir(ROOT, { fd });
    return names.sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.layer.stop();
    await this.brick.remove();
  }
}

function test(name: string, body: (place: Place) => Promise<void>, listed = false): void {
  Deno.test({
    name: `features/snapshot: ${name}`,
    ignore: !IS_ROOT,
    fn: async () => {
      await using place = await Place.start(listed);
      await body(place);
    },
  });
}

const fails = (answer: Promise<unknown>, wanted: FopError, message?: string) =>
  rejects(answer, (error) => wanted.matches(error), message);

test("a snapshot is browsed by its name as the volume was", async (place) => {
  const { brick, layer } = place;
  const dir = await brick.mkdir("dir");
  const file = await brick.file("f", "before", dir);
  const xattrs = Xdata.of([["user.x", ptr(utf8("old"))], ["trusted.afr.dirty", ptr(utf8("d"))]]);
  await layer.setxattr(ROOT, { inode: file, xattrs, flags: 0 });
  await brick.top.symlink(ROOT, {
    parent: dir,
    name: "to",
    target: "f",
    umask: 0,
    xdata: gfidReq(),
  });
  await place.take(ID, "monday");
  const { fd } = await layer.open(ROOT, { inode: file, flags: O_RDWR });
  await layer.writev(ROOT, { fd, offset: 0, data: utf8("after!!"), flags: 0 });
  await layer.release(ROOT, { fd });
  await layer.removexattr(ROOT, { inode: file, name: "user.x" });
  await layer.rename(ROOT, {
    ...{ oldParent: dir, oldName: "f", newParent: brick.root, newName: "g" },
  });
  await layer.unlink(ROOT, { parent: dir, name: "to", flags: 0 });
  await layer.rmdir(ROOT, { parent: brick.root, name: "dir", flags: 0 });

  equal(await place.read("g"), "after!!");
  equal(await place.read(".snaps/monday/dir/f"), "before");
  const old = await place.at(
    ".snaps/monday/dir/f",
    Xdata.of([[LIST_XATTR.name, LIST_XATTR.write(true)]]),
  );
  equal(old.stat.gfid, viewGfid(file.gfid, viewKey(ID)));
  equal(old.stat.size, 6);
  equal(old.postParent?.gfid, viewGfid(dir.gfid, viewKey(ID)));
  deepEqual(old.xdata?.raw("user.x"), ptr(utf8("old")));
  equal(old.xdata?.has("trusted.afr.dirty"), false);
  const { xattrs: all } = await layer.getxattr(ROOT, { inode: old.inode, name: "" });
  deepEqual([...all!.names()], ["user.x"]);
  const { inode: link } = await place.at(".snaps/monday/dir/to");
  equal((await layer.readlink(ROOT, { inode: link, size: 4096 })).target, "f");
  deepEqual(await place.names((await place.at(".snaps/monday/dir")).inode), ["f", "to"]);
  deepEqual(await place.names((await place.at(".snaps/monday")).inode), ["dir"]);
  deepEqual(await place.names((await place.at(".snaps")).inode), ["monday"]);
  const snaps = await place.at(".snaps");
  equal(snaps.stat.gfid, SNAPSHOTS_GFID);
  equal(snaps.postParent?.gfid, ROOT_GFID);
  deepEqual([snaps.stat.mtime, snaps.stat.mtimeNsec], [5, 5e8]);
  // Who walks through the volume does not come there.
  deepEqual(await place.names(brick.root), ["g"]);
});

test(
  "listed, the directory of snapshots is the last name of the root, for clients",
  async (place) => {
    await place.brick.file("f");
    const { inodes: { root } } = place;
    deepEqual(await place.names(root), [".snaps", "f"]);
    deepEqual(await place.names(root, 60), [".snaps", "f"]);
    deepEqual(await place.names(root, 65536, internal(-6)), ["f"]);
    await place.take(ID, "s");
    deepEqual(await place.names((await place.at(".snaps/s")).inode), ["f"]);
  },
  true,
);

/** Arguments for any fop that changes something. */
function changing(inode: Inode, parent: Inode, fd: Fd, names: string) {
  const xattrs = Xdata.of([["user.x", ptr(utf8("1"))]]), xdata = gfidReq();
  return {
    ...{ inode, parent, fd, source: fd, name: names, mode: 0o644, umask: 0, rdev: 0, target: "t" },
    ...{ flags: 0, offset: 0, size: 1, data: utf8("x"), changes: { mode: 0o600 }, xattrs, xdata },
    ...{ op: "add32", sourceOffset: 0 },
    ...{ oldParent: parent, oldName: names, newParent: parent, newName: `${names}2` },
  };
}

test("every fop that changes something is refused in a view, and for the name of the directory", async (place) => {
  const { brick, layer } = place;
  await brick.file("f", "data");
  await place.take(ID, "s");
  const { inode } = await place.at(".snaps/s/f"), { inode: parent } = await place.at(".snaps/s");
  const { fd } = await layer.open(ROOT, { inode, flags: 0 });
  const fops = (Object.keys(FOPS) as FopName[]).filter((fop) => FOPS[fop].kind === "modify");
  for (const fop of fops) {
    const args = changing(inode, parent, fd, "f");
    await fails(windTo(layer, fop, ROOT, args as never), EROFS, fop);
    if (
      !["mkdir", "mknod", "create", "unlink", "rmdir", "symlink", "put", "rename"].includes(fop)
    ) continue;
    const there = changing(brick.root, brick.root, fd, ".snaps");
    await fails(windTo(layer, fop, ROOT, there as never), EROFS, `${fop} .snaps`);
  }
  for (const flags of [1, O_RDWR, 0o1000]) await fails(layer.open(ROOT, { inode, flags }), EROFS);
  await fails(layer.access(ROOT, { inode, mask: 2 }), EROFS);
  await layer.access(ROOT, { inode, mask: 4 });
  // An anonymous fd as well.
  const anonymous = new Fd(inode, O_RDWR, true);
  await fails(layer.writev(ROOT, { fd: anonymous, offset: 0, data: utf8("x"), flags: 0 }), EROFS);
  equal((await layer.readv(ROOT, { fd: anonymous, offset: 1, size: 9, flags: 0 })).data.length, 3);
});

test("after a restart a client goes on with the gfids that it knows", async (place) => {
  const { brick, layer } = place;
  const dir = await brick.mkdir("dir"), file = await brick.file("f", "before", dir);
  await place.take("another", "another");
  await place.take(ID, "s");
  await layer.unlink(ROOT, { parent: dir, name: "f", flags: 0 });
  await place.layer.stop();
  await brick.top.stop();
  (brick as { inodes: InodeTable }).inodes = new InodeTable();
  await brick.open();
  await place.open();
  const inode = place.inodes.of(viewGfid(file.gfid, viewKey(ID)));
  const { fd } = await place.layer.open(ROOT, { inode, flags: 0 });
  equal((await place.layer.readv(ROOT, { fd, offset: 0, size: 9, flags: 0 })).data.length, 6);
  const parent = place.inodes.of(viewGfid(dir.gfid, viewKey(ID)));
  equal((await place.layer.lookup(ROOT, { parent, name: "f" })).stat.gfid, inode.gfid);
  const root = place.inodes.of(viewRoot("another"));
  const made = { parent: root, name: "x", mode: 0, umask: 0, xdata: gfidReq() };
  await fails(place.layer.mkdir(ROOT, made), EROFS);
  deepEqual(await place.names(place.inodes.of(viewRoot(ID))), ["dir"]);
  const nobody = place.inodes.of("0b9bb7b6-37b6-4cc1-b0a7-1f7c2ff2a8b4" as Gfid);
  await rejects(place.layer.stat(ROOT, { inode: nobody }), FopError);
});

test("what is deactivated or removed is not there any more, also for those who have it open", async (place) => {
  const { brick, layer } = place;
  await brick.file("f", "data");
  await place.take(ID, "s");
  const { inode } = await place.at(".snaps/s/f");
  const { fd } = await layer.open(ROOT, { inode, flags: 0 });
  await layer.histories.update(ID, { active: false });
  deepEqual(await place.names((await place.at(".snaps")).inode), []);
  await fails(layer.readv(ROOT, { fd, offset: 0, size: 4, flags: 0 }), ESTALE);
  await fails(layer.stat(ROOT, { inode }), ESTALE);
  await layer.histories.update(ID, { active: true, name: "renamed" });
  equal((await layer.readv(ROOT, { fd, offset: 0, size: 4, flags: 0 })).data.length, 4);
  equal(await place.read(".snaps/renamed/f"), "data");
  await layer.histories.remove(ID);
  await fails(layer.readv(ROOT, { fd, offset: 0, size: 4, flags: 0 }), ESTALE);
  await layer.release(ROOT, { fd });
});

test("old data that a snapshot shared with one that went is there after the file went, too", async (place) => {
  const { brick, layer } = place;
  const inode = await brick.file("f", "before");
  await place.take(ID, "s");
  await place.take("other", "other", inode.gfid);
  const { fd } = await layer.open(ROOT, { inode, flags: O_RDWR });
  await layer.writev(ROOT, { fd, offset: 0, data: utf8("after!"), flags: 0 });
  await layer.release(ROOT, { fd });
  await layer.histories.remove("other");
  await layer.history!.collected();
  await layer.unlink(ROOT, { parent: brick.root, name: "f", flags: 0 });
  equal(await place.read(".snaps/s/f"), "before");
});

test("a large directory is listed whole whatever the size of the replies, from any place on", async (place) => {
  const { brick } = place;
  const dir = await brick.mkdir("dir");
  const wanted = Array.from({ length: 400 }, (_, i) => `file-${i}`).sort();
  for (const name of wanted) await brick.file(name, "", dir);
  await place.take(ID, "s");
  for (const name of wanted.slice(0, 200)) {
    await place.layer.unlink(ROOT, { parent: dir, name, flags: 0 });
  }
  const { inode } = await place.at(".snaps/s/dir");
  for (const size of [1, 700, 65536]) deepEqual(await place.names(inode, size), wanted);
  const { fd } = await place.layer.opendir(ROOT, { inode });
  const { entries } = await place.layer.readdir(ROOT, { fd, offset: 0n, size: 4096 });
  const { fd: other } = await place.layer.opendir(ROOT, { inode });
  const rest = await place.layer.readdir(ROOT, {
    fd: other,
    offset: entries[9]!.offset,
    size: 4096,
  });
  equal(rest.entries[0]!.name, entries[10]!.name);
});
