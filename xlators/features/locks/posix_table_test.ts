import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { ROOT } from "core/call.ts";
import { EAGAIN, EINTR, EINVAL, ENOSYS, EOPNOTSUPP } from "core/errno.ts";
import { O_RDWR, O_TRUNC } from "core/fops.ts";
import { S_IFREG } from "core/iatt.ts";
import { Fd } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { Xdata } from "core/xdata.ts";
import * as keys from "core/xdata_keys.ts";
import { testClient } from "tests/fakes/node.ts";
import { locks as locksType } from "xlators/features/locks/locks.ts";

import { flock } from "tests/fakes/flock.ts";
import {
  by,
  fails,
  FILE,
  isEmpty,
  LAST,
  lkArgs,
  O_NONBLOCK,
  outcome,
  setUp,
  STAT,
} from "tests/fakes/locks_layer.ts";

function io(fd: Fd, offset: number, size: number) {
  return {
    read: { fd, offset, size, flags: 0 },
    write: { fd, offset, data: new Uint8Array(size), flags: 0 },
  };
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

Deno.test("features/locks: who asks for a POSIX lock gets its own extra data back", async () => {
  const { layer } = setUp();
  const xdata = Xdata.of([["fd-reopen-status", { type: "int", value: 1 }]]);
  const asked = { ...lkArgs(new Fd(FILE, O_RDWR), "get", "write"), xdata };
  deepEqual([...(await layer.lk(by(testClient()), asked)).xdata ?? []], [...xdata]);
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
