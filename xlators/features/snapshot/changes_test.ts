import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EINVAL, ENOENT } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import type { ChangedInode, ChangedName, ChangesPage, RangesPage } from "core/history_orders.ts";
import { Fd, type Inode, ROOT_GFID } from "core/inode.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { gfidReq, type TestBrick } from "tests/fakes/posix_brick.ts";
import { testOfLayer } from "tests/fakes/snapshot_layer.ts";
import type { Snapshot } from "xlators/features/snapshot/snapshot.ts";

/** A brick with its history. */
class Place {
  #epoch = 0;

  constructor(readonly layer: Snapshot, readonly brick: TestBrick) {}

  get root(): Inode {
    return this.brick.root;
  }

  async take(id: string): Promise<void> {
    const epoch = ++this.#epoch, kind = "snapshot", file = undefined;
    const reader = { id, kind, file, epoch, name: id, created: 0, active: true } as const;
    await this.layer.histories.take(undefined, reader);
  }

  async make(name: string, text: string): Promise<Inode> {
    const args = { parent: this.root, name, flags: O_RDWR, mode: 0o644, umask: 0 };
    const { fd } = await this.layer.create(ROOT, { ...args, xdata: gfidReq() });
    await this.write(fd.inode, 0, text);
    return fd.inode;
  }

  async write(inode: Inode, offset: number, text: string): Promise<void> {
    const data = new TextEncoder().encode(text);
    await this.layer.writev(ROOT, { fd: new Fd(inode, O_RDWR, true), offset, data, flags: 0 });
  }

  /** All that changed, in pages of one row. */
  async changes(old: string, now?: string) {
    const inodes = new Map<string, ChangedInode>(), names: ChangedName[] = [];
    for (let after: string | undefined = ""; after !== undefined;) {
      const page: ChangesPage = await this.layer.histories.changes(old, now, after, 1);
      for (const inode of page.inodes) inodes.set(inode.gfid, inode);
      names.push(...page.names);
      after = page.next;
    }
    return { inodes, names };
  }
}

function test(name: string, body: (place: Place) => Promise<void>): void {
  testOfLayer(name, (layer, brick) => body(new Place(layer, brick)));
}

test("of what did not change since a snapshot nothing is told", async (place) => {
  for (let index = 0; index < 50; index++) await place.make(`same-${index}`, "same");
  await place.take("old");
  const { inodes, names } = await place.changes("old");
  deepEqual([inodes.size, names], [0, []]);
  const file = await place.make("new", "12345");
  const after = await place.changes("old");
  deepEqual([...after.inodes.keys()].sort(), [ROOT_GFID, file.gfid].sort());
  deepEqual(after.names, [{ parent: ROOT_GFID, name: "new", old: undefined, now: file.gfid }]);
  const { old, now } = after.inodes.get(file.gfid)!;
  deepEqual([old, now?.size, now?.nlink], [undefined, 5, 1]);
});

test("a file that was renamed and linked is told by its names, before and after", async (place) => {
  const { layer, root } = place;
  const file = await place.make("a", "data");
  await place.take("old");
  const to = { newParent: root, newName: "b" };
  await layer.rename(ROOT, { oldParent: root, oldName: "a", ...to });
  await layer.link(ROOT, { parent: root, name: "c", inode: file });
  const { inodes, names } = await place.changes("old");
  const { data, attributes, old, now } = inodes.get(file.gfid)!;
  deepEqual([data, attributes, old?.nlink, now?.nlink], [false, false, 1, 2]);
  deepEqual(names.map(({ name, old, now }) => [name, old, now]).sort(), [
    ["a", file.gfid, undefined],
    ["b", undefined, file.gfid],
    ["c", undefined, file.gfid],
  ]);
  const [before, after] = await Promise.all(
    ["old", undefined].map((reader) => layer.histories.names(reader, [file.gfid])),
  );
  deepEqual(before, [[{ parent: ROOT_GFID, name: "a" }]]);
  deepEqual(after![0]!.map(({ name }) => name).sort(), ["b", "c"]);
});

test("data, attributes and what layers note of a file are told apart", async (place) => {
  const { layer } = place;
  const files = await Promise.all(
    ["data", "mode", "user", "layer", "copy"].map((name) => place.make(name, "data")),
  );
  await place.take("old");
  const [data, mode, user, ofLayer, copies] = files as [Inode, Inode, Inode, Inode, Inode];
  await place.write(data, 1, "A");
  await layer.setattr(ROOT, { inode: mode, changes: { mode: 0o600 } });
  const set = (inode: Inode, name: string) =>
    layer.setxattr(ROOT, { inode, xattrs: Xdata.of([[name, ptr(Uint8Array.of(1))]]), flags: 0 });
  await set(user, "user.x");
  await set(ofLayer, "trusted.glusterfs.dht");
  await set(copies, "trusted.afr.dirty");
  const { inodes } = await place.changes("old");
  const flags = files.map(({ gfid }) => {
    const { data, attributes, internals } = inodes.get(gfid)!;
    return [data, attributes, internals].map(Number).join("");
  });
  deepEqual(flags, ["100", "010", "010", "001", "000"]);
});

test("a link file of distribute is told as one", async (place) => {
  const { layer, root } = place;
  await place.take("old");
  const xdata = gfidReq();
  const args = { parent: root, name: "l", mode: 0o101000, rdev: 0, umask: 0, xdata };
  const { stat: { gfid } } = await layer.mknod(ROOT, args);
  const inode = place.brick.inodes.of(gfid);
  const linkto = Xdata.of([["trusted.glusterfs.dht.linkto", ptr(new TextEncoder().encode("v-0"))]]);
  await layer.setxattr(ROOT, { inode, xattrs: linkto, flags: 0 });
  const { inodes } = await place.changes("old");
  equal(inodes.get(gfid)?.now?.isLinkFile, true);
});

test("changed ranges of a file come in pages, with both sizes", async (place) => {
  const { layer } = place, unit = 4096;
  const file = await place.make("a", "x".repeat(10 * unit));
  await place.take("old");
  for (const at of [0, 2, 3, 7]) await place.write(file, at * unit, "y");
  await place.write(file, 10 * unit, "more");
  const page = (from: number, count: number): Promise<RangesPage> =>
    layer.histories.changedRanges("old", undefined, file.gfid, from, count);
  const all = await page(0, 100);
  deepEqual(all, {
    ranges: [
      { offset: 0, length: unit },
      { offset: 2 * unit, length: 2 * unit },
      { offset: 7 * unit, length: unit },
      { offset: 10 * unit, length: 4 },
    ],
    ...{ oldSize: 10 * unit, nowSize: 10 * unit + 4, next: undefined },
  });
  const ranges = [];
  for (let from: number | undefined = 0; from !== undefined;) {
    const some: RangesPage = await page(from, 1);
    ranges.push(...some.ranges);
    from = some.next;
  }
  equal(ranges.reduce((sum, { length }) => sum + length, 0), 4 * unit + 4);
});

test("a path leads where it did when a snapshot was taken", async (place) => {
  const { histories } = place.layer;
  const file = await place.make("a", "12345");
  await place.take("old");
  const { root } = place;
  await place.layer.rename(ROOT, { oldParent: root, oldName: "a", newParent: root, newName: "b" });
  const { gfid, size } = await histories.lookUp("old", ["a"]);
  deepEqual([gfid, size, (await histories.lookUp(undefined, ["b"])).gfid], [file.gfid, 5, gfid]);
  for (const [reader, name] of [["old", "b"], [undefined, "a"], ["none", "a"]] as const) {
    await rejects(histories.lookUp(reader, [name]), (error) => ENOENT.matches(error));
  }
});

test("what is not there to be compared is refused", async (place) => {
  const { histories } = place.layer;
  await place.take("old");
  await rejects(histories.changes("none", undefined, "", 1), (error) => ENOENT.matches(error));
  await rejects(histories.changes("old", "none", "", 1), (error) => ENOENT.matches(error));
  await rejects(histories.changes("old", undefined, "[1]", 1), (error) => EINVAL.matches(error));
  await rejects(histories.names("none", []), (error) => ENOENT.matches(error));
});
