/**
 * How QEMU's programs keep out of each other's way: by shared locks of single bytes of the image file.
 * Who has it open holds a byte for each thing it does (from 100 on) and one for each thing that others
 * must not do meanwhile (from 200 on), and then looks whether anybody holds the opposite. Source: QEMU's
 * `block/file-posix.c`, `RAW_LOCK_PERM_BASE`, and `BLK_PERM_*`. Its gluster driver locks nothing: a
 * guest that has its disk by gluster:// does not see the locks of others, and is known by its open
 * file alone.
 */

import type { Clock } from "core/env.ts";
import { EAGAIN } from "core/errno.ts";

/** Locks of bytes of one open file, and who else has the file open. */
export interface ByteLocks {
  /** Takes a shared lock on the byte, until the file is closed. Throws EAGAIN. */
  share(at: number): Promise<void>;
  /** Who else holds the byte, in words for people; undefined: nobody. */
  holder(at: number): Promise<string | undefined>;
  /** Who else has the file open for writing, with locks or without, as far as that can be known. */
  writer(): Promise<string | undefined>;
}

/** How often, and how long apart, it is looked whether a file is closed that its user is done with. */
const CLOSING_TRIES = 5, CLOSING_MS = 200;

const DOES = 100, DENIES = 200;
const READS = 0, WRITES = 1, RESIZES = 3;
/** What writing an image is to QEMU, and what it does not want others to do. */
const OURS = [READS, WRITES, RESIZES], DENIED = [WRITES, RESIZES];

/** Keeps QEMU's programs from the image until the file is closed; answers who has it open, or undefined. */
export async function holdForWriting(
  locks: ByteLocks,
  clock: Pick<Clock, "delay">,
): Promise<string | undefined> {
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
  let writer = await locks.writer();
  // A mount tells bricks of a close after the program went on.
  for (let tries = 1; writer !== undefined && tries < CLOSING_TRIES; tries++) {
    await clock.delay(CLOSING_MS);
    writer = await locks.writer();
  }
  return writer;
}

/** Who has the image open for writing; undefined: nobody of whom it can be known. */
export async function writerOf(locks: ByteLocks): Promise<string | undefined> {
  return await locks.holder(DOES + WRITES) ?? await locks.writer();
}
