/**
 * How a brick tells a healer which ranges of a file changed: the value of virtual extended
 * attributes that only daemons can read. Absent means unknown, not none.
 */

/** Before the name of a copy, as marks name it; or before `OPEN_CHANGES`. */
export const CHANGED_PREFIX = "trusted.mortar.changed.";
/** What changed in transactions that are not over. No copy has this name: theirs have a hyphen. */
export const OPEN_CHANGES = "dirty";

/** From `start` to right before `end`, in bytes; `end` may be far behind the end of the file. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

const VERSION = 1, HEAD = 8, PAIR = 16;
/** Most ranges that are read; a brick keeps fewer. */
const RANGES_MAX = 65_536;

/** The value: version and count as 32 bits, then start and end of each as 64 bits, big-endian. */
export function packRanges(ranges: Iterable<ByteRange>): Uint8Array {
  const all = [...ranges];
  const bytes = new Uint8Array(HEAD + all.length * PAIR);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, VERSION);
  view.setUint32(4, all.length);
  all.forEach(({ start, end }, index) => {
    view.setBigUint64(HEAD + index * PAIR, BigInt(start));
    view.setBigUint64(HEAD + index * PAIR + 8, BigInt(end));
  });
  return bytes;
}

/** The inverse; undefined if it is nothing that `packRanges` makes. */
export function unpackRanges(bytes: Uint8Array): ByteRange[] | undefined {
  if (bytes.length < HEAD) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = view.getUint32(4);
  if (view.getUint32(0) !== VERSION || count > RANGES_MAX) return undefined;
  if (bytes.length !== HEAD + count * PAIR) return undefined;
  const ranges: ByteRange[] = [];
  for (let at = HEAD; at < bytes.length; at += PAIR) {
    const start = Number(view.getBigUint64(at)), end = Number(view.getBigUint64(at + 8));
    if (!(start < end) || !Number.isSafeInteger(end)) return undefined;
    ranges.push({ start, end });
  }
  return ranges;
}
