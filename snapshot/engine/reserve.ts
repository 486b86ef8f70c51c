/**
 * Room that a history has beside what it uses, so that on a full disk it can still be opened, and
 * snapshots removed: that gives room back. A file of that size, made before the first reader begins
 * and given up when there is nothing else.
 */

import { EOPNOTSUPP, fopError } from "core/errno.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, sys } from "core/sys/calls.ts";

const RESERVE_BYTES = 512 * 1024;
const O_RDWR = 2, O_CREAT = 0o100, MODE = 0o600, WHOLE = 0;

/** See the head of this file. */
export class Reserve {
  readonly #path: string;
  #isWhole = false;

  constructor(directory: string) {
    this.#path = `${directory}/reserve`;
  }

  /** Makes it if it is not there. Throws FopError. */
  async make(): Promise<void> {
    if (this.#isWhole) return;
    const fd = sys.openat(AT_FDCWD, cstring(this.#path), O_RDWR | O_CREAT | O_CLOEXEC, MODE);
    if (fd < 0) throw fopError(fd);
    try {
      const result = await sys.fallocateAsync(fd, WHOLE, 0, RESERVE_BYTES);
      // A file system that cannot reserve anything has none.
      if (result < 0 && result !== -EOPNOTSUPP.errno) throw fopError(result);
      this.#isWhole = true;
    } finally {
      sys.close(fd);
    }
  }

  /** Gives it up; false: it was not there. */
  giveUp(): boolean {
    this.#isWhole = false;
    return sys.unlinkat(AT_FDCWD, cstring(this.#path), 0) === 0;
  }
}
