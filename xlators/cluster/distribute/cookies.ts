/**
 * Directory cookies of several subvolumes in one number, as GlusterFS does (gf-dirent.c): a small
 * one is multiplied by their count, a large one loses its lowest bits to the subvolume's number.
 */

const TOP_BIT = 1n << 62n;
const PRESENT_BITS = 63n;

/** Cookies of `count` subvolumes. */
export class Cookies {
  readonly #count: bigint;
  readonly #bits: bigint;

  constructor(count: number) {
    this.#count = BigInt(count);
    this.#bits = BigInt(Math.ceil(Math.log2(count)));
  }

  /** The cookie that clients see for subvolume `index`'s cookie. */
  join(index: number, cookie: bigint): bigint {
    if (this.#count === 1n) return cookie;
    const small = (1n << (PRESENT_BITS - this.#bits - 1n)) - 1n;
    if (cookie <= small) return cookie * this.#count + BigInt(index);
    const kept = (cookie >> 1n) >> this.#bits << this.#bits;
    return TOP_BIT | kept & (TOP_BIT - 1n) | BigInt(index);
  }

  /** The inverse, but for the bits that were lost. A cookie that is none begins at the front. */
  split(joined: bigint): { index: number; cookie: bigint } {
    if (this.#count === 1n) return { index: 0, cookie: joined };
    if (!(joined & TOP_BIT)) {
      return { index: Number(joined % this.#count), cookie: joined / this.#count };
    }
    const index = joined & ((1n << this.#bits) - 1n);
    if (index >= this.#count) return { index: 0, cookie: 0n };
    const kept = (joined & (TOP_BIT - 1n)) >> this.#bits << this.#bits;
    return { index: Number(index), cookie: kept << 1n };
  }
}
