/** What a small file holds, for a lookup that wants it along. */

import type { Call } from "core/call.ts";
import { Fd, type Gfid } from "core/inode.ts";
import { readCached } from "core/sys/cached_read.ts";
import { LOCAL_O_NOFOLLOW, O_CLOEXEC, sys } from "core/sys/calls.ts";
import type { Brick } from "xlators/storage/posix/brick.ts";
import { readv } from "xlators/storage/posix/data.ts";
import { handleName } from "xlators/storage/posix/handle.ts";

const O_NONBLOCK = 0o4000;

/**
 * `size` bytes, all there was a moment ago of the regular file `gfid`, if they are in the page cache:
 * three system calls, and nobody waits. Undefined: `readWhole` may do.
 */
export function wholeNow(brick: Brick, gfid: Gfid, size: number): Uint8Array | undefined {
  if (size === 0) return new Uint8Array();
  if (!brick.nowait) return undefined;
  const flags = O_CLOEXEC | O_NONBLOCK | LOCAL_O_NOFOLLOW;
  const fd = sys.openat(brick.hidden, handleName(gfid), flags, 0);
  if (fd < 0) return undefined;
  const data = new Uint8Array(size);
  const whole = readCached(fd, data, 0);
  sys.close(fd);
  return whole ? data : undefined;
}

/** The same from the disk; undefined if it cannot be read. */
export async function readWhole(
  brick: Brick,
  gfid: Gfid,
  size: number,
): Promise<Uint8Array | undefined> {
  const fd = new Fd(brick.inodes.of(gfid), 0, true);
  try {
    return (await readv(brick, NOBODY, { fd, offset: 0, size, flags: 0 })).data;
  } catch (error) {
    brick.env.log.debug("cannot read a file's content for lookup", { gfid, error: String(error) });
    return undefined;
  }
}
// Reading asks nothing of the caller.
const NOBODY = {} as Call;
