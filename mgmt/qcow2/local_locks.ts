/**
 * Locks on a file of this machine, as QEMU takes them: they belong to the open file, not to a process,
 * so the kernel does not say whose they are. Who it is, `/proc` knows: whose descriptors are of the
 * same file, and which locks each has.
 */

import { fopError } from "core/errno.ts";
import { sys } from "core/sys/calls.ts";
import type { ByteLocks } from "snapshot/qcow2/qemu_locks.ts";

const F_OFD_GETLK = 36, F_OFD_SETLK = 37;
const F_RDLCK = 0, F_WRLCK = 1, F_UNLCK = 2;
/** Places in `struct flock` of 64-bit Linux, and its size. */
const START = 8, LENGTH = 16, SIZE = 32;

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

  async holder(at: number): Promise<string | undefined> {
    const { result, type } = this.#lock(F_OFD_GETLK, F_WRLCK, at);
    if (result < 0) throw fopError(result);
    if (type === F_UNLCK) return undefined;
    return await holderOf(await Deno.stat(`/proc/self/fd/${this.#fd}`), at) ?? "another program";
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

// The process that holds the byte through a descriptor of its own, if it may be looked at.
async function holderOf(file: Deno.FileInfo, at: number): Promise<string | undefined> {
  for await (const { name: pid } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(pid) || Number(pid) === Deno.pid) continue;
    try {
      for await (const { name: fd } of Deno.readDir(`/proc/${pid}/fd`)) {
        const { ino, dev } = await Deno.stat(`/proc/${pid}/fd/${fd}`).catch(() => NOTHING);
        if (ino !== file.ino || dev !== file.dev) continue;
        const info = await Deno.readTextFile(`/proc/${pid}/fdinfo/${fd}`);
        if (!info.split("\n").some((line) => isLockOf(line, at))) continue;
        const name = await Deno.readTextFile(`/proc/${pid}/comm`);
        return `${name.trim()} (process ${pid})`;
      }
    } catch {
      // Gone meanwhile, or somebody else's.
    }
  }
  return undefined;
}

const NOTHING = { ino: null, dev: -1 } as const;

// "lock:	1: OFDLCK  ADVISORY  READ -1 00:1a:12345 101 101"
function isLockOf(line: string, at: number): boolean {
  const [label, , kind, , , , , start, end] = line.split(/\s+/);
  return label === "lock:" && kind === "OFDLCK" && Number(start) <= at &&
    (end === "EOF" || Number(end) >= at);
}
