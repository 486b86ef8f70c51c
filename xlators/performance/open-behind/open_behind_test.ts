import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { PID_SELF_HEAL, ROOT } from "core/call.ts";
import { EACCES, ESTALE } from "core/errno.ts";
import { DONE, O_DIRECT, O_RDWR, O_TRUNC, O_WRONLY } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import { Fd, type Gfid, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { flock } from "tests/fakes/flock.ts";
import { node } from "tests/fakes/node.ts";
import { openBehind } from "xlators/performance/open-behind/open_behind.ts";

const gfid = "aaaaaaaa-0000-4000-8000-000000000001" as Gfid;
const other = "aaaaaaaa-0000-4000-8000-000000000002" as Gfid;
const parents = { preParent: undefined, postParent: undefined };

function bed(option: Record<string, string> = {}, script: Script = {}) {
  const done = () => Promise.resolve(DONE);
  const child = new FakeChild({
    open: (_call, { inode, flags }) => Promise.resolve({ fd: new Fd(inode, flags) }),
    readv: (_call, { size }) =>
      Promise.resolve({ data: new Uint8Array(1), stat: undefined, eof: size > 1 }),
    fstat: () => Promise.resolve({ stat: { gfid } as Iatt }),
    unlink: () => Promise.resolve(parents),
    setattr: () => Promise.resolve({ pre: undefined, post: undefined }),
    lk: (_call, { lock }) => Promise.resolve({ lock }),
    flush: done,
    release: done,
    ...script,
  });
  const inodes = new InodeTable();
  const values = readOptions(openBehind.options, new Map(Object.entries(option)));
  const top = openBehind.create(node("ob", [child], { inodes }), values);
  const inode = inodes.of(gfid);
  const open = async (flags = 0, of = inode) => (await top.open(ROOT, { inode: of, flags })).fd;
  const read = (fd: Fd, size = 4096) => top.readv(ROOT, { fd, offset: 0, size, flags: 0 });
  /** Whether each fop that had an fd had an anonymous one. */
  const anonymous = () => child.seen.map(({ args }) => (args as { fd?: Fd }).fd?.anonymous);
  return { top, child, inodes, inode, open, read, anonymous };
}

Deno.test("open-behind: a file that is not used is never opened", async () => {
  const { top, child, open } = bed();
  const fd = await open();
  await top.flush(ROOT, { fd });
  await top.release(ROOT, { fd });
  deepEqual(child.fops, []);
});

Deno.test("open-behind: what writes, cuts, goes past caches or heals is opened first", async () => {
  const { top, child, inode, open } = bed();
  for (const flags of [O_RDWR, O_WRONLY, O_TRUNC, O_DIRECT]) await open(flags);
  await top.open({ ...ROOT, pid: PID_SELF_HEAL }, { inode, flags: 0 });
  deepEqual(child.fops, Array(5).fill("open"));
});

Deno.test("open-behind: the first read goes side by side with the open, later ones through it", async () => {
  const { top, child, open, read, anonymous } = bed();
  const fd = await open();
  await read(fd);
  await read(fd);
  await top.release(ROOT, { fd });
  deepEqual(child.fops, ["readv", "open", "readv", "release"]);
  deepEqual(anonymous(), [true, undefined, false, false]);
});

Deno.test("open-behind: what cannot be opened cannot be read, and is tried again", async () => {
  let refused = true;
  const { top, open, read } = bed({}, {
    open: (_call, { inode, flags }) =>
      refused ? Promise.reject(EACCES) : Promise.resolve({ fd: new Fd(inode, flags) }),
  });
  const fd = await open();
  await rejects(read(fd), (error) => EACCES.matches(error));
  refused = false;
  equal((await read(fd)).data.length, 1);
  await top.release(ROOT, { fd });
});

Deno.test("open-behind: a read that was too late for the name goes through the open file", async () => {
  const { open, read } = bed({}, {
    readv: (_call, { fd }) =>
      fd.anonymous
        ? Promise.reject(ESTALE)
        : Promise.resolve({ data: new Uint8Array(2), stat: undefined, eof: true }),
  });
  equal((await read(await open())).data.length, 2);
});

Deno.test("open-behind: without read-after-open a small file is not opened, a large one behind", async () => {
  const { top, child, open, read, anonymous } = bed({ "read-after-open": "off" });
  const small = await open();
  await read(small);
  await top.release(ROOT, { fd: small });
  deepEqual(child.fops, ["readv"]);
  const large = await open();
  await read(large, 1);
  await read(large, 1);
  deepEqual(child.fops, ["readv", "readv", "open", "readv"]);
  deepEqual(anonymous(), [true, true, undefined, false]);
});

Deno.test("open-behind: with lazy-open off the open goes behind the answer", async () => {
  const { child, open } = bed({ "lazy-open": "off" });
  await open();
  deepEqual(child.fops, ["open"]);
});

Deno.test("open-behind: before a name goes, all that waits is opened", async () => {
  const opening = Promise.withResolvers<{ fd: Fd }>();
  const { top, child, inodes, open } = bed({}, { open: () => opening.promise });
  await open();
  await open(0, inodes.of(other));
  const gone = top.unlink(ROOT, { parent: inodes.root, name: "f", flags: 0 });
  // Meanwhile nothing is answered that is not open.
  const third = open();
  deepEqual(child.fops, ["open", "open", "open"]);
  opening.resolve({ fd: new Fd(inodes.of(gfid), 0) });
  await Promise.all([gone, third]);
  deepEqual(child.fops.slice(3), ["unlink"]);
});

Deno.test("open-behind: before a file's rights change it is opened, others are not", async () => {
  const { top, child, inodes, inode, open } = bed();
  await open();
  await open(0, inodes.of(other));
  await top.setattr(ROOT, { inode, changes: { mode: 0 } });
  deepEqual(child.fops, ["open", "setattr"]);
});

Deno.test("open-behind: a lock is taken through an open file, and flushed", async () => {
  const { top, child, open, anonymous } = bed();
  const fd = await open();
  await top.lk(ROOT, { fd, cmd: "set", lock: flock("read") });
  await top.flush(ROOT, { fd });
  await top.release(ROOT, { fd });
  deepEqual(child.fops, ["open", "lk", "flush", "release"]);
  deepEqual(anonymous(), [undefined, false, false, false]);
});

Deno.test("open-behind: closing a file that is locked tells bricks, which let go of the locks", async () => {
  const { top, child, open } = bed();
  const early = await open();
  await top.lk(ROOT, { fd: await open(O_RDWR), cmd: "set", lock: flock("write") });
  await top.flush(ROOT, { fd: early });
  await top.release(ROOT, { fd: early });
  deepEqual(child.fops, ["open", "lk", "open", "flush", "release"]);
});

Deno.test("open-behind: attributes are asked for without opening", async () => {
  const { top, child, open } = bed();
  await top.fstat(ROOT, { fd: await open() });
  deepEqual(child.fops, ["fstat"]);
});

Deno.test("open-behind: a file closed while it is being opened is closed when it is", async () => {
  const opening = Promise.withResolvers<{ fd: Fd }>();
  const { top, child, inode, open, read } = bed({}, { open: () => opening.promise });
  const fd = await open();
  const reading = read(fd);
  const closed = top.release(ROOT, { fd });
  deepEqual(child.fops, ["readv", "open"]);
  opening.resolve({ fd: new Fd(inode, 0) });
  await Promise.all([reading, closed]);
  deepEqual(child.fops, ["readv", "open", "release"]);
});
