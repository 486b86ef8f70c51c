/** A layer of locks over a scripted child, and short words for tests: who locks what. */

import { deepStrictEqual as deepEqual, rejects } from "node:assert/strict";
import { type Call, type Client, type LkOwner, ROOT } from "core/call.ts";
import { type FopError } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import { type Args, DONE, type Flock } from "core/fops.ts";
import { type Iatt, S_IFREG } from "core/iatt.ts";
import { Fd, type Gfid, Inode } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { FakeClock } from "tests/fakes/clock.ts";
import { FakeChild, type Script } from "tests/fakes/fake_child.ts";
import { flock } from "tests/fakes/flock.ts";
import { LinesLog, node, testEnv } from "tests/fakes/node.ts";
import { Locks, locks as locksType } from "xlators/features/locks/locks.ts";

/** A file. */
export const FILE = new Inode("00000000-0000-0000-0000-0000000000f1" as Gfid);
/** Another file. */
export const OTHER = new Inode("00000000-0000-0000-0000-0000000000f2" as Gfid);
/** A directory. */
export const DIR = new Inode("00000000-0000-0000-0000-0000000000d1" as Gfid);
/** The last byte that can be locked. */
export const LAST = (1n << 63n) - 1n;
/** Open flag. */
export const O_NONBLOCK = 0o4000;

/** What the child says of every file. */
export const STAT: Iatt = {
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
/** What the child says of every write. */
export const CHANGED = { pre: STAT, post: STAT };

/** A layer of locks over a child that does what is needed. */
export function setUp(options: Record<string, string> = {}, script: Script = {}) {
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

/** A call of `client`, as `owner`. */
export function by(client: Client, owner = "01", over: Partial<Call> = {}): Call {
  return { ...ROOT, client, pid: 100, lkOwner: owner as LkOwner, ...over };
}

/** An inode lock that waits, is tried, or is dropped. */
export function inodelk(
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

/** A lock on a name in `DIR`. */
export function entrylk(
  name: string,
  cmd: Args<"entrylk">["cmd"] = "lock",
  over: Partial<Args<"entrylk">> = {},
): Args<"entrylk"> {
  return { inode: DIR, domain: "vol-replicate-0", name, cmd, type: "write", ...over };
}

/** What a promise has come to by now. */
export async function outcome(promise: Promise<unknown>): Promise<string> {
  const pending = Promise.resolve("waits");
  const settled = promise.then(() => "done", (error: FopError) => error.code);
  // Two turns: answers travel through a `then` or two on the way up.
  for (let turn = 0; turn < 8; turn++) await pending;
  return await Promise.race([settled, pending]);
}

/** Waits for `promise` to fail with `failure`. */
export function fails(promise: Promise<unknown>, failure: FopError): Promise<void> {
  return rejects(promise, (error) => failure.matches(error));
}

/** Nothing is kept when nobody holds or waits: all tables are empty. */
export function isEmpty(layer: Locks): void {
  deepEqual(layer.state(), { inodes: [] });
}

/** A POSIX lock through `fd`. */
export function lkArgs(
  fd: Fd,
  cmd: Args<"lk">["cmd"],
  type: Flock["type"],
  start = 0,
  size = 0,
): Args<"lk"> {
  return { fd, cmd, lock: flock(type, start, size) };
}
