/** Rows of old data. */

import { EXTENT_UNITS_MAX, UNIT } from "snapshot/engine/units.ts";

/** Old data of one file. */
export interface Extent {
  readonly inode: number;
  /** In units. */
  readonly start: number;
  readonly units: number;
  readonly epoch: number;
  /** Byte in the segments, `ZEROS` if there is nothing to keep. */
  readonly place: number;
  /** CRC-32 of the bytes. */
  readonly crc: number;
}

/** An extent's place when its old data was zeros. */
export const ZEROS = -1;

/** One without the number of its file. */
export type Extension = Omit<Extent, "inode">;

/** Goes on with the checksum of an extent's bytes after others. */
export type Summed = (before?: number) => number;

/**
 * Both as one, if the second of the same file lies behind the first one in the file and in the history.
 * Undefined: it does not.
 */
export function joined<T extends Extension>(
  first: T,
  { start, units, epoch, place }: Extension,
  summed: Summed,
): T | undefined {
  const isZeros = first.place === ZEROS, size = first.units * UNIT;
  const follows = first.epoch === epoch && first.start + first.units === start &&
    first.units + units <= EXTENT_UNITS_MAX && place === (isZeros ? ZEROS : first.place + size);
  if (!follows) return undefined;
  return { ...first, units: first.units + units, crc: isZeros ? 0 : summed(first.crc) };
}
