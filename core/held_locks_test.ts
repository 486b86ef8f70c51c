import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { type LkOwner, NO_OWNER, ROOT } from "core/call.ts";
import type { Flock } from "core/fops.ts";
import { Fd, type Gfid, Inode } from "core/inode.ts";
import { sizeOf } from "core/lib/ranges.ts";
import { HeldLocks } from "core/held_locks.ts";

const INODE = new Inode("00000000-0000-0000-0000-0000000000f1" as Gfid);
const ONE = { ...ROOT, pid: 1, lkOwner: "01" as LkOwner };
const TWO = { ...ROOT, pid: 2, lkOwner: "02" as LkOwner };

function range(type: Flock["type"], start: number, size: number, whence = 0): Flock {
  return { type, whence, start: BigInt(start), size: BigInt(size), pid: 7, owner: NO_OWNER };
}

/** "01 w 0+10" and so on. */
function shown(locks: HeldLocks, fd: Fd): string[] {
  return locks.of(fd).map(({ owner, type, range: held }) =>
    `${owner} ${type[0]} ${held.start}+${sizeOf(held)}`
  );
}

Deno.test("core/held_locks: a lock replaces what it covers of its owner's, an unlock takes it away", () => {
  const locks = new HeldLocks(), fd = new Fd(INODE, 2);
  locks.took(ONE, fd, range("write", 0, 100), undefined);
  locks.took(TWO, fd, range("write", 200, 0), undefined);
  locks.took(ONE, fd, range("read", 10, 10), undefined);
  deepEqual(shown(locks, fd).sort(), ["01 r 10+10", "01 w 0+10", "01 w 20+80", "02 w 200+0"]);
  locks.gaveUp(ONE, fd, range("unlock", 5, 20));
  deepEqual(shown(locks, fd).sort(), ["01 w 0+5", "01 w 25+75", "02 w 200+0"]);
  locks.gaveUp(ONE, fd, range("unlock", 0, 0));
  deepEqual(shown(locks, fd), ["02 w 200+0"]);
});

Deno.test("core/held_locks: a file locked byte by byte is one lock", () => {
  const locks = new HeldLocks(), fd = new Fd(INODE, 2);
  for (let at = 0; at < 1000; at++) locks.took(ONE, fd, range("write", at, 1), undefined);
  deepEqual(shown(locks, fd), ["01 w 0+1000"]);
});

Deno.test("core/held_locks: closing a descriptor takes the owner's locks, through whichever fd they came", () => {
  const locks = new HeldLocks(), fd = new Fd(INODE, 2), other = new Fd(INODE, 2);
  locks.took(ONE, fd, range("write", 0, 10), undefined);
  locks.took(TWO, fd, range("write", 10, 10), undefined);
  locks.flushed(ONE, other);
  deepEqual(shown(locks, fd), ["02 w 10+10"]);
  locks.flushed({ ...ROOT, lkOwner: NO_OWNER }, other);
  deepEqual(shown(locks, fd), ["02 w 10+10"]);
  locks.closed(fd);
  equal(locks.size, 0);
});

Deno.test("core/held_locks: a lock that is untouched stays the same, one that was cut does not", () => {
  const locks = new HeldLocks(), fd = new Fd(INODE, 2);
  locks.took(ONE, fd, range("write", 0, 10), undefined);
  locks.took(ONE, fd, range("write", 50, 10), undefined);
  const [low, high] = locks.of(fd);
  locks.gaveUp(ONE, fd, range("unlock", 55, 1));
  ok(locks.has(low!) && !locks.has(high!));
});

Deno.test("core/held_locks: a range that counts from the file's end is not known, and only a full unlock ends it", () => {
  const locks = new HeldLocks(), fd = new Fd(INODE, 2);
  locks.took(ONE, fd, range("write", 0, 10, 2), undefined);
  locks.gaveUp(ONE, fd, range("unlock", 0, 10));
  deepEqual(locks.of(fd).map(({ fixed }) => fixed), [false]);
  locks.gaveUp(ONE, fd, range("unlock", 0, 0));
  equal(locks.size, 0);
});
