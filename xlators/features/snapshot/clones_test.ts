import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { ROOT } from "core/call.ts";
import { EEXIST, ENOENT, ENOTEMPTY } from "core/errno.ts";
import type { Call } from "core/call.ts";
import { type Args, type FopName, O_RDWR, O_TRUNC, type Reply } from "core/fops.ts";
import { Fd, type Gfid } from "core/inode.ts";
import { CONTENT_LIMIT } from "core/xdata_keys.ts";
import { ptr, withKey, Xdata } from "core/xdata.ts";
import { Uniform } from "core/xlator.ts";
import { conformance } from "tests/conformance/mod.ts";
import { node } from "tests/fakes/node.ts";
import { snapshotLayer } from "tests/fakes/snapshot_layer.ts";
import { gfidReq, IS_ROOT, TestBrick } from "tests/fakes/posix_brick.ts";
import type { Snapshot } from "xlators/features/snapshot/snapshot.ts";

const UNIT = 4096;

/** A brick with its history, and short words for clones. */
class Place implements AsyncDisposable {
  layer!: Snapshot;
  #numbers = 0;

  private constructor(readonly brick: TestBrick) {}

  static async start(): Promise<Place> {
    const place = new Place(await TestBrick.start());
    await place.open();
    return place;
  }

  async open(): Promise<void> {
    this.layer = await snapshotLayer(this.brick);
  }

  async reopen(): Promise<void> {
    await this.layer.stop();
    await this.brick.restart();
    await this.open();
  }

  async take(): Promise<string> {
    const id = `s${++this.#numbers}`, { history } = this.layer;
    await history!.take({
      ...{ id, kind: "snapshot", file: undefined, epoch: history!.epoch, name: id, created: 0 },
      active: true,
    });
    return id;
  }

  async make(name: string, content: Uint8Array = new Uint8Array()): Promise<Gfid> {
    const args = { parent: this.brick.root, name, flags: O_RDWR, mode: 0o644, umask: 0 };
    const { fd, stat } = await this.layer.create(ROOT, { ...args, xdata: gfidReq() });
    if (content.length) await this.write(stat.gfid, 0, content);
    await this.layer.release(ROOT, { fd });
    return stat.gfid;
  }

  async clone(source: Gfid, snapshot: string, name = `clone${++this.#numbers}`): Promise<Gfid> {
    const gfid = await this.make(name);
    const id = crypto.randomUUID();
    await this.layer.histories.cloneFile({ id, snapshot, source, gfid });
    return gfid;
  }

  async write(gfid: Gfid, offset: number, data: Uint8Array): Promise<void> {
    await this.layer.writev(ROOT, { fd: this.fd(gfid), offset, data, flags: 0 });
  }

  async read(gfid: Gfid, offset = 0, size = 1 << 20): Promise<Uint8Array> {
    const { data } = await this.layer.readv(ROOT, { fd: this.fd(gfid), offset, size, flags: 0 });
    return new Uint8Array(data);
  }

  fd(gfid: Gfid): Fd {
    return new Fd(this.brick.inodes.of(gfid), O_RDWR, true);
  }

  async unlink(name: string): Promise<void> {
    await this.layer.unlink(ROOT, { parent: this.brick.root, name, flags: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.layer.stop();
    await this.brick.remove();
  }
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

function pattern(size: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length: size }, (_, at) => (at * 7 + seed + (at >> 8)) & 0xff);
}

test("a clone is what its origin was, and neither changes the other", async (place) => {
  const content = pattern(3 * UNIT + 100);
  const origin = await place.make("origin", content);
  const clone = await place.clone(origin, await place.take());
  await place.write(origin, 0, new Uint8Array(2 * UNIT).fill(1));
  deepEqual(await place.read(clone), content);
  await place.write(clone, UNIT - 5, new Uint8Array(10).fill(2));
  const wanted = content.slice();
  wanted.fill(2, UNIT - 5, UNIT + 5);
  deepEqual(await place.read(clone), wanted);
  deepEqual(await place.read(clone, UNIT - 10, 20), wanted.slice(UNIT - 10, UNIT + 10));
  await place.reopen();
  deepEqual(await place.read(clone), wanted);
  equal((await place.read(origin, 0, 1))[0], 1);
});

test("a clone lives on without its snapshot and its origin, and leaves nothing", async (place) => {
  const content = pattern(5 * UNIT), { brick } = place;
  const origin = await place.make("origin", content);
  const snapshot = await place.take();
  const clone = await place.clone(origin, snapshot, "clone");
  await place.layer.histories.remove(snapshot);
  await place.unlink("origin");
  await place.layer.history!.collected();
  deepEqual(await place.read(clone), content);
  // Also when it has no name any more, and somebody has it open.
  const { fd } = await place.layer.open(ROOT, { inode: brick.inodes.of(clone), flags: O_RDWR });
  await place.unlink("clone");
  const { data } = await place.layer.readv(ROOT, { fd, offset: 0, size: 1 << 20, flags: 0 });
  deepEqual(new Uint8Array(data), content);
  await place.layer.release(ROOT, { fd });
  await place.layer.history!.collected();
  deepEqual(place.layer.history!.usage(), { rows: 0, bytes: 0 });
  deepEqual(place.layer.histories.list(), []);
});

test("what points to an origin at another brick is none, and no clone begins in such a place", async (place) => {
  const { brick, layer } = place;
  const pointer = await place.make("pointer"), inode = brick.inodes.of(pointer);
  await layer.setattr(ROOT, { inode, changes: { mode: 0o1000 } });
  const xattrs = Xdata.of([["trusted.glusterfs.dht.linkto", ptr(new Uint8Array([118, 0]))]]);
  await layer.setxattr(ROOT, { inode, xattrs, flags: 0 });
  const origin = await place.make("origin", pattern(UNIT)), snapshot = await place.take();
  await rejects(place.clone(pointer, snapshot, "of pointer"), ENOENT);
  const order = { id: crypto.randomUUID(), snapshot, source: origin, gfid: pointer };
  await rejects(layer.histories.cloneFile(order), ENOENT);
  equal((await layer.stat(ROOT, { inode })).stat.size, 0);
});

test("a clone gets its origin's owner and mode, also bits that go with an owner", async (place) => {
  const { brick, layer } = place;
  const origin = await place.make("origin", pattern(UNIT)), inode = brick.inodes.of(origin);
  await layer.setattr(ROOT, { inode, changes: { uid: 7, gid: 8 } });
  await layer.setattr(ROOT, { inode, changes: { mode: 0o6751 } });
  const clone = await place.clone(origin, await place.take());
  const { stat } = await layer.stat(ROOT, { inode: brick.inodes.of(clone) });
  deepEqual([stat.uid, stat.gid, stat.mode & 0o7777], [7, 8, 0o6751]);
});

test("64 clones of clones are each what it is, removed in any order", async (place) => {
  const content = pattern(70 * UNIT);
  const files = [await place.make("0", content)];
  const wanted = [content];
  for (let depth = 1; depth <= 64; depth++) {
    const snapshot = await place.take();
    files.push(await place.clone(files.at(-1)!, snapshot, `${depth}`));
    wanted.push(wanted.at(-1)!.slice());
    await place.layer.histories.remove(snapshot);
    await place.write(files[depth]!, depth * UNIT, new Uint8Array(UNIT).fill(depth));
    wanted[depth]!.fill(depth, depth * UNIT, (depth + 1) * UNIT);
  }
  const left = new Set(files.keys());
  for (let number = 0; left.size; number = (number + 29) % 65) {
    for (const which of number % 5 === 0 ? left : []) {
      deepEqual(await place.read(files[which]!), wanted[which], `${which}`);
    }
    left.delete(number);
    await place.unlink(`${number}`);
  }
  await place.layer.history!.collected();
  deepEqual(place.layer.history!.usage(), { rows: 0, bytes: 0 });
});

test("a clone's blocks are told with its origin's, its content not by lookups", async (place) => {
  const content = pattern(2 * UNIT), { brick, layer } = place;
  const origin = await place.make("origin", content);
  await place.clone(origin, await place.take(), "clone");
  const xdata = withKey(undefined, CONTENT_LIMIT, 65536);
  const found = await layer.lookup(ROOT, { parent: brick.root, name: "clone", xdata });
  equal(found.stat.blocks, 16);
  equal(found.stat.size, content.length);
  equal(found.xdata?.has("glusterfs.content") ?? false, false);
});

test("what cannot become a clone is refused, and stays what it was", async (place) => {
  const { histories } = place.layer;
  const origin = await place.make("origin", pattern(2 * UNIT));
  const snapshot = await place.take(), id = crypto.randomUUID();
  const full = await place.make("full", pattern(10)), gfid = await place.make("empty");
  const order = { id, snapshot, source: origin, gfid };
  await rejects(histories.cloneFile({ ...order, gfid: full }), (error) => ENOTEMPTY.matches(error));
  await rejects(histories.cloneFile({ ...order, snapshot: "none" }), (e) => ENOENT.matches(e));
  const unknown = crypto.randomUUID() as Gfid;
  await rejects(histories.cloneFile({ ...order, source: unknown }), (e) => ENOENT.matches(e));
  await histories.cloneFile(order);
  await rejects(histories.cloneFile(order), (error) => EEXIST.matches(error));
  deepEqual(await place.read(full), pattern(10));
});

test("a flattened clone is an ordinary file, with its times", async (place) => {
  const content = pattern(300 * UNIT), { brick, layer } = place;
  const origin = await place.make("origin", content);
  const clone = await place.clone(origin, await place.take());
  const changes = { mtime: { sec: 1_000_000_000, nsec: 5 } };
  await layer.setattr(ROOT, { inode: brick.inodes.of(clone), changes });
  await layer.histories.flattenFile(clone);
  equal(layer.history!.clones.any, false);
  deepEqual(await Deno.readFile(brick.handle(clone)), content);
  const { stat } = await layer.stat(ROOT, { inode: brick.inodes.of(clone) });
  deepEqual([stat.mtime, stat.mtimeNsec], [1_000_000_000, 5]);
});

test("a clone that is opened with O_TRUNC is empty, and what it gets is its own", async (place) => {
  const { brick, layer } = place;
  const origin = await place.make("origin", pattern(4 * UNIT));
  const clone = await place.clone(origin, await place.take());
  const inode = brick.inodes.of(clone);
  const { fd } = await layer.open(ROOT, { inode, flags: O_RDWR | O_TRUNC });
  await layer.ftruncate(ROOT, { fd, offset: 2 * UNIT });
  await layer.release(ROOT, { fd });
  deepEqual(await place.read(clone), new Uint8Array(2 * UNIT));
});

test("what a write that never ended left in a clone's file is not seen", async (place) => {
  const { brick, layer } = place, size = 4 * UNIT;
  const origin = await place.make("origin");
  await layer.truncate(ROOT, { inode: brick.inodes.of(origin), offset: size });
  const clone = await place.clone(origin, await place.take());
  // As a killed process leaves it: in the file, and not yet the clone's own.
  const left = { fd: place.fd(clone), offset: UNIT, data: pattern(UNIT), flags: 0 };
  await brick.top.writev(ROOT, left);
  deepEqual(await place.read(clone), new Uint8Array(size));
  await place.write(clone, UNIT + 10, new Uint8Array(5).fill(1));
  const wanted = new Uint8Array(size);
  wanted.fill(1, UNIT + 10, UNIT + 15);
  deepEqual(await place.read(clone), wanted);
});

test("a unit of a clone of which a loss of power took the data is the origin's again", async (place) => {
  const { brick, layer } = place, content = pattern(4 * UNIT);
  const origin = await place.make("origin", content);
  const clone = await place.clone(origin, await place.take());
  await place.write(clone, 0, new Uint8Array(2 * UNIT).fill(1));
  await layer.discard(ROOT, { fd: place.fd(clone), offset: 3 * UNIT, size: UNIT });
  await layer.history!.close();
  // The index knew of both units, the file has only one; and the process did not end by itself.
  const fd = place.fd(clone);
  await brick.top.discard(ROOT, { fd, offset: UNIT, size: UNIT });
  using index = new DatabaseSync(`${brick.path}/.glusterfs/history/index.sqlite`);
  index.exec("UPDATE counter SET value = 1 WHERE name = 'open'");
  await brick.restart();
  await place.open();
  const wanted = content.slice();
  wanted.fill(1, 0, UNIT);
  wanted.fill(0, 3 * UNIT);
  deepEqual(await place.read(clone), wanted);
});

test("zeros that were put into a clone stay zeros after a kill", async (place) => {
  const { brick, layer } = place, content = pattern(3 * UNIT + 100);
  const origin = await place.make("origin", content);
  const clone = await place.clone(origin, await place.take());
  const fd = place.fd(clone);
  await place.write(clone, 0, new Uint8Array(UNIT).fill(1));
  await layer.discard(ROOT, { fd, offset: 0, size: UNIT });
  await layer.zerofill(ROOT, { fd, offset: 2 * UNIT + 10, size: UNIT + 90 });
  await layer.history!.close();
  using index = new DatabaseSync(`${brick.path}/.glusterfs/history/index.sqlite`);
  index.exec("UPDATE counter SET value = 1 WHERE name = 'open'");
  await brick.restart();
  await place.open();
  const wanted = content.slice();
  wanted.fill(0, 0, UNIT);
  wanted.fill(0, 2 * UNIT + 10);
  deepEqual(await place.read(clone), wanted);
});

const ON_DATA = new Set<FopName>([
  ...["readv", "writev", "truncate", "ftruncate", "fallocate", "discard", "zerofill"] as const,
  ...["seek", "rchecksum", "copyFileRange", "open"] as const,
]);

/** Makes every file with data a clone just before its data is used: the conformance tests see clones only. */
class AllClones extends Uniform {
  #count = 0;
  #converting = new Map<Gfid, Promise<void>>();

  constructor(readonly place: Place) {
    super(node("clones", [place.layer], { inodes: place.brick.inodes }));
  }

  protected async around<K extends FopName>(
    fop: K,
    call: Call,
    args: Args<K>,
  ): Promise<Reply<K>> {
    if (!ON_DATA.has(fop)) return await this.wind(fop, call, args);
    const { fd, inode, source } = args as Partial<Args<"copyFileRange"> & Args<"truncate">>;
    for (const used of [fd?.inode, inode, source?.inode]) {
      if (!used) continue;
      const converting = this.#converting.get(used.gfid) ?? this.#convert(used.gfid);
      this.#converting.set(used.gfid, converting);
      await converting.finally(() => this.#converting.delete(used.gfid));
    }
    return await this.wind(fop, call, args);
  }

  async #convert(gfid: Gfid): Promise<void> {
    const { layer, brick } = this.place, inode = brick.inodes.of(gfid);
    if (layer.history!.clones.get(gfid)) return;
    const found = await layer.stat(ROOT, { inode }).catch(() => undefined);
    const size = found?.stat.size ?? 0;
    if (!found || (found.stat.mode & 0o170000) !== 0o100000 || size < UNIT) return;
    if (size > 2 ** 24 || found.stat.nlink === 0) return;
    const content = await this.place.read(gfid, 0, size);
    const name = `origin-${this.#count++}`, origin = await this.place.make(name);
    for (let at = 0; at < size; at += UNIT) {
      const unit = content.subarray(at, at + UNIT);
      if (unit.some((byte) => byte !== 0)) await this.place.write(origin, at, unit);
    }
    await layer.truncate(ROOT, { inode: brick.inodes.of(origin), offset: size });
    const snapshot = await this.place.take();
    await brick.top.truncate(ROOT, { inode, offset: 0 });
    const id = crypto.randomUUID();
    await layer.histories.cloneFile({ id, snapshot, source: origin, gfid });
    await layer.histories.remove(snapshot);
    await this.place.unlink(name);
  }
}

if (IS_ROOT) {
  conformance("features/snapshot, clones", async () => {
    const place = await Place.start();
    const top = new AllClones(place), { inodes } = place.brick;
    return { top, inodes, call: ROOT, stop: () => place[Symbol.asyncDispose]() };
    // What an origin takes stays told.
  }, { without: ["locks", "ranges: discard zeros a range, keeps the size and frees space"] });
}
