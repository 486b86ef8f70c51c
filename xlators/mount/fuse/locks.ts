/** Operations on locks. Those of flock(2) are locks of the whole file, as in GlusterFS's client. */

import type { Call } from "core/call.ts";
import { EINTR, EINVAL } from "core/errno.ts";
import type { Flock, LockType } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import type { Bridge } from "xlators/mount/fuse/bridge.ts";
import type { Request } from "xlators/mount/fuse/request.ts";

/** As fcntl spells them. */
const TYPES: readonly LockType[] = ["read", "write", "unlock"];
/** Last byte of a lock that reaches to infinity. */
const OFFSET_MAX = (1n << 63n) - 1n;

function lockOf(request: Request): Flock {
  const start = request.big(16), end = request.big(24);
  const type = TYPES[request.u32(32)];
  if (type === undefined || end < start || end > OFFSET_MAX) throw EINVAL;
  return {
    type,
    whence: 0,
    start,
    size: end === OFFSET_MAX ? 0n : end - start + 1n,
    pid: request.u32(36),
    owner: request.owner(8),
  };
}

/** GETLK. */
export async function getlk(bridge: Bridge, request: Request): Promise<void> {
  const { fd } = bridge.handles.of(request.u64(0));
  const asked = lockOf(request);
  const call = bridge.call(request, asked.owner);
  const { lock } = await bridge.top.lk(call, { fd, cmd: "get", lock: asked });
  const end = lock.size === 0n ? OFFSET_MAX : lock.start + lock.size - 1n;
  bridge.reply.lock(request.unique, lock.start, end, TYPES.indexOf(lock.type), lock.pid);
}

/** SETLK. Who gets a lock must not see what was cached before somebody else had it. */
export async function setlk(bridge: Bridge, request: Request): Promise<void> {
  const { fd, node } = bridge.handles.of(request.u64(0));
  const lock = lockOf(request);
  node.locked = true;
  bridge.abandoned.delete(abandonedKey(node.id, lock));
  await bridge.top.lk(bridge.call(request, lock.owner), { fd, cmd: "set", lock });
  if (lock.type !== "unlock") await bridge.dropCached(node);
  bridge.reply.ok(request.unique);
}

/** SETLKW: waits, unless INTERRUPT comes. */
export async function setlkw(bridge: Bridge, request: Request): Promise<void> {
  const { unique } = request;
  const { fd, node } = bridge.handles.of(request.u64(0));
  const lock = lockOf(request);
  node.locked = true;
  const key = abandonedKey(node.id, lock);
  bridge.abandoned.delete(key);
  const call = bridge.call(request, lock.owner);
  const stop = new AbortController();
  const { signal } = stop;
  bridge.waiting.set(unique, stop);
  const interrupted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(EINTR), { once: true });
  });
  const granted = bridge.top.lk(call, { fd, cmd: "set-wait", lock, signal });
  try {
    await Promise.race([granted, interrupted]);
  } catch (error) {
    if (signal.aborted) giveBack(bridge, call, fd, lock, granted, key);
    throw error;
  } finally {
    bridge.waiting.delete(unique);
  }
  if (lock.type !== "unlock") await bridge.dropCached(node);
  bridge.reply.ok(unique);
}

function abandonedKey(node: number, { owner }: Flock): string {
  return `${node} ${owner}`;
}

// A brick may grant a lock after its asker gave up: it gets it back, unless the same owner has asked
// for a lock on the file again, which may be this one.
function giveBack(
  bridge: Bridge,
  call: Call,
  fd: Fd,
  lock: Flock,
  granted: Promise<unknown>,
  key: string,
): void {
  const mark = {};
  bridge.abandoned.set(key, mark);
  granted.then(async () => {
    if (bridge.abandoned.get(key) !== mark) return;
    await bridge.top.lk(call, { fd, cmd: "set", lock: { ...lock, type: "unlock" } });
  }).catch(() => {
    // It was not granted, or the brick is away and holds nothing for us.
  }).finally(() => {
    if (bridge.abandoned.get(key) === mark) bridge.abandoned.delete(key);
  });
}

/** INTERRUPT: has no answer. What is not waiting for a lock is answered soon anyway. */
export function interrupt(bridge: Bridge, request: Request): void {
  bridge.waiting.get(request.u64(0))?.abort();
}

/** Gives back what flock(2) took through a file that is closed. */
export async function unlockFlock(bridge: Bridge, call: Call, fd: Fd): Promise<void> {
  const lock: Flock = {
    type: "unlock",
    whence: 0,
    start: 0n,
    size: 0n,
    pid: call.pid,
    owner: call.lkOwner,
  };
  await bridge.top.lk(call, { fd, cmd: "set", lock });
}
