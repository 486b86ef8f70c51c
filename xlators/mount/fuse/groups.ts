/**
 * Supplementary groups of the process that asks: the kernel does not send them, but /proc has them.
 * They are kept for a while by process, as reading them costs more than most answers.
 */

import type { Clock } from "core/env.ts";
import { decodeName } from "core/lib/bytes.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, sys } from "core/sys/calls.ts";

/** Processes that are remembered. */
const KEPT_MAX = 4096;
const STATUS_MAX = 64 << 10;

interface Known {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** Monotonic milliseconds. */
  readonly until: number;
}

/** See the head of this file. */
export class Groups {
  readonly #clock: Clock;
  readonly #seconds: () => number;
  readonly #known = new Map<number, Known>();
  readonly #buffer = new Uint8Array(STATUS_MAX);

  /** `seconds`: how long a process's groups are kept. */
  constructor(clock: Clock, seconds: () => number) {
    this.#clock = clock;
    this.#seconds = seconds;
  }

  /** Groups of a process that runs as `uid` and `gid`; none if it is not there any more. */
  of(pid: number, uid: number, gid: number): readonly number[] {
    // Nothing is refused to the superuser; a process of another name space has no number here.
    if (uid === 0 || pid === 0) return NONE;
    const now = this.#clock.monotonic();
    const known = this.#known.get(pid);
    if (known && known.uid === uid && known.gid === gid && now < known.until) return known.groups;
    const groups = groupsIn(this.#status(pid)).filter((each) => each !== gid);
    if (this.#known.size >= KEPT_MAX) this.#known.clear();
    this.#known.set(pid, { uid, gid, groups, until: now + this.#seconds() * 1000 });
    return groups;
  }

  #status(pid: number): string {
    const fd = sys.openat(AT_FDCWD, cstring(`/proc/${pid}/status`), O_CLOEXEC, 0);
    if (fd < 0) return "";
    const size = sys.read(fd, this.#buffer, STATUS_MAX);
    sys.close(fd);
    return decodeName(this.#buffer.subarray(0, Math.max(0, size)));
  }
}

const NONE: readonly number[] = [];

/** The groups that a text of /proc/PID/status lists. */
export function groupsIn(status: string): number[] {
  const line = /^Groups:\s*(.*)$/m.exec(status)?.[1] ?? "";
  return line.split(/\s+/).filter((word) => /^\d+$/.test(word)).map(Number);
}
