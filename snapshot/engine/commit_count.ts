/**
 * How often an index was changed: a number in a file beside it, for other processes that look at it.
 * Asking SQLite costs locks and many times as much as reading eight bytes.
 *
 * It is odd while a change is being committed, and even otherwise: who finds the same even number
 * before looking for rows and after reading files knows that no row came in between. A process that
 * was killed, or a disk that is full, may leave it odd: then SQLite has to be asked.
 */

import { EIO, FopError, fopError } from "core/errno.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, sys } from "core/sys/calls.ts";

const O_RDWR = 2, O_CREAT = 0o100, MODE = 0o600, BYTES = 8;

/** See the head of this file. */
export class CommitCount implements Disposable {
  readonly #fd: number;
  /** What was put last. */
  #last = 0;
  readonly #number = new Float64Array(1);
  readonly #bytes = new Uint8Array(this.#number.buffer);

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** For the process that changes the index; it is made if it is not there. Throws FopError. */
  static keep(path: string): CommitCount {
    const fd = sys.openat(AT_FDCWD, cstring(path), O_RDWR | O_CREAT | O_CLOEXEC, MODE);
    if (fd < 0) throw fopError(fd);
    const count = new CommitCount(fd);
    try {
      // What was committed last may not have been counted.
      const found = count.#read();
      count.#put(found + 2 - found % 2);
      return count;
    } catch (error) {
      count[Symbol.dispose]();
      throw error;
    }
  }

  /** For others; undefined: there is none. */
  static look(path: string): CommitCount | undefined {
    const fd = sys.openat(AT_FDCWD, cstring(path), O_CLOEXEC, 0);
    return fd < 0 ? undefined : new CommitCount(fd);
  }

  /** Before a change is committed. Throws FopError. */
  begin(): void {
    if (this.#last % 2 === 0) this.#put(this.#last + 1);
  }

  /** It was committed, or not. */
  end(): void {
    if (this.#last % 2 === 0) return;
    try {
      this.#put(this.#last + 1);
    } catch (error) {
      // An odd number is right, and slow.
      if (!(error instanceof FopError)) throw error;
    }
  }

  /** The number; undefined: SQLite has to be asked. */
  read(): number | undefined {
    const found = this.#read();
    return found > 0 && found % 2 === 0 ? found : undefined;
  }

  [Symbol.dispose](): void {
    sys.close(this.#fd);
  }

  #read(): number {
    const isWhole = sys.pread(this.#fd, this.#bytes, BYTES, 0) === BYTES;
    const found = this.#number[0]!;
    return isWhole && Number.isSafeInteger(found) && found > 0 ? found : 0;
  }

  #put(next: number): void {
    this.#number[0] = next;
    const written = sys.pwrite(this.#fd, this.#bytes, BYTES, 0);
    if (written !== BYTES) throw written < 0 ? fopError(written) : EIO;
    this.#last = next;
  }
}
