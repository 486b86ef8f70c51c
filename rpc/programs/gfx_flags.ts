/** Flags of an open file as OPEN, CREATE and PUT carry them. READ and WRITE repeat the caller's unchanged. */

import { O_DSYNC, O_SYNC } from "core/fops.ts";
import type { XdrReader, XdrWriter } from "rpc/xdr.ts";

// Access mode, CREAT, EXCL, NOCTTY, TRUNC, APPEND, NONBLOCK, ASYNC, DIRECT, LARGEFILE, DIRECTORY,
// NOFOLLOW, NOATIME, CLOEXEC, PATH: all that travel, except SYNC (rpc/xdr/src/glusterfs3.h).
const SAME = 0o13767703;
// Both of O_SYNC and O_DSYNC become this one, which means O_SYNC at the other end.
const WIRE_SYNC = 0o10000;

/** Reads open flags: bits that no brick acts on, that of an open for execution among them, are dropped. */
export function readOpenFlags(from: XdrReader): number {
  const wire = from.u32();
  return (wire & SAME) | (wire & WIRE_SYNC ? O_SYNC : 0);
}

/** Writes open flags. */
export function writeOpenFlags(to: XdrWriter, flags: number): void {
  to.u32((flags & SAME) | (flags & (O_SYNC | O_DSYNC) ? WIRE_SYNC : 0));
}
