/** Buffers for what is read, used again: a fresh MiB costs about 150 µs of zeroing. */

import { DATA_MAX } from "xlators/mount/fuse/protocol.ts";
import { ReplyBuffer } from "xlators/mount/fuse/reply.ts";

/** Sizes, and how many of each are kept while nobody needs them: 24 MiB. */
const KEPT: readonly (readonly [size: number, count: number])[] = [
  [4096, 256],
  [128 << 10, 64],
  [DATA_MAX, 15],
];

/** See the head of this file. */
export class ReplyBuffers {
  readonly #kept = KEPT.map(([size, count]) => ({ size, count, free: [] as ReplyBuffer[] }));

  /** One with room for `size` bytes. */
  take(size: number): ReplyBuffer {
    const fitting = this.#kept.find((each) => each.size >= size);
    return fitting?.free.pop() ?? new ReplyBuffer(fitting?.size ?? size);
  }

  /** Nobody needs it any more. */
  give(buffer: ReplyBuffer): void {
    const fitting = this.#kept.find((each) => each.size === buffer.room);
    if (fitting && fitting.free.length < fitting.count) fitting.free.push(buffer);
  }
}
