/**
 * Exit codes of glfsheal, the program that GlusterFS's command line leaves some of `volume heal` to and
 * whose exit code it ends with. What stops it before it looks at bricks is a negative errno there, of
 * which a shell sees 256 less (as GlusterFS 10.3 ends).
 */

import { EAGAIN, EINVAL, EIO, ENOENT, ENOTCONN } from "core/errno.ts";
import type { Decision } from "core/healer.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import { type HealQuestion } from "mgmt/heal/heal_words.ts";
import { isByGlfsheal } from "mgmt/heal/heal_shown.ts";

/** Why it ends without having done anything. */
export const GLFSHEAL = {
  noVolume: 256 - ENOENT.errno,
  notStarted: 256 - EIO.errno,
  noBricks: 256 - EIO.errno,
  noCopies: 256 - EINVAL.errno,
  /** Files wait for heal. */
  waiting: EAGAIN.errno,
  /** Bricks are not reached. */
  away: ENOTCONN.errno,
} as const;

/** A refusal that ends with glfsheal's code where GlusterFS leaves the question to it. */
export function refusal(
  what: HealQuestion["what"],
  message: string,
  why: keyof typeof GLFSHEAL,
  opErrno?: number,
): Refusal {
  return new Refusal(message, opErrno, isByGlfsheal(what) ? GLFSHEAL[why] : 1);
}

/** Its exit code for a file that is in split-brain as before. */
export function undecidedCode(file: string, outcome: Decision): number {
  if (outcome === "copies away") return GLFSHEAL.away;
  if (outcome !== "not found") return 1;
  return file.startsWith("gfid:") ? ENOENT.errno : EINVAL.errno;
}
