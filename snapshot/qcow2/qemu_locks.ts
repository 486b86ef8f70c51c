/**
 * How QEMU's programs keep out of each other's way: by shared locks of single bytes of the image file.
 * Who has it open holds a byte for each thing it does (from 100 on) and one for each thing that others
 * must not do meanwhile (from 200 on), and then looks whether anybody holds the opposite. Source: QEMU's
 * `block/file-posix.c`, `RAW_LOCK_PERM_BASE`, and `BLK_PERM_*`. Its gluster driver locks nothing: a
 * guest that has its disk by gluster:// is not seen by anybody.
 */

import { EAGAIN } from "core/errno.ts";

/** Locks of bytes of one open file. */
export interface ByteLocks {
  /** Takes a shared lock on the byte, until the file is closed. Throws EAGAIN. */
  share(at: number): Promise<void>;
  /** Who else holds the byte, in words for people; undefined: nobody. */
  holder(at: number): Promise<string | undefined>;
}

const DOES = 100, DENIES = 200;
const READS = 0, WRITES = 1, RESIZES = 3;
/** What writing an image is to QEMU, and what it does not want others to do. */
const OURS = [READS, WRITES, RESIZES], DENIED = [WRITES, RESIZES];

/** Keeps QEMU's programs from the image until the file is closed; answers who has it open, or undefined. */
export async function holdForWriting(locks: ByteLocks): Promise<string | undefined> {
  try {
    for (const what of OURS) await locks.share(DOES + what);
    for (const what of DENIED) await locks.share(DENIES + what);
  } catch (error) {
    if (!EAGAIN.matches(error)) throw error;
    return "another program";
  }
  for (const what of OURS) {
    const who = await locks.holder(DENIES + what);
    if (who !== undefined) return who;
  }
  for (const what of DENIED) {
    const who = await locks.holder(DOES + what);
    if (who !== undefined) return who;
  }
  return undefined;
}

/** Who has the image open for writing; undefined: nobody who says so. */
export function writerOf(locks: ByteLocks): Promise<string | undefined> {
  return locks.holder(DOES + WRITES);
}
