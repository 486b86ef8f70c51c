import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { PID_SELF_HEAL, ROOT } from "core/call.ts";
import { EIO } from "core/errno.ts";
import { UP } from "core/events.ts";
import type { GraphEvent } from "core/events.ts";
import { type Args, DONE, O_DIRECT, O_RDWR } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import { Fd, type Gfid, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { node, testClient, testEnv } from "tests/fakes/node.ts";
import { readAhead } from "xlators/performance/read-ahead/read_ahead.ts";

const gfid = "aaaaaaaa-0000-4000-8000-000000000001" as Gfid;
const PAGE = 4096, SIZE = 10 * PAGE + 100;

class Talking extends FakeChild {
  say(event: GraphEvent): void {
    this.emit(event);
  }
}

/** A file of ten pages and a bit, each byte the number of its page, plus `world.version`. */
function bed(option: Record<string, string> = {}, script: Script = {}) {
  const world = { version: 0, failing: false };
  const stat = { gfid, size: SIZE } as Iatt;
  const child = new Talking({
    readv: (_call, { offset, size }) => {
      if (world.failing) return Promise.reject(EIO);
      const data = Uint8Array.from(
        { length: Math.max(0, Math.min(size, SIZE - offset)) },
        (_, i) => Math.floor((offset + i) / PAGE) + world.version,
      );
      return Promise.resolve({ data, stat, eof: offset + size >= SIZE });
    },
    writev: () => Promise.resolve({ pre: undefined, post: undefined }),
    lookup: () => Promise.resolve({ stat, postParent: undefined }),
    fstat: () => Promise.resolve({ stat }),
    release: () => Promise.resolve(DONE),
    ...script,
  });
  const inodes = new InodeTable(), clock = new FakeClock();
  const all = { "page-size": String(PAGE), ...option };
  const values = readOptions(readAhead.options, new Map(Object.entries(all)));
  const top = readAhead.create(node("ra", [child], { inodes, env: testEnv({ clock }) }), values);
  const inode = inodes.of(gfid);
  const fd = new Fd(inode, 0);
  const read = (offset: number, size = PAGE, over: Partial<Args<"readv">> = {}) =>
    top.readv(ROOT, { fd, offset, size, flags: 0, ...over });
  const asked = () =>
    child.seen.filter(({ fop }) => fop === "readv")
      .map(({ args }) => (args as Args<"readv">).offset / PAGE);
  return { top, child, inodes, inode, fd, read, asked, world, clock };
}

Deno.test("read-ahead: a file read in order is asked for ahead, more with every read", async () => {
  const { read, asked, top } = bed();
  await read(0);
  deepEqual(asked(), [0]);
  await read(PAGE);
  deepEqual(asked(), [0, 2, 3, 1]);
  await read(2 * PAGE);
  deepEqual(asked(), [0, 2, 3, 1, 4, 5]);
  await read(3 * PAGE);
  deepEqual(asked(), [0, 2, 3, 1, 4, 5, 6, 7]);
  deepEqual(top.state!(), { files: 1, bytes: 4 * PAGE });
});

for (const size of [PAGE, 1000, 3 * PAGE + 7]) {
  Deno.test(`read-ahead: reads of ${size} bytes answer the file, to its end`, async () => {
    const { read } = bed();
    const seen: number[] = [];
    for (let eof = false; !eof;) {
      const reply = await read(seen.length, size);
      seen.push(...reply.data);
      eof = reply.eof;
    }
    deepEqual(seen, Array.from({ length: SIZE }, (_, i) => Math.floor(i / PAGE)));
    equal((await read(SIZE, size)).data.length, 0);
  });
}

Deno.test("read-ahead: data is put where the reader wants it", async () => {
  const { read } = bed();
  await read(0);
  await read(PAGE);
  const into = new Uint8Array(PAGE);
  const { data } = await read(2 * PAGE, PAGE, { into });
  equal(data.buffer, into.buffer);
  equal(into[0], 2);
});

Deno.test("read-ahead: reads elsewhere ask for nothing ahead", async () => {
  const { read, asked } = bed();
  for (const page of [0, 5, 2, 8]) await read(page * PAGE);
  deepEqual(asked(), [0, 5, 2, 8]);
});

Deno.test("read-ahead: open to write, past caches, for healers or switched off: nothing is asked ahead", async () => {
  const { top, read, asked, inode } = bed();
  const other = new Fd(inode, O_RDWR);
  for (let page = 0; page < 3; page++) await read(page * PAGE, PAGE, { fd: other });
  for (let page = 0; page < 3; page++) await read(page * PAGE, PAGE, { flags: O_DIRECT });
  for (let page = 0; page < 3; page++) {
    const args = { fd: new Fd(inode, 0), offset: page * PAGE, size: PAGE, flags: 0 };
    await top.readv({ ...ROOT, pid: PID_SELF_HEAL }, args);
  }
  equal(asked().length, 9);
  const off = bed({ "pass-through": "on" });
  for (let page = 0; page < 3; page++) await off.read(page * PAGE);
  equal(off.asked().length, 3);
});

const DROPS: Record<string, (place: ReturnType<typeof bed>) => unknown> = {
  "a write": ({ top, inode }) =>
    top.writev(ROOT, {
      fd: new Fd(inode, O_RDWR),
      offset: 0,
      data: new Uint8Array(1),
      flags: 0,
    }),
  "its attributes being seen": ({ top, fd }) => top.fstat(ROOT, { fd }),
  "its name being looked up": ({ top, inodes }) =>
    top.lookup(ROOT, { parent: inodes.root, name: "f" }),
  "a brick's word": ({ child }) =>
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
  "a second": ({ clock }) => clock.advance(1000),
  "a brick going away": ({ child }) => child.say({ type: "some-down" }),
  "a read through another open file": ({ read, inode }) =>
    read(0, PAGE, { fd: new Fd(inode, O_RDWR) }),
};
for (const [what, drop] of Object.entries(DROPS)) {
  Deno.test(`read-ahead: after ${what} the file is read as it is`, async () => {
    const place = bed();
    for (let page = 0; page < 3; page++) await place.read(page * PAGE);
    place.world.version = 100;
    await drop(place);
    equal((await place.read(3 * PAGE)).data[0], 103);
  });
}

Deno.test("read-ahead: a failure ahead is told only if reading again fails, too", async () => {
  const { read, world } = bed();
  await read(0);
  world.failing = true;
  await rejects(read(PAGE), (error) => EIO.matches(error));
  world.failing = false;
  equal((await read(2 * PAGE)).data[0], 2);
  await read(3 * PAGE);
  world.failing = true;
  equal((await read(4 * PAGE)).data[0], 4);
});

Deno.test("read-ahead: a closed file keeps nothing, nor do more than 128 open ones", async () => {
  const { top, read, fd, inode } = bed();
  for (let page = 0; page < 3; page++) await read(page * PAGE);
  await top.release(ROOT, { fd });
  deepEqual(top.state!(), { files: 0, bytes: 0 });
  for (let count = 0; count < 200; count++) await read(0, PAGE, { fd: new Fd(inode, 0) });
  equal((top.state!() as { files: number }).files, 128);
});
