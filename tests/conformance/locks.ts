/**
 * Inodelk, entrylk and POSIX locks, for graphs that have `features/locks`. Owners differ by
 * lock owner only, so that one connection's graph can be tested.
 */

import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import type { Call, LkOwner } from "core/call.ts";
import { EAGAIN, EBADF, EINVAL } from "core/errno.ts";
import type { Flock, LockCommand, LockType } from "core/fops.ts";
import type { Fd, Inode } from "core/inode.ts";
import { Xdata, type XKey } from "core/xdata.ts";
import {
  ENTRYLK_COUNT,
  INODELK_COUNT,
  INODELK_DOM_COUNT,
  PARENT_ENTRYLK,
} from "core/xdata_keys.ts";
import { type Cases, fails, Place, type Subject } from "tests/conformance/place.ts";

// Not 2^63 - 2: replicate's metadata lock is there, and bricks keep it apart from the others.
const FAR = 0x7ffffffffffffff0n;

/** The superuser with a lock owner of its own. */
function owner(subject: Subject, name: string): Call {
  return { ...subject.call, lkOwner: name as LkOwner };
}

function flock(type: LockType, start: bigint, size: bigint, call?: Call): Flock {
  return { type, whence: 0, start, size, pid: 1, owner: call?.lkOwner ?? "" as LkOwner };
}

/** True if `answer` has not come after all that is under way was answered. */
async function waits(place: Place, answer: Promise<unknown>): Promise<boolean> {
  let done = false;
  answer.then(() => done = true, () => done = true);
  for (let i = 0; i < 3; i++) await place.stat(place.dir);
  return !done;
}

class Inodelks {
  constructor(readonly place: Place, readonly inode: Inode, readonly domain = "v-replicate-0") {}
  ask(call: Call, cmd: LockCommand, type: LockType, start: bigint, size: bigint) {
    const args = { inode: this.inode, domain: this.domain, cmd, lock: flock(type, start, size) };
    return this.place.ask("inodelk", args, call);
  }
}

async function inodelks(subject: Subject) {
  const place = await Place.of(subject);
  const on = new Inodelks(place, await place.file("f"));
  return { place, on, a: owner(subject, "aa"), b: owner(subject, "bb"), c: owner(subject, "cc") };
}

function count(key: XKey<number>): Xdata {
  return new Xdata(new Map()).with(key, 0);
}

interface PosixLocks {
  readonly place: Place;
  readonly fd: Fd;
  readonly a: Call;
  readonly b: Call;
  lk(call: Call, cmd: LockCommand, type: LockType, start: bigint, size: bigint): Promise<Flock>;
}

// A case with an open file, which it may close itself.
async function posixLocks(subject: Subject, run: (on: PosixLocks) => Promise<void>): Promise<void> {
  const place = await Place.of(subject);
  const { fd } = await place.create("f");
  const lk: PosixLocks["lk"] = async (call, cmd, type, start, size) =>
    (await place.ask("lk", { fd, cmd, lock: flock(type, start, size, call) }, call)).lock;
  try {
    await run({ place, fd, lk, a: owner(subject, "aa"), b: owner(subject, "bb") });
  } finally {
    await place.ask("release", { fd }).catch((error) => ok(EBADF.matches(error), String(error)));
  }
}

export const locks: Cases = {
  async "inodelk: overlapping write locks of two owners conflict with EAGAIN"(subject) {
    const { on, a, b } = await inodelks(subject);
    await on.ask(a, "set", "write", 0n, 100n);
    await fails(on.ask(b, "set", "write", 99n, 1n), EAGAIN);
    await fails(on.ask(b, "set", "read", 0n, 0n), EAGAIN);
    await on.ask(b, "set", "write", 100n, 10n);
    await on.ask(a, "set", "unlock", 0n, 100n);
    await on.ask(b, "set", "write", 0n, 100n);
  },

  async "inodelk: read locks are shared, a write lock waits for all of them"(subject) {
    const { on, a, b, c } = await inodelks(subject);
    await on.ask(a, "set", "read", 0n, 0n);
    await on.ask(b, "set", "read", 0n, 0n);
    await fails(on.ask(c, "set", "write", 5n, 5n), EAGAIN);
    await on.ask(a, "set", "unlock", 0n, 0n);
    await fails(on.ask(c, "set", "write", 5n, 5n), EAGAIN);
    await on.ask(b, "set", "unlock", 0n, 0n);
    await on.ask(c, "set", "write", 5n, 5n);
  },

  async "inodelk: an owner never conflicts with itself"(subject) {
    const { on, a } = await inodelks(subject);
    await on.ask(a, "set", "write", 0n, 0n);
    await on.ask(a, "set", "write", 0n, 0n);
    await on.ask(a, "set", "read", 5n, 5n);
  },

  async "inodelk: domains are apart"(subject) {
    const { place, on, a, b } = await inodelks(subject);
    const other = new Inodelks(place, on.inode, "other");
    await on.ask(a, "set", "write", 0n, 0n);
    await other.ask(b, "set", "write", 0n, 0n);
  },

  async "inodelk: unlocking what is not locked is EINVAL"(subject) {
    const { on, a, b } = await inodelks(subject);
    await fails(on.ask(a, "set", "unlock", 0n, 10n), EINVAL);
    await on.ask(a, "set", "write", 0n, 10n);
    await fails(on.ask(b, "set", "unlock", 0n, 10n), EINVAL);
    await fails(on.ask(a, "set", "unlock", 0n, 9n), EINVAL);
    await on.ask(a, "set", "unlock", 0n, 10n);
  },

  async "inodelk: offsets near 2^63 are exact"(subject) {
    const { on, a, b } = await inodelks(subject);
    await on.ask(a, "set", "write", FAR, 0n);
    await on.ask(b, "set", "write", FAR - 1n, 1n);
    await fails(on.ask(b, "set", "write", FAR, 0n), EAGAIN);
    await fails(on.ask(b, "set", "write", 0n, 0n), EAGAIN);
    await on.ask(a, "set", "unlock", FAR, 0n);
  },

  async "inodelk: one that waits is granted on unlock, in order of arrival"(subject) {
    const { place, on, a, b, c } = await inodelks(subject);
    await on.ask(a, "set", "write", 0n, 0n);
    const second = on.ask(b, "set-wait", "write", 0n, 0n);
    const third = on.ask(c, "set-wait", "write", 0n, 0n);
    ok(await waits(place, second), "granted over a lock");
    await on.ask(a, "set", "unlock", 0n, 0n);
    await second;
    ok(await waits(place, third), "granted over a lock");
    await on.ask(b, "set", "unlock", 0n, 0n);
    await third;
  },

  async "inodelk: finodelk meets inodelk"(subject) {
    const { place, on, a, b } = await inodelks(subject);
    const fd = await place.open(on.inode);
    const { domain } = on;
    const args = { fd, domain, cmd: "set", lock: flock("write", 0n, 0n) } as const;
    await place.ask("finodelk", args, a);
    await fails(on.ask(b, "set", "write", 0n, 0n), EAGAIN);
    await place.ask("finodelk", { ...args, lock: flock("unlock", 0n, 0n) }, a);
    await on.ask(b, "set", "write", 0n, 0n);
    await place.close(fd);
  },

  async "inodelk: locks outlive the fd's close"(subject) {
    const { place, on, a, b } = await inodelks(subject);
    const fd = await place.open(on.inode);
    const { domain } = on;
    const lock = flock("write", 0n, 0n);
    await place.ask("finodelk", { fd, domain, cmd: "set", lock }, a);
    await place.ask("flush", { fd }, a);
    await place.ask("release", { fd }, a);
    await fails(on.ask(b, "set", "write", 0n, 0n), EAGAIN);
  },

  async "inodelk: counts are answered to lookup and write"(subject) {
    const { place, on, a } = await inodelks(subject);
    const { fd } = await place.create("f", { flags: 2 });
    await on.ask(a, "set", "write", 0n, 0n);
    const { xdata } = await place.lookup("f", place.dir, count(INODELK_COUNT));
    equal(xdata?.get(INODELK_COUNT), 1);
    const asked = new Xdata(new Map()).with(INODELK_DOM_COUNT, on.domain);
    equal((await place.write(fd, 0, "x", asked)).xdata?.get(INODELK_COUNT), 1);
    const other = new Xdata(new Map()).with(INODELK_DOM_COUNT, "other");
    equal((await place.write(fd, 0, "x", other)).xdata?.get(INODELK_COUNT) ?? 0, 0);
    await place.close(fd);
  },

  async "entrylk: one name conflicts with itself and not with others"(subject) {
    const { place, a, b } = await inodelks(subject);
    const lock = { inode: place.dir, domain: "d", type: "write" } as const;
    await place.ask("entrylk", { ...lock, name: "x", cmd: "try-lock" }, a);
    await fails(place.ask("entrylk", { ...lock, name: "x", cmd: "try-lock" }, b), EAGAIN);
    await place.ask("entrylk", { ...lock, name: "y", cmd: "try-lock" }, b);
    await place.ask("entrylk", { ...lock, name: "x", cmd: "unlock" }, a);
    await place.ask("entrylk", { ...lock, name: "x", cmd: "try-lock" }, b);
  },

  async "entrylk: the whole directory conflicts with every name"(subject) {
    const { place, a, b } = await inodelks(subject);
    const lock = { inode: place.dir, domain: "d", type: "write" } as const;
    await place.ask("entrylk", { ...lock, name: "", cmd: "try-lock" }, a);
    await fails(place.ask("entrylk", { ...lock, name: "x", cmd: "try-lock" }, b), EAGAIN);
    await place.ask("entrylk", { ...lock, domain: "e", name: "x", cmd: "try-lock" }, b);
    await place.ask("entrylk", { ...lock, name: "", cmd: "unlock" }, a);
    await place.ask("entrylk", { ...lock, name: "x", cmd: "try-lock" }, b);
    await fails(place.ask("entrylk", { ...lock, name: "", cmd: "try-lock" }, a), EAGAIN);
  },

  async "entrylk: one that waits is granted on unlock"(subject) {
    const { place, a, b } = await inodelks(subject);
    const lock = { inode: place.dir, domain: "d", name: "x", type: "write" } as const;
    await place.ask("entrylk", { ...lock, cmd: "lock" }, a);
    const second = place.ask("entrylk", { ...lock, cmd: "lock" }, b);
    ok(await waits(place, second), "granted over a lock");
    await place.ask("entrylk", { ...lock, cmd: "unlock" }, a);
    await second;
  },

  async "entrylk: fentrylk meets entrylk"(subject) {
    const { place, a, b } = await inodelks(subject);
    const { fd } = await place.ask("opendir", { inode: place.dir });
    const lock = { domain: "d", name: "x", type: "write" } as const;
    await place.ask("fentrylk", { fd, ...lock, cmd: "lock" }, a);
    const same = { inode: place.dir, ...lock };
    await fails(place.ask("entrylk", { ...same, cmd: "try-lock" }, b), EAGAIN);
    await place.ask("fentrylk", { fd, ...lock, cmd: "unlock" }, a);
    await place.ask("entrylk", { ...same, cmd: "try-lock" }, b);
    await place.ask("releasedir", { fd });
  },

  async "entrylk: unlocking what is not locked is EINVAL"(subject) {
    const { place, a, b } = await inodelks(subject);
    const lock = { inode: place.dir, domain: "d", name: "x", type: "write" } as const;
    await fails(place.ask("entrylk", { ...lock, cmd: "unlock" }, a), EINVAL);
    await place.ask("entrylk", { ...lock, cmd: "lock" }, a);
    await fails(place.ask("entrylk", { ...lock, cmd: "unlock" }, b), EINVAL);
  },

  async "entrylk: counts are answered to lookup"(subject) {
    const { place, a } = await inodelks(subject);
    const lock = { inode: place.dir, domain: "d", name: "f", type: "write" } as const;
    await place.ask("entrylk", { ...lock, cmd: "lock" }, a);
    const held = await place.lookup("f", place.dir, count(PARENT_ENTRYLK));
    equal(held.xdata?.get(PARENT_ENTRYLK), 1);
    const args = { inode: place.dir, name: "", xdata: count(ENTRYLK_COUNT) };
    equal((await place.ask("lookup", args)).xdata?.get(ENTRYLK_COUNT), 1);
  },

  "lk: conflicts are EAGAIN, get tells the lock in the way": (subject) =>
    posixLocks(subject, async ({ lk, a, b }) => {
      await lk(a, "set", "write", 10n, 10n);
      await fails(lk(b, "set", "write", 15n, 1n), EAGAIN);
      const found = await lk(b, "get", "write", 0n, 0n);
      deepEqual([found.type, found.start, found.size], ["write", 10n, 10n]);
      equal((await lk(b, "get", "write", 20n, 5n)).type, "unlock");
      equal((await lk(a, "get", "write", 0n, 0n)).type, "unlock");
    }),

  "lk: read locks are shared": (subject) =>
    posixLocks(subject, async ({ lk, a, b }) => {
      await lk(a, "set", "read", 0n, 0n);
      await lk(b, "set", "read", 0n, 0n);
      await fails(lk(b, "set", "write", 0n, 1n), EAGAIN);
    }),

  "lk: unlocking the middle splits a lock": (subject) =>
    posixLocks(subject, async ({ lk, a, b }) => {
      await lk(a, "set", "write", 0n, 100n);
      await lk(a, "set", "unlock", 40n, 20n);
      await lk(b, "set", "write", 40n, 20n);
      await fails(lk(b, "set", "write", 39n, 1n), EAGAIN);
      await fails(lk(b, "set", "write", 60n, 1n), EAGAIN);
    }),

  "lk: an owner's new lock replaces its old one where they overlap": (subject) =>
    posixLocks(subject, async ({ lk, a, b }) => {
      await lk(a, "set", "write", 0n, 100n);
      await lk(a, "set", "read", 50n, 100n);
      await lk(b, "set", "read", 50n, 10n);
      await fails(lk(b, "set", "read", 49n, 1n), EAGAIN);
      await fails(lk(b, "set", "write", 149n, 1n), EAGAIN);
      await lk(b, "set", "write", 150n, 1n);
    }),

  "lk: adjoining locks of an owner merge": (subject) =>
    posixLocks(subject, async ({ lk, a, b }) => {
      await lk(a, "set", "write", 0n, 10n);
      await lk(a, "set", "write", 10n, 10n);
      const found = await lk(b, "get", "write", 0n, 0n);
      deepEqual([found.start, found.size], [0n, 20n]);
    }),

  "lk: unlocking what is not locked succeeds": (subject) =>
    posixLocks(subject, async ({ lk, a }) => {
      await lk(a, "set", "unlock", 0n, 0n);
    }),

  "lk: one that waits is granted on unlock": (subject) =>
    posixLocks(subject, async ({ place, lk, a, b }) => {
      await lk(a, "set", "write", 0n, 0n);
      const second = lk(b, "set-wait", "write", 5n, 5n);
      ok(await waits(place, second), "granted over a lock");
      await lk(a, "set", "unlock", 0n, 0n);
      await second;
    }),

  "lk: flush drops the owner's locks and no others": (subject) =>
    posixLocks(subject, async ({ place, fd, lk, a, b }) => {
      await lk(a, "set", "write", 0n, 10n);
      await lk(b, "set", "write", 10n, 10n);
      await place.ask("flush", { fd }, a);
      await lk(b, "set", "write", 0n, 10n);
      await fails(lk(a, "set", "write", 10n, 10n), EAGAIN);
    }),

  "lk: release drops what was locked through the fd": (subject) =>
    posixLocks(subject, async ({ place, fd, lk, a, b }) => {
      const other = await place.open(fd.inode);
      await lk(a, "set", "write", 0n, 0n);
      await place.ask("release", { fd }, a);
      const lock = flock("write", 0n, 0n, b);
      await place.ask("lk", { fd: other, cmd: "set", lock }, b);
      await place.close(other);
    }),
};
