import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { type Clock, realClock } from "core/env.ts";
import { EINVAL, ENOENT, EPERM } from "core/errno.ts";
import { DONE, FOP_NAMES, type Fops } from "core/fops.ts";
import { Fd, type Gfid, Inode, ROOT_GFID } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { ptr, str, Xdata } from "core/xdata.ts";
import { windTo, type Xlator } from "core/xlator.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { Figures } from "xlators/debug/io-stats/figures.ts";
import { ioStats } from "xlators/debug/io-stats/io_stats.ts";
import { FILES_MAX, TopFiles } from "xlators/debug/io-stats/top.ts";

function bed(script: Partial<Fops>, option: Record<string, string>) {
  let now = 1000;
  const clock: Clock = { ...realClock, monotonic: () => now };
  const child = new FakeChild(script);
  const at = node("/bricks/a", [child], { env: testEnv({ clock }) });
  const values = readOptions(ioStats.options, new Map(Object.entries(option)));
  const top: Xlator = ioStats.create(at, values);
  return { top, child, root: at.inodes.root, wait: (ms: number) => void (now += ms) };
}

// deno-lint-ignore no-explicit-any -- a test looks wherever it likes
const look = (top: Xlator): any => top.state!();

const COUNT = { "count-fop-hits": "on" }, BOTH = { ...COUNT, "latency-measurement": "on" };

Deno.test("debug/io-stats: off, fops are not counted, and the child's promise is the answer but of what opens", () => {
  for (const fop of FOP_NAMES) {
    const answer = new Promise<never>(() => {});
    const { top } = bed({ [fop]: () => answer } as Script, {});
    const fd = new Fd(new Inode(ROOT_GFID), 0);
    const same = windTo(top, fop, ROOT, { fd } as never) === answer;
    equal(same, !["open", "create", "opendir"].includes(fop), fop);
    deepEqual(look(top).cumulative.fops, {});
  }
});

Deno.test("debug/io-stats: fops, bytes and sizes of blocks are counted", async () => {
  const readv = () => Promise.resolve({ data: new Uint8Array(5000), stat: undefined, eof: true });
  const writev = () => Promise.resolve({ pre: undefined, post: undefined });
  const { top, root } = bed({ readv, writev, lookup: () => Promise.reject(ENOENT) }, COUNT);
  const fd = new Fd(root, 2);
  await top.readv(ROOT, { fd, offset: 0, size: 8192, flags: 0 });
  await top.writev(ROOT, { fd, offset: 0, data: new Uint8Array(512), flags: 0 });
  await top.writev(ROOT, { fd, offset: 0, data: new Uint8Array(0), flags: 0 });
  await rejects(top.lookup(ROOT, { parent: root, name: "x" }));
  const { cumulative, top: lists } = look(top);
  equal(cumulative["bytes-read"], 5000);
  equal(cumulative["bytes-written"], 512);
  deepEqual(cumulative["reads-by-size"], { 4096: 1 });
  deepEqual(cumulative["writes-by-size"], { 512: 1 });
  deepEqual(cumulative.fops, { READ: { hits: 1 }, WRITE: { hits: 2 }, LOOKUP: { hits: 1 } });
  deepEqual(lists.write, [{ gfid: ROOT_GFID, value: 2 }]);
});

Deno.test("debug/io-stats: latencies of answers and failures are measured", async () => {
  let wait: (ms: number) => void = () => {};
  let ms = 4;
  const script = {
    fsync: () => {
      wait(ms);
      return ms === 4
        ? Promise.resolve({ pre: undefined, post: undefined })
        : Promise.reject(ENOENT);
    },
  };
  const made = bed(script, BOTH);
  wait = made.wait;
  const args = { fd: new Fd(made.root, 2), dataOnly: false };
  await made.top.fsync(ROOT, args);
  ms = 8;
  await rejects(made.top.fsync(ROOT, args), (error) => ENOENT.matches(error));
  deepEqual(look(made.top).cumulative.fops, {
    FSYNC: { hits: 2, "avg-us": 6000, "min-us": 4000, "max-us": 8000 },
  });
});

Deno.test("debug/io-stats: the best throughput of a file is kept", async () => {
  let wait: (ms: number) => void = () => {};
  let ms = 10;
  const writev = () => {
    wait(ms);
    return Promise.resolve({ pre: undefined, post: undefined });
  };
  const made = bed({ writev }, BOTH);
  wait = made.wait;
  const args = { fd: new Fd(made.root, 2), offset: 0, data: new Uint8Array(1000), flags: 0 };
  for (ms of [10, 5, 20]) await made.top.writev(ROOT, args);
  deepEqual(look(made.top).top["write-throughput"], [{ gfid: ROOT_GFID, value: 200_000 }]);
});

Deno.test("debug/io-stats: open files are counted until they are released, others are not", async () => {
  const fd = new Fd(bed({}, {}).root, 0);
  const script = { open: () => Promise.resolve({ fd }), release: () => Promise.resolve(DONE) };
  const { top, root } = bed(script, {});
  await top.open(ROOT, { inode: root, flags: 0 });
  equal(look(top)["open-files"].now, 1);
  await top.release(ROOT, { fd: new Fd(root, 0) });
  await top.release(ROOT, { fd });
  await top.release(ROOT, { fd });
  equal(look(top)["open-files"].now, 0);
  equal(look(top)["open-files"].most, 1);
});

Deno.test("debug/io-stats: root gets a dump in a file and a new interval; bad names and others are refused", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const script = { flush: () => Promise.resolve(DONE), setxattr: () => Promise.resolve(DONE) };
    const { top, child, root } = bed(script, { ...COUNT, "dump-directory": directory });
    await top.flush(ROOT, { fd: new Fd(root, 0) });
    const asking = (name: string) => Xdata.of([["trusted.io-stats-dump", str(name)]]);
    const both = asking("first").merged(Xdata.of([["user.a", ptr(new Uint8Array(1))]]));
    await top.setxattr(ROOT, { inode: root, xattrs: both, flags: 0 });
    const dump = JSON.parse(await Deno.readTextFile(`${directory}/first.-bricks-a`));
    deepEqual(dump.interval.fops, { FLUSH: { hits: 1 } });
    deepEqual([...child.last("setxattr").xattrs!.names()], ["user.a"]);
    equal(look(top).cumulative.fops.FLUSH.hits, 1);
    equal(look(top).interval.fops.FLUSH, undefined);

    for (const name of ["../x", "", ".x", "x".repeat(200)]) {
      await rejects(
        top.setxattr(ROOT, { inode: root, xattrs: asking(name), flags: 0 }),
        (error) => EINVAL.matches(error),
      );
    }
    await rejects(
      top.setxattr({ ...ROOT, uid: 1000 }, { inode: root, xattrs: asking("y"), flags: 0 }),
      (error) => EPERM.matches(error),
    );
    deepEqual([...Deno.readDirSync(directory)].map((entry) => entry.name), ["first.-bricks-a"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("debug/io-stats: counting can be turned on and off while running", async () => {
  const { top, root } = bed({ flush: () => Promise.resolve(DONE) }, {});
  const set = (given: Record<string, string>) =>
    top.reconfigure?.(readOptions(ioStats.options, new Map(Object.entries(given))) as never);
  const args = { fd: new Fd(root, 0) };
  set(COUNT);
  await top.flush(ROOT, args);
  set({});
  await top.flush(ROOT, args);
  equal(look(top).cumulative.fops.FLUSH.hits, 1);
});

Deno.test("debug/io-stats: the number of files that are counted is bounded, busy ones stay", () => {
  const top = new TopFiles();
  const busy = "aaaaaaaa-0000-4000-8000-000000000001" as Gfid;
  for (let i = 0; i < 5; i++) top.used("read", busy);
  for (let i = 0; i < 2 * FILES_MAX; i++) top.used("read", String(i) as Gfid);
  ok(top.size <= FILES_MAX);
  deepEqual((top.toJson() as { read: unknown[] }).read[0], { gfid: busy, value: 5 });
});

Deno.test("debug/io-stats: sizes of blocks fall into powers of two", () => {
  const figures = new Figures(0);
  for (const size of [1, 4095, 4096, 8191, 8192]) figures.read(size);
  const { "reads-by-size": bySize } = figures.toJson(0) as Record<string, unknown>;
  deepEqual(bySize, { 1: 1, 2048: 1, 4096: 2, 8192: 1 });
});

Deno.test("debug/io-stats: management asks for periods, intervals and the most used files", async () => {
  const writev = () => Promise.resolve({ pre: undefined, post: undefined });
  const { top, root, wait } = bed({ writev }, COUNT);
  const statistics = top.statistics!;
  const fd = new Fd(root, 2);
  const write = () => top.writev(ROOT, { fd, offset: 0, data: new Uint8Array(512), flags: 0 });
  await write();
  wait(2000);
  const hits = (report: { fops: readonly { hits: number }[] }) => report.fops[0]?.hits;
  const first = statistics.interval(true);
  deepEqual([first.number, first.period.seconds, hits(first.period)], [0, 2, 1]);
  equal(statistics.interval(false).number, 0);
  await write();
  const second = statistics.interval(false);
  deepEqual([second.number, hits(second.period), second.period.writes], [1, 1, [[512, 1]]]);
  equal(hits(statistics.cumulative()), 2);
  deepEqual(statistics.top("write", 1), [{ gfid: ROOT_GFID, value: 2, at: 0 }]);
  statistics.clear();
  statistics.clearTop();
  deepEqual([statistics.cumulative().fops, statistics.interval(true).number], [[], 0]);
  deepEqual(statistics.top("write", 1), []);
});

Deno.test("debug/io-stats: the most used files are known without a start; failed opens are no use", async () => {
  const fd = new Fd(new Inode(ROOT_GFID), 0);
  const script = {
    writev: () => Promise.resolve({ pre: undefined, post: undefined }),
    open: () => Promise.reject(ENOENT),
    opendir: () => Promise.resolve({ fd }),
  };
  const { top, root } = bed(script, {});
  await top.writev(ROOT, { fd, offset: 0, data: new Uint8Array(1), flags: 0 });
  await top.opendir(ROOT, { inode: root });
  await rejects(top.open(ROOT, { inode: root, flags: 0 }));
  const uses = (["write", "opendir", "open"] as const).map((kind) =>
    top.statistics!.top(kind, 9).length
  );
  deepEqual(uses, [1, 1, 0]);
  deepEqual(top.statistics!.cumulative().fops, []);
});
