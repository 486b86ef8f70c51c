/** Space on the backend: `statfs`, and option `reserve`. */

import { fopError } from "core/errno.ts";
import type { Statfs } from "core/fops.ts";
import { sys } from "core/sys/calls.ts";
import type { PosixOptions } from "xlators/storage/posix/options.ts";

const buffer = new Uint8Array(128);
const view = new DataView(buffer.buffer);
// ST_VALID of the kernel, which statvfs(3) does not show.
const ST_VALID = 0x20;

function u64(at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/** `struct statfs` (asm-generic/statfs.h) of an open directory, as `statvfs(3)` shows it. */
function statfsOf(fd: number): Statfs {
  const result = sys.fstatfs(fd, buffer);
  if (result < 0) throw fopError(result);
  return {
    bsize: u64(8),
    frsize: u64(72),
    blocks: u64(16),
    bfree: u64(24),
    bavail: u64(32),
    files: u64(40),
    ffree: u64(48),
    favail: u64(48),
    fsid: view.getBigUint64(56, true),
    flag: u64(80) & ~ST_VALID,
    namemax: u64(64),
  };
}

/** Free space of one brick. `low` is as old as the last `refresh`. */
export class Space {
  /** True if no more than the reserve is free. */
  low = false;

  constructor(private readonly root: number, private options: PosixOptions) {}

  /** Takes over new options. */
  reconfigure(options: PosixOptions): void {
    this.options = options;
    this.refresh();
  }

  /** Looks again. */
  refresh(): void {
    const stat = statfsOf(this.root);
    const reserved = this.#reservedBlocks(stat);
    this.low = reserved > 0 && stat.bavail <= reserved;
  }

  #reservedBlocks(stat: Statfs): number {
    const { reserve } = this.options;
    return "percent" in reserve
      ? Math.floor(stat.blocks * reserve.percent / 100)
      : Math.ceil(reserve.bytes / stat.frsize);
  }

  /** What clients see: without the reserve, and this brick's part of a shared file system. */
  statfs(): Statfs {
    const stat = statfsOf(this.root);
    const reserved = this.#reservedBlocks(stat);
    const share = this.options["export-statfs-size"]
      ? this.options["shared-brick-count"]
      : Infinity;
    const part = (blocks: number) => Math.floor(Math.max(0, blocks) / share);
    return {
      ...stat,
      blocks: part(stat.blocks),
      bfree: part(stat.bfree - reserved),
      bavail: part(stat.bavail - reserved),
    };
  }
}
