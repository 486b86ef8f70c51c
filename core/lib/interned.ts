/**
 * Text that comes over and over as bytes, such as names of attributes: making it anew costs a
 * microsecond, so what came lately is found by its bytes. Direct-mapped: who invents names only makes
 * others slow.
 */

const SLOTS = 4096, SIZE_MAX = 96;
const slotBytes: Uint8Array[] = new Array(SLOTS).fill(new Uint8Array(0));
const slotText: string[] = new Array(SLOTS).fill("");

/** The text of `size` bytes at `at`; `make` makes it if it is not known, and may refuse by throwing. */
export function interned(
  bytes: Uint8Array,
  at: number,
  size: number,
  make: (bytes: Uint8Array) => string,
): string {
  if (size > SIZE_MAX) return make(bytes.subarray(at, at + size));
  // All bytes: keys of GlusterFS differ in a few, and those that share a place are slow for good.
  let hash = size;
  for (let i = at; i < at + size; i++) hash = Math.imul(hash, 31) + bytes[i]!;
  const slot = (hash ^ (hash >>> 12)) & (SLOTS - 1);
  const known = slotBytes[slot]!;
  if (known.length === size) {
    let i = 0;
    while (i < size && known[i] === bytes[at + i]) i++;
    if (i === size) return slotText[slot]!;
  }
  const key = bytes.slice(at, at + size);
  const text = make(key);
  slotBytes[slot] = key;
  return slotText[slot] = text;
}
