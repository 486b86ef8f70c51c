import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { type Call, PID_SELF_HEAL, ROOT } from "core/call.ts";
import { type ByteRange, CHANGED_PREFIX, unpackRanges } from "core/changed_ranges.ts";
import { ENODATA } from "core/errno.ts";
import { O_APPEND, O_RDWR } from "core/fops.ts";
import { type Fd, type Inode, InodeTable } from "core/inode.ts";
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
  async mark(counts: Readonly<Record<string, number>>): Promise<void> {
    const xattrs = Object.entries(counts).map(([name, count]) => {
      const bytes = new Uint8Array(12);
      new DataView(bytes.buffer).setInt32(0, count);
      return [`trusted.afr.${name}`, ptr(bytes)] as const;
    });
    await this.layer.fxattrop(ROOT, { fd: this.fd, op: "add32", xattrs: Xdata.of(xattrs) });
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
    { start: 4 * K, end: 5 * K },
    { start: 8 * K, end: FAR },
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
