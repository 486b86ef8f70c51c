/**
 * How much of a connection fops may fill. What is asked for and not answered is bounded in bytes, so
 * that neither our outbound buffer nor the brick's grows without end; who comes when it is full waits
 * his turn. Small fops and bulk data have a lane each: a stat behind a hundred reads of 1 MiB waits
 * for those under way (8 MiB, a few milliseconds), not for all of them.
 *
 * Locks may wait for each other as long as they like, therefore they do not count: the unlock that
 * others wait for always gets through.
 */

import { ENOTCONN } from "core/errno.ts";
import type { Args, FopName } from "core/fops.ts";

/** Bytes asked for and not answered, in each lane. One fop is always let through. */
const LANE_BYTES = 8 << 20;
/** From here on data is bulk. */
const BULK_MIN = 64 << 10;
/** What a fop without data counts, and one that may carry extended attributes of any size. */
const SMALL = 4 << 10, WITH_XATTRS = 64 << 10;

interface Waiting {
  readonly bytes: number;
  readonly enter: () => void;
  readonly refuse: (error: unknown) => void;
}

class Lane {
  #bytes = 0;
  #waiting: Waiting[] = [];

  /** True if `bytes` are in; false if they have to wait. */
  tryEnter(bytes: number): boolean {
    if (this.#waiting.length || (this.#bytes && this.#bytes + bytes > LANE_BYTES)) return false;
    this.#bytes += bytes;
    return true;
  }

  wait(bytes: number): Promise<void> {
    return new Promise<void>((enter, refuse) => this.#waiting.push({ bytes, enter, refuse }));
  }

  leave(bytes: number): void {
    this.#bytes -= bytes;
    for (;;) {
      const next = this.#waiting[0];
      if (!next || (this.#bytes && this.#bytes + next.bytes > LANE_BYTES)) return;
      this.#waiting.shift();
      this.#bytes += next.bytes;
      next.enter();
    }
  }

  get state() {
    return { bytes: this.#bytes, waiting: this.#waiting.length };
  }

  refuse(): void {
    for (const each of this.#waiting.splice(0)) each.refuse(ENOTCONN);
  }
}

/** The two lanes of one connection. */
export class Flow {
  #small = new Lane();
  #bulk = new Lane();

  /** True if a fop of that weight may go now. What went, `leave`s once it is answered. */
  tryEnter(bytes: number): boolean {
    return bytes === 0 || this.#lane(bytes).tryEnter(bytes);
  }

  /** Resolves when it may; fails with ENOTCONN when the connection ended. */
  wait(bytes: number): Promise<void> {
    return this.#lane(bytes).wait(bytes);
  }

  leave(bytes: number): void {
    if (bytes) this.#lane(bytes).leave(bytes);
  }

  /** The connection ended: nobody waits any longer. */
  end(): void {
    this.#small.refuse();
    this.#bulk.refuse();
  }

  /** What a statedump shows. */
  state() {
    return { small: this.#small.state, bulk: this.#bulk.state };
  }

  #lane(bytes: number): Lane {
    return bytes >= BULK_MIN ? this.#bulk : this.#small;
  }
}

/** Bytes that a fop and its answer count; 0: it goes at once. */
export function weigh(fop: FopName, args: Args<FopName>): number {
  switch (fop) {
    case "readv":
    case "readdir":
    case "readdirp":
      return SMALL + (args as Args<"readv">).size;
    case "writev":
    case "put":
      return SMALL + (args as Args<"writev">).data.length;
    case "setxattr":
    case "fsetxattr":
      return WITH_XATTRS;
    case "lk":
    case "inodelk":
    case "finodelk":
    case "entrylk":
    case "fentrylk":
    case "release":
    case "releasedir":
      return 0;
    default:
      return SMALL;
  }
}
