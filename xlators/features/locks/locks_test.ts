import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { type Call, type Client, type LkOwner, NO_OWNER, ROOT } from "core/call.ts";
import {
  EAGAIN,
  EINTR,
  EINVAL,
  ENOENT,
  ENOSYS,
  ENOTCONN,
  EOPNOTSUPP,
  type FopError,
} from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { type Args, DONE, type Flock, O_RDWR, O_TRUNC, type Reply } from "core/fops.ts";
import { type Iatt, S_IFREG } from "core/iatt.ts";
import { Fd, type Gfid, Inode } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { bytesKey, str, textKey, Xdata } from "core/xdata.ts";
import * as keys from "core/xdata_keys.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { LinesLog, node, testClient, testEnv } from "tests/fakes/node.ts";
import { encodeLockinfo } from "xlators/features/locks/lockinfo.ts";
import { Locks, locks as locksType } from "xlators/features/locks/locks.ts";

const FILE = new Inode("00000000-0000-0000-0000-0000000000f1" as Gfid);
const OTHER = new Inode("00000000-0000-0000-0000-0000000000f2" as Gfid);
const DIR = new Inode("00000000-0000-0000-0000-0000000000d1" as Gfid);
const LAST = (1n << 63n) - 1n;
const O_NONBLOCK = 0o4000;

const STAT: Iatt = {
  gfid: FILE.gfid,
  mode: S_IFREG | 0o644,
  nlink: 1,
  uid: 0,
  gid: 0,
  rdev: 0,
  dev: 1,
  size: 0,
  blksize: 4096,
  blocks: 0,
  atime: 0,
  atimeNsec: 0,
  mtime: 0,
  mtimeNsec: 0,
  ctime: 0,
  ctimeNsec: 0,
};
const CHANGED = { pre: STAT, post: STAT };

/** A layer of locks over a child that does what is needed. */
function setUp(options: Record<string, string> = {}, script: Script = {}) {
  const child = new FakeChild({
    stat: () => Promise.resolve({ stat: STAT }),
    lookup: () => Promise.resolve({ stat: STAT, postParent: undefined }),
    readv: () => Promise.resolve({ data: new Uint8Array(), stat: STAT, eof: true }),
    writev: () => Promise.resolve(CHANGED),
    truncate: () => Promise.resolve(CHANGED),
    ftruncate: () => Promise.resolve(CHANGED),
    fallocate: () => Promise.resolve(CHANGED),
    discard: () => Promise.resolve(CHANGED),
    zerofill: () => Promise.resolve(CHANGED),
    fsync: () => Promise.resolve(CHANGED),
    flush: () => Promise.resolve(DONE),
    release: () => Promise.resolve(DONE),
    open: (_call, { inode, flags }) => Promise.resolve({ fd: new Fd(inode, flags) }),
    unlink: () => Promise.resolve({ preParent: undefined, postParent: undefined }),
    ...script,
  });
  const clock = new FakeClock();
  const log = new LinesLog();
  const layer = new Locks(
    node("vol-locks", [child], { env: testEnv({ clock, log }) }),
    readOptions(locksType.options, new Map(Object.entries(options))),
  );
  const events: GraphEvent[] = [];
  layer.listen((event) => events.push(event));
  return { layer, child, clock, log, events };
}

function by(client: Client, owner = "01", over: Partial<Call> = {}): Call {
  return { ...ROOT, client, pid: 100, lkOwner: owner as LkOwner, ...over };
}

function flock(type: Flock["type"], start: number | bigint = 0, size: number | bigint = 0): Flock {
  return {
    type,
    whence: 0,
    start: BigInt(start),
    size: BigInt(size),
    pid: 100,
    owner: NO_OWNER,
  };
}

/** An inode lock that waits, is tried, or is dropped. */
function inodelk(
  type: Flock["type"],
  start: number | bigint = 0,
  size: number | bigint = 0,
  over: Partial<Args<"inodelk">> = {},
): Args<"inodelk"> {
  return {
    inode: FILE,
    domain: "vol-replicate-0",
    cmd: "set-wait",
    lock: flock(type, start, size),
    ...over,
  };
}

function entrylk(
  name: string,
  cmd: Args<"entrylk">["cmd"] = "lock",
  over: Partial<Args<"entrylk">> = {},
): Args<"entrylk"> {
  return { inode: DIR, domain: "vol-replicate-0", name, cmd, type: "write", ...over };
}

/** What a promise has come to by now. */
async function outcome(promise: Promise<unknown>): Promise<string> {
  const pending = Promise.resolve("waits");
  const settled = promise.then(() => "done", (error: FopError) => error.code);
  // Two turns: answers travel through a `then` or two on the way up.
  for (let turn = 0; turn < 8; turn++) await pending;
  return await Promise.race([settled, pending]);
}

function fails(promise: Promise<unknown>, failure: FopError): Promise<void> {
  return rejects(promise, (error) => failure.matches(error));
}

/** Nothing is kept when nobody holds or waits: all tables are empty. */
function isEmpty(layer: Locks): void {
  deepEqual(layer.state(), { inodes: [] });
}

Deno.test("features/locks: writers exclude each other on a range, readers do not", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write", 0, 10));
  await fails(layer.inodelk(b, inodelk("read", 9, 1, { cmd: "set" })), EAGAIN);
  await layer.inodelk(b, inodelk("write", 10, 10, { cmd: "set" }));
  await layer.inodelk(a, inodelk("read", 100, 0));
  await layer.inodelk(b, inodelk("read", 200, 1, { cmd: "set" }));
  for (const [call, start, size] of [[a, 0, 10], [b, 10, 10], [a, 100, 0], [b, 200, 1]] as const) {
    await layer.inodelk(call, inodelk("unlock", start, size));
  }
  isEmpty(layer);
});

Deno.test("features/locks: an owner never conflicts with itself, another owner of its client does", async () => {
  const { layer } = setUp();
  const client = testClient();
  await layer.inodelk(by(client, "01"), inodelk("write"));
  await layer.inodelk(by(client, "01"), inodelk("write", 0, 5, { cmd: "set" }));
  await fails(layer.inodelk(by(client, "02"), inodelk("write", 0, 0, { cmd: "set" })), EAGAIN);
  await fails(
    layer.inodelk(by(testClient(), "01"), inodelk("write", 0, 0, { cmd: "set" })),
    EAGAIN,
  );
});

Deno.test("features/locks: an unlock must name the very range, and its owner", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write", 0, 10));
  await fails(layer.inodelk(a, inodelk("unlock", 0, 9)), EINVAL);
  await fails(layer.inodelk(b, inodelk("unlock", 0, 10)), EINVAL);
  await fails(layer.inodelk(a, inodelk("unlock", 0, 10, { domain: "else" })), EINVAL);
  await fails(layer.inodelk(a, inodelk("unlock", 0, 10, { inode: OTHER })), EINVAL);
  await layer.inodelk(a, inodelk("unlock", 0, 10));
  await fails(layer.inodelk(a, inodelk("unlock", 0, 10)), EINVAL);
  isEmpty(layer);
});

Deno.test("features/locks: of two locks on a range an unlock drops the younger", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  await layer.inodelk(a, inodelk("read"));
  await layer.inodelk(a, inodelk("unlock"));
  await fails(layer.inodelk(b, inodelk("read", 0, 0, { cmd: "set" })), EAGAIN);
  await layer.inodelk(a, inodelk("unlock"));
  await layer.inodelk(b, inodelk("read", 0, 0, { cmd: "set" }));
});

Deno.test("features/locks: nobody, bad ranges and questions are refused as inode locks", async () => {
  const { layer } = setUp();
  const a = by(testClient());
  await fails(layer.inodelk(by(testClient(), ""), inodelk("write")), EINVAL);
  await fails(layer.inodelk(by(testClient(), "00000000"), inodelk("write")), EINVAL);
  await fails(layer.inodelk(a, inodelk("write", -1n, 1)), EINVAL);
  await fails(layer.inodelk(a, inodelk("write", LAST, 1)), EINVAL);
  await fails(layer.inodelk(a, inodelk("write", 0, 0, { cmd: "get" })), EOPNOTSUPP);
  isEmpty(layer);
});

Deno.test("features/locks: domains do not see each other, nor does metadata see data", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  await layer.inodelk(b, inodelk("write", 0, 0, { domain: "vol-replicate-0:self-heal" }));
  await layer.inodelk(b, inodelk("write", LAST - 1n, 0, { cmd: "set" }));
  const asked = Xdata.of([[keys.INODELK_DOM_COUNT.name, str("vol-replicate-0")]]);
  const { xdata } = await layer.stat(a, { inode: FILE, xdata: asked });
  equal(xdata?.get(keys.INODELK_COUNT), 1);
  await fails(layer.inodelk(a, inodelk("write", LAST - 1n, 0, { cmd: "set" })), EAGAIN);
  await layer.inodelk(b, inodelk("unlock", LAST - 1n, 0));
  await layer.inodelk(b, inodelk("unlock", 0, 0, { domain: "vol-replicate-0:self-heal" }));
  await layer.inodelk(a, inodelk("unlock"));
  isEmpty(layer);
});

Deno.test("features/locks: waiters are granted in order of arrival, readers together", async () => {
  const { layer } = setUp();
  const [a, b, c, d] = [1, 2, 3, 4].map(() => by(testClient()));
  await layer.inodelk(a!, inodelk("write"));
  const second = layer.inodelk(b!, inodelk("write"));
  const third = layer.inodelk(c!, inodelk("read"));
  const fourth = layer.inodelk(d!, inodelk("read"));
  await layer.inodelk(a!, inodelk("unlock"));
  equal(await outcome(second), "done");
  equal(await outcome(third), "waits");
  await layer.inodelk(b!, inodelk("unlock"));
  equal(await outcome(third), "done");
  equal(await outcome(fourth), "done");
  await layer.inodelk(c!, inodelk("unlock"));
  await layer.inodelk(d!, inodelk("unlock"));
  isEmpty(layer);
});

Deno.test("features/locks: a reader does not pass a waiting writer, unless it has a lock already", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient()), c = by(testClient());
  await layer.inodelk(a, inodelk("read"));
  const writer = layer.inodelk(b, inodelk("write"));
  await fails(layer.inodelk(c, inodelk("read", 0, 0, { cmd: "set" })), EAGAIN);
  await layer.inodelk(a, inodelk("read", 5, 1, { cmd: "set" }));
  await layer.inodelk(a, inodelk("unlock", 5, 1));
  await layer.inodelk(a, inodelk("unlock"));
  equal(await outcome(writer), "done");
  await layer.inodelk(b, inodelk("unlock"));
  isEmpty(layer);
});

Deno.test("features/locks: a client that goes away loses its locks and its place in every queue", async () => {
  const { layer } = setUp();
  const gone = testClient(), stays = by(testClient());
  const a = by(gone);
  await layer.inodelk(a, inodelk("write"));
  await layer.entrylk(a, entrylk("x"));
  await layer.lk(a, { fd: new Fd(FILE, O_RDWR), cmd: "set", lock: flock("write") });
  await layer.inodelk(stays, inodelk("write", 0, 0, { inode: OTHER }));
  const waits = [
    layer.inodelk(a, inodelk("write", 0, 0, { inode: OTHER })),
    layer.inodelk(stays, inodelk("write")),
    layer.entrylk(stays, entrylk("x")),
    layer.lk(stays, { fd: new Fd(FILE, O_RDWR), cmd: "set-wait", lock: flock("write") }),
  ];
  layer.clientGone(gone);
  deepEqual(await Promise.all(waits.map(outcome)), ["ENOTCONN", "done", "done", "done"]);
  await fails(layer.inodelk(a, inodelk("write", 0, 0, { domain: "late" })), ENOTCONN);
  await fails(layer.entrylk(a, entrylk("late", "try-lock")), ENOTCONN);
  const late = { fd: new Fd(OTHER, O_RDWR), cmd: "set", lock: flock("read") } as const;
  await fails(layer.lk(a, late), ENOTCONN);
  layer.clientGone(stays.client);
  isEmpty(layer);
});

Deno.test("features/locks: a queued request of a client that goes away holds nobody up", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient()), c = by(testClient());
  await layer.inodelk(a, inodelk("read"));
  const writer = layer.inodelk(b, inodelk("write"));
  const reader = layer.inodelk(c, inodelk("read"));
  equal(await outcome(reader), "waits");
  layer.clientGone(b.client);
  equal(await outcome(writer), "ENOTCONN");
  equal(await outcome(reader), "done");
});

Deno.test("features/locks: names exclude each other, all names exclude every name", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  await layer.entrylk(a, entrylk("x"));
  await layer.entrylk(b, entrylk("y", "try-lock"));
  await fails(layer.entrylk(b, entrylk("x", "try-lock")), EAGAIN);
  await fails(layer.entrylk(b, entrylk("x", "try-lock", { type: "read" })), EAGAIN);
  await fails(layer.entrylk(b, entrylk("", "try-lock")), EAGAIN);
  await layer.entrylk(b, entrylk("x", "try-lock", { domain: "else" }));
  const whole = layer.entrylk(b, entrylk(""));
  equal(await outcome(whole), "waits");
  await fails(layer.entrylk(a, entrylk("x", "unlock", { type: "read" })), EINVAL);
  await fails(layer.entrylk(b, entrylk("x", "unlock")), EINVAL);
  await layer.entrylk(a, entrylk("x", "unlock"));
  equal(await outcome(whole), "done");
  await fails(layer.entrylk(a, entrylk("z", "try-lock")), EAGAIN);
  for (const name of ["", "y"]) await layer.entrylk(b, entrylk(name, "unlock"));
  await layer.entrylk(b, entrylk("x", "unlock", { domain: "else" }));
  isEmpty(layer);
});

Deno.test("features/locks: locks through a file and through its inode are the same", async () => {
  const { layer } = setUp();
  const a = by(testClient()), b = by(testClient());
  const { inode: _, ...range } = inodelk("write");
  await layer.finodelk(a, { ...range, fd: new Fd(FILE, O_RDWR) });
  // Another object for the same file: state goes by gfid.
  await fails(
    layer.inodelk(b, inodelk("write", 0, 0, { cmd: "set", inode: new Inode(FILE.gfid) })),
    EAGAIN,
  );
  const { inode: _dir, ...name } = entrylk("x");
  await layer.fentrylk(a, { ...name, fd: new Fd(DIR, 0) });
  await fails(layer.entrylk(b, entrylk("x", "try-lock")), EAGAIN);
  layer.clientGone(a.client);
  isEmpty(layer);
});

// POSIX locks.

function lkArgs(
  fd: Fd,
  cmd: Args<"lk">["cmd"],
  type: Flock["type"],
  start = 0,
  size = 0,
): Args<"lk"> {
  return { fd, cmd, lock: flock(type, start, size) };
}

Deno.test("features/locks: GETLK tells who is in the way, and what the file could have", async () => {
  const { layer } = setUp();
  const fd = new Fd(FILE, O_RDWR), a = by(testClient(), "0a", { pid: 7 }), b = by(testClient());
  await layer.lk(a, { fd, cmd: "set", lock: { ...flock("write", 10, 10), pid: 77 } });
  const { lock } = await layer.lk(b, lkArgs(fd, "get", "read", 0, 0));
  deepEqual(lock, { type: "write", whence: 0, start: 10n, size: 10n, pid: 77, owner: "0a" });
  equal((await layer.lk(b, lkArgs(fd, "get", "read", 0, 10))).lock.type, "unlock");
  equal((await layer.lk(a, lkArgs(fd, "get", "write"))).lock.type, "unlock");
});

Deno.test("features/locks: a POSIX lock waits until all of its range is free", async () => {
  const { layer } = setUp();
  const fd = new Fd(FILE, O_RDWR), a = by(testClient()), b = by(testClient());
  await layer.lk(a, lkArgs(fd, "set", "write", 0, 10));
  await layer.lk(a, lkArgs(fd, "set", "write", 20, 10));
  await fails(layer.lk(b, lkArgs(fd, "set", "read", 5, 20)), EAGAIN);
  const waits = layer.lk(b, lkArgs(fd, "set-wait", "read", 5, 20));
  equal((await layer.lk(a, lkArgs(fd, "set", "unlock", 0, 10))).lock.type, "read");
  equal(await outcome(waits), "waits");
  equal((await layer.lk(a, lkArgs(fd, "set", "unlock", 20, 5))).lock.type, "read");
  equal(await outcome(waits), "done");
  deepEqual((await waits).lock.size, 20n);
  equal((await layer.lk(a, lkArgs(fd, "set", "unlock", 0, 0))).lock.type, "read");
  equal((await layer.lk(b, lkArgs(fd, "set-wait", "unlock", 0, 0))).lock.type, "unlock");
  isEmpty(layer);
});

Deno.test("features/locks: two readers that both want to write do not wait for each other", async () => {
  const { layer } = setUp();
  const fd = new Fd(FILE, O_RDWR), a = by(testClient()), b = by(testClient());
  await layer.lk(a, lkArgs(fd, "set", "read"));
  await layer.lk(b, lkArgs(fd, "set", "read"));
  const first = layer.lk(a, lkArgs(fd, "set-wait", "write"));
  const second = layer.lk(b, lkArgs(fd, "set-wait", "write"));
  // The first gave up its read lock to wait, so the second is not in anybody's way.
  deepEqual([await outcome(first), await outcome(second)], ["waits", "done"]);
  await layer.lk(b, lkArgs(fd, "set", "unlock"));
  equal(await outcome(first), "done");
});

Deno.test("features/locks: a signal ends a wait with EINTR and leaves nothing", async () => {
  const { layer } = setUp();
  const fd = new Fd(FILE, O_RDWR), a = by(testClient()), b = by(testClient());
  await layer.lk(a, lkArgs(fd, "set", "write"));
  const abort = new AbortController();
  const waits = layer.lk(b, { ...lkArgs(fd, "set-wait", "write"), signal: abort.signal });
  equal(await outcome(waits), "waits");
  abort.abort();
  equal(await outcome(waits), "EINTR");
  await fails(
    layer.lk(b, { ...lkArgs(fd, "set-wait", "write"), signal: AbortSignal.abort() }),
    EINTR,
  );
  await layer.lk(a, lkArgs(fd, "set", "unlock"));
  isEmpty(layer);
});

Deno.test("features/locks: a flush drops the owner's locks, a release those of the file", async () => {
  const { layer, child } = setUp();
  const client = testClient(), fd = new Fd(FILE, O_RDWR), second = new Fd(FILE, O_RDWR);
  const fcntl = by(client, "0f"), flocks = by(client, "0e"), other = by(testClient());
  await layer.lk(fcntl, lkArgs(fd, "set", "read", 0, 5));
  await layer.lk(fcntl, lkArgs(second, "set", "read", 10, 5));
  await layer.lk(flocks, lkArgs(fd, "set", "read"));
  await layer.flush(fcntl, { fd: second });
  equal((await layer.getactivelk(ROOT, { inode: FILE })).locks.length, 1);
  const waits = layer.lk(other, lkArgs(new Fd(FILE, O_RDWR), "set-wait", "write"));
  await layer.release(flocks, { fd: second });
  equal(await outcome(waits), "waits");
  await layer.release(flocks, { fd });
  equal(await outcome(waits), "done");
  deepEqual(child.fops, ["flush", "release", "release"]);
  await layer.flush(other, { fd });
  isEmpty(layer);
});

Deno.test("features/locks: a flush of nobody drops all of the file, waiters too", async () => {
  const { layer } = setUp();
  const fd = new Fd(FILE, O_RDWR), client = testClient();
  await layer.lk(by(testClient()), lkArgs(new Fd(FILE, O_RDWR), "set", "write", 0, 1));
  await layer.lk(by(client, "01"), lkArgs(fd, "set", "write", 5, 1));
  const waits = layer.lk(by(client, "02"), lkArgs(fd, "set-wait", "write", 0, 1));
  await layer.flush(by(client, ""), { fd });
  equal(await outcome(waits), "EAGAIN");
  equal((await layer.getactivelk(ROOT, { inode: FILE })).locks.length, 1);
});

Deno.test("features/locks: POSIX locks of nobody, past 2^63 or as reservations are refused", async () => {
  const { layer } = setUp();
  const fd = new Fd(FILE, O_RDWR), a = by(testClient());
  await fails(layer.lk(by(testClient(), ""), lkArgs(fd, "set", "read")), EINVAL);
  await fails(layer.lk(a, lkArgs(fd, "set", "read", -5, 1)), EINVAL);
  await fails(layer.lk(a, { fd, cmd: "set", lock: flock("read", LAST, 2n) }), EINVAL);
  await fails(layer.lk(a, lkArgs(fd, "reserve", "read")), EOPNOTSUPP);
  await fails(
    layer.lease(a, {
      inode: FILE,
      lease: { cmd: 1, type: 0, id: "", flags: 0 },
    }),
    ENOSYS,
  );
  isEmpty(layer);
});

// Counts.

function asking(...names: readonly { readonly name: string }[]): Xdata {
  return Xdata.of(names.map(({ name }) => [name, { type: "uint", value: 0 }]));
}

Deno.test("features/locks: lookup counts granted and waiting locks, and keeps the question to itself", async () => {
  const { layer, child } = setUp();
  const a = by(testClient()), b = by(testClient()), fd = new Fd(FILE, O_RDWR);
  await layer.inodelk(a, inodelk("write"));
  const waits = layer.inodelk(b, inodelk("write"));
  await layer.inodelk(a, inodelk("write", 0, 0, { domain: "vol-replicate-0:self-heal" }));
  await layer.entrylk(a, entrylk("f"));
  await layer.entrylk(a, entrylk("z", "lock", { inode: FILE }));
  await layer.lk(a, lkArgs(fd, "set", "read", 0, 1));
  const heal = `${keys.INODELK_DOM_PREFIX}:vol-replicate-0:self-heal`;
  const main = `${keys.INODELK_DOM_PREFIX}:vol-replicate-0`;
  const asked = asking(
    keys.INODELK_COUNT,
    keys.ENTRYLK_COUNT,
    keys.PARENT_ENTRYLK,
    keys.POSIXLK_COUNT,
    keys.MULTI_DOM_LK_COUNT,
    { name: heal },
    { name: main },
    keys.LIST_XATTR,
  );
  const { xdata } = await layer.lookup(a, { parent: DIR, name: "f", xdata: asked });
  deepEqual(
    [...xdata ?? []].sort(),
    [
      [keys.ENTRYLK_COUNT.name, { type: "int", value: 1 }],
      [keys.INODELK_COUNT.name, { type: "int", value: 3 }],
      [main, { type: "int", value: 2 }],
      [heal, { type: "int", value: 1 }],
      [keys.PARENT_ENTRYLK.name, { type: "int", value: 1 }],
      [keys.POSIXLK_COUNT.name, { type: "int", value: 1 }],
    ].sort(),
  );
  deepEqual([...child.last("lookup").xdata!.names()], [keys.LIST_XATTR.name]);
  layer.clientGone(a.client);
  await waits;
  layer.clientGone(b.client);
  isEmpty(layer);
});

Deno.test("features/locks: a lock on all names is no lock on the parent's name", async () => {
  const { layer } = setUp();
  const a = by(testClient());
  await layer.entrylk(a, entrylk(""));
  const asked = { parent: DIR, name: "f", xdata: asking(keys.PARENT_ENTRYLK) };
  equal((await layer.lookup(a, asked)).xdata?.get(keys.PARENT_ENTRYLK), 0);
  const nameless = { inode: FILE, name: "", xdata: asking(keys.PARENT_ENTRYLK) };
  equal((await layer.lookup(a, nameless)).xdata, undefined);
});

Deno.test("features/locks: a write's count is taken after the write", async () => {
  const written = Promise.withResolvers<typeof CHANGED>();
  const { layer } = setUp({}, { writev: () => written.promise });
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  const xdata = Xdata.of([[keys.INODELK_DOM_COUNT.name, str("vol-replicate-0")]]);
  const write = layer.writev(a, {
    fd: new Fd(FILE, O_RDWR),
    offset: 0,
    data: new Uint8Array(1),
    flags: 0,
    xdata,
  });
  const waits = layer.inodelk(b, inodelk("write"));
  written.resolve(CHANGED);
  equal((await write).xdata?.get(keys.INODELK_COUNT), 2);
  layer.clientGone(a.client);
  await waits;
});

Deno.test("features/locks: reads and writes without extra data are forwarded as they are", () => {
  const answer = Promise.resolve(CHANGED);
  const { layer, child } = setUp({}, { writev: () => answer });
  const args = { fd: new Fd(FILE, O_RDWR), offset: 0, data: new Uint8Array(1), flags: 0 };
  equal(layer.writev(ROOT, args), answer);
  equal(child.last("writev"), args);
});

// Contention.

Deno.test("features/locks: holders hear of contention once in five seconds", async () => {
  const { layer, clock, events } = setUp();
  const a = by(testClient(), "01", { pid: 9 }), b = by(testClient());
  await layer.inodelk(a, inodelk("write", 5, 10));
  await fails(layer.inodelk(b, inodelk("write", 0, 0, { cmd: "set" })), EAGAIN);
  deepEqual(events, [{
    type: "inodelk-contention",
    client: a.client,
    gfid: FILE.gfid,
    domain: "vol-replicate-0",
    lock: { ...flock("write", 5, 10), pid: 9 },
  }]);
  clock.advance(4999);
  const waits = layer.inodelk(b, inodelk("write"));
  equal(events.length, 1);
  clock.advance(1);
  await fails(layer.inodelk(b, inodelk("read", 7, 1, { cmd: "set" })), EAGAIN);
  equal(events.length, 2);
  await layer.inodelk(a, inodelk("unlock", 5, 10));
  await waits;
  equal(events.length, 2);
});

Deno.test("features/locks: holders of names hear of contention, unless that is turned off", async () => {
  const { layer, events } = setUp();
  const a = by(testClient(), "01", { pid: 9 }), b = by(testClient());
  await layer.entrylk(a, entrylk("x"));
  await fails(layer.entrylk(b, entrylk("", "try-lock")), EAGAIN);
  deepEqual(events, [{
    type: "entrylk-contention",
    client: a.client,
    gfid: DIR.gfid,
    domain: "vol-replicate-0",
    name: "x",
    lockType: "write",
    pid: 9,
  }]);
  layer.reconfigure(readOptions(
    locksType.options,
    new Map([["notify-contention", "off"], ["notify-contention-delay", "0"]]),
  ));
  await fails(layer.entrylk(b, entrylk("", "try-lock")), EAGAIN);
  equal(events.length, 1);
});

// Mandatory locks.

function io(fd: Fd, offset: number, size: number) {
  return {
    read: { fd, offset, size, flags: 0 },
    write: { fd, offset, data: new Uint8Array(size), flags: 0 },
  };
}

Deno.test("features/locks: forced locks hold up writes of others, and reads if they are for writing", async () => {
  const { layer, child } = setUp({ "mandatory-locking": "forced" });
  const fd = new Fd(FILE, O_RDWR), a = by(testClient()), b = by(testClient());
  await layer.lk(a, lkArgs(fd, "set", "read", 0, 10));
  await layer.readv(b, io(fd, 0, 10).read);
  await layer.writev(b, io(fd, 10, 10).write);
  await layer.writev(a, io(fd, 0, 10).write);
  await layer.writev({ ...b, pid: -6 }, io(fd, 0, 10).write);
  const write = layer.writev(b, io(fd, 9, 10).write);
  equal(await outcome(write), "waits");
  await layer.lk(a, lkArgs(fd, "set", "write", 0, 10));
  const read = layer.readv(b, io(fd, 0, 1).read);
  equal(await outcome(read), "waits");
  const seen = child.seen.length;
  await layer.lk(a, lkArgs(fd, "set", "unlock"));
  equal(await outcome(write), "done");
  equal(await outcome(read), "done");
  deepEqual(child.fops.slice(seen), ["writev", "readv"]);
  isEmpty(layer);
});

Deno.test("features/locks: what must not wait for a mandatory lock fails with EAGAIN", async () => {
  const { layer, child } = setUp({ "mandatory-locking": "forced" });
  const fd = new Fd(FILE, O_RDWR), hasty = new Fd(FILE, O_RDWR | O_NONBLOCK);
  const a = by(testClient()), b = by(testClient());
  await layer.lk(a, lkArgs(fd, "set", "write", 100, 10));
  const seen = child.seen.length;
  await fails(layer.writev(b, io(hasty, 100, 1).write), EAGAIN);
  await fails(layer.readv(b, io(hasty, 109, 5).read), EAGAIN);
  await fails(layer.truncate(b, { inode: FILE, offset: 0 }), EAGAIN);
  await fails(layer.ftruncate(b, { fd: hasty, offset: 109 }), EAGAIN);
  await fails(layer.fallocate(b, { fd: hasty, offset: 90, size: 20, mode: 0 }), EAGAIN);
  await fails(layer.discard(b, { fd: hasty, offset: 90, size: 20 }), EAGAIN);
  await fails(layer.zerofill(b, { fd: hasty, offset: 90, size: 20 }), EAGAIN);
  await fails(layer.open(b, { inode: FILE, flags: O_RDWR | O_TRUNC }), EAGAIN);
  equal(child.seen.length, seen);
  await layer.ftruncate(b, { fd: hasty, offset: 110 });
  await layer.open(b, { inode: FILE, flags: O_RDWR });
});

Deno.test("features/locks: optimal mode minds only locks asked for as mandatory", async () => {
  const { layer } = setUp({ "mandatory-locking": "optimal" });
  const fd = new Fd(FILE, O_RDWR | O_NONBLOCK), a = by(testClient()), b = by(testClient());
  await layer.lk(a, lkArgs(fd, "set", "write", 0, 10));
  await layer.writev(b, io(fd, 0, 1).write);
  await layer.open(b, { inode: FILE, flags: O_TRUNC });
  const xdata = new Xdata(new Map()).with(keys.LOCK_MODE, 1);
  await layer.lk(a, { ...lkArgs(fd, "set", "write", 20, 10), xdata });
  await fails(layer.writev(b, io(fd, 20, 1).write), EAGAIN);
  await fails(layer.open(b, { inode: FILE, flags: O_TRUNC }), EAGAIN);
});

Deno.test("features/locks: file mode minds locks on files that are marked", async () => {
  let mode = 0o644;
  const { layer } = setUp({ "mandatory-locking": "file" }, {
    stat: () => Promise.resolve({ stat: { ...STAT, mode: S_IFREG | mode } }),
  });
  const fd = new Fd(FILE, O_RDWR | O_NONBLOCK), a = by(testClient()), b = by(testClient());
  await layer.lk(a, lkArgs(fd, "set", "write", 0, 10));
  await layer.writev(b, io(fd, 0, 1).write);
  mode = 0o2644;
  await fails(layer.writev(b, io(fd, 0, 1).write), EAGAIN);
  mode = 0o2755;
  await layer.writev(b, io(fd, 0, 1).write);
});

Deno.test("features/locks: writes held up end with their client, or when mandatory locks are turned off", async () => {
  const { layer } = setUp({ "mandatory-locking": "forced" });
  const fd = new Fd(FILE, O_RDWR), a = by(testClient()), b = by(testClient()), c = by(testClient());
  await layer.lk(a, lkArgs(fd, "set", "write"));
  const dies = layer.writev(b, io(fd, 0, 1).write);
  const lives = layer.writev(c, io(fd, 0, 1).write);
  layer.clientGone(b.client);
  equal(await outcome(dies), "ENOTCONN");
  equal(await outcome(lives), "waits");
  layer.reconfigure(readOptions(locksType.options, new Map()));
  equal(await outcome(lives), "done");
  layer.clientGone(a.client);
  isEmpty(layer);
});

// Clearing, revocation, removals.

const summaryOf = async (layer: Locks, call: Call, inode: Inode, name: string) =>
  (await layer.getxattr(call, { inode, name })).xattrs?.get(textKey(name));

Deno.test("features/locks: clear-locks drops what it names and tells how many", async () => {
  const pathinfo = "<POSIX(/bricks/a):host1:/bricks/a/dir/f>";
  const { layer } = setUp({}, {
    getxattr: (_call, { name }) => Promise.resolve({ xattrs: Xdata.of([[name, str(pathinfo)]]) }),
  });
  const a = by(testClient()), b = by(testClient()), fd = new Fd(FILE, O_RDWR);
  await layer.inodelk(a, inodelk("write", 0, 10));
  await layer.inodelk(a, inodelk("write", 20, 10));
  const waits = layer.inodelk(b, inodelk("write"));
  const clear = (name: string, inode = FILE) =>
    summaryOf(layer, a, inode, `glusterfs.clrlk.${name}`);
  equal(await clear("tinode.kgranted.0,0-11"), "No locks cleared.");
  equal(
    await clear("tinode.kgranted.0,0-10"),
    "host1:/bricks/a/dir/f: inode blocked locks=0 granted locks=1",
  );
  equal(
    await clear("tinode.kblocked"),
    "host1:/bricks/a/dir/f: inode blocked locks=1 granted locks=0",
  );
  equal(await outcome(waits), "EAGAIN");
  await layer.entrylk(a, entrylk("x.y"));
  await layer.entrylk(a, entrylk("z"));
  equal(
    await clear("tentry.kall.x.y", DIR),
    "host1:/bricks/a/dir/f: entry blocked locks=0 granted locks=1",
  );
  await layer.lk(a, lkArgs(fd, "set", "write"));
  const posix = layer.lk(b, lkArgs(fd, "set-wait", "write"));
  equal(
    await clear("tposix.kall"),
    "host1:/bricks/a/dir/f: posix blocked locks=1 granted locks=1",
  );
  equal(await outcome(posix), "EINTR");
  await layer.entrylk(a, entrylk("z", "unlock"));
  await layer.inodelk(a, inodelk("unlock", 20, 10));
  isEmpty(layer);
});

Deno.test("features/locks: clear-locks that makes no sense clears nothing", async () => {
  const { layer } = setUp();
  const a = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  for (
    const name of [
      "",
      ".tinode",
      ".tinode.kwrong",
      ".twrong.kall",
      ".tinode.kall.x",
      ".kall.tinode",
    ]
  ) {
    await fails(layer.getxattr(a, { inode: FILE, name: `glusterfs.clrlk${name}` }), EINVAL);
  }
  await fails(layer.getxattr(a, { inode: FILE, name: "glusterfs.intrlk.tinode.kall" }), EINVAL);
  await layer.inodelk(a, inodelk("unlock"));
});

Deno.test("features/locks: an interrupt ends the wait of the caller's own process only", async () => {
  const { layer } = setUp();
  const fd = new Fd(FILE, O_RDWR), a = by(testClient()), client = testClient();
  const mine = by(client, "01", { pid: 5 }), neighbour = by(client, "02", { pid: 6 });
  await layer.lk(a, lkArgs(fd, "set", "write"));
  const interrupted = layer.lk(mine, lkArgs(fd, "set-wait", "write"));
  const stays = layer.lk(neighbour, lkArgs(fd, "set-wait", "write"));
  const name = "glusterfs.intrlk.tposix.kblocked.0,0-0";
  const { xattrs } = await layer.fgetxattr(mine, { fd, name });
  equal(xattrs?.get(textKey(name)), "vol-locks: posix blocked locks=1 granted locks=0");
  equal(await outcome(interrupted), "EINTR");
  equal(await outcome(stays), "waits");
  layer.clientGone(a.client);
  equal(await outcome(stays), "done");
});

Deno.test("features/locks: a lock that stands in the way for too long is revoked", async () => {
  const { layer, clock, log } = setUp({ "revocation-secs": "10" });
  const a = by(testClient()), b = by(testClient()), c = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  const first = layer.inodelk(b, inodelk("write"));
  clock.advance(10_001);
  const second = layer.inodelk(c, inodelk("write"));
  equal(await outcome(first), "done");
  equal(await outcome(second), "waits");
  ok(log.lines.some((line) => line.startsWith("W inode locks revoked")), log.lines.join("\n"));
  await fails(layer.inodelk(a, inodelk("unlock")), EINVAL);
});

Deno.test("features/locks: a holder's own old lock is not revoked by its next request", async () => {
  const { layer, clock } = setUp({ "revocation-secs": "10" });
  const a = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  clock.advance(60_000);
  await layer.inodelk(a, inodelk("write", 5, 1));
  await layer.inodelk(a, inodelk("unlock"));
});

Deno.test("features/locks: with too many waiters all are failed if asked for", async () => {
  const { layer } = setUp({
    "revocation-secs": "1000",
    "revocation-max-blocked": "2",
    "revocation-clear-all": "on",
  });
  const calls = [1, 2, 3, 4].map(() => by(testClient()));
  await layer.entrylk(calls[0]!, entrylk("x"));
  const waits = [1, 2].map((each) => layer.entrylk(calls[each]!, entrylk("x")));
  const last = layer.entrylk(calls[3]!, entrylk("x"));
  deepEqual(await Promise.all(waits.map(outcome)), ["EAGAIN", "EAGAIN"]);
  equal(await outcome(last), "done");
});

Deno.test("features/locks: an unlink waits for inode locks of other clients, who hear of it", async () => {
  const { layer, child, events } = setUp();
  const a = by(testClient()), b = by(testClient()), c = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  const removal = layer.unlink(b, { parent: DIR, name: "f", flags: 0 });
  equal(await outcome(removal), "waits");
  equal(events.length, 1);
  // Nobody new gets in between, except who is in already.
  await fails(layer.inodelk(c, inodelk("read", 0, 0, { cmd: "set", domain: "d2" })), EAGAIN);
  await layer.inodelk(a, inodelk("read", 0, 0, { cmd: "set", domain: "d2" }));
  await layer.inodelk(a, inodelk("unlock"));
  equal(await outcome(removal), "waits");
  const late = layer.inodelk(c, inodelk("write"));
  await layer.inodelk(a, inodelk("unlock", 0, 0, { domain: "d2" }));
  equal(await outcome(removal), "done");
  equal(await outcome(late), "done");
  deepEqual(child.fops, ["lookup", "unlink"]);
  await layer.inodelk(c, inodelk("unlock"));
  isEmpty(layer);
});

Deno.test("features/locks: a removal does not wait for its own client, for daemons, or in vain", async () => {
  const { layer, child } = setUp({}, { lookup: () => Promise.reject(ENOENT) });
  const a = by(testClient()), b = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  await layer.unlink(b, { parent: DIR, name: "gone", flags: 0 });
  const own = setUp();
  await own.layer.inodelk(a, inodelk("write"));
  await own.layer.inodelk(
    by(testClient(), "01", { pid: -6 }),
    inodelk("write", 0, 0, {
      domain: "heal",
    }),
  );
  await own.layer.unlink(a, { parent: DIR, name: "f", flags: 0 });
  const waits = own.layer.unlink(b, { parent: DIR, name: "f", flags: 0 });
  own.layer.clientGone(b.client);
  equal(await outcome(waits), "ENOTCONN");
  const next = own.layer.unlink(by(testClient()), { parent: DIR, name: "f", flags: 0 });
  equal(await outcome(next), "waits");
  own.layer.clientGone(a.client);
  equal(await outcome(next), "done");
  deepEqual(child.fops, ["lookup", "unlink"]);
});

Deno.test("features/locks: no application gets an inode lock while the inode is being removed", async () => {
  const removed = Promise.withResolvers<Reply<"unlink">>();
  const { layer } = setUp({}, { unlink: () => removed.promise });
  const a = by(testClient());
  await layer.inodelk(a, inodelk("write"));
  const removal = layer.unlink(a, { parent: DIR, name: "f", flags: 0 });
  equal(await outcome(removal), "waits");
  const late = layer.inodelk(a, inodelk("read", 0, 0, { domain: "d2" }));
  equal(await outcome(late), "waits");
  await layer.inodelk({ ...a, pid: -6 }, inodelk("read", 0, 0, { domain: "heal", cmd: "set" }));
  removed.resolve({ preParent: undefined, postParent: undefined });
  await removal;
  equal(await outcome(late), "done");
});

Deno.test("features/locks: a statedump tells who holds and who waits, and since when", async () => {
  const { layer, clock } = setUp();
  const a = by(testClient("alpha"), "0a"), b = by(testClient("beta"), "0b");
  await layer.inodelk(a, inodelk("write", 1, 2));
  clock.advance(1000);
  const waits = layer.inodelk(b, inodelk("read"));
  await layer.entrylk(a, entrylk("x"));
  await layer.lk(b, lkArgs(new Fd(FILE, O_RDWR), "set", "read", 0, 1));
  deepEqual(layer.state(), {
    inodes: [
      {
        gfid: FILE.gfid,
        inodelks: [
          {
            domain: "vol-replicate-0",
            state: "granted",
            grantedAt: "2030-01-01T00:00:00.000Z",
            type: "write",
            start: "1",
            size: "2",
            client: "alpha",
            owner: "0a",
            pid: 100,
          },
          {
            domain: "vol-replicate-0",
            state: "blocked",
            blockedAt: "2030-01-01T00:00:01.000Z",
            type: "read",
            start: "0",
            size: "0",
            client: "beta",
            owner: "0b",
            pid: 100,
          },
        ],
        posixlks: [{
          state: "granted",
          since: "2030-01-01T00:00:01.000Z",
          type: "read",
          start: "0",
          size: "1",
          client: "beta",
          owner: "0b",
          pid: 100,
        }],
      },
      {
        gfid: DIR.gfid,
        entrylks: [{
          domain: "vol-replicate-0",
          state: "granted",
          grantedAt: "2030-01-01T00:00:01.000Z",
          type: "write",
          name: "x",
          client: "alpha",
          owner: "0a",
          pid: 100,
        }],
      },
    ],
  });
  layer.clientGone(a.client);
  await waits;
  layer.clientGone(b.client);
  isEmpty(layer);
});

Deno.test("features/locks: a client takes its POSIX locks along to a new connection", async () => {
  const { layer } = setUp({}, {
    getxattr: (_call, { name }) =>
      Promise.resolve({ xattrs: Xdata.of([[name, str("<POSIX(/bricks/a):host1:/bricks/a/f>")]]) }),
  });
  const old = by(testClient()), fresh = by(testClient()), thief = by(testClient(), "05");
  const from = new Fd(FILE, O_RDWR), to = new Fd(FILE, O_RDWR);
  const name = "trusted.glusterfs.lockinfo";
  equal((await layer.fgetxattr(old, { fd: from, name })).xattrs, undefined);
  await layer.lk(old, lkArgs(from, "set", "write", 0, 10));
  const { xattrs } = await layer.fgetxattr(old, { fd: from, name });
  const forged = new Xdata(new Map()).with(
    bytesKey(name),
    encodeLockinfo("<POSIX(/bricks/a):host1", "1"),
  );
  await layer.fsetxattr(thief, { fd: new Fd(FILE, O_RDWR), xattrs: forged, flags: 0 });
  for (const broken of [[], [0, 0, 0, 1], [0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9, 1, 2]]) {
    const bad = new Xdata(new Map()).with(bytesKey(name), Uint8Array.from(broken));
    await fails(layer.fsetxattr(fresh, { fd: to, xattrs: bad, flags: 0 }), EINVAL);
  }
  await layer.fsetxattr(fresh, { fd: to, xattrs, flags: 0 });
  layer.clientGone(old.client);
  equal((await layer.lk(thief, lkArgs(to, "get", "write"))).lock.owner, "01");
  await layer.release(fresh, { fd: to });
  isEmpty(layer);
});
