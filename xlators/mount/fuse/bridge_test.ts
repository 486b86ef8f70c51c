import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { EAGAIN, EINTR, ENOENT } from "core/errno.ts";
import { type Args, O_APPEND, type Reply } from "core/fops.ts";
import { Fd, type Gfid, gfidFromBytes, InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import type { Xlator } from "core/xlator.ts";
import { FakeChild } from "tests/fakes/fake_child.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { node, testEnv } from "tests/fakes/node.ts";
import { Bridge } from "xlators/mount/fuse/bridge.ts";
import { groupsIn } from "xlators/mount/fuse/groups.ts";
import { options } from "xlators/mount/fuse/options.ts";
import { INIT, OP, OUT_HEADER, ROOT_NODE } from "xlators/mount/fuse/protocol.ts";
import { modeAfterWrite } from "xlators/mount/fuse/attributes.ts";

/** An answer as the kernel gets it. */
interface Answer {
  readonly error: number;
  readonly view: DataView;
  readonly bytes: Uint8Array;
}

/** A kernel that asks a bridge over `top`. */
class Kernel {
  readonly bridge: Bridge;
  #unique = 0;
  readonly #answers = new Map<number, (answer: Answer) => void>();
  /** What writing an answer answers: negative, the asker is gone. */
  refuses = 0;
  /** Nodes that it was told to drop what it cached of. */
  readonly dropped: number[] = [];
  /** What dropping takes. */
  drop: () => Promise<void> = () => Promise.resolve();
  /** How often it was found to know too much. */
  crowded = 0;

  constructor(top: Xlator, inodes: InodeTable, given: Record<string, string> = {}) {
    const values = readOptions(options, new Map(Object.entries({ mountpoint: "/m", ...given })));
    this.bridge = new Bridge({
      top,
      inodes,
      env: testEnv(),
      values,
      send: (bytes, size) => this.#hear(bytes.slice(0, size)),
      notify: (bytes) => {
        const view = new DataView(bytes.buffer);
        deepEqual([view.getUint32(0, true), view.getInt32(4, true)], [bytes.length, 2]);
        this.dropped.push(u64(view, OUT_HEADER));
        return this.drop().then(() => bytes.length);
      },
      crowded: () => void this.crowded++,
    });
  }

  #hear(answer: Uint8Array<ArrayBuffer>): number {
    const view = new DataView(answer.buffer);
    equal(view.getUint32(0, true), answer.length);
    const unique = Number(view.getBigUint64(8, true));
    const body = answer.subarray(OUT_HEADER);
    this.#answers.get(unique)?.({
      error: view.getInt32(4, true),
      view: new DataView(answer.buffer, OUT_HEADER),
      bytes: body,
    });
    this.#answers.delete(unique);
    return this.refuses || answer.length;
  }

  /** Numbers are 32 bits, bigints 64, text is a name. Answers the request's number. */
  send(
    opcode: number,
    nodeid: number,
    ...fields: (number | bigint | string | Uint8Array)[]
  ): number {
    const body = fields.flatMap((field) => {
      if (typeof field === "string") return [...new TextEncoder().encode(field), 0];
      if (field instanceof Uint8Array) return [...field];
      const view = new DataView(new ArrayBuffer(8));
      if (typeof field === "number") view.setUint32(0, field, true);
      else view.setBigUint64(0, field, true);
      return [...new Uint8Array(view.buffer, 0, typeof field === "number" ? 4 : 8)];
    });
    const bytes = new Uint8Array(40 + body.length);
    const view = new DataView(bytes.buffer);
    const unique = this.#unique += 2;
    [bytes.length, opcode].forEach((word, i) => view.setUint32(4 * i, word, true));
    view.setBigUint64(8, BigInt(unique), true);
    view.setBigUint64(16, BigInt(nodeid), true);
    bytes.set(body, 40);
    this.bridge.serve({ bytes, view }, 0, bytes.length);
    return unique;
  }

  ask(opcode: number, nodeid: number, ...fields: (number | bigint | string | Uint8Array)[]) {
    return new Promise<Answer>((resolve) => {
      this.#answers.set(this.#unique + 2, resolve);
      this.send(opcode, nodeid, ...fields);
    });
  }

  /** The answer that comes to a request that was sent. */
  answerTo(unique: number): Promise<Answer> {
    return new Promise((resolve) => this.#answers.set(unique, resolve));
  }

  /** Makes a file; answers its node and handle. */
  async create(name: string, mode = 0o100644) {
    const { error, view } = await this.ask(OP.CREATE, ROOT_NODE, 2, mode, 0, 0, name);
    equal(error, 0);
    return { nodeid: u64(view, 0), handle: view.getBigUint64(128, true) };
  }
}

function u64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

function memory(given: Record<string, string> = {}) {
  const inodes = new InodeTable();
  const brick = new MemoryBrick(node("brick", [], { inodes }));
  return { brick, inodes, kernel: new Kernel(brick, inodes, given) };
}

const DATA = new TextEncoder().encode("hello, kernel");

Deno.test("mount/fuse: the kernel knows too much beyond the limit, and a moved file by its new name", async () => {
  const { kernel } = memory({ "lru-limit": "8" });
  const { nodes } = kernel.bridge;
  for (let i = 0; i < 7; i++) await kernel.create(`f${i}`);
  equal(kernel.crowded, 0);
  const { nodeid, handle } = await kernel.create("f7");
  equal(kernel.crowded, 1);
  deepEqual([nodes.of(nodeid).parent, nodes.of(nodeid).name], [ROOT_NODE, "f7"]);
  await kernel.ask(OP.RELEASE, nodeid, handle, 0, 0, 0n);
  const made = await kernel.ask(OP.MKDIR, ROOT_NODE, 0o755, 0, "d");
  const directory = u64(made.view, 0);
  equal(nodes.of(directory).name, "", "directories may have something mounted on them");
  equal((await kernel.ask(OP.RENAME, ROOT_NODE, BigInt(directory), "f7", "moved")).error, 0);
  deepEqual([nodes.of(nodeid).parent, nodes.of(nodeid).name], [directory, "moved"]);
  equal((await kernel.ask(OP.LINK, ROOT_NODE, BigInt(nodeid), "linked")).error, 0);
  deepEqual([nodes.of(nodeid).parent, nodes.of(nodeid).name], [ROOT_NODE, "linked"]);
});

Deno.test("mount/fuse: INIT takes what it knows of what the kernel offers, 1 MiB writes among it", async () => {
  const { kernel } = memory({ acl: "on" });
  const { error, view } = await kernel.ask(OP.INIT, 0, 7, 45, 131072, 0xffffffff, 0);
  equal(error, 0);
  deepEqual([view.getUint32(0, true), view.getUint32(4, true)], [7, 38]);
  const flags = view.getUint32(12, true);
  ok(flags & INIT.POSIX_ACL && flags & INIT.HANDLE_KILLPRIV_V2 && flags & INIT.FLOCK_LOCKS);
  equal(flags & INIT.WRITEBACK_CACHE, 0);
  equal(view.getUint32(20, true), 1 << 20);
  equal(view.getUint16(28, true), 256);
  await kernel.bridge.initialized;
  equal(kernel.bridge.prunes, true);
});

Deno.test("mount/fuse: what is appended comes in one piece, where memory can be mapped nevertheless", async () => {
  const O_WRONLY = 1, O_RDWR = 2, DIRECT = 1, EXT = 1 << 30, MAPS = 1 << 4;
  for (const [offered, whole] of [[0, [1, 0, 0]], [MAPS, [1, 1, 0]]] as const) {
    const { kernel } = memory();
    const init = await kernel.ask(OP.INIT, 0, 7, 45, 131072, EXT, offered, 0n, 0n, 0n);
    deepEqual([init.view.getUint32(12, true), init.view.getUint32(32, true)], [
      ...[offered ? EXT : 0, offered],
    ]);
    const { nodeid } = await kernel.create("f");
    const how: number[] = [];
    for (const flags of [O_WRONLY | O_APPEND, O_RDWR | O_APPEND, O_RDWR]) {
      const { view } = await kernel.ask(OP.OPEN, nodeid, flags, 0);
      how.push(view.getUint32(8, true) & DIRECT);
    }
    deepEqual(how, whole);
    const made = await kernel.ask(OP.CREATE, ROOT_NODE, O_WRONLY | O_APPEND, 0o100644, 0, 0, "g");
    equal(made.view.getUint32(128 + 8, true) & DIRECT, 1);
  }
});

Deno.test("mount/fuse: a kernel that is too old is refused", async () => {
  const { kernel } = memory();
  equal((await kernel.ask(OP.INIT, 0, 7, 12, 0, 0)).error, -71);
});

Deno.test("mount/fuse: what was written is read, and the file has its size", async () => {
  const { kernel } = memory();
  const { nodeid, handle } = await kernel.create("f");
  const wrote = await kernel.ask(OP.WRITE, nodeid, handle, 3n, DATA.length, 0, 0n, 2, 0, DATA);
  equal(wrote.view.getUint32(0, true), DATA.length);
  const read = await kernel.ask(OP.READ, nodeid, handle, 0n, 4096, 0, 0n, 2, 0);
  deepEqual([...read.bytes], [0, 0, 0, ...DATA]);
  const { view } = await kernel.ask(OP.GETATTR, nodeid, 0, 0, 0n);
  equal(u64(view, 16 + 8), 3 + DATA.length);
});

Deno.test("mount/fuse: data that is lent is answered from where it lies, and given back", async () => {
  const { kernel, brick } = memory();
  const { nodeid, handle } = await kernel.create("f");
  const whole = new Uint8Array(64).fill(9);
  let released = 0;
  brick.readv = (_call, { lend }) => {
    equal(lend, true);
    const lent = { release: () => void released++ };
    return Promise.resolve({ data: whole.subarray(32, 40), stat: undefined, eof: true, lent });
  };
  const { bytes } = await kernel.ask(OP.READ, nodeid, handle, 0n, 4096, 0, 0n, 2, 0);
  deepEqual([...bytes], Array(8).fill(9));
  equal(released, 1);
  deepEqual(whole.subarray(0, 16), new Uint8Array(16).fill(9));
});

Deno.test("mount/fuse: mapped memory is written to its place, though the file was opened to append", async () => {
  const { kernel, brick } = memory();
  const { nodeid, handle } = await kernel.create("f", 0o100644);
  const opened = await kernel.ask(OP.OPEN, nodeid, 2 | O_APPEND, 0);
  const appends = opened.view.getBigUint64(0, true);
  const write = (how: number, at: bigint, text: string) =>
    kernel.ask(
      ...[OP.WRITE, nodeid, appends, at, text.length, how, 0n, 2 | O_APPEND, 0] as const,
      new TextEncoder().encode(text),
    );
  const content = async () => {
    const { bytes } = await kernel.ask(OP.READ, nodeid, appends, 0n, 4096, 0, 0n, 2, 0);
    return new TextDecoder().decode(bytes);
  };
  const CACHED = 1;
  await write(0, 0n, "0123456789");
  // Through another file that is open, and through one that is opened for it.
  await write(CACHED, 2n, "ab");
  equal((await kernel.ask(OP.RELEASE, nodeid, handle, 2, 0, 0n)).error, 0);
  await write(CACHED, 5n, "cd");
  await write(CACHED, 7n, "e");
  await write(0, 0n, "end");
  equal(await content(), "01ab4cde89end");
  equal((await kernel.ask(OP.RELEASE, nodeid, appends, 2, 0, 0n)).error, 0);
  await kernel.ask(OP.STATFS, ROOT_NODE);
  equal(brick.openFiles, 0);
});

Deno.test("mount/fuse: a name that is not there is ENOENT, or remembered if that is wished", async () => {
  equal((await memory().kernel.ask(OP.LOOKUP, ROOT_NODE, "no")).error, -2);
  const { error, view } = await memory({ "negative-timeout": "5" }).kernel
    .ask(OP.LOOKUP, ROOT_NODE, "no");
  deepEqual([error, u64(view, 0), u64(view, 16)], [0, 0, 5]);
});

Deno.test("mount/fuse: names of more than 255 bytes never reach the bricks", async () => {
  equal((await memory().kernel.ask(OP.LOOKUP, ROOT_NODE, "n".repeat(256))).error, -36);
});

Deno.test("mount/fuse: a node lives until the kernel has forgotten it as often as it was told", async () => {
  const { kernel } = memory();
  const { nodeid } = await kernel.create("f");
  const again = await kernel.ask(OP.LOOKUP, ROOT_NODE, "f");
  equal(u64(again.view, 0), nodeid);
  equal(kernel.bridge.nodes.size, 2);
  kernel.send(OP.FORGET, nodeid, 1n);
  equal(kernel.bridge.nodes.size, 2);
  kernel.send(OP.BATCH_FORGET, 0, 1, 0, BigInt(nodeid), 1n);
  equal(kernel.bridge.nodes.size, 1);
  equal((await kernel.ask(OP.GETATTR, nodeid, 0, 0, 0n)).error, -116);
});

Deno.test("mount/fuse: an answer that nobody waited for leaves no node and no open file", async () => {
  const { kernel, brick } = memory();
  kernel.refuses = -2;
  await kernel.ask(OP.CREATE, ROOT_NODE, 2, 0o100644, 0, 0, "f");
  await kernel.ask(OP.LOOKUP, ROOT_NODE, "f");
  await kernel.ask(OP.STATFS, ROOT_NODE);
  equal(kernel.bridge.nodes.size, 1);
  equal(kernel.bridge.handles.size, 0);
  equal(brick.openFiles, 0);
});

Deno.test("mount/fuse: an open file without a name keeps its attributes", async () => {
  const { kernel } = memory();
  const { nodeid, handle } = await kernel.create("f");
  equal((await kernel.ask(OP.UNLINK, ROOT_NODE, "f")).error, 0);
  const { error, view } = await kernel.ask(OP.GETATTR, nodeid, 0, 0, 0n);
  deepEqual([error, view.getUint32(16 + 64, true)], [0, 0]);
  equal((await kernel.ask(OP.RELEASE, nodeid, handle, 2, 0, 0n)).error, 0);
  equal(kernel.bridge.handles.size, 0);
});

Deno.test("mount/fuse: a directory is listed in pages of the kernel's size, each name once", async () => {
  const { kernel } = memory();
  const names = Array.from({ length: 100 }, (_, i) => `file number ${i}`);
  for (const name of names) await kernel.create(name);
  const opened = await kernel.ask(OP.OPENDIR, ROOT_NODE, 0, 0);
  const handle = opened.view.getBigUint64(0, true);
  for (const [opcode, head] of [[OP.READDIR, 0], [OP.READDIRPLUS, 128]] as const) {
    const seen: string[] = [];
    for (let offset = 0n, size = 1; size > 0;) {
      const { bytes, view } = await kernel.ask(
        opcode,
        ROOT_NODE,
        handle,
        offset,
        1000,
        0,
        0n,
        0,
        0,
      );
      size = bytes.length;
      ok(size <= 1000);
      for (let at = 0; at < size;) {
        const length = view.getUint32(at + head + 16, true);
        const name = new TextDecoder().decode(
          bytes.subarray(at + head + 24, at + head + 24 + length),
        );
        if (name !== "." && name !== "..") seen.push(name);
        offset = view.getBigUint64(at + head + 8, true);
        at += (head + 24 + length + 7) & ~7;
      }
    }
    deepEqual(seen.sort(), [...names].sort());
  }
});

Deno.test("mount/fuse: writing as somebody else takes the set-user-id bit away", async () => {
  const { kernel } = memory();
  const { nodeid, handle } = await kernel.create("f", 0o104755);
  const KILL = 4;
  await kernel.ask(OP.WRITE, nodeid, handle, 0n, DATA.length, KILL, 0n, 2, 0, DATA);
  const { view } = await kernel.ask(OP.GETATTR, nodeid, 0, 0, 0n);
  equal(view.getUint32(16 + 60, true) & 0o7777, 0o755);
  equal(modeAfterWrite(0o102644), undefined);
  equal(modeAfterWrite(0o102654), 0o654);
});

Deno.test("mount/fuse: an owner that is set to what he is takes it away, too", async () => {
  const { kernel } = memory();
  const { nodeid } = await kernel.create("f", 0o104755);
  // chown(path, -1, -1), as the kernel tells it.
  const fields = Array.from({ length: 11 }, () => 0n);
  const { error, view } = await kernel.ask(OP.SETATTR, nodeid, 0, 0, ...fields);
  deepEqual([error, view.getUint32(16 + 60, true) & 0o7777], [0, 0o755]);
});

Deno.test("mount/fuse: a move that spares what is there spares it, other kinds of moves are refused", async () => {
  const { kernel } = memory();
  const move = (flags: number, from: string, to: string) =>
    kernel.ask(OP.RENAME2, ROOT_NODE, BigInt(ROOT_NODE), flags, 0, from, to)
      .then(({ error }) => error);
  const there = (name: string) =>
    kernel.ask(OP.LOOKUP, ROOT_NODE, name).then(({ error }) => error === 0);
  await kernel.create("a");
  await kernel.create("b");
  equal((await kernel.ask(OP.MKDIR, ROOT_NODE, 0o755, 0, "d")).error, 0);
  equal((await kernel.ask(OP.MKDIR, ROOT_NODE, 0o755, 0, "e")).error, 0);
  const NOREPLACE = 1, EXCHANGE = 2;
  deepEqual([await move(NOREPLACE, "a", "b"), await move(NOREPLACE, "d", "e")], [-17, -17]);
  deepEqual([await move(NOREPLACE, "a", "c"), await move(NOREPLACE, "d", "f")], [0, 0]);
  deepEqual(await Promise.all(["a", "b", "c", "d", "e", "f"].map(there)), [
    ...[false, true, true, false, true, true],
  ]);
  equal(await move(EXCHANGE, "b", "c"), -22);
  equal(await move(0, "b", "c"), 0);
});

/** A layer whose locks are granted when the test says so. */
function lockable() {
  const inodes = new InodeTable();
  const gfid = "00000000-0000-0000-0000-0000000000aa" as Gfid;
  const fd = new Fd(inodes.of(gfid), 2);
  const granted = Promise.withResolvers<void>();
  const child = new FakeChild({
    opendir: () => Promise.resolve({ fd }),
    open: () => Promise.resolve({ fd }),
    lk: async (_call, { cmd, lock }: Args<"lk">): Promise<Reply<"lk">> => {
      if (cmd === "set-wait") await granted.promise;
      if (cmd === "set" && lock.type === "write") throw EAGAIN;
      return { lock };
    },
  });
  return { child, granted, kernel: new Kernel(child, inodes) };
}

const LOCK = [7n, 10n, 19n, 1, 1234, 0, 0] as const;

Deno.test("mount/fuse: a wait for a lock ends with EINTR, and a late grant is given back", async () => {
  const { child, granted, kernel } = lockable();
  const { view } = await kernel.ask(OP.OPEN, ROOT_NODE, 2, 0);
  const handle = view.getBigUint64(0, true);
  const unique = kernel.send(OP.SETLKW, ROOT_NODE, handle, ...LOCK);
  const answer = kernel.answerTo(unique);
  kernel.send(OP.INTERRUPT, 0, BigInt(unique));
  equal((await answer).error, -EINTR.errno);
  granted.resolve();
  await kernel.ask(OP.OPEN, ROOT_NODE, 2, 0);
  const locks = child.seen.filter(({ fop }) => fop === "lk").map(({ args }) => args as Args<"lk">);
  deepEqual(locks.map(({ cmd, lock }) => [cmd, lock.type, lock.start, lock.size]), [
    ["set-wait", "write", 10n, 10n],
    ["set", "unlock", 10n, 10n],
  ]);
  equal(locks[0]!.lock.owner, "0700000000000000");
});

Deno.test("mount/fuse: a lock that is asked for again is not given back", async () => {
  const { child, granted, kernel } = lockable();
  const { view } = await kernel.ask(OP.OPEN, ROOT_NODE, 2, 0);
  const handle = view.getBigUint64(0, true);
  const unique = kernel.send(OP.SETLKW, ROOT_NODE, handle, ...LOCK);
  const answer = kernel.answerTo(unique);
  kernel.send(OP.INTERRUPT, 0, BigInt(unique));
  await answer;
  const again = kernel.ask(OP.SETLKW, ROOT_NODE, handle, ...LOCK);
  granted.resolve();
  equal((await again).error, 0);
  await kernel.ask(OP.OPEN, ROOT_NODE, 2, 0);
  ok(child.seen.every(({ fop, args }) => fop !== "lk" || (args as Args<"lk">).cmd === "set-wait"));
});

Deno.test("mount/fuse: a lock that somebody has is EAGAIN at once", async () => {
  const { kernel } = lockable();
  const { view } = await kernel.ask(OP.OPEN, ROOT_NODE, 2, 0);
  const handle = view.getBigUint64(0, true);
  equal((await kernel.ask(OP.SETLK, ROOT_NODE, handle, ...LOCK)).error, -EAGAIN.errno);
});

Deno.test("mount/fuse: who gets a lock sees what others wrote before, nothing that was cached", async () => {
  const { granted, kernel } = lockable();
  const { view } = await kernel.ask(OP.OPEN, ROOT_NODE, 2, 0);
  const handle = view.getBigUint64(0, true);
  granted.resolve();
  const told = Promise.withResolvers<void>(), done = Promise.withResolvers<void>();
  kernel.drop = () => {
    told.resolve();
    return done.promise;
  };
  let answered = false;
  const answer = kernel.ask(OP.SETLKW, ROOT_NODE, handle, ...LOCK).then((got) => {
    answered = true;
    return got;
  });
  await Promise.race([told.promise, answer]);
  deepEqual([kernel.dropped, answered], [[ROOT_NODE], false]);
  done.resolve();
  equal((await answer).error, 0);
  const READ = 0, UNLOCK = 2;
  const lock = (type: number) => [7n, 10n, 19n, type, 1234, 0, 0] as const;
  equal((await kernel.ask(OP.SETLK, ROOT_NODE, handle, ...lock(READ))).error, 0);
  equal((await kernel.ask(OP.SETLK, ROOT_NODE, handle, ...lock(UNLOCK))).error, 0);
  equal(kernel.dropped.length, 2);
});

Deno.test("mount/fuse: closing a file that was only read asks the bricks nothing", async () => {
  const { child, kernel } = lockable();
  const { view } = await kernel.ask(OP.OPEN, ROOT_NODE, 0, 0);
  const handle = view.getBigUint64(0, true);
  equal((await kernel.ask(OP.FLUSH, ROOT_NODE, handle, 0, 0, 7n)).error, 0);
  deepEqual(child.seen.map(({ fop }) => fop), ["open"]);
});

Deno.test("mount/fuse: a failure that is no fop's is EIO, and told", async () => {
  const inodes = new InodeTable();
  const child = new FakeChild({
    statfs: () => Promise.reject(new TypeError("never")),
    getxattr: () => Promise.reject(ENOENT),
  });
  const kernel = new Kernel(child, inodes);
  equal((await kernel.ask(OP.STATFS, ROOT_NODE)).error, -5);
  equal((await kernel.ask(OP.GETXATTR, ROOT_NODE, 10, 0, "user.a")).error, -2);
});

Deno.test("mount/fuse: what it does not know is ENOSYS", async () => {
  equal((await memory().kernel.ask(OP.POLL, ROOT_NODE, 0n, 0n, 0, 0)).error, -38);
  equal((await memory().kernel.ask(OP.IOCTL, ROOT_NODE, 0n, 0, 0, 0n, 0, 0)).error, -25);
});

Deno.test("mount/fuse: without acl and selinux nobody is asked for their attributes", async () => {
  const child = new FakeChild({});
  const kernel = new Kernel(child, new InodeTable());
  const ask = (name: string) => kernel.ask(OP.GETXATTR, ROOT_NODE, 100, 0, name);
  equal((await ask("system.posix_acl_access")).error, -95);
  equal((await ask("security.selinux")).error, -61);
  deepEqual(child.seen, []);
});

Deno.test("mount/fuse: groups are those that /proc lists", () => {
  deepEqual(groupsIn("Name:\tsh\nGroups:\t4 24 1000 \nNStgid:\t1\n"), [4, 24, 1000]);
  deepEqual(groupsIn(""), []);
});

Deno.test("mount/fuse: a file's gfid is told by the mount itself, as bytes and as text", async () => {
  const { kernel } = memory();
  const { nodeid } = await kernel.create("f");
  const { gfid } = kernel.bridge.nodes.of(nodeid).inode;
  const get = (size: number, name: string) => kernel.ask(OP.GETXATTR, nodeid, size, 0, name);
  equal(gfidFromBytes((await get(16, "glusterfs.gfid")).bytes), gfid);
  equal(new TextDecoder().decode((await get(99, "glusterfs.gfid.string")).bytes), gfid);
  equal((await get(0, "glusterfs.gfid.string")).view.getUint32(0, true), 36);
  equal((await get(15, "glusterfs.gfid")).error, -34);
});
