/**
 * What a file's xattrs say of its retention, in GlusterFS's own form, so that volumes can move
 * between the two:
 *
 *     trusted.start_time    when the file was made, seconds since 1970 as decimal text
 *     trusted.worm_file     "1": made under file-level WORM and closed since
 *     trusted.reten_state   "bits/retention period/auto-commit period", seconds; bit 0 WORM,
 *                           bit 1 retained, bit 2 legal hold, bit 3 enterprise mode
 *
 * The end of retention is the file's access time.
 */

/** The xattrs above; nobody but daemons may touch them. */
export const START_TIME = "trusted.start_time";
export const WORM_FILE = "trusted.worm_file";
export const RETENTION_STATE = "trusted.reten_state";
export const OWN_XATTRS: ReadonlySet<string> = new Set([START_TIME, WORM_FILE, RETENTION_STATE]);

/** The state of a file that was committed. */
export interface Retention {
  /** Once written, never written again. */
  readonly worm: boolean;
  /** Not to be deleted either, until the access time. */
  readonly retained: boolean;
  readonly legalHold: boolean;
  /** Enterprise mode: retention can be made longer, not shorter. */
  readonly enterprise: boolean;
  readonly periodSec: number;
  readonly autoCommitSec: number;
}

/** The state that `text` spells; undefined if it is none. */
export function parseRetention(text: string): Retention | undefined {
  const match = /^(\d{1,9})\/(-?\d{1,15})\/(-?\d{1,15})$/.exec(text);
  if (!match) return undefined;
  const bits = Number(match[1]);
  return {
    worm: (bits & 1) !== 0,
    retained: (bits & 2) !== 0,
    legalHold: (bits & 4) !== 0,
    enterprise: (bits & 8) !== 0,
    periodSec: Number(match[2]),
    autoCommitSec: Number(match[3]),
  };
}

/** The inverse of `parseRetention`. */
export function printRetention(state: Retention): string {
  const { worm, retained, legalHold, enterprise } = state;
  const bits = Number(worm) | Number(retained) << 1 | Number(legalHold) << 2 |
    Number(enterprise) << 3;
  return `${bits}/${state.periodSec}/${state.autoCommitSec}`;
}
