/**
 * Gfids for what a client makes.
 *
 * A brick keeps the handle of a file in a directory that the first two bytes of its gfid name
 * (`.glusterfs/aa/bb`). Were all bytes random, each of some ten thousand files would be the first in a
 * directory of its own: one more directory to make, and one more block of a disk to change whenever a
 * file comes or goes. So what is made in a row shares these two bytes, as many as fit a block of names.
 * Over many rows all directories are used alike.
 */

import type { Random } from "core/env.ts";
import type { Gfid } from "core/inode.ts";

/** A block of 4 KiB has room for the names of 93 handles. */
const ROW = 64;
/** Hexadecimal digits that name the directory. */
const SHARED = 4;

/** See the head of this file. */
export class NewGfids {
  readonly #random: Pick<Random, "uuid">;
  #shared = "";
  #left = 0;

  constructor(random: Pick<Random, "uuid">) {
    this.#random = random;
  }

  /** One that nobody else has. */
  next(): Gfid {
    const fresh = this.#random.uuid();
    if (this.#left-- === 0) {
      this.#left = ROW - 1;
      this.#shared = fresh.slice(0, SHARED);
    }
    return (this.#shared + fresh.slice(SHARED)) as Gfid;
  }
}
