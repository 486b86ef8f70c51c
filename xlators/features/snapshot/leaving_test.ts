/** Files that lose their last name while a snapshot sees them, on a real brick. */

import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { PID_SELF_HEAL, ROOT } from "core/call.ts";
import { ESTALE } from "core/errno.ts";
import type { Fd, Gfid, Inode } from "core/inode.ts";
import { INTERNAL_FOP } from "core/xdata_keys.ts";
import type { View } from "snapshot/engine/view.ts";
import { snapshotLayer } from "tests/fakes/snapshot_layer.ts";
import { gfidReq, internal, IS_ROOT, TestBrick } from "tests/fakes/posix_brick.ts";
import type { Snapshot } from "xlators/features/snapshot/snapshot.ts";

class Place implements AsyncDisposable {
  layer!: Snapshot;
  #epoch = 0;

  private constructor(readonly brick: TestBrick) {}

  static async start(): Promise<Place> {
    const place = new Place(await TestBrick.start());
    await place.open();
    return place;
  }

  async open(): Promise<void> {
    this.layer = await snapshotLayer(this.brick);
  }

  get root(): Inode {
    return this.brick.root;
  }

  get history(): string {
    return `${this.brick.path}/.glusterfs/history`;
  }

  async take(id: string): Promise<View> {
    await this.layer.histories.take(undefined, {
      ...{ id, kind: "snapshot", file: undefined, epoch: ++this.#epoch, name: id },
      ...{ created: 0, active: true },
    });
    return this.view(id);
  }

  view(id: string): View {
    return this.layer.history!.view(id)!;
  }

  kept(): string[] {
    return [...Deno.readDirSync(`${this.history}/kept`)].map(({ name }) => name);
  }

  unlink(name: string, parent = this.root): Promise<unknown> {
    return this.layer.unlink(ROOT, { parent, name, flags: 0 });
  }

  async link(inode: Inode, name: string): Promise<void> {
    await this.layer.link(ROOT, { inode, parent: this.root, name });
  }

  write(fd: Fd, text: string, offset = 0): Promise<unknown> {
    const data = new TextEncoder().encode(text);
    return this.layer.writev(ROOT, { fd, offset, data, flags: 0 });
  }

  /** The file is gone for all but the view, which has this in it. */
  async gone(gfid: Gfid, view: View, text: string): Promise<void> {
    const inode = this.brick.inodes.of(gfid);
    await rejects(this.layer.stat(ROOT, { inode }), (error) => ESTALE.matches(error));
    await rejects(Deno.lstat(this.brick.handle(gfid)), Deno.errors.NotFound);
    equal(await textOf(view, gfid), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.layer.stop();
    await this.brick.remove();
  }
}

async function textOf(view: View, gfid: Gfid): Promise<string> {
  const bytes = new Uint8Array(100);
  return new TextDecoder().decode(bytes.subarray(0, await view.read(gfid, 0, bytes)));
}

function test(name: string, body: (place: Place) => Promise<void>): void {
  Deno.test({
    name: `features/snapshot: ${name}`,
    ignore: !IS_ROOT,
    fn: async () => {
      await using place = await Place.start();
      await body(place);
    },
  });
}

test("a file whose last name is unlinked is gone, and in the snapshot", async (place) => {
  const { gfid } = await place.brick.file("f", "data");
  const view = await place.take("s");
  await place.unlink("f");
  await place.gone(gfid, view, "data");
  deepEqual(place.kept(), [`${gfid}.1`]);
});

test("one of two names that goes keeps nothing", async (place) => {
  const inode = await place.brick.file("f", "data");
  await place.link(inode, "g");
  await place.take("s");
  await place.unlink("f");
  deepEqual(place.kept(), []);
  equal((await place.layer.stat(ROOT, { inode })).stat.nlink, 1);
});

test("both names of a file that go at the same time keep it", async (place) => {
  for (const round of [1, 2, 3, 4]) {
    const names = ["f", "g", "h"].map((name) => `${name}${round}`);
    const inode = await place.brick.file(names[0]!, "data");
    for (const name of names.slice(1)) await place.link(inode, name);
    const view = await place.take(`s${round}`);
    await Promise.all(names.map((name) => place.unlink(name)));
    await place.gone(inode.gfid, view, "data");
  }
});

test("a file that is replaced by a rename is gone, and in the snapshot", async (place) => {
  const { gfid } = await place.brick.file("f", "data");
  await place.brick.file("new", "more");
  const view = await place.take("s");
  const parents = { oldParent: place.root, newParent: place.root };
  await place.layer.rename(ROOT, { ...parents, oldName: "new", newName: "f" });
  await place.gone(gfid, view, "data");
});

test("a tree that is removed as a whole is gone, and in the snapshot", async (place) => {
  const { brick } = place;
  const top = await brick.mkdir("top"), inner = await brick.mkdir("inner", top);
  const files = [await brick.file("a", "one", top), await brick.file("b", "two", inner)];
  const outside = await brick.file("c", "three");
  await place.layer.link(ROOT, { inode: outside, parent: inner, name: "c" });
  const view = await place.take("s");
  await place.layer.rmdir(ROOT, { parent: brick.root, name: "top", flags: 1 });
  await place.gone(files[0]!.gfid, view, "one");
  await place.gone(files[1]!.gfid, view, "two");
  equal((await place.layer.stat(ROOT, { inode: outside })).stat.nlink, 1);
  const names = async (gfid: Gfid) => (await view.entries(gfid)).map(({ name }) => name).sort();
  deepEqual(await names(place.root.gfid), ["c", "top"]);
  deepEqual(await names(top.gfid), ["a", "inner"]);
  deepEqual(await names(inner.gfid), ["b", "c"]);
});

test("an open file without a name is written to, and each snapshot keeps its own", async (place) => {
  const { brick } = place;
  const { fd, gfid } = await brick.create("f");
  await brick.write(fd, "first!");
  const first = await place.take("s1");
  await place.write(fd, "second");
  const second = await place.take("s2");
  await place.unlink("f");
  await place.write(fd, "third!");
  const third = await place.take("s3");
  await place.write(fd, "fourth");
  equal(await textOf(first, gfid), "first!");
  equal(await textOf(second, gfid), "second");
  equal(await third.inode(gfid), undefined);
  await place.layer.release(ROOT, { fd });
  await place.gone(gfid, second, "second");
  await place.layer.stop();
  await place.open();
  equal(await textOf(place.view("s1"), gfid), "first!");
  equal(await textOf(place.view("s2"), gfid), "second");
});

test("an open file that had no name before the snapshot is written to", async (place) => {
  const { fd, gfid } = await place.brick.create("f");
  await place.brick.write(fd, "first!");
  await place.unlink("f");
  const view = await place.take("s");
  await place.write(fd, "second");
  equal(await place.brick.read(fd), "second");
  equal(await view.inode(gfid), undefined);
  await place.layer.release(ROOT, { fd });
  deepEqual(place.kept(), []);
});

test("a file that comes back with its gfid is another one for the snapshot", async (place) => {
  const { brick } = place;
  const { fd, gfid } = await brick.create("f");
  await brick.write(fd, "first!");
  await brick.top.release(ROOT, { fd });
  const view = await place.take("s");
  for (const text of ["healed", "again!"]) {
    await place.unlink("f");
    const xdata = gfidReq(gfid);
    const args = { parent: brick.root, name: "f", flags: 2, mode: 0o644, umask: 0, xdata };
    const made = await place.layer.create(ROOT, args);
    await place.write(made.fd, text);
    await place.layer.release(ROOT, { fd: made.fd });
    equal(await textOf(view, gfid), "first!");
  }
  await place.unlink("f");
  await place.gone(gfid, view, "first!");
});

test("one more name for a gfid that is there, and a directory made anew, stay in the snapshot", async (place) => {
  const { brick, layer } = place;
  const { gfid } = await brick.file("f", "data");
  const old = await brick.mkdir("old");
  const view = await place.take("s");
  const xdata = gfidReq(gfid).with(INTERNAL_FOP, true);
  await layer.mknod(ROOT, {
    parent: brick.root,
    name: "g",
    mode: 0o100644,
    umask: 0,
    rdev: 0,
    xdata,
  });
  const healer = internal(PID_SELF_HEAL);
  const anew = { parent: brick.root, name: "new", mode: 0o755, umask: 0 };
  await layer.mkdir(healer, { ...anew, xdata: gfidReq(old.gfid) });
  equal((await view.inode(gfid))?.iatt.size, 4);
  equal((await view.inode(old.gfid))?.iatt.gfid, old.gfid);
});

// What a process leaves that is killed in between.
for (
  const { when, name, handle, kept, row, stays } of [
    { when: "before anything", name: true, handle: true, kept: false, row: true, stays: false },
    {
      when: "before the name went",
      name: true,
      handle: false,
      kept: false,
      row: true,
      stays: false,
    },
    {
      when: "while it was replaced",
      name: true,
      handle: true,
      kept: true,
      row: true,
      stays: false,
    },
    {
      when: "with its handle gone",
      name: true,
      handle: false,
      kept: true,
      row: true,
      stays: false,
    },
    { when: "after it", name: false, handle: false, kept: true, row: true, stays: true },
    { when: "without a row", name: true, handle: true, kept: true, row: false, stays: false },
  ]
) {
  test(`a kill ${when} of an unlink leaves a file that is ${stays ? "kept" : "alive"}`, async (place) => {
    const { brick } = place;
    const { gfid } = await brick.file("f", "data");
    await place.take("s");
    // All of an unlink, and then back to that moment.
    const file = `${place.history}/kept/${gfid}.1`, path = `${brick.path}/f`;
    await place.unlink("f");
    await place.layer.stop();
    await Deno.link(file, `${brick.path}.aside`);
    const index = new DatabaseSync(`${place.history}/index.sqlite`);
    index.exec("UPDATE counter SET value = 1 WHERE name = 'open'");
    if (!row) index.exec("DELETE FROM kept");
    index.close();
    await Deno.remove(file);
    if (kept) await Deno.link(`${brick.path}.aside`, file);
    if (name) await Deno.link(`${brick.path}.aside`, path);
    if (handle) await Deno.link(`${brick.path}.aside`, brick.handle(gfid));
    await Deno.remove(`${brick.path}.aside`);
    await brick.restart();
    await place.open();
    const view = place.view("s");
    if (stays) return await place.gone(gfid, view, "data");
    const inode = await brick.lookup("f");
    equal((await place.layer.stat(ROOT, { inode })).stat.nlink, 1);
    deepEqual(place.kept(), []);
    await place.unlink("f");
    await place.gone(gfid, view, "data");
  });
}
