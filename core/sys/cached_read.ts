/** Reads that do not wait for a disk. */

import { addressInto } from "core/sys/address.ts";
import { RWF_NOWAIT, sys } from "core/sys/calls.ts";

const iovec = new Uint32Array(4);

/**
 * Fills `into` from byte `offset` of a file if all of it is in the page cache; false: it is not, the
 * file ends before, or the file system cannot tell, and the caller reads on another thread.
 */
export function readCached(fd: number, into: Uint8Array<ArrayBuffer>, offset: number): boolean {
  addressInto(iovec, into, 0);
  iovec[2] = into.length;
  return sys.preadv2(fd, iovec, 1, offset, 0, RWF_NOWAIT) === into.length;
}
