/** POSIX locks for tests. */

import { NO_OWNER } from "core/call.ts";
import type { Flock } from "core/fops.ts";

/** A range; size 0 reaches to infinity. */
export function flock(
  type: Flock["type"],
  start: number | bigint = 0,
  size: number | bigint = 0,
): Flock {
  return {
    type,
    whence: 0,
    start: BigInt(start),
    size: BigInt(size),
    pid: 100,
    owner: NO_OWNER,
  };
}
