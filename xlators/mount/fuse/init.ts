/** How a connection with the kernel begins and ends. */

import { ENOTTY, EPROTO } from "core/errno.ts";
import type { Bridge } from "xlators/mount/fuse/bridge.ts";
import {
  DATA_MAX,
  INIT,
  INIT_MORE_MAPS,
  MAJOR,
  MINOR,
  MINOR_LEAST,
  MINOR_PRUNES,
  OUT_HEADER,
} from "xlators/mount/fuse/protocol.ts";
import { ReplyBuffer } from "xlators/mount/fuse/reply.ts";
import type { Request } from "xlators/mount/fuse/request.ts";

const INIT_OUT = 64, PAGE = 4096;
/** Bytes of a request that has a second word of flags. */
const INIT_IN_EXT = 20;

/** INIT: of what the kernel offers, all that bricks can keep is taken. */
export function init(bridge: Bridge, request: Request): void {
  const major = request.u32(0), minor = request.u32(4);
  if (major !== MAJOR || minor < MINOR_LEAST) {
    bridge.env.log.error("kernel's FUSE is too old", { major, minor, least: MINOR_LEAST });
    throw EPROTO;
  }
  const readAhead = request.u32(8), offered = request.u32(12);
  const more = offered & INIT.EXT && request.size >= INIT_IN_EXT
    ? request.u32(16) & INIT_MORE_MAPS
    : 0;
  const agreed = offered & wanted(bridge) | (more ? INIT.EXT : 0);
  bridge.mapsDirect = more !== 0;
  bridge.prunes = minor >= MINOR_PRUNES;
  const buffer = new ReplyBuffer(INIT_OUT);
  const words = new Uint32Array(buffer.bytes.buffer, OUT_HEADER, INIT_OUT / 4);
  const { "background-qlen": background, "congestion-threshold": congestion } = bridge.values;
  words.set([
    MAJOR,
    Math.min(minor, MINOR),
    readAhead,
    agreed >>> 0,
    background | (congestion << 16),
    DATA_MAX,
    1,
    DATA_MAX / PAGE,
    more,
  ]);
  bridge.reply.filled(buffer, request.unique, INIT_OUT);
  bridge.env.log.info("kernel agreed", { version: `${major}.${minor}`, flags: agreed >>> 0 });
  bridge.agreed();
}

function wanted({ values }: Bridge): number {
  return INIT.ASYNC_READ | INIT.POSIX_LOCKS | INIT.FLOCK_LOCKS | INIT.ATOMIC_O_TRUNC |
    INIT.BIG_WRITES | INIT.DONT_MASK | INIT.ASYNC_DIO | INIT.PARALLEL_DIROPS | INIT.MAX_PAGES |
    INIT.HANDLE_KILLPRIV_V2 |
    (values["auto-invalidation"] ? INIT.AUTO_INVAL_DATA : 0) |
    (values["use-readdirp"] ? INIT.DO_READDIRPLUS | INIT.READDIRPLUS_AUTO : 0) |
    (values["kernel-writeback-cache"] ? INIT.WRITEBACK_CACHE : 0) |
    (values.acl ? INIT.POSIX_ACL : 0);
}

/** DESTROY: the mount is gone. */
export function destroy(bridge: Bridge, request: Request): void {
  bridge.reply.ok(request.unique);
}

/** IOCTL: there is none. */
export function ioctl(): void {
  throw ENOTTY;
}
