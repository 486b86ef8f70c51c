/**
 * A file of this machine as a store. What the page cache has is read with one system call and no
 * change of thread (`RWF_NOWAIT`); what must come from the disk waits on a thread of the pool.
 */

import { EINVAL, fopError } from "core/errno.ts";
import { addressInto } from "core/sys/address.ts";
import { AT_FDCWD, cstring, LOCAL_O_NOFOLLOW, O_CLOEXEC, RWF_NOWAIT, sys } from "core/sys/calls.ts";
import type { Store } from "snapshot/qcow2/store.ts";

const O_RDWR = 2, O_CREAT = 0o100, O_EXCL = 0o200;
const EINTR = -4, EAGAIN = -11, ENOSYS = -38, EOPNOTSUPP = -95;
const KEEP_SIZE = 1, PUNCH_HOLE = 2;
/** A system call moves at most 2 GiB; larger ones are cut here. */
const CALL_MAX = 1 << 30;

/** How a file is opened. */
export interface LocalOptions {
  /** Writing as well; otherwise every write is refused by the kernel. */
  readonly writable?: boolean;
  /** The file is made, and must not exist. */
  readonly create?: boolean;
  /** A symbolic link as the last part of the path is refused. */
  readonly noFollow?: boolean;
}

/** Opens a regular file, or a block device. Throws a `FopError` with the kernel's number. */
export function openLocalFile(path: string, options: LocalOptions = {}): LocalFile {
  const flags = O_CLOEXEC | (options.writable ? O_RDWR : 0) |
    (options.create ? O_CREAT | O_EXCL | O_RDWR : 0) | (options.noFollow ? LOCAL_O_NOFOLLOW : 0);
  const fd = sys.openat(AT_FDCWD, cstring(path), flags, 0o644);
  if (fd < 0) throw fopError(fd);
  return new LocalFile(fd);
}

/** A store on an open file descriptor, which it owns from now on. */
export class LocalFile implements Store {
  /** `preadv2`'s one iovec: address and size. */
  readonly #iovec = new Uint32Array(4);
  #nowait = true;
  #punches = true;

  constructor(readonly fd: number) {}

  size(): Promise<number> {
    const SEEK_END = 2;
    const end = Number(sys.lseek(this.fd, 0, SEEK_END));
    return end < 0 ? Promise.reject(fopError(end)) : Promise.resolve(end);
  }

  read(offset: number, into: Uint8Array<ArrayBuffer>): Promise<number> {
    if (into.length <= CALL_MAX) {
      const got = this.#readNow(offset, into);
      if (got === into.length) return Promise.resolve(got);
      return this.#readSlow(offset, into, Math.max(got, 0));
    }
    return this.#readSlow(offset, into, 0);
  }

  // Without waiting for the disk; negative if that cannot be.
  #readNow(offset: number, into: Uint8Array<ArrayBuffer>): number {
    if (!this.#nowait || into.length === 0) return 0;
    addressInto(this.#iovec, into, 0);
    this.#iovec[2] = into.length;
    const got = sys.preadv2(this.fd, this.#iovec, 1, offset, 0, RWF_NOWAIT);
    if (got === EOPNOTSUPP || got === ENOSYS) this.#nowait = false;
    else if (got < 0 && got !== EAGAIN && got !== EINTR) throw fopError(got);
    return got;
  }

  async #readSlow(
    offset: number,
    into: Uint8Array<ArrayBuffer>,
    already: number,
  ): Promise<number> {
    let got = already;
    while (got < into.length) {
      const part = into.subarray(got, got + CALL_MAX);
      const more = await sys.preadAsync(this.fd, part, part.length, offset + got);
      if (more === EINTR) continue;
      if (more < 0) throw fopError(more);
      if (more === 0) break;
      got += more;
    }
    return got;
  }

  // A write goes to the page cache: the same thread, as a rule a few microseconds.
  async write(offset: number, data: Uint8Array<ArrayBuffer>): Promise<void> {
    let done = 0;
    while (done < data.length) {
      const part = data.subarray(done, done + CALL_MAX);
      const more = part.length <= 1 << 16
        ? sys.pwrite(this.fd, part, part.length, offset + done)
        : await sys.pwriteAsync(this.fd, part, part.length, offset + done);
      if (more === EINTR) continue;
      if (more < 0) throw fopError(more);
      done += more;
    }
  }

  async truncate(size: number): Promise<void> {
    if (!Number.isSafeInteger(size) || size < 0) throw EINVAL;
    const result = await sys.ftruncateAsync(this.fd, size);
    if (result < 0) throw fopError(result);
  }

  async punch(offset: number, length: number): Promise<void> {
    if (!this.#punches) return;
    const mode = PUNCH_HOLE | KEEP_SIZE;
    const result = await sys.fallocateAsync(this.fd, mode, offset, length);
    if (result === EOPNOTSUPP || result === ENOSYS) this.#punches = false;
    else if (result < 0) throw fopError(result);
  }

  async flush(): Promise<void> {
    const result = await sys.fdatasyncAsync(this.fd);
    if (result < 0) throw fopError(result);
  }

  close(): Promise<void> {
    const result = sys.close(this.fd);
    return result < 0 ? Promise.reject(fopError(result)) : Promise.resolve();
  }
}
