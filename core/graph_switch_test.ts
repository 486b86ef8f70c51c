import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { type Call, type LkOwner, ROOT } from "core/call.ts";
import { ENOSPC, EXDEV, type FopError } from "core/errno.ts";
import {
  type Args,
  type FopName,
  O_CREAT,
  O_EXCL,
  O_RDWR,
  O_TRUNC,
  type Reply,
} from "core/fops.ts";
import { ActiveGraph, startActiveGraph } from "core/graph_switch.ts";
import type { Fd, Inode } from "core/inode.ts";
import { text } from "core/options.ts";
import { defineXlator, xlatorTypes } from "core/registry.ts";
import { parseVolfile } from "core/volfile.ts";
import { Funnel, type Node, PassThrough, windTo } from "core/xlator.ts";
import { bytes, gfidReq, text as read } from "tests/conformance/place.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";

/** A way to one brick that all graphs of a test share; what passes can be held up. */
class Way extends Funnel {
  readonly seen: FopName[] = [];
  stopped = false;
  hold: Promise<void> | undefined;
  /** What its syncs fail with. */
  unsynced: FopError | undefined;
  /** What its syncs wait for. */
  syncing: Promise<void> | undefined;

  constructor(node: Node, readonly brick: MemoryBrick, readonly fails: string) {
    super(node);
  }
  start(): Promise<void> {
    return this.fails === "start" ? Promise.reject(new Error("cannot start")) : Promise.resolve();
  }
  stop(): Promise<void> {
    this.stopped = true;
    return Promise.resolve();
  }
  protected async around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    ok(!this.stopped, `${fop} after stop`);
    this.seen.push(fop);
    const { hold } = this;
    if (fop === "fsync") await this.syncing;
    if (this.unsynced && fop === "fsync") throw this.unsynced;
    if (hold && fop !== "fsync" && fop !== "release") await hold;
    return fop === "lk"
      ? { lock: (args as Args<"lk">).lock } as Reply<K>
      : await windTo(this.brick, fop, call, args);
  }
}

class Middle extends PassThrough {
  word = "";
  reconfigure(values: { word: string }): void {
    this.word = values.word;
  }
}

function world() {
  const ways: Way[] = [], middles: Middle[] = [];
  const lines: string[] = [];
  const env = testEnv({ log: new LinesLog(lines) });
  let brick: MemoryBrick | undefined;
  /** What new ways hold their fops up until. */
  const next: { hold?: Promise<void> } = {};
  const way = defineXlator({
    type: "test/way",
    summary: "",
    options: { fails: text({ default: "", help: "", live: false }) },
    subvolumes: "none",
    create(node, values) {
      brick ??= new MemoryBrick(node);
      const made = new Way(node, brick, values.fails);
      made.hold = next.hold;
      ways.push(made);
      return made;
    },
  });
  const middle = defineXlator({
    type: "test/middle",
    summary: "",
    options: { word: text({ default: "", help: "" }) },
    subvolumes: "one",
    create(node) {
      const made = new Middle(node);
      middles.push(made);
      return made;
    },
  });
  const types = xlatorTypes([way, middle]);
  return { ways, middles, lines, env, types, next, brick: () => brick! };
}

const PLAIN = "volume way\ntype test/way\nend-volume\n";
function over(word: string, fails = ""): string {
  return `volume way\ntype test/way\n${fails && `option fails ${fails}\n`}end-volume
volume middle\ntype test/middle\noption word ${word}\nsubvolumes way\nend-volume\n`;
}

async function started(volfile = PLAIN) {
  const it = world();
  const graph = await startActiveGraph(parseVolfile(volfile), it);
  return { ...it, graph, apply: (text: string) => graph.apply(parseVolfile(text)) };
}

async function create(graph: ActiveGraph, name: string): Promise<{ fd: Fd; inode: Inode }> {
  const parent = graph.graph.inodes.root;
  const args = { parent, name, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o644, umask: 0 };
  const { fd, stat } = await graph.create(ROOT, { ...args, xdata: gfidReq() });
  return { fd, inode: graph.graph.inodes.of(stat.gfid) };
}

async function content(graph: ActiveGraph, fd: Fd): Promise<string> {
  return read((await graph.readv(ROOT, { fd, offset: 0, size: 100, flags: 0 })).data);
}

function write(graph: ActiveGraph, fd: Fd, offset: number, data: string) {
  return graph.writev(ROOT, { fd, offset, data: bytes(data), flags: 0 });
}

/** All microtasks and timers that are due have run. */
function settled(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}

Deno.test("core/graph_switch: blocks of the same shape reconfigure the graph in place", async () => {
  const { graph, middles, ways, apply } = await started(over("one"));
  strictEqual(await apply(over("two")), "reconfigured");
  deepStrictEqual([middles.length, middles[0]!.word, ways.length], [1, "two", 1]);
  await graph.stop();
});

Deno.test("core/graph_switch: another shape is served by a new graph, and the old one is stopped", async () => {
  const { graph, ways, apply } = await started();
  const { inode } = await create(graph, "f");
  strictEqual(await apply(over("x")), "switched");
  await settled();
  await graph.stat(ROOT, { inode });
  deepStrictEqual(ways.map((way) => way.seen.at(-1)), ["release", "stat"]);
  deepStrictEqual([ways[0]!.stopped, ways[1]!.stopped, graph.running], [true, false, 1]);
  await graph.stop();
  ok(ways[1]!.stopped);
});

Deno.test("core/graph_switch: inodes stay the same objects", async () => {
  const { graph, apply } = await started();
  const { inode } = await create(graph, "f");
  await apply(over("x"));
  strictEqual(graph.graph.inodes.of(inode.gfid), inode);
  await graph.stop();
});

Deno.test("core/graph_switch: an open file is read and written across the switch", async () => {
  const { graph, ways, apply, brick } = await started();
  const { fd } = await create(graph, "f");
  await write(graph, fd, 0, "before");
  await apply(over("x"));
  strictEqual(await content(graph, fd), "before");
  await write(graph, fd, 6, " after");
  strictEqual(await content(graph, fd), "before after");
  deepStrictEqual(ways[0]!.seen, ["create", "writev", "fsync", "release"]);
  deepStrictEqual(ways[1]!.seen.filter((fop) => fop === "open"), ["open"]);
  await graph.release(ROOT, { fd });
  strictEqual(brick().openFiles, 0);
  await graph.stop();
});

Deno.test("core/graph_switch: a file opened with O_TRUNC is not emptied again", async () => {
  const { graph, apply } = await started();
  const { fd: first, inode } = await create(graph, "f");
  const { fd } = await graph.open(ROOT, { inode, flags: O_RDWR | O_TRUNC });
  await write(graph, fd, 0, "keep");
  await apply(over("x"));
  strictEqual(await content(graph, fd), "keep");
  for (const each of [first, fd]) await graph.release(ROOT, { fd: each });
  await graph.stop();
});

Deno.test("core/graph_switch: a file whose move a second switch overtakes ends in the last graph", async () => {
  const { graph, ways, apply, next } = await started();
  const { fd } = await create(graph, "f");
  const gate = Promise.withResolvers<void>();
  next.hold = gate.promise;
  await apply(over("x"));
  delete next.hold;
  await apply(over("x").replaceAll("volume middle", "volume other"));
  gate.resolve();
  await write(graph, fd, 0, "x");
  await settled();
  deepStrictEqual([graph.running, ways[2]!.seen.includes("writev")], [1, true]);
  await graph.release(ROOT, { fd });
  await graph.stop();
});

Deno.test("core/graph_switch: an open directory is listed across the switch", async () => {
  const { graph, ways, apply } = await started();
  await create(graph, "a");
  await create(graph, "b");
  const { fd } = await graph.opendir(ROOT, { inode: graph.graph.inodes.root });
  const first = await graph.readdir(ROOT, { fd, offset: 0n, size: 80 });
  await apply(over("x"));
  const offset = first.entries.at(-1)!.offset;
  const rest = await graph.readdir(ROOT, { fd, offset, size: 4096 });
  deepStrictEqual([...first.entries, ...rest.entries].map(({ name }) => name), [
    ".",
    "..",
    "a",
    "b",
  ]);
  ok(ways[1]!.seen.includes("opendir"));
  await graph.releasedir(ROOT, { fd });
  await graph.stop();
});

Deno.test("core/graph_switch: fops under way finish in the old graph, which waits for them", async () => {
  const { graph, ways, apply } = await started();
  const { inode } = await create(graph, "f");
  const gate = Promise.withResolvers<void>();
  ways[0]!.hold = gate.promise;
  const slow = graph.stat(ROOT, { inode });
  await apply(over("x"));
  strictEqual((await graph.stat(ROOT, { inode })).stat.gfid, inode.gfid);
  await settled();
  deepStrictEqual([ways[0]!.stopped, graph.running], [false, 2]);
  gate.resolve();
  strictEqual((await slow).stat.gfid, inode.gfid);
  await settled();
  deepStrictEqual([ways[0]!.stopped, graph.running], [true, 1]);
  await graph.stop();
});

Deno.test("core/graph_switch: a file that moved is closed when what began with it is answered", async () => {
  const { graph, ways, apply } = await started();
  const { fd } = await create(graph, "f");
  await write(graph, fd, 0, "before");
  const gate = Promise.withResolvers<void>();
  ways[0]!.hold = gate.promise;
  const slow = content(graph, fd);
  await apply(over("x"));
  strictEqual(await content(graph, fd), "before");
  await settled();
  deepStrictEqual(ways[0]!.seen, ["create", "writev", "readv", "fsync"]);
  gate.resolve();
  strictEqual(await slow, "before");
  await settled();
  deepStrictEqual([ways[0]!.seen.at(-1), ways[0]!.stopped], ["release", true]);
  await graph.release(ROOT, { fd });
  await graph.stop();
});

Deno.test("core/graph_switch: a file whose open was under way during the switch is moved", async () => {
  const { graph, ways, apply } = await started();
  const { inode } = await create(graph, "f");
  const gate = Promise.withResolvers<void>();
  ways[0]!.hold = gate.promise;
  const opening = graph.open(ROOT, { inode, flags: O_RDWR });
  await apply(over("x"));
  gate.resolve();
  const { fd } = await opening;
  await write(graph, fd, 0, "x");
  ok(ways[1]!.seen.includes("writev"));
  await settled();
  ok(ways[0]!.stopped);
  await graph.stop();
});

Deno.test("core/graph_switch: an unlinked open file stays with the old graph until it is closed", async () => {
  const { graph, ways, apply, lines } = await started();
  const { fd } = await create(graph, "f");
  await write(graph, fd, 0, "gone");
  await graph.unlink(ROOT, { parent: graph.graph.inodes.root, name: "f", flags: 0 });
  await apply(over("x"));
  strictEqual(await content(graph, fd), "gone");
  deepStrictEqual([ways[0]!.stopped, graph.running], [false, 2]);
  ok(lines.some((line) => line.startsWith("W open file stays with the old graph")));
  await graph.release(ROOT, { fd });
  await settled();
  deepStrictEqual([ways[0]!.stopped, graph.running], [true, 1]);
  await graph.stop();
});

Deno.test("core/graph_switch: writes that a sync before the move tells lost are told of once", async () => {
  for (const by of ["writev", "fsync", "flush"] as const) {
    const { graph, ways, apply } = await started();
    const { fd } = await create(graph, "f");
    ways[0]!.unsynced = ENOSPC;
    await apply(over("x"));
    await graph.fstat(ROOT, { fd });
    ways[0]!.unsynced = undefined;
    const args = { fd, offset: 0, data: bytes("x"), flags: 0, dataOnly: false };
    await rejects(graph[by](ROOT, args), (error) => ENOSPC.matches(error));
    strictEqual(ways[0]!.seen.at(-1), by === "flush" ? "flush" : "fstat");
    await graph.fsync(ROOT, { fd, dataOnly: false });
    await write(graph, fd, 0, "x");
    await graph.release(ROOT, { fd });
    await graph.stop();
  }
});

Deno.test("core/graph_switch: what is asked of the new graph waits until written files are synced", async () => {
  const { graph, ways, apply } = await started();
  const { fd, inode } = await create(graph, "f");
  const { promise, resolve } = Promise.withResolvers<void>();
  ways[0]!.syncing = promise;
  await apply(over("x"));
  const looked = graph.stat(ROOT, { inode });
  await settled();
  deepStrictEqual([ways[0]!.seen.at(-1), ways[1]!.seen], ["fsync", []]);
  resolve();
  await looked;
  ok(ways[1]!.seen.includes("stat"));
  await graph.release(ROOT, { fd });
  await graph.stop();
});

Deno.test("core/graph_switch: a file with POSIX locks stays with the old graph until it is closed", async () => {
  const { graph, ways, apply } = await started();
  const { fd } = await create(graph, "f");
  const owner = "01" as LkOwner;
  const lock = { type: "write", whence: 0, start: 0n, size: 0n, pid: 1, owner } as const;
  await graph.lk(ROOT, { fd, cmd: "set", lock });
  await apply(over("x"));
  await write(graph, fd, 0, "locked");
  ok(ways[0]!.seen.includes("writev"));
  await graph.release(ROOT, { fd });
  await settled();
  ok(ways[0]!.stopped);
  await graph.stop();
});

Deno.test("core/graph_switch: copies between files in different graphs are EXDEV, in one they work", async () => {
  const { graph, apply } = await started();
  const { fd: source } = await create(graph, "a");
  const { fd } = await create(graph, "b");
  const { fd: gone } = await create(graph, "c");
  await write(graph, source, 0, "copy");
  await graph.unlink(ROOT, { parent: graph.graph.inodes.root, name: "c", flags: 0 });
  await apply(over("x"));
  const args = { source, sourceOffset: 0, fd, offset: 0, size: 4, flags: 0 };
  strictEqual((await graph.copyFileRange(ROOT, args)).size, 4);
  strictEqual(await content(graph, fd), "copy");
  await rejects(graph.copyFileRange(ROOT, { ...args, fd: gone }), (e) => EXDEV.matches(e));
  for (const each of [source, fd, gone]) await graph.release(ROOT, { fd: each });
  await graph.stop();
});

Deno.test("core/graph_switch: a graph that cannot be built, started or reached changes nothing", async () => {
  const it = world();
  let reachable = true;
  const graph = await startActiveGraph(parseVolfile(PLAIN), {
    ...it,
    ready: () => reachable ? Promise.resolve() : Promise.reject(new Error("not reachable")),
  });
  const { fd } = await create(graph, "f");
  const apply = (text: string) => graph.apply(parseVolfile(text));
  await rejects(apply("volume way\ntype test/none\nend-volume\n"), /unknown type/);
  await rejects(apply(over("x", "start")), /cannot start/);
  reachable = false;
  await rejects(apply(over("x")), /not reachable/);
  ok(it.ways.at(-1)!.stopped, "the graph that was given up still runs");
  await write(graph, fd, 0, "still here");
  strictEqual(await content(graph, fd), "still here");
  deepStrictEqual([graph.running, it.ways[0]!.stopped], [1, false]);
  reachable = true;
  strictEqual(await apply(over("x")), "switched");
  await graph.release(ROOT, { fd });
  await graph.stop();
});

Deno.test("core/graph_switch: switches that follow each other keep files and leave one graph", async () => {
  const { graph, ways, apply, brick } = await started();
  const { fd } = await create(graph, "f");
  let written = 0, done = false;
  const writer = (async () => {
    while (!done) {
      await write(graph, fd, written, "x");
      written++;
    }
  })();
  for (let i = 0; i < 10; i++) await apply(i % 2 ? PLAIN : over(`${i}`));
  done = true;
  await writer;
  strictEqual(await content(graph, fd), "x".repeat(written).slice(0, 100));
  await graph.release(ROOT, { fd });
  await settled();
  deepStrictEqual([graph.running, ways.filter((way) => !way.stopped).length], [1, 1]);
  strictEqual(brick().openFiles, 0);
  await graph.stop();
});

Deno.test("core/graph_switch: events come from the live graph only", async () => {
  const { graph, ways, apply } = await started();
  const heard: string[] = [];
  graph.listen((event) => heard.push(event.type));
  const { fd } = await create(graph, "f");
  await graph.unlink(ROOT, { parent: graph.graph.inodes.root, name: "f", flags: 0 });
  await apply(over("x"));
  const say = (way: Way) =>
    (way as unknown as { emit(event: object): void }).emit({ type: "child-up" });
  say(ways[0]!);
  say(ways[1]!);
  deepStrictEqual(heard, ["child-up"]);
  await graph.release(ROOT, { fd });
  await graph.stop();
});
