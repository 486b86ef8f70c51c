/**
 * The format's numbers: big endian, offsets of 64 bits with flags in them. Offsets are plain numbers
 * here: what does not fit 53 bits is beyond any file, and the bounds checks that every offset has to
 * pass say so.
 */

/** L1 and L2 entry: the refcount of what it points at is exactly one. */
export const COPIED_HIGH = 0x8000_0000;
/** L2 entry: the cluster is compressed. */
export const COMPRESSED_HIGH = 0x4000_0000;
/** L2 entry: the cluster reads as zeros (version 3, no subclusters). */
export const ZERO_LOW = 1;

const TWO_32 = 2 ** 32;

/** A 64-bit number as far as 53 bits are exact; larger ones come out large, never small. */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at) * TWO_32 + view.getUint32(at + 4);
}

/** Writes a whole number below 2^53 as 64 bits. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / TWO_32));
  view.setUint32(at + 4, value % TWO_32);
}

/** Bits 9 to 55 of an entry: where in the file a cluster starts. */
export function offsetOf(high: number, low: number): number {
  return (high & 0x00ff_ffff) * TWO_32 + ((low & 0xffff_fe00) >>> 0);
}

/** `bytes` as a view of the same memory. */
export function viewOf(bytes: Uint8Array): DataView<ArrayBufferLike> {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** `value` rounded up to a multiple of `unit`. */
export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
