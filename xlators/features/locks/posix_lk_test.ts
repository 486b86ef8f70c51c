import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import type { LkOwner } from "core/call.ts";
import { EAGAIN } from "core/errno.ts";
import type { Flock } from "core/fops.ts";
import { Fd, Inode, ROOT_GFID } from "core/inode.ts";
import { placeLock, type PosixLock, PosixLocks } from "xlators/features/locks/posix_lk.ts";
import { LAST, type Range } from "core/lib/ranges.ts";
import { testClient } from "tests/fakes/node.ts";
import { seeded } from "tests/fakes/seeded.ts";

const client = testClient("p"), other = testClient("q");
const fd = new Fd(new Inode(ROOT_GFID), 2);

function lock(
  type: Flock["type"],
  start: number,
  end: number | bigint,
  over: Partial<PosixLock> = {},
): PosixLock {
  return {
    client,
    owner: "aa" as LkOwner,
    pid: 1,
    fd,
    range: { start: BigInt(start), end: BigInt(end) },
    type,
    mandatory: false,
    flockPid: 1,
    since: 0,
    ...over,
  };
}

/** Locks as "r0-9 w10-19". */
function text(locks: readonly PosixLock[]): string {
  return locks
    .map(({ type, range }) => `${type[0]}${range.start}-${range.end === LAST ? "" : range.end}`)
    .sort((a, b) => Number(/\d+/.exec(a)) - Number(/\d+/.exec(b))).join(" ");
}

function placed(...requests: PosixLock[]): string {
  return text(requests.reduce<PosixLock[]>((held, each) => placeLock(held, each), []));
}

Deno.test("features/locks: a POSIX lock of another type splits what it falls into", () => {
  equal(placed(lock("read", 0, 99), lock("write", 40, 59)), "r0-39 w40-59 r60-99");
  equal(placed(lock("read", 0, 99), lock("unlock", 40, 59)), "r0-39 r60-99");
  equal(placed(lock("write", 0, LAST), lock("unlock", 10, 10)), "w0-9 w11-");
});

Deno.test("features/locks: POSIX locks of one type that touch become one", () => {
  equal(placed(lock("read", 0, 9), lock("read", 20, 29), lock("read", 10, 19)), "r0-29");
  equal(placed(lock("read", 0, 9), lock("read", 5, 40)), "r0-40");
  equal(placed(lock("read", 0, 9), lock("read", 11, 20)), "r0-9 r11-20");
  equal(placed(lock("write", 0, 9), lock("write", 10, LAST)), "w0-");
});

Deno.test("features/locks: a POSIX lock is upgraded and downgraded in place", () => {
  equal(placed(lock("read", 0, 9), lock("write", 0, 9)), "w0-9");
  equal(placed(lock("write", 0, 9), lock("read", 0, 4)), "r0-4 w5-9");
  equal(placed(lock("read", 0, 4), lock("write", 5, 9), lock("read", 5, 9)), "r0-9");
});

Deno.test("features/locks: mandatory and advisory POSIX locks of an owner do not merge", () => {
  equal(placed(lock("read", 0, 9), lock("read", 5, 14, { mandatory: true })), "r0-4 r5-14");
});

Deno.test("features/locks: POSIX locks of others stay as they are", () => {
  const theirs = lock("read", 0, 9, { client: other });
  equal(placed(theirs, lock("read", 5, 14), lock("unlock", 0, LAST)), "r0-9");
});

/** The same locks byte by byte: byte `BYTES - 1` stands for all from there to infinity. */
const BYTES = 24;
const HOLDERS = [
  { client, owner: "aa" as LkOwner },
  { client, owner: "bb" as LkOwner },
  { client: other, owner: "aa" as LkOwner },
];
type Bytes = ("read" | "write" | undefined)[];

function bytesOf(locks: readonly PosixLock[], holder: typeof HOLDERS[number]): Bytes {
  const bytes: Bytes = new Array(BYTES).fill(undefined);
  for (const each of locks) {
    if (each.client !== holder.client || each.owner !== holder.owner) continue;
    const end = each.range.end === LAST ? BYTES - 1 : Number(each.range.end);
    for (let at = Number(each.range.start); at <= end; at++) {
      equal(bytes[at], undefined, "locks of a holder overlap");
      bytes[at] = each.type as "read" | "write";
    }
  }
  return bytes;
}

function noneTouch(locks: readonly PosixLock[]): void {
  for (const a of locks) {
    for (const b of locks) {
      if (a === b || a.client !== b.client || a.owner !== b.owner || a.type !== b.type) continue;
      equal(a.range.end + 1n === b.range.start, false, "neighbours were not joined");
    }
  }
}

for (const seed of [1, 20, 300]) {
  Deno.test(`features/locks: POSIX locks agree with a model byte by byte, seed ${seed}`, () => {
    const random = seeded(seed);
    const locks = new PosixLocks(() => 0);
    const model: Bytes[] = HOLDERS.map(() => new Array(BYTES).fill(undefined));
    for (let step = 0; step < 3000; step++) {
      const who = random(HOLDERS.length);
      const start = random(BYTES);
      const end = start + random(BYTES - start);
      const type = (["read", "write", "unlock", "unlock"] as const)[random(4)]!;
      const range: Range = {
        start: BigInt(start),
        end: end === BYTES - 1 ? LAST : BigInt(end),
      };
      const refused = type !== "unlock" && model.some((bytes, holder) =>
        holder !== who &&
        bytes.slice(start, end + 1).some((byte) =>
          byte === "write" || (byte === "read" && type === "write")
        )
      );
      const request = lock(type, 0, 0, { ...HOLDERS[who], range });
      if (refused) throws(() => locks.set(request), (error) => EAGAIN.matches(error));
      else {
        locks.set(request);
        model[who]!.fill(type === "unlock" ? undefined : type, start, end + 1);
      }
      const at = `seed ${seed} step ${step}`;
      HOLDERS.forEach((holder, index) =>
        deepEqual(bytesOf(locks.granted, holder), model[index], at)
      );
      noneTouch(locks.granted);
    }
  });
}
