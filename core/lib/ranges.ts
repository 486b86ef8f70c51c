/**
 * Arithmetic on byte ranges. Ends are inclusive, as a range that reaches to infinity ends at
 * 2^63 - 1 and has no size that fits. All 64 bits matter: replicate locks metadata at 2^63 - 2.
 */

import { EINVAL } from "core/errno.ts";

/** Last byte that can be locked; a range that ends here reaches to infinity. */
export const LAST = 0x7fff_ffff_ffff_ffffn;

/** Bytes from `start` to `end`, both included; `start` is at most `end`. */
export interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

/** Everything. */
export const WHOLE: Range = Object.freeze({ start: 0n, end: LAST });

/** `size` bytes from `start`, or all from there if `size` is 0n. Throws EINVAL on what is no range. */
export function rangeOf(start: bigint, size: bigint): Range {
  if (start < 0n || size < 0n || start > LAST || start + size > LAST) throw EINVAL;
  return { start, end: size === 0n ? LAST : start + size - 1n };
}

/**
 * Like `rangeOf`, but a negative `size` means the bytes before `start` (fcntl(2)). Negative values
 * may also come as what 64 bits without a sign make of them.
 */
export function signedRangeOf(start: bigint, size: bigint): Range {
  const from = BigInt.asIntN(64, start), count = BigInt.asIntN(64, size);
  if (from < 0n) throw EINVAL;
  return count < 0n ? rangeOf(from + count, -count) : rangeOf(from, count);
}

/** The inverse of `rangeOf`: 0n for a range that reaches to infinity. */
export function sizeOf(range: Range): bigint {
  return range.end === LAST ? 0n : range.end - range.start + 1n;
}

/** True if a byte is in both. */
export function overlaps(a: Range, b: Range): boolean {
  return a.start <= b.end && b.start <= a.end;
}

/** True if together they are one range: they overlap or are neighbours. */
export function touches(a: Range, b: Range): boolean {
  return a.start <= b.end + 1n && b.start <= a.end + 1n;
}

/** The smallest range with all of both. */
export function join(a: Range, b: Range): Range {
  return { start: a.start < b.start ? a.start : b.start, end: a.end > b.end ? a.end : b.end };
}

/** What is left of `range` when `cut` is taken away: none, one or two ranges. */
export function without(range: Range, cut: Range): Range[] {
  if (!overlaps(range, cut)) return [range];
  const left: Range[] = [];
  if (range.start < cut.start) left.push({ start: range.start, end: cut.start - 1n });
  if (range.end > cut.end) left.push({ start: cut.end + 1n, end: range.end });
  return left;
}
