/** Operations on files: opening, reading, writing, closing. */

import { ROOT } from "core/call.ts";
import { EINVAL, EOPNOTSUPP } from "core/errno.ts";
import { O_ACCMODE, O_APPEND, O_CREAT, O_EXCL, O_RDWR, O_TRUNC, O_WRONLY } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import type { Fd } from "core/inode.ts";
import { CONTENT, DIRECT_IO_MODE } from "core/xdata_keys.ts";
import { attributesOf, dropPrivileges, modeAfterWrite } from "xlators/mount/fuse/attributes.ts";
import type { Bridge } from "xlators/mount/fuse/bridge.ts";
import type { Handle } from "xlators/mount/fuse/handles.ts";
import { unlockFlock } from "xlators/mount/fuse/locks.ts";
import {
  DATA_MAX,
  FOPEN,
  FSYNC_DATA_ONLY,
  OPEN_KILL_SUIDGID,
  RELEASE_FLOCK_UNLOCK,
  WRITE_CACHE,
  WRITE_IN,
  WRITE_KILL_SUIDGID,
} from "xlators/mount/fuse/protocol.ts";
import type { Request } from "xlators/mount/fuse/request.ts";

const SEEK_DATA = 3, SEEK_HOLE = 4;
const KEEP_SIZE = 1, PUNCH_HOLE = 2, ZERO_RANGE = 16;
/** What one copy inside a brick moves at most: longer ones are asked for in parts. */
const COPY_MAX = 128 << 20;

/**
 * How the kernel shall treat a file that is opened with `flags`, as numbers of `FOPEN`. What is
 * appended goes past its page cache: the kernel cuts a write in two where a page ends, and somebody
 * else's line may come in between. Mapping, which it may refuse then, takes a file that can be read.
 */
export function openMode({ values, mapsDirect }: Bridge, flags: number): number {
  const whole = flags & O_APPEND && (mapsDirect || (flags & O_ACCMODE) === O_WRONLY);
  return (values["direct-io-mode"] || whole ? FOPEN.DIRECT_IO : 0) |
    (values["fopen-keep-cache"] ? FOPEN.KEEP_CACHE : 0);
}

/** OPEN. */
export async function open(bridge: Bridge, request: Request): Promise<void> {
  const { unique } = request;
  const node = bridge.nodes.of(request.nodeid);
  const flags = request.u32(0), how = request.u32(4);
  const call = bridge.call(request);
  const { fd, xdata } = await bridge.top.open(call, { inode: node.inode, flags });
  if (how & OPEN_KILL_SUIDGID && flags & O_TRUNC) {
    await dropPrivileges(bridge, fd, await attributesOf(bridge, ROOT, node, fd));
  }
  const handle = bridge.handles.add(fd, node, flags & ~(O_CREAT | O_EXCL | O_TRUNC));
  const ready = readyToMap(bridge, handle);
  if (ready) await ready;
  const mode = openMode(bridge, flags) | stored(bridge, handle, xdata?.get(CONTENT)) |
    (xdata?.get(DIRECT_IO_MODE) ? FOPEN.DIRECT_IO : 0);
  if (bridge.reply.opened(unique, handle.number, mode) >= 0) return;
  // Nobody waits for it any more: the kernel will not close it.
  bridge.handles.remove(handle);
  await bridge.top.release(call, { fd });
}

/**
 * What the file holds came along: it goes to the kernel's cache, and no read will be asked for. Not if
 * others have it open: the kernel would wait for what they are reading, and they for us.
 */
function stored(bridge: Bridge, { node, flags }: Handle, content: Uint8Array | undefined): number {
  if (!content?.length || node.handles!.size > 1) return 0;
  if (openMode(bridge, flags) & FOPEN.DIRECT_IO) return 0;
  return bridge.reply.store(node.id, content) >= 0 ? FOPEN.KEEP_CACHE : 0;
}

/** READ: the data goes to the kernel from where it came in. */
export function read(bridge: Bridge, request: Request): Promise<void> {
  const { unique } = request;
  const { fd } = bridge.handles.of(request.u64(0));
  const offset = request.u64(8), size = Math.min(request.u32(16), DATA_MAX);
  const args = { fd, offset, size, flags: request.u32(32), lend: true };
  return bridge.top.readv(bridge.call(request), args).then(({ data, lent }) => {
    if (!lent) return void bridge.reply.data(unique, data);
    bridge.reply.lent(unique, data as Uint8Array<ArrayBuffer>);
    lent.release();
  });
}

/** WRITE: the data is handed on where the kernel put it. */
export function write(bridge: Bridge, request: Request): Promise<void> {
  const handle = bridge.handles.of(request.u64(0));
  if (request.u32(20) & WRITE_CACHE && handle.flags & O_APPEND) {
    return placedFd(bridge, handle).then((fd) => writeThrough(bridge, request, handle, fd));
  }
  return writeThrough(bridge, request, handle, handle.fd);
}

function writeThrough(
  bridge: Bridge,
  request: Request,
  handle: Handle,
  fd: Fd,
): Promise<void> {
  const { unique } = request;
  const size = request.u32(16), kills = request.u32(20) & WRITE_KILL_SUIDGID;
  const args = {
    fd,
    offset: request.u64(8),
    data: request.bytes(WRITE_IN, size),
    flags: fd === handle.fd ? request.u32(32) : request.u32(32) & ~O_APPEND,
  };
  return bridge.top.writev(bridge.call(request), args).then(({ post }) => {
    if (!kills || (post && modeAfterWrite(post.mode) === undefined)) {
      return void bridge.reply.size(unique, size);
    }
    return killPrivileges(bridge, handle, post).then(() => void bridge.reply.size(unique, size));
  });
}

/**
 * Memory that was mapped is written through any file that is open, by the kernel's choice: through
 * one that was opened to append a brick would put it at the end.
 */
function placedFd(bridge: Bridge, handle: Handle): Promise<Fd> {
  const { node } = handle;
  for (const { fd, flags } of node.handles ?? []) {
    if (flags & O_ACCMODE && !(flags & O_APPEND)) return Promise.resolve(fd);
  }
  if (!handle.placed) {
    handle.placed = bridge.top.open(ROOT, { inode: node.inode, flags: O_WRONLY })
      .then(({ fd }) => fd);
    handle.placed.catch(() => handle.placed = undefined);
  }
  return handle.placed;
}

/**
 * A file that is opened to read and append may be mapped, and lose its name before memory is written
 * back: some bricks cannot open it any more then. Undefined, as for nearly all: there is nothing to do.
 */
export function readyToMap(bridge: Bridge, handle: Handle): Promise<unknown> | undefined {
  const { flags } = handle;
  if (!(flags & O_APPEND) || (flags & O_ACCMODE) !== O_RDWR) return undefined;
  // Who never maps it does not miss it.
  return placedFd(bridge, handle).catch(() => {});
}

// Where writes tell no attributes, one look per open file must do.
async function killPrivileges(
  bridge: Bridge,
  handle: Handle,
  post: Iatt | undefined,
): Promise<void> {
  if (!post && handle.modeChecked) return;
  handle.modeChecked = true;
  const { fd, node } = handle;
  await dropPrivileges(bridge, fd, post ?? await attributesOf(bridge, ROOT, node, fd));
}

/** FLUSH: somebody closed a descriptor. What was only read, and never locked, has nothing to tell. */
export async function flush(bridge: Bridge, request: Request): Promise<void> {
  const { fd, flags, node } = bridge.handles.of(request.u64(0));
  if (flags & O_ACCMODE || node.locked) {
    await bridge.top.flush(bridge.call(request, request.owner(16)), { fd });
  }
  bridge.reply.ok(request.unique);
}

/** RELEASE: the last descriptor is closed. Nobody waits for the answer. */
export async function release(bridge: Bridge, request: Request): Promise<void> {
  const handle = bridge.handles.of(request.u64(0));
  const call = bridge.call(request, request.owner(16));
  bridge.handles.remove(handle);
  bridge.reply.ok(request.unique);
  if (request.u32(12) & RELEASE_FLOCK_UNLOCK) await unlockFlock(bridge, call, handle.fd);
  await bridge.top.release(call, { fd: handle.fd });
  if (handle.placed) await bridge.top.release(ROOT, { fd: await handle.placed });
}

/** FSYNC. */
export async function fsync(bridge: Bridge, request: Request): Promise<void> {
  const { fd } = bridge.handles.of(request.u64(0));
  const dataOnly = (request.u32(8) & FSYNC_DATA_ONLY) !== 0;
  await bridge.top.fsync(bridge.call(request), { fd, dataOnly });
  bridge.reply.ok(request.unique);
}

/** FALLOCATE. */
export async function fallocate(bridge: Bridge, request: Request): Promise<void> {
  const { fd, node } = bridge.handles.of(request.u64(0));
  const range = { fd, offset: request.u64(8), size: request.u64(16) };
  const mode = request.u32(24);
  const call = bridge.call(request);
  if (mode === (PUNCH_HOLE | KEEP_SIZE)) await bridge.top.discard(call, range);
  else if (mode === ZERO_RANGE) await bridge.top.zerofill(call, range);
  else if (mode === (ZERO_RANGE | KEEP_SIZE)) {
    // The fop has no such flag: within the file it needs none.
    const { size } = await attributesOf(bridge, call, node, fd);
    if (range.offset + range.size > size) throw EOPNOTSUPP;
    await bridge.top.zerofill(call, range);
  } else if (mode === 0 || mode === KEEP_SIZE) {
    await bridge.top.fallocate(call, { ...range, mode });
  } else throw EOPNOTSUPP;
  bridge.reply.ok(request.unique);
}

/** LSEEK: only looking for data and holes comes here. */
export async function lseek(bridge: Bridge, request: Request): Promise<void> {
  const { fd } = bridge.handles.of(request.u64(0));
  const whence = request.u32(16);
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw EINVAL;
  const what = whence === SEEK_DATA ? "data" : "hole";
  const found = await bridge.top.seek(bridge.call(request), { fd, offset: request.u64(8), what });
  bridge.reply.offset(request.unique, found.offset);
}

/** COPY_FILE_RANGE. */
export async function copyFileRange(bridge: Bridge, request: Request): Promise<void> {
  const { size } = await bridge.top.copyFileRange(bridge.call(request), {
    source: bridge.handles.of(request.u64(0)).fd,
    sourceOffset: request.u64(8),
    fd: bridge.handles.of(request.u64(24)).fd,
    offset: request.u64(32),
    size: Math.min(request.u64(40), COPY_MAX),
    flags: request.u32(48),
  });
  bridge.reply.size(request.unique, size);
}
