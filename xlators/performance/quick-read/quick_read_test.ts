import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { PID_SELF_HEAL, ROOT } from "core/call.ts";
import { EACCES, ESTALE } from "core/errno.ts";
import { type GraphEvent, UP } from "core/events.ts";
import { DONE, O_DIRECT, O_RDWR, O_TRUNC, O_WRONLY } from "core/fops.ts";
import { type Iatt, S_IFREG } from "core/iatt.ts";
import { Fd, type Gfid, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { flock } from "tests/fakes/flock.ts";
import { node, testClient, testEnv } from "tests/fakes/node.ts";
import { withKey, type Xdata } from "core/xdata.ts";
import { CONTENT, CONTENT_LIMIT } from "core/xdata_keys.ts";
import { quickRead } from "xlators/performance/quick-read/quick_read.ts";

const gfid = "aaaaaaaa-0000-4000-8000-000000000001" as Gfid;
const parents = { preParent: undefined, postParent: undefined };

class Talking extends FakeChild {
  say(event: GraphEvent): void {
    this.emit(event);
  }
}

/** A brick with one file; `file.text` is what it holds, `file.time` when that changed. */
function bed(option: Record<string, string> = {}, script: Script = {}) {
  const inodes = new InodeTable(), clock = new FakeClock(), inode = inodes.of(gfid);
  const file = { text: "abc", time: 1, mode: 0o644 };
  const stat = () =>
    ({
      gfid,
      mode: S_IFREG | file.mode,
      size: file.text.length,
      mtime: file.time,
      ctime: file.time,
      nlink: 1,
      uid: 5,
      gid: 5,
    }) as Iatt;
  const done = () => Promise.resolve(DONE);
  const changed = () => Promise.resolve({ pre: undefined, post: stat() });
  const child = new Talking({
    lookup: (_call, { xdata }) => {
      const content = new TextEncoder().encode(file.text);
      const isWanted = (xdata?.get(CONTENT_LIMIT) ?? 0) >= content.length;
      const answers = isWanted ? { xdata: withKey(undefined, CONTENT, content) } : {};
      return Promise.resolve({ stat: stat(), postParent: undefined, ...answers });
    },
    open: (_call, { inode, flags }) => Promise.resolve({ fd: new Fd(inode, flags) }),
    readv: (_call, { offset, size }) => {
      const data = new TextEncoder().encode(file.text).subarray(offset, offset + size);
      return Promise.resolve({ data, stat: stat(), eof: offset + size >= file.text.length });
    },
    stat: () => Promise.resolve({ stat: stat() }),
    fstat: () => Promise.resolve({ stat: stat() }),
    unlink: () => Promise.resolve(parents),
    writev: changed,
    setattr: changed,
    lk: (_call, { lock }) => Promise.resolve({ lock }),
    flush: done,
    release: done,
    ...script,
  });
  const values = readOptions(quickRead.options, new Map(Object.entries(option)));
  const top = quickRead.create(
    node("qr", [child], { inodes, env: testEnv({ clock }) }),
    values,
  );
  const look = () => top.lookup(ROOT, { parent: inodes.root, name: "f" });
  const open = async (flags = 0, call = ROOT) => (await top.open(call, { inode, flags })).fd;
  const read = async (fd: Fd, offset = 0) => {
    const { data } = await top.readv(ROOT, { fd, offset, size: 4096, flags: 0 });
    return new TextDecoder().decode(data);
  };
  const close = async (fd: Fd) => {
    await top.flush(ROOT, { fd });
    await top.release(ROOT, { fd });
  };
  return { top, child, clock, inodes, inode, file, look, open, read, close };
}

Deno.test("quick-read: opening, reading and closing a small file is one read", async () => {
  const { child, look, open, read, close } = bed();
  await look();
  const fd = await open();
  equal(await read(fd), "abc");
  equal(await read(fd, 2), "c");
  await close(fd);
  deepEqual(child.fops, ["lookup", "readv"]);
  equal(child.last("readv").fd.anonymous, true);
});

Deno.test("quick-read: where files are opened, lookups bring along what they hold", async () => {
  const { top, child, inode, file, look, open, read, close } = bed();
  await look();
  await close(await open());
  file.text = "abcd";
  equal((await look()).xdata, undefined);
  const { fd, xdata } = await top.open(ROOT, { inode, flags: 0 });
  equal(new TextDecoder().decode(xdata?.get(CONTENT)), "abcd");
  equal(await read(fd), "abcd");
  await close(fd);
  deepEqual(child.fops, ["lookup", "readv", "lookup"]);
  await look();
  equal(await read(await open()), "abcd");
  deepEqual(child.fops.slice(3), ["lookup"]);
});

Deno.test("quick-read: where files are only looked at, no more lookups bring contents along", async () => {
  const { child, look, open } = bed();
  const asked = () =>
    child.seen.map(({ args }) => (args as { xdata?: Xdata }).xdata?.has(CONTENT) ?? false);
  await look();
  await open();
  for (let i = 0; i < 4; i++) await look();
  deepEqual(asked(), [false, false, true, true, false, false]);
});

Deno.test("quick-read: what a lookup brought along is not as good as an open for long, nor after a removal", async () => {
  const { top, child, clock, inodes, inode, file, look, open, read, close } = bed();
  await look();
  await close(await open());
  await look();
  file.text = "new", file.time = 2;
  clock.advance(20);
  const late = await top.open(ROOT, { inode, flags: 0 });
  equal(late.xdata, undefined);
  equal(await read(late.fd), "new");
  await close(late.fd);
  await look();
  await top.unlink(ROOT, { parent: inodes.root, name: "other", flags: 0 });
  child.seen.length = 0;
  await open();
  deepEqual(child.fops, ["readv"]);
});

Deno.test("quick-read: what lookups brought along and nobody opened is let go", async () => {
  const other = (i: number) => `aaaaaaaa-0000-4000-8000-0000000001${10 + i}` as Gfid;
  const { top, inodes, look, open, close } = bed({}, {
    lookup: (_call, { name }) =>
      Promise.resolve({
        stat: { gfid: name === "f" ? gfid : other(Number(name)), mode: S_IFREG, size: 3 } as Iatt,
        postParent: undefined,
        xdata: withKey(undefined, CONTENT, new Uint8Array(3)),
      }),
  });
  for (let i = 0; i < 40; i++) {
    await look();
    await close(await open());
    await top.lookup(ROOT, { parent: inodes.root, name: String(i) });
  }
  ok((top.state!() as { files: number }).files <= 16);
});

Deno.test("quick-read: what was not looked up, is large, writes or heals is opened", async () => {
  const { top, child, inode, file, look, open } = bed({ "max-file-size": "4" });
  await open();
  file.text = "abcde";
  await look();
  await open();
  file.text = "a";
  await look();
  for (const flags of [O_RDWR, O_WRONLY, O_DIRECT]) await open(flags);
  await top.open({ ...ROOT, pid: PID_SELF_HEAL }, { inode, flags: 0 });
  equal(child.fops.filter((fop) => fop === "open").length, 6);
  equal(child.fops.includes("readv"), false);
});

Deno.test("quick-read: a file that grew too large since it was looked up is opened", async () => {
  const { child, file, look, open, read } = bed();
  await look();
  file.text = "abcdef";
  const fd = await open();
  equal(await read(fd), "abcdef");
  deepEqual(child.fops, ["lookup", "readv", "open", "readv"]);
});

Deno.test("quick-read: a file that is gone fails to open, as without", async () => {
  const gone = () => Promise.reject(ESTALE);
  const { look, open } = bed({}, { readv: gone, open: gone });
  await look();
  await rejects(open(), (error) => ESTALE.matches(error));
});

Deno.test("quick-read: whom the mode does not let read, bricks are asked for", async () => {
  const { child, file, look, open } = bed({}, { open: () => Promise.reject(EACCES) });
  file.mode = 0o600;
  await look();
  const who = { ...ROOT, uid: 7, gid: 7 };
  await rejects(open(0, who), (error) => EACCES.matches(error));
  await open(0, { ...who, uid: 5 });
  file.mode = 0o640;
  await open(0, { ...who, groups: [5] });
  equal(child.fops.filter((fop) => fop === "open").length, 1);
});

Deno.test("quick-read: who opens a file sees what others wrote before", async () => {
  const { file, look, open, read, close } = bed();
  await look();
  const first = await open();
  equal(await read(first), "abc");
  Object.assign(file, { text: "xyz", time: 2 });
  const second = await open();
  equal(await read(second), "xyz");
  equal(await read(first), "xyz");
  await close(first);
  await close(second);
});

Deno.test("quick-read: after its time, or behind its end, an open file is asked of bricks", async () => {
  const { child, clock, file, look, open, read, close } = bed();
  await look();
  const fd = await open(), other = await open();
  Object.assign(file, { text: "abcdef", time: 2 });
  equal(await read(fd, 3), "def");
  clock.advance(1000);
  equal(await read(other), "abcdef");
  await close(fd);
  await close(other);
  const count = (name: string) => child.fops.filter((fop) => fop === name).length;
  deepEqual([count("open"), count("release")], [2, 2]);
});

Deno.test("quick-read: attributes that differ take a content away", async () => {
  const { top, file, inode, look, open, read } = bed();
  await look();
  const fd = await open();
  Object.assign(file, { text: "xyz", time: 2 });
  equal(await read(fd), "abc");
  await top.stat(ROOT, { inode });
  equal(await read(fd), "xyz");
});

Deno.test("quick-read: own writes, locks and what bricks tell take a content away", async () => {
  const { top, child, file, inode, look, open, read, close } = bed();
  const writer = await open(O_RDWR);
  const acts = [
    () => top.writev(ROOT, { fd: writer, offset: 0, data: new Uint8Array(1), flags: 0 }),
    () => top.lk(ROOT, { fd: writer, cmd: "set", lock: flock("read") }),
    () => top.open(ROOT, { inode, flags: O_RDWR | O_TRUNC }),
    () =>
      child.say({
        type: "cache-invalidation",
        clients: [testClient()],
        gfid,
        flags: UP.SIZE,
        expireSec: 60,
        stat: undefined,
        parent: undefined,
        oldParent: undefined,
      }),
    () => child.say({ type: "child-up" }),
  ];
  for (const act of acts) {
    await look();
    const fd = await open();
    // Unseen by its times.
    file.text = file.text === "abc" ? "xyz" : "abc";
    await act();
    equal(await read(fd), file.text);
    await close(fd);
  }
});

Deno.test("quick-read: a content that was under way during a change is not kept", async () => {
  const slow = Promise.withResolvers<void>();
  const old = new TextEncoder().encode("abc");
  const { top, child, inode, look, open } = bed({}, {
    readv: async () => {
      await slow.promise;
      const stat = { gfid, mode: S_IFREG, size: 3, mtime: 1, ctime: 1 } as Iatt;
      return { data: old, stat, eof: true };
    },
  });
  await look();
  const opening = open();
  await top.writev(ROOT, {
    fd: new Fd(inode, O_RDWR),
    offset: 0,
    data: new Uint8Array(1),
    flags: 0,
  });
  slow.resolve();
  await opening;
  deepEqual(child.fops, ["lookup", "readv", "writev", "open"]);
});

Deno.test("quick-read: a content that is older than attributes that were answered is not kept", async () => {
  const slow = Promise.withResolvers<void>();
  const { top, child, file, inode, look, open, read } = bed({}, {
    readv: async () => {
      const stat = { gfid, mode: S_IFREG, size: 3, mtime: 1, ctime: 1 } as Iatt;
      await slow.promise;
      return { data: new TextEncoder().encode("abc"), stat, eof: true };
    },
  });
  await look();
  const opening = open();
  file.time = 2;
  await top.stat(ROOT, { inode });
  slow.resolve();
  await read(await opening);
  deepEqual(child.fops, ["lookup", "readv", "stat", "open", "readv"]);
});

Deno.test("quick-read: before a name goes or rights change what waits is opened", async () => {
  const { top, child, inodes, inode, look, open, close } = bed();
  await look();
  const fd = await open();
  await top.unlink(ROOT, { parent: inodes.root, name: "other", flags: 0 });
  deepEqual(child.fops, ["lookup", "readv", "open", "unlink"]);
  await close(fd);
  await open();
  await top.setattr(ROOT, { inode, changes: { mode: 0 } });
  deepEqual(child.fops.slice(-3), ["readv", "open", "setattr"]);
});

Deno.test("quick-read: closing a file that is locked tells bricks, which let go of the locks", async () => {
  const { top, child, look, open, close } = bed();
  await look();
  const early = await open();
  await top.lk(ROOT, { fd: await open(O_RDWR), cmd: "set", lock: flock("write") });
  await close(early);
  await close(await open());
  deepEqual(child.fops.filter((fop) => fop === "flush").length, 2);
});

Deno.test("quick-read: a file that others removed since it was opened is still read", async () => {
  const gone = { is: false };
  const stat = { gfid, mode: S_IFREG, size: 3, nlink: 1 } as Iatt;
  const { top, clock, look, open, read, close } = bed({}, {
    lookup: () => Promise.resolve({ stat, postParent: undefined }),
    readv: () =>
      gone.is
        ? Promise.reject(ESTALE)
        : Promise.resolve({ data: new TextEncoder().encode("abc"), stat, eof: true }),
    open: () => Promise.reject(ESTALE),
    fstat: () => Promise.reject(ESTALE),
  });
  await look();
  const fd = await open();
  gone.is = true;
  clock.advance(5000);
  equal(await read(fd), "abc");
  equal(await read(fd, 3), "");
  equal((await top.fstat(ROOT, { fd })).stat.nlink, 0);
  await close(fd);
});

Deno.test("quick-read: with invalidation a file that is opened again costs nothing", async () => {
  const { top, child, look, open, read, close } = bed({ "quick-read-cache-invalidation": "on" });
  await look();
  for (let i = 0; i < 3; i++) {
    const fd = await open();
    equal(await read(fd), "abc");
    await close(fd);
  }
  deepEqual(child.fops, ["lookup", "readv"]);
  deepEqual(top.state?.(), { files: 1, bytes: 3, answered: 3, sent: 0 });
});

Deno.test("quick-read: without, nothing is kept of a file that was closed", async () => {
  const { top, look, open, close } = bed();
  await look();
  const fd = await open(), other = await open();
  await close(fd);
  equal((top.state!() as { files: number }).files, 1);
  await close(other);
  equal((top.state!() as { files: number }).files, 0);
});

Deno.test("quick-read: switched to pass-through, files are opened", async () => {
  const { child, look, open, read } = bed({ "pass-through": "on" });
  await look();
  await read(await open());
  deepEqual(child.fops, ["lookup", "open", "readv"]);
});
