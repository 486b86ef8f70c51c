/**
 * When data is read and written on the thread of all fops, and when on another. Another thread costs as
 * much as the whole of a small read; on this one everybody waits for the disk.
 */

import type { Clock } from "core/env.ts";
import { sys } from "core/sys/calls.ts";
import { sleeps } from "core/sys/sleeps.ts";
import { turns } from "core/sys/turns.ts";

/** What is moved in place at most: 0.5 ms from or to the page cache. */
const SIZE_MAX = 1 << 20;
/**
 * A write that took this long, and slept meanwhile, has waited for more than memory: then others do not
 * wait with it. One that had no processor for so long would have none on another thread, either.
 */
const SLOW_WRITE_MS = 10;
/** A disk that takes longer in the mean (of `MEAN_OF` or so) is left to other threads. */
const SLOW_DISK_MS = 2, MEAN_OF = 8;
/** How long nothing is done in place after that. */
const WAIT_MS = 1000;
/**
 * Others wait if they had come so many times in a row; then the disk is left to other threads for so many
 * times as long as it takes.
 */
const CROWD = 2, CROWD_TIMES = 100;

/** One brick's. */
export class InPlace {
  readonly #clock: Clock;
  /** Monotonic milliseconds until when writes to memory, and what waits for the disk, go to another thread. */
  #writesFrom = 0;
  #diskFrom = 0;
  /** Milliseconds that the disk takes, in the mean. */
  #diskTakes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** False while the backend makes writers wait, and for more than is quick. */
  mayWrite(size: number): boolean {
    return size <= SIZE_MAX && this.#passed(this.#writesFrom);
  }

  /** `pwrite`, with an eye on how long it takes. The count of bytes, or a negative errno. */
  write(fd: number, data: Uint8Array, offset: number): number {
    const slept = sleeps(), start = this.#clock.monotonic();
    const wrote = sys.pwrite(fd, data as BufferSource, data.length, offset);
    const end = this.#clock.monotonic();
    this.#writesFrom = end - start > SLOW_WRITE_MS && sleeps() !== slept ? end + WAIT_MS : 0;
    return wrote;
  }

  /**
   * Something that waits for the disk, of so many bytes: `here` while the disk is quick and nobody
   * else waits, otherwise `aside`, on another thread. Here once between two waits of the loop: what
   * else has come since must not queue up.
   */
  disk(size: number, here: () => number, aside: () => Promise<number>): number | Promise<number> {
    if (!this.#mayWait(size)) return aside();
    turns.held = true;
    const start = this.#clock.monotonic();
    const result = here();
    const end = this.#clock.monotonic();
    this.#diskTakes += (end - start - this.#diskTakes) / MEAN_OF;
    this.#diskFrom = this.#diskTakes > SLOW_DISK_MS ? end + WAIT_MS : 0;
    return result;
  }

  #mayWait(size: number): boolean {
    if (size > SIZE_MAX || turns.held) return false;
    if (turns.crowded >= CROWD) {
      turns.crowded = 0;
      this.#diskFrom = this.#clock.monotonic() + this.#diskTakes * CROWD_TIMES;
      return false;
    }
    return this.#passed(this.#diskFrom);
  }

  #passed(time: number): boolean {
    return time === 0 || this.#clock.monotonic() >= time;
  }
}
