/**
 * Locks on a file of this machine, as QEMU takes them: they belong to the open file, not to a process,
 * so the kernel does not say whose they are. Who it is, `/proc` knows: whose descriptors are of the
 * same file, and which locks each has. Of a file in a mount of a volume the bricks know more.
 */

import { fopError } from "core/errno.ts";
import { cstring, sys } from "core/sys/calls.ts";
import { WRITERS_XATTR } from "core/xdata_keys.ts";
import { descriptorsOf, processes, readProc } from "mgmt/bricks/proc.ts";
import type { ByteLocks } from "snapshot/qcow2/qemu_locks.ts";
import { firstWriter } from "snapshot/qcow2/volume_locks.ts";

const F_OFD_GETLK = 36, F_OFD_SETLK = 37;
const F_RDLCK = 0, F_WRLCK = 1, F_UNLCK = 2;
/** Places in `struct flock` of 64-bit Linux, and its size. */
const START = 8, LENGTH = 16, SIZE = 32;

/** What the kernel lets an extended attribute have. */
const WRITERS_BYTES_MAX = 65_536;

/** Locks through the open file `fd`. */
export class LocalLocks implements ByteLocks {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  share(at: number): Promise<void> {
    const { result } = this.#lock(F_OFD_SETLK, F_RDLCK, at);
    return result < 0 ? Promise.reject(fopError(result)) : Promise.resolve();
  }

  // deno-lint-ignore require-await -- a failure is a rejection
  async holder(at: number): Promise<string | undefined> {
    const { result, type } = this.#lock(F_OFD_GETLK, F_WRLCK, at);
    if (result < 0) throw fopError(result);
    if (type === F_UNLCK) return undefined;
    return holderOf(inodeOf(this.#fd), at) ?? this.#writer() ?? "another program";
  }

  writer(): Promise<string | undefined> {
    return Promise.resolve(this.#writer());
  }

  // A mount asks by path, so that this process is among those who are told.
  #writer(): string | undefined {
    const value = new Uint8Array(WRITERS_BYTES_MAX);
    const size = sys.fgetxattr(this.#fd, cstring(WRITERS_XATTR), value, value.length);
    // No file of a volume, or not for everybody to ask.
    if (size < 0) return undefined;
    return firstWriter(value.subarray(0, size), { pid: Deno.pid, host: Deno.hostname() });
  }

  #lock(command: number, type: number, at: number): { result: number; type: number } {
    const view = new DataView(new ArrayBuffer(SIZE));
    view.setInt16(0, type, true);
    view.setBigInt64(START, BigInt(at), true);
    view.setBigInt64(LENGTH, 1n, true);
    const result = sys.fcntlLock(this.#fd, command, new Uint8Array(view.buffer));
    return { result, type: view.getInt16(0, true) };
  }
}

function inodeOf(fd: number): bigint {
  const AT_EMPTY_PATH = 0x1000, STATX_INO = 0x100, INO = 32;
  const stat = new Uint8Array(256);
  const result = sys.statx(fd, cstring(""), AT_EMPTY_PATH, STATX_INO, stat);
  if (result < 0) throw fopError(result);
  return new DataView(stat.buffer).getBigUint64(INO, true);
}

// The process that holds the byte through a descriptor of its own, if it may be looked at.
function holderOf(inode: bigint, at: number): string | undefined {
  for (const pid of processes()) {
    if (pid === Deno.pid) continue;
    for (const fd of descriptorsOf(pid)) {
      const info = readProc(`/proc/${pid}/fdinfo/${fd}`) ?? "";
      if (!info.split("\n").some((line) => isLockOf(line, inode, at))) continue;
      return `${readProc(`/proc/${pid}/comm`)?.trim() ?? "a program"} (process ${pid})`;
    }
  }
  return undefined;
}

// "lock:	1: OFDLCK  ADVISORY  READ -1 00:1a:12345 101 101"
function isLockOf(line: string, inode: bigint, at: number): boolean {
  const [label, , kind, , , , file, start, end] = line.split(/\s+/);
  return label === "lock:" && kind === "OFDLCK" && file?.split(":")[2] === String(inode) &&
    Number(start) <= at && (end === "EOF" || Number(end) >= at);
}
