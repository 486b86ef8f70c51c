/** Whether copies of a file were alike in an old state, as far as a brick's own copy tells. */

import { EUCLEAN, FopError } from "core/errno.ts";
import type { InodeState } from "snapshot/engine/live.ts";

/** What one copy says that another one missed; `trusted.afr.dirty` is about changes under way. */
const BLAME = /^trusted\.afr\.(?!dirty$)/;

const UNLIKE = new FopError(
  EUCLEAN.code,
  EUCLEAN.errno,
  "copies of the file differed when the snapshot was taken; copy it from a mount of the snapshot",
);

/**
 * Throws EUCLEAN if another copy missed some of the file's data. Whoever makes something of an old
 * state at each brick by itself would make another thing at each, and no mark would say so.
 */
export function checkAlike({ xattrs }: InodeState): void {
  for (const [name, value] of xattrs) {
    // The first of three counts is of changes of data.
    if (BLAME.test(name) && value.subarray(0, 4).some((byte) => byte !== 0)) throw UNLIKE;
  }
}
