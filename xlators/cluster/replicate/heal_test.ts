import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EIO, ENOENT, ENOTCONN } from "core/errno.ts";
import { type Args, type FopName, O_RDWR, type Reply } from "core/fops.ts";
import { Fd, type Gfid, gfidToBytes, type Inode, InodeTable, ROOT_GFID } from "core/inode.ts";
import { parseVolfile } from "core/volfile.ts";
import { buildGraph } from "core/graph.ts";
import { defineXlator, xlatorTypes } from "core/registry.ts";
import { type Node, Uniform, type Xlator } from "core/xlator.ts";
import { ptr, str, valueBytes, Xdata } from "core/xdata.ts";
import type { Call } from "core/call.ts";
import { gfidReq, newGfid, pattern } from "tests/conformance/place.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { testEnv } from "tests/fakes/node.ts";
import { countsBytes, parseCounts, type Part } from "xlators/cluster/replicate/blame.ts";
import { clearAside } from "xlators/cluster/replicate/heal_anonymous.ts";
import { crawlIndex } from "xlators/cluster/replicate/heal_crawl.ts";
import { healData } from "xlators/cluster/replicate/heal_data.ts";
import { healEntries } from "xlators/cluster/replicate/heal_entry.ts";
import { healFile } from "xlators/cluster/replicate/heal_file.ts";
import { stateOf } from "xlators/cluster/replicate/heal.ts";
import { lockCounts } from "xlators/cluster/replicate/heal_inspect.ts";
import { lockRange } from "xlators/cluster/replicate/heal_locks.ts";
import { healMetadata } from "xlators/cluster/replicate/heal_metadata.ts";
import { HealSet } from "xlators/cluster/replicate/heal_set.ts";
import { anonymousDirectory } from "xlators/cluster/replicate/private_names.ts";
import { ChangedRanges, changedRanges } from "xlators/features/changed-ranges/changed_ranges.ts";
import type { FileRecord, RecordStore } from "xlators/features/changed-ranges/record_store.ts";
import { locks } from "xlators/features/locks/locks.ts";

const K = 4096, SIZE = 64 * K;

/** Counts what passes, and fails when told. */
class Gate extends Uniform {
  away = false;
  /** Fops that fail with EIO. */
  readonly broken = new Set<FopName>();
  readonly written: number[] = [];
  readonly fops: FopName[] = [];

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (this.away) return Promise.reject(ENOTCONN);
    if (this.broken.has(fop)) return Promise.reject(EIO);
    this.fops.push(fop);
    if (fop === "writev") this.written.push((args as Args<"writev">).data.length);
    return this.wind(fop, call, args);
  }
}

/** Records of changes, in memory. */
class Records implements RecordStore {
  readonly #files = new Map<Gfid, FileRecord>();
  open(): Promise<readonly Gfid[]> {
    return Promise.resolve([]);
  }
  read(gfid: Gfid): FileRecord {
    return this.#files.get(gfid) ?? new Map();
  }
  write(gfid: Gfid, record: FileRecord): void {
    this.#files.set(gfid, record);
  }
}

/** Copies in memory, with the layers of real bricks that healers talk to. */
class Set3 {
  readonly inodes = new InodeTable();
  readonly gates: Gate[] = [];
  readonly set: HealSet;

  constructor(count: number, { arbiter = false } = {}) {
    const env = testEnv();
    const types = xlatorTypes([
      locks,
      {
        ...changedRanges,
        create: (node, values) => new ChangedRanges(node, values, new Records()),
      },
      defineXlator({
        type: "storage/memory",
        summary: "",
        options: {},
        subvolumes: "none",
        create: (node) => new MemoryBrick(node),
      }),
      defineXlator({
        type: "test/gate",
        summary: "",
        options: {},
        subvolumes: "one",
        create: (node: Node) => new Gate(node),
      }),
    ]);
    const text = "volume m\ntype storage/memory\nend-volume\n" +
      "volume l\ntype features/locks\nsubvolumes m\nend-volume\n" +
      "volume c\ntype features/changed-ranges\nsubvolumes l\nend-volume\n" +
      "volume g\ntype test/gate\nsubvolumes c\nend-volume\n";
    for (let index = 0; index < count; index++) {
      this.gates.push(buildGraph(parseVolfile(text), types, env, this.inodes).top as Gate);
    }
    this.set = new HealSet({
      name: "v-replicate-0",
      copies: this.gates,
      copyNames: this.gates.map((_, index) => `v-client-${index}`),
      arbiter,
      favorite: "none",
      granular: false,
      env,
      inodes: this.inodes,
    });
  }

  /** Another healer of the same copies. */
  healSet(anonymous?: HealSet["anonymous"]): HealSet {
    const { name, copies, copyNames, favorite, granular, env, inodes } = this.set;
    const arbiter = this.set.arbiter !== undefined;
    const parts = { name, copies, copyNames, arbiter, favorite, granular, env, inodes };
    return new HealSet({ ...parts, anonymous });
  }

  get root(): Inode {
    return this.inodes.root;
  }

  /** The same directory on all copies. */
  async mkdir(name: string, parent = this.root): Promise<Inode> {
    const gfid = newGfid();
    const args = { parent, name, mode: 0o755, umask: 0, xdata: gfidReq(gfid) };
    for (const copy of this.gates) await copy.mkdir(ROOT, args);
    return this.inodes.of(gfid);
  }

  /** The same file on all copies. */
  async file(name: string, data: Uint8Array, only = this.set.all): Promise<Inode> {
    const gfid = newGfid();
    for (const index of only) {
      const copy = this.gates[index]!;
      const args = { parent: this.root, name, mode: 0o644, umask: 0, flags: O_RDWR };
      const { fd } = await copy.create(ROOT, { ...args, xdata: gfidReq(gfid) });
      if (data.length) await copy.writev(ROOT, { fd, offset: 0, data, flags: 0 });
      await copy.release(ROOT, { fd });
    }
    return this.inodes.of(gfid);
  }

  async write(inode: Inode, which: readonly number[], offset: number, data: Uint8Array) {
    const fd = new Fd(inode, O_RDWR, true);
    for (const index of which) {
      await this.gates[index]!.writev(ROOT, { fd, offset, data, flags: 0 });
    }
  }

  /** Adds counts to marks of copy `on`. */
  async mark(inode: Inode, on: number, part: Part, counts: Readonly<Record<string, number>>) {
    const xattrs = Xdata.of(
      Object.entries(counts).map(([name, count]) =>
        [`trusted.afr.${name}`, ptr(countsBytes({ [part]: count }))] as const
      ),
    );
    await this.gates[on]!.xattrop(ROOT, { inode, op: "add32", xattrs });
  }

  async content(inode: Inode, index: number): Promise<Uint8Array> {
    const fd = new Fd(inode, O_RDWR, true);
    return (await this.gates[index]!.readv(ROOT, { fd, offset: 0, size: 1 << 24, flags: 0 })).data;
  }

  /** Marks that are not zero, "on:name" each. */
  async marks(inode: Inode): Promise<string[]> {
    const found: string[] = [];
    for (const [index, gate] of this.gates.entries()) {
      const { xattrs } = await gate.getxattr(ROOT, { inode, name: "" });
      for (const [name, value] of xattrs ?? []) {
        if (!name.startsWith("trusted.afr.")) continue;
        const { data, metadata, entry } = parseCounts(valueBytes(value));
        if (data || metadata || entry) found.push(`${index}:${name.slice("trusted.afr.".length)}`);
      }
    }
    return found.sort();
  }

  async names(index: number): Promise<string[]> {
    const copy: Xlator = this.gates[index]!;
    const { fd } = await copy.opendir(ROOT, { inode: this.root });
    const { entries } = await copy.readdir(ROOT, { fd, offset: 0n, size: 1 << 20 });
    return entries.map(({ name }) => name).filter((name) => !name.startsWith(".")).sort();
  }
}

/** A transaction of a client: `missed` copies do not get the write. */
async function transaction(
  place: Set3,
  inode: Inode,
  offset: number,
  data: Uint8Array,
  missed: readonly number[],
): Promise<void> {
  const here = place.set.all.filter((index) => !missed.includes(index));
  const blames = Object.fromEntries(missed.map((index) => [`v-client-${index}`, 1]));
  for (const index of here) await place.mark(inode, index, "data", { dirty: 1 });
  await place.write(inode, here, offset, data);
  for (const index of here) await place.mark(inode, index, "data", { dirty: -1, ...blames });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

Deno.test("cluster/replicate heal: only what changed is written, and nothing else is read", async () => {
  const place = new Set3(3);
  const file = await place.file("f", pattern(SIZE));
  await transaction(place, file, 5 * K, pattern(K, 9), [1]);
  await transaction(place, file, 40 * K, pattern(K, 10), [1]);
  const sink = place.gates[1]!;
  sink.written.length = sink.fops.length = 0;
  equal(await healData(place.set, file), "healed");
  deepEqual(sink.written, [K, K]);
  equal(sink.fops.includes("rchecksum"), false);
  deepEqual(await place.content(file, 1), await place.content(file, 0));
  deepEqual(await place.marks(file), []);
});

Deno.test("cluster/replicate heal: without a record checksums tell, and only pages that differ are written", async () => {
  const place = new Set3(2);
  const file = await place.file("f", pattern(SIZE));
  await place.write(file, [0], 7 * K, pattern(K, 3));
  await place.mark(file, 0, "data", { "v-client-1": 1 });
  place.gates[1]!.written.length = 0;
  equal(await healData(place.set, file), "healed");
  equal(sum(place.gates[1]!.written), K);
  ok(place.gates[1]!.fops.includes("rchecksum"));
  deepEqual(await place.content(file, 1), await place.content(file, 0));
});

Deno.test("cluster/replicate heal: holes stay holes, a longer copy is cut", async () => {
  const place = new Set3(2);
  const data = new Uint8Array(SIZE);
  data.set(pattern(K), 60 * K);
  const file = await place.file("f", data);
  await place.write(file, [1], 0, pattern(SIZE + 3 * K, 5));
  await place.mark(file, 0, "data", { "v-client-1": 1 });
  place.gates[1]!.written.length = 0;
  equal(await healData(place.set, file), "healed");
  equal(sum(place.gates[1]!.written), K);
  deepEqual(await place.content(file, 1), data);
});

Deno.test("cluster/replicate heal: a client that ended in a transaction leaves copies that become equal", async () => {
  const place = new Set3(3);
  const file = await place.file("f", pattern(SIZE));
  for (const index of [0, 1, 2]) await place.mark(file, index, "data", { dirty: 1 });
  await place.write(file, [2], 3 * K, pattern(K, 7));
  await place.write(file, [1], 30 * K, pattern(K, 8));
  equal(await healData(place.set, file), "healed");
  const one = await place.content(file, 0);
  deepEqual(await place.content(file, 1), one);
  deepEqual(await place.content(file, 2), one);
  deepEqual(await place.marks(file), []);
});

Deno.test("cluster/replicate heal: what a dead client left open counts beside what a copy missed", async () => {
  for (const last of [0, 2]) {
    const place = new Set3(3);
    const file = await place.file("f", pattern(SIZE));
    await transaction(place, file, 5 * K, pattern(K, 9), [1]);
    for (const index of [0, 2]) await place.mark(file, index, "data", { dirty: 1 });
    await place.write(file, [last], 30 * K, pattern(K, 8));
    equal(await healData(place.set, file), "healed");
    const one = await place.content(file, 0);
    for (const index of [1, 2]) deepEqual(await place.content(file, index), one);
    deepEqual(await place.marks(file), []);
  }
});

Deno.test("cluster/replicate heal: marks of a change that was before them are no word that nothing changed", async () => {
  const place = new Set3(3);
  const file = await place.file("f", pattern(SIZE));
  await place.write(file, [0, 2], 3 * K, pattern(K, 7));
  for (const index of [0, 1, 2]) await place.mark(file, index, "data", { dirty: 1 });
  equal(await healData(place.set, file), "healed");
  for (const index of [0, 1]) {
    deepEqual(await place.content(file, index), await place.content(file, 2));
  }
});

Deno.test("cluster/replicate heal: what is only dirty waits for all copies", async () => {
  const place = new Set3(3);
  const file = await place.file("f", pattern(SIZE));
  for (const index of [0, 1, 2]) await place.mark(file, index, "data", { dirty: 1 });
  place.gates[2]!.away = true;
  equal(await healData(place.set, file), "left");
  place.gates[2]!.away = false;
  equal((await place.marks(file)).length, 3);
});

Deno.test("cluster/replicate heal: a copy that fails stays blamed, and is healed the next time", async () => {
  for (const fop of ["writev", "fsync", "setattr"] as const) {
    const place = new Set3(3);
    const file = await place.file("f", pattern(SIZE));
    await transaction(place, file, 5 * K, pattern(K, 9), [1]);
    place.gates[1]!.broken.add(fop);
    equal(await healData(place.set, file), "left", fop);
    deepEqual(await place.marks(file), ["0:v-client-1", "2:v-client-1"], fop);
    place.gates[1]!.broken.clear();
    equal(await healData(place.set, file), "healed", fop);
    deepEqual(await place.content(file, 1), await place.content(file, 0));
    deepEqual(await place.marks(file), []);
  }
});

Deno.test("cluster/replicate heal: what is missed during the heal stays marked", async () => {
  const place = new Set3(3);
  const file = await place.file("f", pattern(SIZE));
  await transaction(place, file, 5 * K, pattern(K, 9), [1]);
  const sink = place.gates[1]!;
  const fsync = sink.fsync.bind(sink);
  sink.fsync = async (call, args) => {
    await transaction(place, file, 20 * K, pattern(K, 11), [1]);
    return await fsync(call, args);
  };
  await healData(place.set, file);
  deepEqual(await place.marks(file), ["0:v-client-1", "2:v-client-1"]);
  delete (sink as { fsync?: unknown }).fsync;
  equal(await healData(place.set, file), "healed");
  deepEqual(await place.content(file, 1), await place.content(file, 0));
});

Deno.test("cluster/replicate heal: a source that misses a write meanwhile is not believed", async () => {
  const place = new Set3(3);
  const file = await place.file("f", pattern(SIZE));
  await transaction(place, file, 5 * K, pattern(K, 9), [1]);
  const sink = place.gates[1]!;
  const fsync = sink.fsync.bind(sink);
  sink.fsync = async (call, args) => {
    await transaction(place, file, 20 * K, pattern(K, 11), [0]);
    return await fsync(call, args);
  };
  equal(await healData(place.set, file), "left");
  delete (sink as { fsync?: unknown }).fsync;
  equal(await healData(place.set, file), "healed");
  const right = await place.content(file, 2);
  deepEqual(right.subarray(20 * K, 21 * K), pattern(K, 11));
  deepEqual(await place.content(file, 0), right);
  deepEqual(await place.content(file, 1), right);
});

Deno.test("cluster/replicate heal: a split-brain stays as it is until somebody decides", async () => {
  const place = new Set3(2);
  const file = await place.file("f", pattern(SIZE));
  await transaction(place, file, 0, pattern(K, 2), [1]);
  await transaction(place, file, 0, pattern(K, 3), [0]);
  const before = [await place.content(file, 0), await place.content(file, 1)];
  equal(await healData(place.set, file), "split-brain");
  deepEqual([await place.content(file, 0), await place.content(file, 1)], before);
  equal((await place.marks(file)).length, 2);
  equal(await healData(place.set, file, 1), "healed");
  deepEqual(await place.content(file, 0), before[1]);
  deepEqual(await place.marks(file), []);
});

Deno.test("cluster/replicate heal: what the copy wrote that is decided against goes, wherever that is", async () => {
  for (const right of [0, 1]) {
    const place = new Set3(2);
    const file = await place.file("f", pattern(SIZE));
    await transaction(place, file, 3 * K, pattern(K, 2), [1]);
    await transaction(place, file, 40 * K, pattern(K, 3), [0]);
    const wanted = await place.content(file, right);
    equal(await healData(place.set, file, right), "healed");
    for (const index of [0, 1]) deepEqual(await place.content(file, index), wanted);
    deepEqual(await place.marks(file), []);
  }
});

Deno.test("cluster/replicate heal: a file that is made anew while a client writes gets all of its data", async () => {
  for (const before of [false, true]) {
    const place = new Set3(2);
    const file = await place.file("f", pattern(SIZE), [0]);
    if (before) await transaction(place, file, 2 * K, pattern(K, 7), [1]);
    await place.mark(place.root, 0, "entry", { "v-client-1": 1 });
    await place.mark(file, 0, "data", { dirty: 1 });
    await place.write(file, [0], 9 * K, pattern(K, 8));
    equal(await healEntries(place.set, place.root, { found: new Set() }), "healed");
    await place.mark(file, 0, "data", { dirty: -1, "v-client-1": 1 });
    equal(await healData(place.set, file), "healed");
    deepEqual(await place.content(file, 1), await place.content(file, 0));
  }
});

Deno.test("cluster/replicate heal: what a copy lost of its end comes back, though nobody knows of it", async () => {
  for (const known of [true, false]) {
    for (const broken of ["writev", "fsync", undefined] as const) {
      const place = new Set3(2);
      const file = await place.file("f", pattern(SIZE));
      // Its machine lost its power: what was appended was not synced.
      await place.gates[1]!.truncate(ROOT, { inode: file, offset: 50 * K });
      if (known) await transaction(place, file, 3 * K, pattern(K, 9), [1]);
      const why = `${known} ${broken}`;
      if (broken) {
        place.gates[1]!.broken.add(broken);
        equal(await healData(place.set, file), "left", why);
        place.gates[1]!.broken.clear();
      }
      equal(await healData(place.set, file), "healed", why);
      deepEqual(await place.content(file, 1), await place.content(file, 0), why);
      deepEqual(await place.marks(file), []);
    }
  }
});

Deno.test("cluster/replicate heal: a file that grew while a copy was away is not compared", async () => {
  const place = new Set3(2);
  const file = await place.file("f", pattern(SIZE));
  const [source, sink] = place.gates;
  await place.mark(file, 0, "data", { dirty: 1 });
  await place.write(file, [0], SIZE, pattern(K, 9));
  await source!.truncate(ROOT, { inode: file, offset: 2 * SIZE });
  await place.mark(file, 0, "data", { dirty: -1, "v-client-1": 1 });
  equal(await healData(place.set, file), "healed");
  equal(sink!.fops.includes("rchecksum"), false);
  deepEqual(await place.content(file, 1), await place.content(file, 0));
  deepEqual(await place.marks(file), []);
});

Deno.test("cluster/replicate heal: another healer at work is left alone", async () => {
  const place = new Set3(2);
  const file = await place.file("f", pattern(SIZE));
  await transaction(place, file, 0, pattern(K, 2), [1]);
  const locker = place.set.locker();
  const lock = {
    ...{ type: "write", whence: 0, start: 0n, size: 0n } as const,
    pid: 1,
    owner: locker.lkOwner,
  };
  const args = { inode: file, domain: "v-replicate-0:self-heal", cmd: "set", lock } as const;
  await place.gates[0]!.inodelk(locker, args);
  equal(await healData(place.set, file), "busy");
});

Deno.test("cluster/replicate heal: the arbiter gets no data, and is never the source", async () => {
  const place = new Set3(3, { arbiter: true });
  const file = await place.file("f", pattern(SIZE));
  await place.mark(file, 2, "data", { "v-client-0": 1, "v-client-1": 1 });
  equal(await healData(place.set, file), "left");
  await place.mark(file, 2, "data", { "v-client-1": -1 });
  place.gates[2]!.written.length = 0;
  equal(await healData(place.set, file), "healed");
  deepEqual(place.gates[2]!.written, []);
});

Deno.test("cluster/replicate heal: attributes become the source's, those of marks stay each copy's", async () => {
  const place = new Set3(2);
  const file = await place.file("f", new Uint8Array());
  const [source, sink] = place.gates;
  await source!.setattr(ROOT, { inode: file, changes: { mode: 0o600, uid: 7 } });
  await source!.setxattr(ROOT, {
    inode: file,
    xattrs: Xdata.of([["user.a", ptr(pattern(3))]]),
    flags: 0,
  });
  await sink!.setxattr(ROOT, {
    inode: file,
    xattrs: Xdata.of([["user.gone", ptr(pattern(3))]]),
    flags: 0,
  });
  await place.mark(file, 0, "metadata", { "v-client-1": 1 });
  equal(await healMetadata(place.set, file), "healed");
  const { stat } = await sink!.stat(ROOT, { inode: file });
  deepEqual([stat.mode & 0o777, stat.uid], [0o600, 7]);
  const { xattrs } = await sink!.getxattr(ROOT, { inode: file, name: "" });
  deepEqual([...xattrs!.names()].filter((name) => name.startsWith("user.")), ["user.a"]);
  deepEqual(await place.marks(file), []);
});

Deno.test("cluster/replicate heal: attributes of which a change did not end become alike on all copies", async () => {
  const place = new Set3(3);
  const file = await place.file("f", new Uint8Array());
  const xattrs = Xdata.of([["user.a", ptr(pattern(3))]]);
  // Copy 2 took it away, and its answer was lost; only copy 0, which missed it before, could be marked.
  await place.gates[1]!.setxattr(ROOT, { inode: file, xattrs, flags: 0 });
  await place.mark(file, 0, "metadata", { dirty: 1 });
  for (const index of [1, 2]) await place.mark(file, index, "metadata", { "v-client-0": 1 });
  equal(await healMetadata(place.set, file), "healed");
  const found = await Promise.all(
    place.gates.map(async (gate) => {
      const { xattrs } = await gate.getxattr(ROOT, { inode: file, name: "" });
      return xattrs?.has("user.a") ?? false;
    }),
  );
  equal(new Set(found).size, 1);
  deepEqual(await place.marks(file), []);
});

Deno.test("cluster/replicate heal: names are made and removed as the source has them, new files are marked", async () => {
  const place = new Set3(2);
  const fresh = await place.file("new", pattern(K), [0]);
  await place.file("old", pattern(K), [1]);
  await place.mark(place.root, 0, "entry", { "v-client-1": 1 });
  const found = new Set<Gfid>();
  equal(await healEntries(place.set, place.root, { found }), "healed");
  deepEqual(await place.names(1), ["new"]);
  deepEqual([...found], [fresh.gfid]);
  deepEqual(await place.marks(fresh), ["0:v-client-1"]);
  equal(await healData(place.set, fresh), "healed");
  deepEqual(await place.content(fresh, 1), pattern(K));
});

Deno.test("cluster/replicate heal: a device is made with its number", async () => {
  const place = new Set3(2), [source, sink] = place.gates, xdata = gfidReq();
  const made = {
    parent: place.root,
    name: "disk",
    mode: 0o060600,
    rdev: 0x100801,
    umask: 0,
    xdata,
  };
  const { stat } = await source!.mknod(ROOT, made);
  await place.mark(place.root, 0, "entry", { "v-client-1": 1 });
  equal(await healEntries(place.set, place.root, { found: new Set() }), "healed");
  const found = await sink!.lookup(ROOT, { parent: place.root, name: "disk" });
  deepEqual([found.stat.mode, found.stat.rdev], [stat.mode, stat.rdev]);
});

Deno.test("cluster/replicate heal: directories whose copies blame each other lose no name", async () => {
  const place = new Set3(2);
  await place.file("one", pattern(K), [0]);
  await place.file("other", pattern(K), [1]);
  await place.mark(place.root, 0, "entry", { "v-client-1": 1 });
  await place.mark(place.root, 1, "entry", { "v-client-0": 1 });
  equal(await healEntries(place.set, place.root, { found: new Set() }), "healed");
  for (const index of [0, 1]) deepEqual(await place.names(index), ["one", "other"]);
  deepEqual(await place.marks(place.inodes.of(ROOT_GFID)), []);
});

Deno.test("cluster/replicate heal: two files of one name are a split-brain unless a source knows", async () => {
  const place = new Set3(2);
  await place.file("same", pattern(K), [0]);
  const wrong = await place.file("same", pattern(K, 2), [1]);
  await place.mark(place.root, 0, "entry", { "v-client-1": 1 });
  await place.mark(place.root, 1, "entry", { "v-client-0": 1 });
  equal(await healEntries(place.set, place.root, { found: new Set() }), "split-brain");
  await place.mark(place.root, 1, "entry", { "v-client-0": -1 });
  equal(await healEntries(place.set, place.root, { found: new Set() }), "healed");
  const [one, other] = await Promise.all(
    place.gates.map((gate) => gate.lookup(ROOT, { parent: place.root, name: "same" })),
  );
  equal(one!.stat.gfid, other!.stat.gfid);
  await place.gates[1]!.lookup(ROOT, { inode: wrong, name: "" }).then(
    () => {
      throw new Error("the wrong file is still there");
    },
    (error) => ok(ENOENT.matches(error) || error.errno === 116),
  );
});

Deno.test("cluster/replicate heal: an empty copy is not believed on an arbiter's word while another is away", async () => {
  const place = new Set3(3, { arbiter: true });
  const file = await place.file("f", new Uint8Array());
  await transaction(place, file, 0, pattern(K), [1]);
  await place.gates[2]!.truncate(ROOT, { inode: file, offset: 0 });
  place.gates[0]!.away = true;
  equal(await healData(place.set, file), "left");
  place.gates[0]!.away = false;
  deepEqual(await place.marks(file), ["0:v-client-1", "2:v-client-1"]);
  equal(await healData(place.set, file), "healed");
  deepEqual(await place.content(file, 1), pattern(K));
});

Deno.test("cluster/replicate heal: a removed name does not come back because another change did not end", async () => {
  const place = new Set3(2);
  await place.file("kept", pattern(K));
  await place.file("removed", pattern(K), [1]);
  await place.mark(place.root, 0, "entry", { "v-client-1": 1, dirty: 1 });
  equal(await healEntries(place.set, place.root, { found: new Set() }), "healed");
  for (const index of [0, 1]) deepEqual(await place.names(index), ["kept"]);
  deepEqual(await place.marks(place.root), []);
});

Deno.test("cluster/replicate heal: of two files of one name that a change left, most copies' stays", async () => {
  const place = new Set3(3);
  await place.file("same", pattern(K), [0]);
  const right = await place.file("same", pattern(K, 2), [1, 2]);
  await place.mark(place.root, 0, "entry", { dirty: 1 });
  equal(await healEntries(place.set, place.root, { found: new Set() }), "healed");
  for (const gate of place.gates) {
    const { stat } = await gate.lookup(ROOT, { parent: place.root, name: "same" });
    equal(stat.gfid, right.gfid);
  }
});

Deno.test("cluster/replicate heal: a directory's source that misses a name meanwhile is not believed", async () => {
  const place = new Set3(2);
  await place.file("old", pattern(K), [1]);
  await place.mark(place.root, 0, "entry", { "v-client-1": 1 });
  const [source, sink] = place.gates;
  const opendir = sink!.opendir.bind(sink);
  sink!.opendir = async (call, args) => {
    // Copy 0 is away for a moment, and a client makes a file.
    if (source!.fops.includes("opendir")) {
      await place.file("new", pattern(K), [1]);
      await place.mark(place.root, 1, "entry", { "v-client-0": 1 });
    }
    return await opendir(call, args);
  };
  equal(await healEntries(place.set, place.root, { found: new Set() }), "left");
  ok((await place.names(1)).includes("new"));
});

Deno.test("cluster/replicate heal: a file that a copy lacks brings its unmarked directory to be healed", async () => {
  const place = new Set3(2);
  const file = await place.file("f", pattern(K), [0]);
  await place.mark(file, 0, "data", { "v-client-1": 1 });
  await place.mark(file, 0, "metadata", { "v-client-1": 1 });
  const [owner] = place.gates;
  const getxattr = owner!.getxattr.bind(owner);
  // As storage/posix tells it.
  owner!.getxattr = async (call, args) =>
    args.name === "glusterfs.gfid2path"
      ? { xattrs: Xdata.of([[args.name, str("/f")]]) }
      : await getxattr(call, args);
  const found = new Set<Gfid>();
  await healFile(place.set, file.gfid, { found });
  deepEqual([...found], [ROOT_GFID]);
  deepEqual(await place.marks(place.root), ["0:dirty"]);
  await healFile(place.set, file.gfid, { found });
  equal(await healFile(place.set, ROOT_GFID, { found }), "healed");
  equal(await healFile(place.set, file.gfid, { found }), "healed");
  deepEqual(await place.content(file, 1), pattern(K));
  deepEqual([await place.marks(file), await place.marks(place.root)], [[], []]);
});

Deno.test("cluster/replicate heal: extended attributes that differ unmarked are found by a full heal", async () => {
  const place = new Set3(3);
  const file = await place.file("f", pattern(K));
  const xattrs = Xdata.of([["user.one", str("1")]]);
  await place.gates[0]!.setxattr(ROOT, { inode: file, xattrs, flags: 0 });
  equal(await healFile(place.set, file.gfid, { found: new Set() }), "clean");
  equal(await healFile(place.set, file.gfid, { found: new Set(), full: true }), "healed");
  for (const gate of place.gates) {
    ok((await gate.getxattr(ROOT, { inode: file, name: "user.one" })).xattrs?.has("user.one"));
  }
  equal(await healFile(place.set, file.gfid, { found: new Set(), full: true }), "clean");
});

Deno.test("cluster/replicate heal: a file that a healer has locked is shown as being healed, whoever it is", async () => {
  const place = new Set3(2);
  const { set } = place;
  const inode = await place.file("f", new Uint8Array());
  const range = { start: 0n, size: 0n };
  deepEqual(await lockCounts(set, inode), { clients: 0, healers: 0 });
  {
    await using _one = await lockRange(set, set.healers, inode, range).wait();
    deepEqual(await lockCounts(set, inode), { clients: 0, healers: 1 });
    await using _other = await lockRange(set, set.name, inode, range).wait();
    deepEqual(await lockCounts(set, inode), { clients: 1, healers: 1 });
  }
  const none = { clients: 0, healers: 0 }, client = { clients: 1, healers: 0 };
  equal(stateOf("heal", none, false), "pending");
  equal(stateOf("heal", { clients: 1, healers: 1 }, false), "healing");
  equal(stateOf("heal", none, true), "healing");
  equal(stateOf("split-brain", { clients: 0, healers: 1 }, true), "split-brain");
  equal(stateOf("busy", client, false), undefined);
  equal(stateOf("busy", none, false), "pending");
  equal(stateOf("nothing", none, false), undefined);
});

Deno.test("cluster/replicate heal: a blame that a healer could not take off everywhere splits nothing", async () => {
  const place = new Set3(3, { arbiter: true });
  const file = await place.file("f", pattern(SIZE));
  await transaction(place, file, 0, pattern(K, 9), [0]);
  await place.mark(file, 0, "data", { "v-client-1": 1 });
  equal(await healData(place.set, file), "left");
  place.set.majority = true;
  // Only all copies together can tell.
  place.gates[2]!.away = true;
  equal(await healData(place.set, file), "split-brain");
  place.gates[2]!.away = false;
  equal(await healData(place.set, file), "healed");
  deepEqual((await place.content(file, 0)).subarray(0, K), pattern(K, 9));
  deepEqual(await place.marks(file), []);
});

Deno.test("cluster/replicate heal: marks stay on all copies while one that set them is away", async () => {
  const place = new Set3(3);
  const file = await place.file("f", pattern(SIZE));
  await transaction(place, file, 0, pattern(K, 9), [1]);
  const sink = place.gates[1]!;
  const fsync = sink.fsync.bind(sink);
  sink.fsync = async (call, args) => {
    const done = await fsync(call, args);
    place.gates[2]!.away = true;
    return done;
  };
  equal(await healData(place.set, file), "left");
  place.gates[2]!.away = false;
  deepEqual(await place.marks(file), ["0:v-client-1", "2:v-client-1"]);
});

Deno.test("cluster/replicate heal: the old name of a file that was moved goes, whichever is healed first", async () => {
  for (const [from, to] of [["a", "b"], ["b", "a"]] as const) {
    const place = new Set3(2);
    const file = await place.file(from, pattern(K));
    const { root } = place;
    const names = { oldParent: root, oldName: from, newParent: root, newName: to };
    await place.gates[0]!.rename(ROOT, names);
    await place.mark(root, 0, "entry", { "v-client-1": 1 });
    // The old name is moved when the new one was not there just before, and is now.
    const sink = place.gates[1]!;
    const rename = sink.rename.bind(sink), link = sink.link.bind(sink);
    let moving = false;
    const until = async (done: () => boolean) => {
      for (let turn = 0; turn < 500 && !done(); turn++) await Promise.resolve();
    };
    sink.link = async (call, args) => {
      await until(() => moving);
      return await link(call, args);
    };
    sink.rename = async (call, args) => {
      moving = true;
      await until(() => sink.fops.includes("link"));
      return await rename(call, args);
    };
    const heal = async (last: boolean) =>
      await healEntries(place.set, root, { found: new Set(), last });
    for (let pass = 0; await heal(pass > 2) !== "clean"; pass++) ok(pass < 5);
    deepEqual(await place.names(1), [to]);
    deepEqual(await place.content(file, 1), pattern(K));
  }
});

// A file whose names in directories `one` and `other` are gone on copy 0, which has it as "c" in a third.
async function movedTwice(place: Set3, sameDirectory: boolean) {
  const directories = await Promise.all(["one", "other", "third"].map((name) => place.mkdir(name)));
  const [one, , third] = directories as [Inode, Inode, Inode];
  const other = sameDirectory ? one : directories[1]!;
  const file = await place.file("f", pattern(K));
  const names = [{ parent: one, name: "a" }, { parent: other, name: "b" }];
  for (const copy of place.gates) {
    const [first, second] = names as [typeof names[0], typeof names[0]];
    const { parent: newParent, name: newName } = first!;
    await copy.rename(ROOT, { oldParent: place.root, oldName: "f", newParent, newName });
    await copy.link(ROOT, { inode: file, ...second! });
  }
  const [right] = place.gates;
  await right!.link(ROOT, { inode: file, parent: third, name: "c" });
  for (const name of names) await right!.unlink(ROOT, { ...name, flags: 0 });
  for (const inode of new Set([one, other, third])) {
    await place.mark(inode, 0, "entry", { "v-client-1": 1 });
  }
  return { one, other, third, file };
}

Deno.test("cluster/replicate heal: of several wrong names of a file that lives on elsewhere the last one is kept, whoever heals", async () => {
  for (const anonymous of [undefined, anonymousDirectory("3b241101-e2bb-4255-8caf-4136c566a962")]) {
    for (const sameDirectory of [true, false]) {
      const place = new Set3(2);
      const { one, other, third, file } = await movedTwice(place, sameDirectory);
      const sets = [place.healSet(anonymous), place.healSet(anonymous)];
      const heal = (set: HealSet, inode: Inode, last = false) =>
        healEntries(set, inode, { found: new Set(), last });
      await Promise.all([heal(sets[0]!, one), heal(sets[1]!, other)]);
      deepEqual(await place.content(file, 1), pattern(K));
      for (const inode of [third, one, other]) await heal(sets[0]!, inode);
      if (anonymous) await clearAside(sets[0]!);
      deepEqual(await place.content(file, 1), pattern(K));
      equal((await place.gates[1]!.stat(ROOT, { inode: file })).stat.nlink, 1);
      const { stat } = await place.gates[1]!.lookup(ROOT, { parent: third, name: "c" });
      equal(stat.gfid, file.gfid);
      equal(place.gates[1]!.fops.includes("mknod"), false);
    }
  }
});

Deno.test("cluster/replicate heal: a wrong name stays while nobody can tell whether its file lives on elsewhere", async () => {
  const place = new Set3(2);
  const { one, file } = await movedTwice(place, true);
  const [right, sink] = place.gates;
  await sink!.unlink(ROOT, { parent: one, name: "b", flags: 0 });
  const lookup = right!.lookup.bind(right);
  right!.lookup = (call, args) => args.inode === file ? Promise.reject(EIO) : lookup(call, args);
  equal(await healEntries(place.set, one, { found: new Set() }), "left");
  deepEqual(await place.content(file, 1), pattern(K));
});

Deno.test("cluster/replicate heal: a file stays listed that a copy may have which cannot tell", async () => {
  const place = new Set3(2);
  const file = await place.file("f", pattern(K), [0]);
  const index = await place.mkdir("index");
  const [owner] = place.gates;
  for (const gate of place.gates) {
    await gate.create(ROOT, {
      ...{ parent: index, name: file.gfid, mode: 0o600, umask: 0, flags: O_RDWR },
      xdata: gfidReq(),
    });
    // As features/index tells where its list is.
    gate.getxattr = (_call, { name }) =>
      Promise.resolve({ xattrs: Xdata.of([[name, ptr(gfidToBytes(index.gfid))]]) });
  }
  const listed = () =>
    owner!.lookup(ROOT, { parent: index, name: file.gfid }).then(() => true, () => false);
  const crawl = () => {
    const { signal } = new AbortController();
    return crawlIndex(place.set, { filesAtOnce: 1, signal, working: new Set() });
  };
  const lookup = owner!.lookup.bind(owner);
  owner!.lookup = (call, args) => args.inode === file ? Promise.reject(EIO) : lookup(call, args);
  await crawl();
  equal(await listed(), true);
  owner!.lookup = (call, args) => args.inode === file ? Promise.reject(ENOENT) : lookup(call, args);
  await crawl();
  equal(await listed(), false);
});

Deno.test("cluster/replicate heal: a directory does not go back to where a move that failed would have put it", async () => {
  const place = new Set3(3);
  const to = await place.mkdir("to"), moved = await place.mkdir("moved"), { root } = place;
  // Copy 0 made a move that failed, and missed the next one, which the others made.
  const names = { oldParent: root, oldName: "moved", newParent: to, newName: "failed" };
  await place.gates[0]!.rename(ROOT, names);
  for (const index of [0, 1, 2]) await place.mark(to, index, "entry", { dirty: 1 });
  for (const index of [1, 2]) await place.mark(root, index, "entry", { "v-client-0": 1 });
  const heal = (inode: Inode) => healEntries(place.set, inode, { found: new Set() });
  equal(await heal(to), "later");
  equal(await heal(root), "healed");
  equal(await heal(to), "healed");
  for (const gate of place.gates) {
    const { stat } = await gate.lookup(ROOT, { parent: root, name: "moved" });
    equal(stat.gfid, moved.gfid);
  }
  deepEqual([...await place.marks(to), ...await place.marks(root)], []);
});

Deno.test("cluster/replicate heal: who cannot tell whether it has a file is not blamed as one that lacks it", async () => {
  const place = new Set3(2);
  const file = await place.file("f", pattern(K));
  const [right, sink] = place.gates;
  await right!.link(ROOT, { inode: file, parent: place.root, name: "g" });
  await place.mark(place.root, 0, "entry", { "v-client-1": 1 });
  const lookup = sink!.lookup.bind(sink);
  sink!.lookup = (call, args) => args.inode === file ? Promise.reject(EIO) : lookup(call, args);
  equal(await healEntries(place.set, place.root, { found: new Set() }), "left");
  deepEqual(await place.marks(file), []);
  sink!.lookup = lookup;
  equal(await healEntries(place.set, place.root, { found: new Set() }), "healed");
  equal((await sink!.lookup(ROOT, { parent: place.root, name: "g" })).stat.nlink, 2);
});

Deno.test("cluster/replicate heal: a file that only the arbiter still has is removed, not made anew without its data", async () => {
  const place = new Set3(3, { arbiter: true }), { root } = place;
  await place.file("removed", new Uint8Array(), [2]);
  const linked = await place.file("kept", new Uint8Array());
  await place.gates[2]!.link(ROOT, { inode: linked, parent: root, name: "linked" });
  for (const index of [1, 2]) {
    await place.mark(root, index, "entry", { dirty: 1, "v-client-0": 1 });
  }
  equal(await healEntries(place.set, root, { found: new Set() }), "healed");
  for (const index of [0, 1, 2]) deepEqual(await place.names(index), ["kept", "linked"]);
});

Deno.test("cluster/replicate heal: a file that only an arbiter has, as the copies missed it, stays", async () => {
  const place = new Set3(3, { arbiter: true }), { root } = place;
  await place.file("made", new Uint8Array(), [2]);
  await place.mark(root, 2, "entry", { "v-client-0": 1, "v-client-1": 1 });
  equal(await healEntries(place.set, root, { found: new Set() }), "healed");
  for (const index of [0, 1, 2]) deepEqual(await place.names(index), ["made"]);
});
