import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { PID_SELF_HEAL, ROOT } from "core/call.ts";
import { ENODATA, ENOENT } from "core/errno.ts";
import { type GraphEvent, UP } from "core/events.ts";
import { DONE, O_RDWR } from "core/fops.ts";
import { type Iatt, S_IFDIR, S_IFREG } from "core/iatt.ts";
import { Fd, type Gfid, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { ptr, withKey, Xdata } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { flock } from "tests/fakes/flock.ts";
import { node, testClient, testEnv } from "tests/fakes/node.ts";
import { mdCache } from "xlators/performance/md-cache/md_cache.ts";

const gfid = "aaaaaaaa-0000-4000-8000-000000000001" as Gfid;
const dirGfid = "aaaaaaaa-0000-4000-8000-000000000002" as Gfid;
const capability = ptr(new Uint8Array([7]));

/** A child that can say things of its own. */
class Talking extends FakeChild {
  say(event: GraphEvent): void {
    this.emit(event);
  }
}

function bed(option: Record<string, string> = {}, script: Script = {}) {
  const inodes = new InodeTable(), clock = new FakeClock();
  const seen = { gfid, mode: S_IFREG, size: 1, nlink: 1 } as Iatt;
  const file = { stat: seen };
  const changed = () => Promise.resolve({ pre: file.stat, post: file.stat });
  const parents = { preParent: undefined, postParent: undefined };
  const child = new Talking({
    lookup: (_call, { name }) =>
      name === "none"
        ? Promise.reject(ENOENT)
        : Promise.resolve({ stat: file.stat, postParent: undefined }),
    stat: () => Promise.resolve(file),
    fstat: () => Promise.resolve(file),
    writev: changed,
    setattr: changed,
    fsync: changed,
    unlink: () => Promise.resolve(parents),
    link: () => Promise.resolve({ ...parents, stat: file.stat }),
    lk: (_call, { lock }) => Promise.resolve({ lock }),
    open: (_call, { inode, flags }) => Promise.resolve({ fd: new Fd(inode, flags) }),
    setxattr: () => Promise.resolve(DONE),
    ipc: () => Promise.resolve(DONE),
    getxattr: (_call, { name }) =>
      name === "security.capability"
        ? Promise.resolve({ xattrs: Xdata.of([[name, capability]]) })
        : Promise.reject(ENODATA),
    readdirp: () =>
      Promise.resolve({
        entries: [{ name: "f", offset: 1n, type: 8, ino: 1n, stat: file.stat }],
        eof: true,
      }),
    ...script,
  });
  const values = readOptions(mdCache.options, new Map(Object.entries(option)));
  const place = node("md", [child], { inodes, env: testEnv({ clock }) });
  const top = mdCache.create(place, values);
  const heard: GraphEvent[] = [];
  top.listen((event) => heard.push(event));
  const inode = inodes.of(gfid), dir = inodes.of(dirGfid);
  const at = { parent: dir, name: "f" };
  const invalidate = (flags: number, of = gfid, parent?: Gfid) =>
    child.say({
      type: "cache-invalidation",
      clients: [testClient()],
      gfid: of,
      flags,
      expireSec: 60,
      stat: undefined,
      parent: parent && { gfid: parent, mode: S_IFDIR } as Iatt,
      oldParent: undefined,
    });
  return { top, child, clock, inodes, inode, dir, at, file, heard, invalidate };
}

Deno.test("md-cache: attributes and names are answered without asking, until the time is over", async () => {
  const { top, child, clock, inode, at, file } = bed();
  deepEqual(await top.lookup(ROOT, at), { stat: file.stat, postParent: undefined });
  deepEqual(await top.lookup(ROOT, at), { stat: file.stat, postParent: undefined });
  deepEqual(await top.stat(ROOT, { inode }), { stat: file.stat });
  deepEqual(child.fops, ["lookup"]);
  clock.advance(1000);
  await top.stat(ROOT, { inode });
  await top.lookup(ROOT, at);
  deepEqual(child.fops, ["lookup", "stat", "lookup"]);
});

Deno.test("md-cache: what asks for more, what healers ask and what has no name goes down", async () => {
  const { top, child, inode, at } = bed();
  await top.lookup(ROOT, at);
  await top.lookup({ ...ROOT, pid: PID_SELF_HEAL }, at);
  await top.lookup(ROOT, { ...at, xdata: Xdata.of([["trusted.x", capability]]) });
  await top.lookup(ROOT, { inode, name: "" });
  equal(child.fops.length, 4);
});

Deno.test("md-cache: another user's first look at a name goes down", async () => {
  const { top, child, at } = bed();
  const user = { ...ROOT, uid: 7, gid: 7 };
  await top.lookup(ROOT, at);
  await top.lookup(user, at);
  await top.lookup(user, at);
  await top.lookup(ROOT, at);
  deepEqual(child.fops, ["lookup", "lookup"]);
});

Deno.test("md-cache: a listing makes its names and attributes known", async () => {
  const { top, child, dir, at } = bed();
  const args = { fd: new Fd(dir, 0), offset: 0n, size: 4096 };
  equal((await top.readdir(ROOT, args)).entries.length, 1);
  await top.lookup(ROOT, at);
  deepEqual(child.fops, ["readdirp"]);
});

Deno.test("md-cache: a listing fetches no more attributes along than can be known", async () => {
  const { top, child, dir, inodes } = bed({}, {
    readdir: () => Promise.resolve({ entries: [], eof: true }),
  });
  inodes.holdAtMost(2);
  const fd = new Fd(dir, 0), other = new Fd(dir, 0);
  for (const offset of [0n, 1n, 2n, 3n, 0n]) await top.readdir(ROOT, { fd, offset, size: 4096 });
  await top.readdir(ROOT, { fd: other, offset: 3n, size: 4096 });
  await top.readdirp(ROOT, { fd, offset: 3n, size: 4096 });
  const [all, names] = ["readdirp", "readdir"];
  deepEqual(child.fops, [all, all, names, names, all, all, all]);
});

Deno.test("md-cache: who opens a directory tells what its listings will ask for", async () => {
  const asked: (readonly string[])[] = [];
  const ask = (xdata: Xdata | undefined) => asked.push([...xdata?.names() ?? []]);
  const { top, inode, dir } = bed({ "xattr-cache-list": "user.a" }, {
    opendir: (_call, { inode, xdata }) => {
      ask(xdata);
      return Promise.resolve({ fd: new Fd(inode, 0) });
    },
    readdirp: (_call, { xdata }) => {
      ask(xdata);
      return Promise.resolve({ entries: [], eof: true });
    },
  });
  const list = async () => {
    const { fd } = await top.opendir(ROOT, { inode: dir });
    await top.readdirp(ROOT, { fd, offset: 0n, size: 4096 });
  };
  await list();
  // That is for who writes.
  await top.getxattr(ROOT, { inode, name: "security.capability" });
  await list();
  await rejects(top.getxattr(ROOT, { inode, name: "user.a" }));
  await list();
  deepEqual(asked, [[], [], [], [], ["user.a"], ["user.a"]]);
});

Deno.test("md-cache: names that are not there are asked for again", async () => {
  const { top, child, at } = bed();
  for (let i = 0; i < 2; i++) {
    await rejects(top.lookup(ROOT, { ...at, name: "none" }), (error) => ENOENT.matches(error));
  }
  equal(child.fops.length, 2);
});

Deno.test("md-cache: a write's answer is what is known, and nothing if it tells none", async () => {
  const { top, child, inode, file } = bed();
  const fd = new Fd(inode, O_RDWR);
  const write = () => top.writev(ROOT, { fd, offset: 0, data: new Uint8Array(1), flags: 0 });
  await top.stat(ROOT, { inode });
  file.stat = { ...file.stat, size: 2 };
  await write();
  equal((await top.stat(ROOT, { inode })).stat.size, 2);
  file.stat = undefined as unknown as Iatt;
  await write();
  file.stat = { gfid, size: 3 } as Iatt;
  equal((await top.stat(ROOT, { inode })).stat.size, 3);
  deepEqual(child.fops, ["stat", "writev", "writev", "stat"]);
});

Deno.test("md-cache: an answer that was under way during a change is not kept", async () => {
  const slow = Promise.withResolvers<{ stat: Iatt }>();
  const answers = [slow.promise];
  const { top, inode, file } = bed({}, {
    stat: () => answers.shift() ?? Promise.resolve({ stat: { gfid, size: 9 } as Iatt }),
  });
  const early = top.stat(ROOT, { inode });
  await top.setattr(ROOT, { inode, changes: { mode: 0o600 } });
  slow.resolve({ stat: { ...file.stat, size: 5 } });
  equal((await early).stat.size, 5);
  equal((await top.stat(ROOT, { inode })).stat.size, 1);
});

Deno.test("md-cache: of two answers that crossed and differ none is kept", async () => {
  const answers = [1, 2].map(() => Promise.withResolvers<{ stat: Iatt }>());
  let asked = 0;
  const { top, inode, file } = bed({}, { stat: () => answers[asked++]?.promise ?? never() });
  const never = () => Promise.resolve({ stat: { ...file.stat, size: 3 } });
  const both = [top.stat(ROOT, { inode }), top.stat(ROOT, { inode })];
  answers[1]!.resolve({ stat: { ...file.stat, size: 2 } });
  answers[0]!.resolve({ stat: file.stat });
  await Promise.all(both);
  equal((await top.stat(ROOT, { inode })).stat.size, 3);
});

Deno.test("md-cache: opening and locking a file shows what others did", async () => {
  const { top, child, inode } = bed();
  const { fd } = await top.open(ROOT, { inode, flags: O_RDWR });
  await top.stat(ROOT, { inode });
  await top.open(ROOT, { inode, flags: O_RDWR });
  await top.stat(ROOT, { inode });
  await top.lk(ROOT, { fd, cmd: "set", lock: flock("read") });
  await top.stat(ROOT, { inode });
  equal(child.fops.filter((fop) => fop === "stat").length, 3);
});

Deno.test("md-cache: a name that goes takes what is known of its file along", async () => {
  const { top, child, inode, at } = bed();
  await top.lookup(ROOT, at);
  await top.unlink(ROOT, { ...at, flags: 0 });
  await top.stat(ROOT, { inode });
  await top.lookup(ROOT, at);
  deepEqual(child.fops, ["lookup", "unlink", "stat", "lookup"]);
});

Deno.test("md-cache: a name nobody knew may have been any file's", async () => {
  const { top, child, inode, at } = bed();
  await top.lookup(ROOT, at);
  await top.unlink(ROOT, { ...at, name: "g", flags: 0 });
  await top.stat(ROOT, { inode });
  deepEqual(child.fops, ["lookup", "unlink", "stat"]);
});

Deno.test("md-cache: kept xattrs are answered, missing ones too, others are not kept", async () => {
  const { top, child, inode, at } = bed();
  const get = (name: string) => top.getxattr(ROOT, { inode, name });
  for (let i = 0; i < 2; i++) {
    deepEqual((await get("security.capability")).xattrs?.raw("security.capability"), capability);
    await rejects(get("security.ima"), (error) => ENODATA.matches(error));
    await rejects(get("user.a"), (error) => ENODATA.matches(error));
  }
  equal(child.fops.length, 4);
  // What was asked for once comes with lookups.
  await top.lookup(ROOT, at);
  deepEqual([...child.last("lookup").xdata!.names()], ["security.capability", "security.ima"]);
  await rejects(get("security.ima"), (error) => ENODATA.matches(error));
  equal(child.fops.length, 5);
  await top.setxattr(ROOT, { inode, xattrs: undefined, flags: 0 });
  await get("security.capability");
  equal(child.fops.length, 7);
});

Deno.test("md-cache: a new file has no xattr that only somebody sets, one that was there may", async () => {
  const made: Script["create"] = (_call, { parent }) =>
    Promise.resolve({
      stat: { gfid, mode: S_IFREG, size: 0, nlink: 1 } as Iatt,
      preParent: undefined,
      postParent: undefined,
      fd: new Fd(parent, O_RDWR),
    });
  const { top, child, inode, at } = bed({}, { create: made });
  const get = () => top.getxattr(ROOT, { inode, name: "security.capability" });
  const args = { ...at, flags: 2, mode: 0o644, umask: 0 };
  await top.create(ROOT, { ...args, xdata: withKey(undefined, GFID_REQ, gfid) });
  await rejects(get(), (error) => ENODATA.matches(error));
  deepEqual(child.fops, ["create"]);
  await top.setxattr(ROOT, { inode, xattrs: undefined, flags: 0 });
  await get();
  deepEqual(child.fops, ["create", "setxattr", "getxattr"]);
  const other = bed({}, { create: made });
  await other.top.create(ROOT, { ...args, xdata: withKey(undefined, GFID_REQ, dirGfid) });
  await other.top.getxattr(ROOT, { inode: other.inode, name: "security.capability" });
  deepEqual(other.child.fops, ["create", "getxattr"]);
});

Deno.test("md-cache: what bricks tell takes away what was known, and names in directories", async () => {
  const { top, child, inode, at, dir, heard, invalidate } = bed({ "md-cache-timeout": "600" });
  await top.lookup(ROOT, at);
  invalidate(UP.SIZE | UP.TIMES);
  await top.stat(ROOT, { inode });
  await top.lookup(ROOT, at);
  deepEqual(child.fops, ["lookup", "stat"]);
  invalidate(UP.TIMES, dir.gfid);
  await top.lookup(ROOT, at);
  deepEqual(child.fops, ["lookup", "stat", "lookup"]);
  // GlusterFS's bricks tell of the parent with the file.
  invalidate(UP.NLINK | UP.PARENT_TIMES, gfid, dir.gfid);
  await top.lookup(ROOT, at);
  equal(child.fops.length, 4);
  deepEqual(heard.map(({ type }) => type), [
    "cache-invalidation",
    "names-doubted",
    "cache-invalidation",
    "names-doubted",
    "cache-invalidation",
  ]);
  deepEqual(heard[1], { type: "names-doubted", parent: dir.gfid, names: ["f"] });
});

for (const type of ["child-up", "child-down", "some-down"] as const) {
  Deno.test(`md-cache: after ${type} nothing is known`, async () => {
    const { top, child, inode } = bed({ "md-cache-timeout": "600" });
    await top.stat(ROOT, { inode });
    child.say({ type });
    await top.stat(ROOT, { inode });
    equal(child.fops.length, 2);
  });
}

Deno.test("md-cache: bricks that come are asked to tell of the xattrs that are kept", () => {
  const { child } = bed({ "cache-invalidation": "on", "xattr-cache-list": "user.a,user.b*" });
  child.say({ type: "child-up" });
  const { op, xdata } = child.last("ipc");
  equal(op, 2);
  deepEqual([...xdata!.names()], ["security.capability", "security.ima", "user.a", "user.b*"]);
});

Deno.test("md-cache: switched to pass-through, all goes down", async () => {
  const { top, child, inode } = bed({ "pass-through": "on" });
  await top.stat(ROOT, { inode });
  await top.stat(ROOT, { inode });
  equal(child.fops.length, 2);
  top.reconfigure!(readOptions(mdCache.options, new Map()) as never);
  await top.stat(ROOT, { inode });
  equal(child.fops.length, 2);
});
