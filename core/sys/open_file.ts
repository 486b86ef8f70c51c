/** Files that a process keeps open for itself, beside those of its clients. */

import { fopError } from "core/errno.ts";
import { readCached } from "core/sys/cached_read.ts";
import { AT_FDCWD, cstring, LOCAL_O_NOFOLLOW, O_CLOEXEC, sys } from "core/sys/calls.ts";

const ENOENT = -2, EINTR = -4, ENXIO = -6;
const SEEK_DATA = 3, SEEK_HOLE = 4;

/** A file open for reading. Methods throw FopError. */
export class OpenFile implements Disposable {
  readonly #fd: number;
  #calls = 0;
  #closed = false;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Undefined: nothing is there. */
  static open(path: string): OpenFile | undefined {
    const fd = sys.openat(AT_FDCWD, cstring(path), O_CLOEXEC | LOCAL_O_NOFOLLOW, 0);
    if (fd >= 0) return new OpenFile(fd);
    if (fd === ENOENT) return undefined;
    throw fopError(fd);
  }

  /** Fills `into`, which is lent until the answer; answers how many bytes there were. */
  read(offset: number, into: Uint8Array<ArrayBuffer>): number | Promise<number> {
    return readCached(this.#fd, into, offset) ? into.length : this.#readOn(offset, into);
  }

  // Of the disk, or there is less.
  async #readOn(offset: number, into: Uint8Array<ArrayBuffer>): Promise<number> {
    this.#calls++;
    try {
      for (let done = 0; done < into.length;) {
        const part = into.subarray(done);
        const got = await sys.preadAsync(this.#fd, part, part.length, offset + done);
        if (got === EINTR) continue;
        if (got < 0) throw fopError(got);
        if (got === 0) return done;
        done += got;
      }
      return into.length;
    } finally {
      if (--this.#calls === 0 && this.#closed) sys.close(this.#fd);
    }
  }

  /** Start of the first data at or after `offset`; undefined if only holes follow. */
  nextData(offset: number): number | undefined {
    const at = Number(sys.lseek(this.#fd, offset, SEEK_DATA));
    if (at === ENXIO) return undefined;
    // A file system that knows no holes has data everywhere.
    return at < 0 ? offset : at;
  }

  /** Start of the first hole; the file's end at the latest, `offset` if it is beyond. */
  nextHole(offset: number): number {
    const at = Number(sys.lseek(this.#fd, offset, SEEK_HOLE));
    return at < 0 ? offset : at;
  }

  /** Closes it when nothing is under way any more. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#calls === 0) sys.close(this.#fd);
  }
}
