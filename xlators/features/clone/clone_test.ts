import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { realClock } from "core/env.ts";
import { ENOENT, ENOTEMPTY, ESTALE } from "core/errno.ts";
import { O_APPEND, O_RDWR } from "core/fops.ts";
import type { Gfid } from "core/inode.ts";
import { sys } from "core/sys/calls.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { HistoryStore } from "snapshot/engine/store.ts";
import { conformance } from "tests/conformance/mod.ts";
import { gfidReq, IS_ROOT, TestBrick } from "tests/fakes/posix_brick.ts";
import { snapshotLayer } from "tests/fakes/snapshot_layer.ts";
import { Files } from "tests/fakes/brick_files.ts";
import { ClonedBrick, joinClone, takeSnapshot } from "tests/fakes/volume_clone.ts";
import type { Snapshot } from "xlators/features/snapshot/snapshot.ts";

const UNIT = 4096;

/** Without thousands of lines if they are not. */
function same(found: Uint8Array, expected: Uint8Array): void {
  equal(found.length, expected.length);
  const at = found.findIndex((byte, index) => byte !== expected[index]);
  equal(at, -1, `byte ${at} is ${found[at]}, not ${expected[at]}`);
}

/** A brick with a snapshot, and clones of it. */
class Place implements AsyncDisposable {
  readonly clones: ClonedBrick[] = [];

  private constructor(readonly brick: TestBrick, readonly layer: Snapshot) {}

  static async start(): Promise<Place> {
    const brick = await TestBrick.start();
    return new Place(brick, await snapshotLayer(brick));
  }

  get origin(): Files {
    return new Files(this.layer, (gfid) => this.brick.inodes.of(gfid), this.brick.root);
  }

  files({ top, brick }: ClonedBrick): Files {
    return new Files(top, (gfid) => brick.inodes.of(gfid), brick.root);
  }

  /** A clone of the brick as it is now, or of another clone; the snapshot is removed right away. */
  async clone(of?: ClonedBrick): Promise<ClonedBrick> {
    const layer = of?.top ?? this.layer, origin = of?.of.directory ?? this.brick.path;
    const snapshot = await takeSnapshot(layer, crypto.randomUUID());
    const reader = await joinClone(layer, snapshot);
    await layer.histories.remove(snapshot);
    const directory = `${this.brick.path}-clone-${this.clones.length}`;
    const clone = await ClonedBrick.start({ directory, reader, origin, of: of?.of });
    this.clones.push(clone);
    return clone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const clone of this.clones.reverse()) await clone[Symbol.asyncDispose]();
    await this.layer.stop();
    await this.brick.remove();
  }
}

function test(name: string, body: (place: Place) => Promise<void>): void {
  Deno.test({
    name: `features/clone: ${name}`,
    ignore: !IS_ROOT,
    fn: async () => {
      await using place = await Place.start();
      await body(place);
    },
  });
}

function pattern(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, at) => (at * 7 + seed + (at >> 8)) & 0xff);
}

async function sampleTree(files: Files, count = 70): Promise<void> {
  const a = await files.mkdir("a"), b = await files.mkdir("b", a);
  await files.make("empty");
  await files.make("small", pattern(100), a);
  await files.make("large", pattern(5 * UNIT + 17, 3), b);
  const gfid = await files.make("linked", pattern(UNIT, 9), b);
  await files.top.link(ROOT, { inode: files.inodeOf(gfid), parent: a, name: "other" });
  const link = { parent: a, name: "to", target: "b/large", umask: 0, xdata: gfidReq() };
  await files.top.symlink(ROOT, link);
  for (let at = 0; at < count; at++) await files.make(`f${at}`, pattern(at), b);
}

test("a clone is what the origin was, whatever changes there", async (place) => {
  const { origin } = place;
  await sampleTree(origin);
  const before = await origin.tree();
  const clone = await place.clone();
  const files = place.files(clone);
  const a = await origin.lookup("a"), b = await origin.lookup("b", a);
  await origin.write((await origin.lookup("large", b)).gfid, 10, pattern(9000, 77));
  await origin.unlink("small", a);
  await origin.rename("b", "moved", a);
  await origin.unlink("f3", b);
  await origin.make("new", pattern(10), a);
  deepEqual(await files.tree(), before);
  await clone.restart();
  deepEqual(await place.files(clone).tree(), before);
});

test("what changes in a clone is not seen by its origin", async (place) => {
  const { origin } = place;
  await sampleTree(origin);
  const before = await origin.tree();
  const clone = await place.clone();
  const files = place.files(clone);
  const a = await files.lookup("a"), b = await files.lookup("b", a);
  const large = (await files.lookup("large", b)).gfid;
  const content = pattern(5 * UNIT + 17, 3);
  await files.write(large, 10, pattern(20, 5));
  content.set(pattern(20, 5), 10);
  same(await files.read(large), content);
  const args = { inode: files.inodeOf(large), flags: O_RDWR | O_APPEND };
  const { fd } = await files.top.open(ROOT, args);
  await files.top.writev(ROOT, { fd, offset: 0, data: pattern(5, 8), flags: 0 });
  await files.top.release(ROOT, { fd });
  same(await files.read(large), new Uint8Array([...content, ...pattern(5, 8)]));
  await files.unlink("small", a);
  await files.rename("b", "c", a, files.root);
  await files.unlink("empty");
  await files.make("empty", pattern(3));
  deepEqual(await files.names(), ["a", "c", "empty"]);
  deepEqual(await files.names(a), ["other", "to"]);
  equal((await files.names(b)).length, 72);
  await clone.restart();
  const again = place.files(clone);
  deepEqual(await again.names(), ["a", "c", "empty"]);
  deepEqual(await again.names(a), ["other", "to"]);
  same(await again.read(large), new Uint8Array([...content, ...pattern(5, 8)]));
  deepEqual(await origin.tree(), before);
});

test("an inode that only a client knows comes with its way there", async (place) => {
  const { origin } = place;
  await sampleTree(origin);
  const a = await origin.lookup("a"), b = await origin.lookup("b", a);
  const { gfid } = await origin.lookup("linked", b);
  const clone = await place.clone();
  await origin.rename("b", "moved", a);
  const files = place.files(clone);
  const { stat } = await files.top.stat(ROOT, { inode: files.inodeOf(gfid) });
  equal(stat.nlink, 2);
  same(await files.read(gfid), pattern(UNIT, 9));
  equal((await files.lookup("other", files.inodeOf(a.gfid))).gfid, gfid);
  const stranger = files.inodeOf(crypto.randomUUID() as Gfid);
  await rejects(files.top.stat(ROOT, { inode: stranger }), ESTALE);
});

test("a directory with names of the origin is not empty", async (place) => {
  const { origin } = place;
  await sampleTree(origin);
  const files = place.files(await place.clone());
  const remove = () => files.top.rmdir(ROOT, { parent: files.root, name: "a", flags: 0 });
  await rejects(remove(), ENOTEMPTY);
  const a = await files.lookup("a"), b = await files.lookup("b", a);
  for (const name of await files.names(b)) await files.unlink(name, b);
  await files.top.rmdir(ROOT, { parent: a, name: "b", flags: 0 });
  for (const name of await files.names(a)) await files.unlink(name, a);
  await remove();
  await rejects(files.lookup("a"), (error) => ENOENT.matches(error));
});

test("an edge that is no whole unit stays the origin's until something changes", async (place) => {
  const { origin } = place;
  for (const name of ["cut", "grown", "holes"]) await origin.make(name, pattern(UNIT + 100));
  const files = place.files(await place.clone());
  const cut = (await files.lookup("cut")).gfid, grown = (await files.lookup("grown")).gfid;
  await files.top.truncate(ROOT, { inode: files.inodeOf(cut), offset: UNIT + 50 });
  await files.top.truncate(ROOT, { inode: files.inodeOf(cut), offset: UNIT + 200 });
  same(await files.read(cut), new Uint8Array([...pattern(UNIT + 50), ...new Uint8Array(150)]));
  await files.write(grown, 3 * UNIT, pattern(10));
  deepEqual(
    (await files.read(grown)).subarray(0, UNIT + 101),
    new Uint8Array([...pattern(UNIT + 100), 0]),
  );
  const holes = (await files.lookup("holes")).gfid;
  await files.top.discard(ROOT, { fd: files.fd(holes), offset: UNIT + 10, size: 20 });
  const expected = pattern(UNIT + 100);
  expected.fill(0, UNIT + 10, UNIT + 30);
  same(await files.read(holes), expected);
});

test("a snapshot of a clone is what the clone was", async (place) => {
  const { origin } = place;
  await sampleTree(origin);
  const clone = await place.clone();
  const files = place.files(clone);
  const a = await files.lookup("a"), b = await files.lookup("b", a);
  const large = (await files.lookup("large", b)).gfid;
  await files.write(large, UNIT, pattern(100, 4));
  const content = await files.read(large);
  await takeSnapshot(clone.top, "s");
  await files.write(large, 0, pattern(3 * UNIT, 44));
  const view = () => clone.top.history!.view("s")!;
  const seen = new Uint8Array(content.length);
  equal(await view().read(large, 0, seen), content.length);
  same(seen, content);
  await files.unlink("large", b);
  await clone.restart();
  seen.fill(0);
  equal(await view().read(large, 0, seen), content.length);
  same(seen, content);
  equal((await view().entries(b.gfid)).length, 72);
});

test("a clone of a clone is what that was", async (place) => {
  const { origin } = place;
  await sampleTree(origin);
  const first = await place.clone();
  const files = place.files(first);
  const a = await files.lookup("a"), b = await files.lookup("b", a);
  const large = (await files.lookup("large", b)).gfid;
  await files.write(large, UNIT, pattern(100, 4));
  await files.unlink("small", a);
  await files.rename("f7", "g7", b);
  const second = await place.clone(first);
  await files.write(large, 2 * UNIT, pattern(UNIT, 6));
  await files.unlink("f8", b);
  await origin.write(large, 0, pattern(3 * UNIT, 99));
  const other = place.files(second);
  const content = pattern(5 * UNIT + 17, 3);
  content.set(pattern(100, 4), UNIT);
  same(await other.read(large), content);
  const names = await other.names(b);
  deepEqual([names.includes("f7"), names.includes("g7"), names.includes("f8")], [
    false,
    true,
    true,
  ]);
  deepEqual(await other.names(a), ["b", "other", "to"]);
  await other.write(large, 0, pattern(5, 1));
  await second.restart();
  content.set(pattern(5, 1), 0);
  same(await place.files(second).read(large), content);
});

test("a flattened clone needs its origin no more", async (place) => {
  const { origin } = place;
  await sampleTree(origin);
  const clone = await place.clone();
  const files = place.files(clone);
  const a = await files.lookup("a"), b = await files.lookup("b", a);
  const large = (await files.lookup("large", b)).gfid;
  const content = await files.read(large);
  await takeSnapshot(clone.top, "s");
  await files.unlink("large", b);
  await files.rename("f9", "f9", b, files.root);
  const changed = await files.tree();
  await clone.restart();
  while (!clone.top.histories.flatten().done) await realClock.delay(10);
  await origin.top.rmdir(ROOT, { parent: origin.root, name: "a", flags: 1 });
  await place.layer.histories.remove(clone.of.reader);
  await place.layer.history!.collected();
  deepEqual(await place.files(clone).tree(), changed);
  const seen = new Uint8Array(content.length);
  await clone.top.history!.view("s")!.read(large, 0, seen);
  same(seen, content);
});

test("an empty directory in the place of a clone's is none that begins as the origin", async (place) => {
  await sampleTree(place.origin, 1);
  const clone = await place.clone();
  await clone.close();
  await Deno.remove(clone.of.directory, { recursive: true });
  Deno.mkdirSync(clone.of.directory);
  await clone.brick.open();
  await clone.open();
  const files = place.files(clone);
  deepEqual(await files.names(), []);
  const gfid = await files.make("healed", pattern(10));
  deepEqual(await files.read(gfid), pattern(10));
});

test("a client cannot say what a file began as", async (place) => {
  const { origin } = place;
  const secret = await origin.make("secret", pattern(UNIT));
  const files = place.files(await place.clone());
  await files.unlink("secret");
  const begun = ptr(new TextEncoder().encode("4096 8"));
  const xdata = Xdata.of([...gfidReq(secret), ["trusted.mortar.begun", begun]]);
  const args = { parent: files.root, name: "mine", mode: 0o644, rdev: 0, umask: 0, xdata };
  await files.top.mknod(ROOT, args);
  await files.top.truncate(ROOT, { inode: files.inodeOf(secret), offset: UNIT });
  same(await files.read(secret), new Uint8Array(UNIT));
  const xattrs = Xdata.of([["trusted.mortar.begun", ptr(new Uint8Array(1))]]);
  await rejects(files.top.setxattr(ROOT, { inode: files.inodeOf(secret), xattrs, flags: 0 }));
});

if (IS_ROOT) {
  conformance("features/clone", async () => {
    const place = await Place.start();
    await sampleTree(place.origin, 1);
    const clone = await place.clone();
    const files = place.files(clone);
    // The suite begins in an empty root.
    await files.top.rmdir(ROOT, { parent: files.root, name: "a", flags: 1 });
    await files.unlink("empty");
    const { top, brick: { inodes } } = clone;
    return { top, inodes, call: ROOT, stop: () => place[Symbol.asyncDispose]() };
  }, { without: ["locks"] });
}

const CALLS = ["pread", "preadv2", "preadAsync", "lgetxattr"] as const;

/** Calls of the system, and searches in an index, during `body`. */
async function callsOf(body: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const undo: (() => void)[] = [];
  const watch = (of: object, name: string) => {
    const calls = of as Record<string, (...args: unknown[]) => unknown>, call = calls[name]!;
    calls[name] = function (this: unknown, ...args) {
      count++;
      return call.apply(this, args);
    };
    undo.push(() => calls[name] = call);
  };
  for (const name of CALLS) watch(sys, name);
  for (const name of ["extents", "kept", "findId"]) watch(HistoryStore.prototype, name);
  try {
    await body();
  } finally {
    for (const each of undo) each();
  }
  return count;
}

test("a clone of clones is read by no more calls than a clone", async (place) => {
  const gfid = await place.origin.make("image", pattern(40 * UNIT));
  const counts: number[] = [];
  let last: ClonedBrick | undefined;
  for (let depth = 1; depth <= 5; depth++) {
    last = await place.clone(last);
    const files = place.files(last);
    await files.lookup("image");
    const read = () => files.read(gfid, 7 * UNIT, UNIT);
    await read();
    counts.push(
      await callsOf(async () =>
        same(await read(), pattern(40 * UNIT).subarray(7 * UNIT, 8 * UNIT))
      ),
    );
  }
  deepEqual(counts, counts.map(() => 2));
});

test("what was read of a clone of clones stays when each below is changed", async (place) => {
  const content = pattern(40 * UNIT);
  const gfid = await place.origin.make("image", content);
  const first = await place.clone(), second = await place.clone(first);
  const third = await place.clone(second), files = place.files(third);
  await files.lookup("image");
  const read = async () => same(await files.read(gfid), content);
  await read();
  await place.origin.write(gfid, 3 * UNIT, pattern(UNIT, 9));
  await read();
  for (const clone of [first, second]) {
    await place.files(clone).lookup("image");
    await place.files(clone).write(gfid, 3 * UNIT + 5, pattern(2 * UNIT, 11));
    await read();
    const inode = await place.files(clone).lookup("image");
    await place.files(clone).top.truncate(ROOT, { inode, offset: 9 * UNIT });
    await read();
  }
  await place.origin.write(gfid, 0, pattern(40 * UNIT, 13));
  await read();
});
