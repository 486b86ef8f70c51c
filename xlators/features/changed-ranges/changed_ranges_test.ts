import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { type Call, PID_SELF_HEAL, ROOT } from "core/call.ts";
import { type ByteRange, CHANGED_PREFIX, unpackRanges } from "core/changed_ranges.ts";
import { ENODATA } from "core/errno.ts";
import { O_APPEND, O_RDWR, O_TRUNC } from "core/fops.ts";
import { Fd, type Inode, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { ptr, valueBytes, Xdata } from "core/xdata.ts";
import { conformance } from "tests/conformance/mod.ts";
import { fails, gfidReq } from "tests/conformance/place.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { ChangedRanges, changedRanges } from "xlators/features/changed-ranges/changed_ranges.ts";
import { RecordDirectory } from "xlators/features/changed-ranges/record_store.ts";

const HEALER: Call = { ...ROOT, pid: PID_SELF_HEAL };
const K = 4096;
const FAR = Number.MAX_SAFE_INTEGER;

/** A brick with one open file, whose records are in a temporary directory. */
class Place implements AsyncDisposable {
  readonly inodes = new InodeTable();
  readonly brick: MemoryBrick;
  layer!: ChangedRanges;
  fd!: Fd;
  inode!: Inode;

  private constructor(readonly directory: string) {
    this.brick = new MemoryBrick(node("memory", [], { inodes: this.inodes }));
  }

  static async make(flags = O_RDWR): Promise<Place> {
    const place = new Place(await Deno.makeTempDir({ prefix: "changed-ranges-" }));
    await Deno.mkdir(`${place.directory}/indices/xattrop`, { recursive: true });
    await place.restart();
    const { parent } = { parent: place.inodes.root };
    const xdata = gfidReq();
    const made = await place.layer.create(ROOT, {
      ...{ parent, name: "f", mode: 0o644, umask: 0, flags },
      xdata,
    });
    place.fd = made.fd;
    place.inode = made.fd.inode;
    // The index lists what is blamed: without an entry a record is of no use.
    await Deno.writeTextFile(`${place.directory}/indices/xattrop/${place.inode.gfid}`, "");
    return place;
  }

  /** A new process on the same disk. */
  async restart(): Promise<void> {
    const base = `${this.directory}/indices`;
    const values = readOptions(changedRanges.options, new Map([["index-base", base]]));
    const at = node("changed", [this.brick], { inodes: this.inodes, env: testEnv() });
    this.layer = new ChangedRanges(at, values, new RecordDirectory(base));
    await this.layer.start();
  }

  /** Adds data counts to marks, as replicate does. */
  async mark(
    counts: Readonly<Record<string, number>>,
    { call = ROOT, metadata = 0 } = {},
  ): Promise<void> {
    const xattrs = Object.entries(counts).map(([name, count]) => {
      const bytes = new Uint8Array(12), view = new DataView(bytes.buffer);
      view.setInt32(0, count);
      if (name !== "dirty") view.setInt32(4, metadata);
      return [`trusted.afr.${name}`, ptr(bytes)] as const;
    });
    await this.layer.fxattrop(call, { fd: this.fd, op: "add32", xattrs: Xdata.of(xattrs) });
  }

  async write(offset: number, size: number): Promise<void> {
    await this.layer.writev(ROOT, { fd: this.fd, offset, data: new Uint8Array(size), flags: 0 });
  }

  /** A whole transaction: what was written, and who missed it. */
  async transaction(writes: readonly [number, number][], ...missedBy: string[]): Promise<void> {
    await this.mark({ dirty: 1, "v-client-0": 0, "v-client-1": 0 });
    for (const [offset, size] of writes) await this.write(offset, size);
    await this.mark({ dirty: -1, ...Object.fromEntries(missedBy.map((name) => [name, 1])) });
  }

  /** What a healer is told; undefined if nothing. */
  async told(copy: string, call = HEALER): Promise<ByteRange[] | undefined> {
    const name = CHANGED_PREFIX + copy;
    try {
      const { xattrs } = await this.layer.getxattr(call, { inode: this.inode, name });
      return unpackRanges(valueBytes(xattrs!.raw(name)!)!);
    } catch (error) {
      if (ENODATA.matches(error)) return undefined;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

function test(name: string, body: (place: Place) => Promise<void>, flags = O_RDWR): void {
  Deno.test(`features/changed-ranges: ${name}`, async () => {
    await using place = await Place.make(flags);
    await body(place);
  });
}

test("what a copy missed is told in whole pages, merged", async (place) => {
  await place.transaction([[0, 10], [K + 1, K], [20 * K, K]], "v-client-1");
  deepEqual(await place.told("v-client-1"), [
    { start: 0, end: 3 * K },
    { start: 20 * K, end: 21 * K },
  ]);
  equal(await place.told("v-client-0"), undefined);
});

test("later transactions add to it, and those that nobody missed do not", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  await place.transaction([[2 * K, K]]);
  await place.transaction([[4 * K, K]], "v-client-1");
  deepEqual(await place.told("v-client-1"), [{ start: 0, end: K }, { start: 4 * K, end: 5 * K }]);
});

test("a copy that is blamed early in a transaction misses the rest of it, too", async (place) => {
  await place.mark({ dirty: 1 });
  await place.write(0, K);
  await place.mark({ "v-client-1": 1 });
  await place.write(8 * K, K);
  await place.mark({ dirty: -1 });
  deepEqual((await place.told("v-client-1"))!.map(({ start }) => start), [0, 8 * K]);
  await place.mark({ dirty: 1 });
  await place.write(16 * K, K);
  await place.mark({ dirty: -1 });
  equal((await place.told("v-client-1"))!.length, 2);
});

test("the same, and the process ends before the transaction: unknown", async (place) => {
  await place.mark({ dirty: 1 });
  await place.write(0, K);
  await place.mark({ "v-client-1": 1 });
  await place.write(8 * K, K);
  await place.restart();
  await place.mark({ dirty: -1 });
  equal(await place.told("v-client-1"), undefined);
});

test("a change in no transaction voids what is recorded", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  await place.write(8 * K, K);
  equal(await place.told("v-client-1"), undefined);
});

test("each copy has its own", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  await place.transaction([[2 * K, K]], "v-client-1", "v-client-2");
  deepEqual(await place.told("v-client-2"), [{ start: 2 * K, end: 3 * K }]);
  equal((await place.told("v-client-1"))!.length, 2);
});

test("two clients' transactions overlap: a blame covers what both wrote", async (place) => {
  await place.mark({ dirty: 1 });
  await place.write(0, K);
  await place.mark({ dirty: 1 });
  await place.write(4 * K, K);
  await place.mark({ dirty: -1, "v-client-1": 1 });
  await place.write(8 * K, K);
  await place.mark({ dirty: -1, "v-client-1": 1 });
  deepEqual((await place.told("v-client-1"))!.map(({ start }) => start), [0, 4 * K, 8 * K]);
});

test("what was healed is forgotten, and a blame after it begins anew", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  await place.mark({ "v-client-1": -1 });
  equal(await place.told("v-client-1"), undefined);
  await place.transaction([[4 * K, K]], "v-client-1");
  deepEqual(await place.told("v-client-1"), [{ start: 4 * K, end: 5 * K }]);
});

test("a heal that began before the last blame leaves the ranges of all", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  await place.transaction([[4 * K, K]], "v-client-1");
  await place.mark({ "v-client-1": -1 });
  equal((await place.told("v-client-1"))!.length, 2);
});

test("records outlive the process", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  await place.restart();
  deepEqual(await place.told("v-client-1"), [{ start: 0, end: K }]);
  await place.transaction([[4 * K, K]], "v-client-1");
  equal((await place.told("v-client-1"))!.length, 2);
});

test("a process that ends in a transaction makes what changed unknown", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  await place.mark({ dirty: 1 });
  await place.write(8 * K, K);
  equal((await place.told("dirty"))!.length, 1);
  await place.restart();
  equal(await place.told("dirty"), undefined);
  deepEqual(await place.told("v-client-1"), [{ start: 0, end: K }]);
  await place.mark({ dirty: 1 });
  await place.write(16 * K, K);
  await place.mark({ dirty: -1, "v-client-1": 1 });
  equal(await place.told("v-client-1"), undefined);
  await place.transaction([[0, K]], "v-client-1");
  equal(await place.told("v-client-1"), undefined);
});

test("a record is void when its mark was changed behind its back", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  const bytes = new Uint8Array(12);
  bytes[3] = 2;
  const xattrs = Xdata.of([["trusted.afr.v-client-1", ptr(bytes)]]);
  await place.brick.setxattr(ROOT, { inode: place.inode, xattrs, flags: 0 });
  equal(await place.told("v-client-1"), undefined);
  await place.transaction([[4 * K, K]], "v-client-1");
  equal(await place.told("v-client-1"), undefined);
});

test("blame without a transaction, as for a new file, is unknown", async (place) => {
  await place.mark({ "v-client-1": 1 });
  equal(await place.told("v-client-1"), undefined);
  await place.transaction([[0, K]], "v-client-1");
  equal(await place.told("v-client-1"), undefined);
});

test("records go when GlusterFS's brick served in between", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  await Deno.mkdir(`${place.directory}/indices/dirty`);
  const theirs = "dirty-5f8b1a6e-9c3d-4f11-8a58-0d3b5d0a7c11";
  await Deno.writeTextFile(`${place.directory}/indices/dirty/${theirs}`, "");
  await place.restart();
  equal(await place.told("v-client-1"), undefined);
});

test("records of what the index does not list go at the start", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  await Deno.remove(`${place.directory}/indices/xattrop/${place.inode.gfid}`);
  await place.restart();
  deepEqual([...Deno.readDirSync(`${place.directory}/changed-ranges`)], []);
});

test("truncation, holes, zeros and room count as changes", async (place) => {
  const { layer, fd, inode } = place;
  await place.mark({ dirty: 1 });
  await layer.discard(ROOT, { fd, offset: 0, size: K });
  await layer.zerofill(ROOT, { fd, offset: 2 * K, size: K });
  await layer.fallocate(ROOT, { fd, mode: 0, offset: 4 * K, size: K });
  await layer.ftruncate(ROOT, { fd, offset: 8 * K });
  deepEqual(await place.told("dirty"), [
    { start: 0, end: K },
    { start: 2 * K, end: 3 * K },
    // Made longer, it changes from its old end on.
    { start: 4 * K, end: FAR },
  ]);
  await layer.truncate(ROOT, { inode, offset: 0 });
  deepEqual(await place.told("dirty"), [{ start: 0, end: FAR }]);
});

test("an append counts where it went", async (place) => {
  await place.write(0, 10 * K);
  await place.mark({ dirty: 1 });
  await place.write(0, K);
  deepEqual(await place.told("dirty"), [{ start: 10 * K, end: 11 * K }]);
}, O_RDWR | O_APPEND);

test("flags of a write alone do not make it append", async (place) => {
  await place.write(0, 10 * K);
  await place.mark({ dirty: 1 });
  const write = { fd: place.fd, offset: 2 * K, data: new Uint8Array(K), flags: O_APPEND };
  await place.layer.writev(ROOT, write);
  deepEqual(await place.told("dirty"), [{ start: 2 * K, end: 3 * K }]);
  const fd = new Fd(place.inode, O_RDWR | O_APPEND, true);
  await place.layer.writev(ROOT, { ...write, fd, offset: 4 * K });
  const told = (await place.told("dirty"))!;
  equal(told.some(({ start, end }) => start <= 4 * K && 5 * K <= end), true);
});

test("a file that is there and is cut by who would make it has changed", async (place) => {
  const args = { parent: place.inodes.root, name: "f", mode: 0o644, umask: 0 };
  const make = () =>
    place.layer.create(ROOT, { ...args, flags: O_RDWR | O_TRUNC, xdata: gfidReq() });
  await place.transaction([[8 * K, K]], "v-client-1");
  await make();
  equal(await place.told("v-client-1"), undefined);
  await place.mark({ dirty: 1 });
  await make();
  deepEqual(await place.told("dirty"), [{ start: 0, end: FAR }]);
});

test("a copy that a healer blames, or that lacks the file, misses more than what is written now", async (place) => {
  for (const how of [{ call: HEALER }, { metadata: 1 }]) {
    for (const before of [false, true]) {
      if (before) await place.transaction([[0, K]], "v-client-1");
      await place.mark({ dirty: 1 });
      await place.write(4 * K, K);
      await place.mark({ "v-client-1": 1 }, how);
      await place.mark({ dirty: -1, "v-client-1": 1 });
      equal(await place.told("v-client-1"), undefined);
      await place.mark({ "v-client-1": before ? -3 : -2 });
    }
  }
});

test("a healer that ends a dead client's transaction leaves unknown what others miss of it", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  await place.mark({ dirty: 1 });
  await place.write(4 * K, K);
  await place.mark({ dirty: -1 }, { call: HEALER });
  equal(await place.told("v-client-1"), undefined);
});

test("a client that takes its blame back does not know what changed, and nobody does", async (place) => {
  await place.mark({ dirty: 1 });
  await place.write(4 * K, K);
  await place.mark({ dirty: -1, "v-client-1": 1 });
  await place.mark({ dirty: 1, "v-client-1": -1 });
  equal(await place.told("dirty"), undefined);
  equal(await place.told("v-client-1"), undefined);
});

test("a count below zero says nothing", async (place) => {
  await place.mark({ "v-client-1": -1 });
  equal(await place.told("v-client-1"), undefined);
});

test("what the brick holds becomes something else: all is forgotten", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  place.layer.forgetMissed();
  equal(await place.told("v-client-1"), undefined);
  await place.restart();
  equal(await place.told("v-client-1"), undefined);
  await place.transaction([[0, K]], "v-client-1");
  equal(await place.told("v-client-1"), undefined);
});

test("a record that is damaged, or cannot be read, is void", async (place) => {
  const path = `${place.directory}/changed-ranges/${place.inode.gfid}`;
  const copy = `"name":"v-client-1","count":1,"ranges"`;
  const texts = [
    "",
    "null",
    `{"version":1,"copies":[null]}`,
    `{"version":1,"copies":[{${copy}:[["0","9"]]}]}`,
    `{"version":1,"copies":[{${copy}:[[0.5,9]]}]}`,
    `{"version":1,"copies":[{${copy}:[[0]]}]}`,
    `{"version":1,"copies":[{${copy}:[[0,40`,
  ];
  for (const text of texts) {
    await place.transaction([[0, K]], "v-client-1");
    await Deno.writeTextFile(path, text);
    equal(await place.told("v-client-1"), undefined, text);
    await place.transaction([[4 * K, K]], "v-client-1");
    equal(await place.told("v-client-1"), undefined, text);
    await place.mark({ "v-client-1": -2 });
  }
  await place.transaction([[0, K]], "v-client-1");
  await Deno.remove(path);
  await Deno.mkdir(`${path}/in-the-way`, { recursive: true });
  equal(await place.told("v-client-1"), undefined);
  await place.transaction([[4 * K, K]], "v-client-1");
  equal(await place.told("v-client-1"), undefined);
});

test("switched off, it tells nothing", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  const values = (on: string) =>
    readOptions(changedRanges.options, new Map([["changed-ranges", on]]));
  place.layer.reconfigure(values("off"));
  equal(await place.told("v-client-1"), undefined);
  place.layer.reconfigure(values("on"));
  deepEqual(await place.told("v-client-1"), [{ start: 0, end: K }]);
  place.layer.reconfigure(values("off"));
  await place.transaction([[4 * K, K]], "v-client-1");
  place.layer.reconfigure(values("on"));
  equal(await place.told("v-client-1"), undefined);
});

test("nobody but daemons is told", async (place) => {
  await place.transaction([[0, K]], "v-client-1");
  equal(await place.told("v-client-1", ROOT), undefined);
});

test("many ranges become fewer and coarser, and cover the same", async (place) => {
  await place.mark({ dirty: 1 });
  for (let page = 0; page < 5000; page++) await place.write(page * 20 * K, 1);
  await place.mark({ dirty: -1, "v-client-1": 1 });
  const told = (await place.told("v-client-1"))!;
  equal(told.length <= 4096, true);
  for (let page = 0; page < 5000; page++) {
    const at = page * 20 * K;
    equal(told.some(({ start, end }) => start <= at && at < end), true);
  }
});

test("quiet files cost nothing: no records, nothing open", async (place) => {
  await place.transaction([[0, K]]);
  deepEqual(place.layer.state(), { on: true, "open-files": 0 });
  deepEqual([...Deno.readDirSync(place.directory)].map(({ name }) => name), ["indices"]);
});

test("a file that is not open is not asked about by others' names", async (place) => {
  await fails(
    place.layer.getxattr(ROOT, { inode: place.inode, name: `${CHANGED_PREFIX}dirty` }),
    ENODATA,
  );
});

conformance("features/changed-ranges", () => {
  const inodes = new InodeTable();
  const brick = new MemoryBrick(node("memory", [], { inodes }));
  const top = new ChangedRanges(
    node("changed", [brick], { inodes }),
    readOptions(changedRanges.options, new Map()),
  );
  return Promise.resolve({ top, inodes, call: ROOT, stop: () => Promise.resolve() });
}, { without: ["locks"] });
