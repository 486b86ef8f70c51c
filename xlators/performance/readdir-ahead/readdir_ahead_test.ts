import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { PID_SELF_HEAL, ROOT } from "core/call.ts";
import { EIO, ENODATA } from "core/errno.ts";
import { type GraphEvent, UP } from "core/events.ts";
import { type DirentPlus, DONE, type Reply } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import { Fd, type Gfid, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { Xdata } from "core/xdata.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { node, testClient, testEnv } from "tests/fakes/node.ts";
import { readdirAhead } from "xlators/performance/readdir-ahead/readdir_ahead.ts";

const PER_LISTING = 4, COUNT = 20;

class Talking extends FakeChild {
  say(event: GraphEvent): void {
    this.emit(event);
  }
}

function gfidOf(index: number): Gfid {
  return `aaaaaaaa-0000-4000-8000-${String(index).padStart(12, "0")}` as Gfid;
}

/** A directory of 20 entries, listed four at a time; `version` is in their sizes. */
async function bed(option: Record<string, string> = {}, script: Script = {}, asked?: Xdata) {
  const world = { version: 1, failing: false };
  const entries = (from: number, asked: Xdata | undefined): DirentPlus[] =>
    Array.from({ length: Math.min(PER_LISTING, COUNT - from) }, (_, i) => ({
      name: `n${from + i}`,
      offset: BigInt(from + i + 1),
      type: 8,
      ino: 1n,
      stat: { gfid: gfidOf(from + i), size: world.version } as Iatt,
      ...(asked ? { xdata: asked } : {}),
    }));
  const child = new Talking({
    opendir: (_call, { inode }) => Promise.resolve({ fd: new Fd(inode, 0) }),
    readdirp: (_call, { offset, xdata }) => {
      if (world.failing) return Promise.reject(EIO);
      const from = Number(offset);
      return Promise.resolve({ entries: entries(from, xdata), eof: from + PER_LISTING >= COUNT });
    },
    releasedir: () => Promise.resolve(DONE),
    setattr: () => Promise.resolve({ pre: undefined, post: undefined }),
    unlink: () => Promise.resolve({ preParent: undefined, postParent: undefined }),
    ...script,
  });
  const inodes = new InodeTable(), clock = new FakeClock();
  const values = readOptions(readdirAhead.options, new Map(Object.entries(option)));
  const top = readdirAhead.create(
    node("rda", [child], { inodes, env: testEnv({ clock }) }),
    values,
  );
  const dir = inodes.of(gfidOf(99));
  const { fd } = await top.opendir(ROOT, { inode: dir, xdata: asked });
  const read = (offset: bigint, size = 4096, xdata = asked) =>
    top.readdirp(ROOT, { fd, offset, size, xdata });
  return { top, child, inodes, dir, fd, read, world, clock };
}

async function quiet(): Promise<void> {
  for (let i = 0; i < 60; i++) await Promise.resolve();
}

function names({ entries }: Reply<"readdirp">): string {
  return entries.map(({ name }) => name).join(" ");
}

Deno.test("readdir-ahead: a directory is read ahead when it is opened, up to the mark", async () => {
  const { child, fd, top } = await bed({ "rda-high-wmark": "1000" });
  await quiet();
  deepEqual(child.fops, ["opendir", "readdirp", "readdirp"]);
  await top.releasedir(ROOT, { fd });
  deepEqual(top.state!(), { directories: 0, bytes: 0 });
});

Deno.test("readdir-ahead: entries are handed out in order, to the end, in the size that is asked for", async () => {
  const { read, child } = await bed();
  await quiet();
  const seen: string[] = [];
  let offset = 0n;
  for (let eof = false; !eof;) {
    const reply = await read(offset, 500);
    seen.push(names(reply));
    offset = reply.entries.at(-1)!.offset;
    eof = reply.eof;
  }
  deepEqual(seen.join(" ").split(" "), Array.from({ length: COUNT }, (_, i) => `n${i}`));
  equal(seen[0], "n0 n1");
  equal(child.fops.filter((fop) => fop === "readdirp").length, COUNT / PER_LISTING);
  equal((await read(offset)).entries.length, 0);
});

Deno.test("readdir-ahead: who goes back, or asks for more, is answered from below", async () => {
  const { read } = await bed();
  await read(0n);
  equal(names(await read(10n)), "n10 n11 n12 n13");
  equal(names(await read(14n, 250)), "n14");
  equal(names(await read(0n)).startsWith("n0 n1 n2 n3"), true);
});

Deno.test("readdir-ahead: attributes of what changed since are left out", async () => {
  const { read, top, inodes } = await bed();
  await quiet();
  await top.setattr(ROOT, { inode: inodes.of(gfidOf(2)), changes: { mode: 0 } });
  const { entries } = await read(0n);
  deepEqual(entries.slice(0, 4).map(({ stat }) => stat !== undefined), [true, true, false, true]);
});

Deno.test("readdir-ahead: a name that went elsewhere may be any file's", async () => {
  const { read, top, inodes } = await bed();
  await quiet();
  await top.unlink(ROOT, { parent: inodes.root, name: "x", flags: 0 });
  const { entries } = await read(0n);
  deepEqual(entries.filter(({ stat }) => stat), []);
});

Deno.test("readdir-ahead: a directory that changes is read again from where its reader is", async () => {
  const { read, top, dir, world } = await bed();
  await read(0n, 800);
  world.version = 2;
  await top.unlink(ROOT, { parent: dir, name: "x", flags: 0 });
  const { entries } = await read(4n, 800);
  deepEqual(entries.map(({ stat }) => stat!.size), [2, 2, 2, 2]);
});

function asking(name: string): Xdata {
  return Xdata.of([[name, { type: "int", value: 0 }]]);
}

Deno.test("readdir-ahead: what is asked for each entry when a directory is opened is asked ahead", async () => {
  const { read, child } = await bed({}, {}, asking("user.a"));
  const listings = () => child.fops.filter((fop) => fop === "readdirp").length;
  for (let from = 0n; from < COUNT; from += 4n) {
    const { entries } = await read(from, 900, asking("user.a"));
    deepEqual(entries.map(({ xdata }) => xdata?.has("user.a")), [true, true, true, true]);
  }
  equal(listings(), COUNT / PER_LISTING);
});

Deno.test("readdir-ahead: who asks for something else is answered from below, and knows it from then on", async () => {
  const { read, child } = await bed();
  await quiet();
  const listings = () => child.fops.filter((fop) => fop === "readdirp").length;
  const before = listings();
  const { entries } = await read(0n, 900, asking("user.b"));
  equal(entries[0]!.xdata?.has("user.b"), true);
  await quiet();
  for (let from = 4n; from < COUNT; from += 4n) {
    const { entries } = await read(from, 900, asking("user.b"));
    equal(entries[0]!.xdata?.has("user.b"), true);
  }
  equal(listings() - before, COUNT / PER_LISTING);
});

Deno.test("readdir-ahead: an attribute that was seen by itself is not seen as it was before", async () => {
  const { read, top, inodes } = await bed({}, {
    getxattr: (_call, { name }) =>
      name === "user.a" ? Promise.resolve({ xattrs: asking(name) }) : Promise.reject(ENODATA),
  }, asking("user.a"));
  await quiet();
  await top.getxattr(ROOT, { inode: inodes.of(gfidOf(1)), name: "user.a" });
  await rejects(top.getxattr(ROOT, { inode: inodes.of(gfidOf(2)), name: "user.none" }));
  const { entries } = await read(0n, 900);
  deepEqual(entries.map(({ xdata }) => xdata !== undefined), [true, false, false, true]);
});

Deno.test("readdir-ahead: what waited for a second is read again", async () => {
  const { read, world, clock } = await bed();
  await quiet();
  world.version = 2;
  equal((await read(0n, 400)).entries[0]!.stat!.size, 1);
  clock.advance(1000);
  equal((await read(1n, 400)).entries[0]!.stat!.size, 2);
});

Deno.test("readdir-ahead: what bricks tell drops what was read ahead", async () => {
  const { read, child, dir, world } = await bed();
  await quiet();
  const tell = (gfid: Gfid) =>
    child.say({
      type: "cache-invalidation",
      clients: [testClient()],
      gfid,
      flags: UP.TIMES,
      expireSec: 60,
      stat: undefined,
      parent: undefined,
      oldParent: undefined,
    });
  world.version = 2;
  tell(gfidOf(0));
  deepEqual((await read(0n, 400)).entries.map(({ stat }) => stat?.size), [undefined]);
  tell(dir.gfid);
  equal((await read(1n, 400)).entries[0]!.stat!.size, 2);
  world.version = 3;
  child.say({ type: "some-down" });
  equal((await read(5n, 400)).entries[0]!.stat!.size, 3);
});

Deno.test("readdir-ahead: a failure ahead is told only if asking again fails, too", async () => {
  const { read, world } = await bed({ "rda-high-wmark": "0" });
  world.failing = true;
  await rejects(read(12n), (error) => EIO.matches(error));
  world.failing = false;
  equal(names(await read(12n)), "n12 n13 n14 n15");
});

Deno.test("readdir-ahead: without memory, switched off, and for healers nothing is read ahead", async () => {
  for (const option of [{ "rda-cache-limit": "0" }, { "pass-through": "on" }]) {
    const { child, read } = await bed(option);
    await quiet();
    deepEqual(child.fops, ["opendir"]);
    equal((await read(0n)).entries.length, PER_LISTING);
  }
  const { child, top, dir } = await bed({ "pass-through": "on" });
  top.reconfigure!(readOptions(readdirAhead.options, new Map()) as never);
  await top.opendir({ ...ROOT, pid: PID_SELF_HEAL }, { inode: dir });
  await quiet();
  deepEqual(child.fops, ["opendir", "opendir"]);
});
