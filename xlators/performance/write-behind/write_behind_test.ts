import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { PID_SELF_HEAL, ROOT } from "core/call.ts";
import { EDQUOT, EIO, ENOSPC, ENOTCONN, type FopError } from "core/errno.ts";
import {
  type Args,
  DONE,
  O_APPEND,
  O_DIRECT,
  O_DSYNC,
  O_RDWR,
  O_SYNC,
  O_TRUNC,
  type PrePost,
} from "core/fops.ts";
import { type Iatt, S_IFREG } from "core/iatt.ts";
import { Fd, type Gfid, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { Xdata } from "core/xdata.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { LinesLog, node, testEnv } from "tests/fakes/node.ts";
import { writeBehind } from "xlators/performance/write-behind/write_behind.ts";

const gfid = "aaaaaaaa-0000-4000-8000-000000000001" as Gfid;
const stat = { gfid, mode: S_IFREG, size: 1 << 30 } as Iatt;
const KB = 1024;

/** A child whose writes end when the test says so. */
async function bed(option: Record<string, string> = {}, script: Script = {}) {
  const held: { args: Args<"writev">; bytes: Uint8Array; answer: PromiseWithResolvers<PrePost> }[] =
    [];
  const done = () => Promise.resolve(DONE);
  const told = () => Promise.resolve({ stat, post: stat, pre: stat, data: new Uint8Array(1) });
  const child = new FakeChild(
    {
      writev: (_call, args) => {
        const answer = Promise.withResolvers<PrePost>();
        held.push({ args, bytes: args.data.slice(), answer });
        return answer.promise;
      },
      ...Object.fromEntries(
        ["flush", "release", "lk", "getxattr", "setattr", "rename"].map((fop) => [fop, done]),
      ),
      ...Object.fromEntries(
        ["fstat", "stat", "readv", "lookup", "fsync", "ftruncate", "setattr", "link"]
          .map((fop) => [fop, told]),
      ),
      open: (_call, { inode, flags }) => Promise.resolve({ fd: new Fd(inode, flags) }),
      ...script,
    } as Script,
  );
  const inodes = new InodeTable();
  const log = new LinesLog();
  const place = node("wb", [child], { inodes, env: testEnv({ log }) });
  const values = (given: Record<string, string>) =>
    readOptions(writeBehind.options, new Map(Object.entries(given)));
  const top = writeBehind.create(place, values(option));
  const inode = inodes.of(gfid);
  const open = async (flags = O_RDWR) => (await top.open(ROOT, { inode, flags })).fd;
  const fd = await open();
  child.seen.length = 0;
  const write = (offset: number, size = 4 * KB, over: Partial<Args<"writev">> = {}) =>
    top.writev(ROOT, { fd, offset, data: new Uint8Array(size).fill(7), flags: 0, ...over });
  const sent = () => held.map(({ args: { offset, data } }) => [offset / KB, data.length / KB]);
  const finish = (index: number, failure?: FopError) =>
    failure
      ? held[index]!.answer.reject(failure)
      : held[index]!.answer.resolve({ pre: undefined, post: stat });
  return { top, child, open, inode, inodes, fd, write, held, sent, finish, values, log };
}

/** All that can go on without an answer of the child has gone on. */
async function quiet(): Promise<void> {
  for (let i = 0; i < 30; i++) await Promise.resolve();
}

async function isOpen(promise: Promise<unknown>): Promise<boolean> {
  let open = true;
  promise.then(() => open = false, () => open = false);
  await quiet();
  return open;
}

Deno.test("write-behind: a write is answered before it is done, and its data is a copy", async () => {
  const { write, held, sent } = await bed();
  const data = new Uint8Array([1, 2, 3]);
  deepEqual(await write(0, 0, { data }), { pre: undefined, post: undefined });
  data.fill(9);
  deepEqual(sent(), [[0, 3 / KB]]);
  deepEqual([...held[0]!.args.data], [1, 2, 3]);
});

Deno.test("write-behind: small writes join while others are on their way, up to the size", async () => {
  const { write, sent, finish } = await bed({ "aggregate-size": "16KB" });
  for (let i = 0; i < 8; i++) await write(i * 4 * KB);
  deepEqual(sent(), [[0, 4], [4, 16]]);
  finish(0);
  finish(1);
  await quiet();
  deepEqual(sent(), [[0, 4], [4, 16], [20, 12]]);
});

Deno.test("write-behind: writes of other callers, files and places do not join", async () => {
  const { write, sent, fd, top, open } = await bed();
  await write(100 * KB);
  await write(0);
  await top.writev({ ...ROOT, uid: 7 }, { fd, offset: 4 * KB, data: new Uint8Array(KB), flags: 0 });
  await write(5 * KB, KB, { fd: await open() });
  await write(50 * KB, KB);
  deepEqual(sent(), [[100, 4], [0, 4], [4, 1], [5, 1]]);
});

Deno.test("write-behind: overlapping writes are done in order, others side by side", async () => {
  const { write, sent, finish } = await bed();
  await write(0);
  await write(2 * KB);
  await write(32 * KB);
  await write(64 * KB);
  deepEqual(sent(), [[0, 4], [32, 4]]);
  finish(0);
  await quiet();
  deepEqual(sent(), [[0, 4], [32, 4], [2, 4]]);
});

for (
  const [what, option, flags] of [
    ["strict-write-ordering", { "strict-write-ordering": "on" }, O_RDWR],
    ["O_APPEND", {}, O_RDWR | O_APPEND],
  ] as const
) {
  Deno.test(`write-behind: with ${what}, writes are done one after the other`, async () => {
    const { write, sent, finish, open } = await bed(option);
    const fd = await open(flags);
    for (const offset of [0, 32, 64, 96]) await write(offset * KB, KB, { fd });
    deepEqual(sent(), [[0, 1]]);
    finish(0);
    await quiet();
    deepEqual(sent(), [[0, 1], [32, 1]]);
  });
}

Deno.test("write-behind: beyond the window answers wait, in order, until writes are done", async () => {
  const { write, finish, held } = await bed({ "cache-size": "512KB" });
  const size = 300 * KB;
  await write(0, size);
  await write(size, size);
  const third = write(2 * size, size), fourth = write(3 * size, size);
  equal(await isOpen(third), true);
  finish(0);
  await third;
  equal(await isOpen(fourth), true);
  finish(1);
  await fourth;
  equal(held.length, 4);
});

Deno.test("write-behind: without trickling a small write waits for what depends on it", async () => {
  const { write, sent, top, fd, finish } = await bed({ "trickling-writes": "off" });
  await write(0);
  await write(4 * KB);
  await quiet();
  deepEqual(sent(), []);
  const synced = top.fsync(ROOT, { fd, dataOnly: false });
  deepEqual(sent(), [[0, 8]]);
  finish(0);
  await synced;
});

for (
  const [what, over, call] of [
    ["O_SYNC", { flags: O_SYNC }, ROOT],
    ["O_DSYNC", { flags: O_DSYNC }, ROOT],
    ["extra data", { xdata: Xdata.of([["x", { type: "int", value: 1 }]]) }, ROOT],
    ["the healer", {}, { ...ROOT, pid: PID_SELF_HEAL }],
  ] as const
) {
  Deno.test(`write-behind: a write of ${what} is answered when it and all before are done`, async () => {
    const { top, fd, write, held, finish } = await bed();
    await write(0);
    const args = { fd, offset: 64 * KB, data: new Uint8Array(1), flags: 0, ...over };
    const answer = top.writev(call, args);
    equal(await isOpen(answer), true);
    equal(held.length, 1);
    finish(0);
    await quiet();
    equal(held[1]!.args, args);
    equal(await isOpen(answer), true);
    finish(1);
    equal((await answer).post, stat);
  });
}

Deno.test("write-behind: O_DIRECT, descriptors for reading or that nobody opened, pass-through", async () => {
  const { top, write, open, inode, values } = await bed();
  await write(0, 1, { flags: O_DIRECT });
  equal(await isOpen(write(8 * KB, 1, { fd: await open(0) })), true);
  equal(await isOpen(write(8 * KB, 1, { fd: new Fd(inode, O_RDWR) })), true);
  top.reconfigure!(values({ "strict-O_DIRECT": "on" }) as never);
  equal(await isOpen(write(16 * KB, 1, { flags: O_DIRECT })), true);
  top.reconfigure!(values({ "pass-through": "on" }) as never);
  equal(await isOpen(write(24 * KB, 1)), true);
});

Deno.test("write-behind: what depends on a file's writes waits for them, the rest does not", async () => {
  const { top, fd, inode, inodes, write, finish } = await bed();
  await write(0);
  const changes = {}, owner = { ...ROOT };
  const waits = {
    fstat: top.fstat(ROOT, { fd }),
    stat: top.stat(ROOT, { inode }),
    lookup: top.lookup(ROOT, { parent: inodes.root, name: "x" }),
    itself: top.lookup(ROOT, { inode, name: "" }),
    setattr: top.setattr(ROOT, { inode, changes }),
    ftruncate: top.ftruncate(ROOT, { fd, offset: 0 }),
    fsync: top.fsync(ROOT, { fd, dataOnly: true }),
    flush: top.flush(ROOT, { fd }),
    release: top.release(ROOT, { fd }),
    lk: top.lk(owner, { fd, cmd: "set" } as Args<"lk">),
    link: top.link(ROOT, { inode, parent: inodes.root, name: "y" }),
    rename: top.rename(ROOT, {
      oldParent: inodes.root,
      oldName: "x",
      newParent: inodes.root,
      newName: "y",
    }),
    readv: top.readv(ROOT, { fd, offset: KB, size: KB, flags: 0 }),
  };
  for (const [fop, answer] of Object.entries(waits)) equal(await isOpen(answer), true, fop);
  await top.getxattr(ROOT, { inode, name: "security.capability" });
  await top.stat(ROOT, { inode: inodes.root });
  finish(0);
  await Promise.all(Object.values(waits));
});

Deno.test("write-behind: a read waits only for what it overlaps, or what makes the file longer", async () => {
  const { top, fd, write, finish } = await bed();
  const read = (offset: number) => top.readv(ROOT, { fd, offset, size: 4 * KB, flags: 0 });
  await write(64 * KB);
  const first = read(0);
  equal(await isOpen(first), true);
  finish(0);
  await first;
  // From here on the file is known to be longer than all that.
  await write(64 * KB);
  equal((await read(0)).stat, undefined);
  const over = read(62 * KB);
  equal(await isOpen(over), true);
  finish(1);
  await over;
});

Deno.test("write-behind: a file that was cut is not known to be long any more", async () => {
  const { top, fd, inode, write, finish } = await bed();
  for (
    const [index, cut] of [
      () => top.ftruncate(ROOT, { fd, offset: 0 }),
      () => top.open(ROOT, { inode, flags: O_RDWR | O_TRUNC }),
    ].entries()
  ) {
    await write(0);
    finish(2 * index);
    await cut();
    await write(64 * KB);
    const read = top.readv(ROOT, { fd, offset: 0, size: KB, flags: 0 });
    equal(await isOpen(read), true);
    finish(2 * index + 1);
    await read;
  }
});

for (const by of ["writev", "fsync", "flush", "release"] as const) {
  Deno.test(`write-behind: a failure is reported once, by ${by} of its open file`, async () => {
    const { top, fd, open, write, finish, child, log } = await bed();
    const other = await open();
    await write(0);
    await write(64 * KB, KB, { fd: other });
    await write(128 * KB);
    // The newest is held back until somebody waits for it.
    const looked = top.fstat(ROOT, { fd });
    finish(0, ENOSPC);
    finish(1);
    finish(2, EDQUOT);
    await looked;
    await top.fsync(ROOT, { fd: other, dataOnly: false });
    const args = { fd, offset: 0, data: new Uint8Array(1), flags: 0, dataOnly: false };
    await rejects(top[by](ROOT, args), (error) => ENOSPC.matches(error));
    // Locks are given back, and the file is closed, all the same.
    if (by === "flush" || by === "release") equal(child.fops.includes(by), true);
    await top.fsync(ROOT, { fd, dataOnly: false });
    await top.flush(ROOT, { fd });
    equal(log.lines.filter((line) => line.includes("a write that was answered failed")).length, 2);
  });
}

Deno.test("write-behind: a child that goes down fails what waits, and nothing hangs", async () => {
  const { top, fd, write, finish } = await bed();
  await write(0);
  await write(0);
  finish(0, ENOTCONN);
  await quiet();
  const flushed = top.flush(ROOT, { fd });
  finish(1, ENOTCONN);
  await rejects(flushed, (error) => ENOTCONN.matches(error));
  deepEqual(top.state!(), { files: 0, bytes: 0 });
});

Deno.test("write-behind: a flush is answered after the writes and before itself, unless told not to or locked", async () => {
  const never = () => new Promise<never>(() => {});
  const on = await bed({}, { flush: never });
  await on.write(0);
  const flushed = on.top.flush(ROOT, { fd: on.fd });
  equal(await isOpen(flushed), true);
  on.finish(0);
  await flushed;
  // The file is not closed before that.
  equal(await isOpen(on.top.release(ROOT, { fd: on.fd })), true);
  const off = await bed({ "flush-behind": "off" }, { flush: never });
  await off.write(0);
  off.finish(0);
  equal(await isOpen(off.top.flush(ROOT, { fd: off.fd })), true);
  const locked = await bed({}, { flush: never });
  await locked.top.lk(ROOT, { fd: locked.fd, cmd: "set" } as Args<"lk">);
  await locked.write(0);
  locked.finish(0);
  equal(await isOpen(locked.top.flush(ROOT, { fd: locked.fd })), true);
});

Deno.test("write-behind: stopping waits until all that was answered is done", async () => {
  const { top, write, finish } = await bed();
  await write(0);
  const stopped = top.stop!();
  equal(await isOpen(stopped), true);
  finish(0, EIO);
  await stopped;
});
