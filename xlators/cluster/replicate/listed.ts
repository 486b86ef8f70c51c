/**
 * What a listing of a directory has shown so far, so that it can go on with another copy: cookies are
 * each copy's own, names are everyone's. Kept as hashes, eight bytes a name and eight a cookie. Cookies
 * of two copies may be the same number (ext4 ends all directories with one): those of all but the first
 * copy are told as places in the listing.
 */

import type { Dirent } from "core/fops.ts";

/** Names that are remembered; a listing of more cannot go on elsewhere. */
const NAMES_MAX = 1 << 20;
/** A place as a cookie: large, and with low bits to spare, which cluster/distribute may take. */
const PLACE = 1n << 62n, SPARE_BITS = 16n;

/** See the head of this file. */
export class Listed {
  #hashes = new Float64Array(64);
  #cookies = new BigInt64Array(64);
  #count = 0;
  /** Where what the present copy told begins. */
  #own = 0;
  /** From here on cookies are told as places. */
  #places = Infinity;
  #complete = true;
  /** Names that were shown before the present copy was asked. */
  #shown: ReadonlySet<number> | undefined;

  /** Entries that are shown next, in their order; answers them with the cookies to tell. */
  add<T extends Pick<Dirent, "name" | "offset">>(entries: readonly T[]): readonly T[] {
    if (this.#count + entries.length > NAMES_MAX) this.#complete = false;
    if (!this.#complete) return entries;
    this.#grow(this.#count + entries.length);
    const first = this.#count;
    for (const { name, offset } of entries) {
      this.#hashes[this.#count] = hashOf(name);
      this.#cookies[this.#count++] = BigInt.asIntN(64, offset);
    }
    if (first < this.#places) return entries;
    return entries.map((entry, at) => ({ ...entry, offset: placeCookie(first + at) }));
  }

  #grow(count: number): void {
    if (count <= this.#hashes.length) return;
    const size = Math.max(count, this.#hashes.length * 2);
    const hashes = new Float64Array(size), cookies = new BigInt64Array(size);
    hashes.set(this.#hashes);
    cookies.set(this.#cookies);
    this.#hashes = hashes;
    this.#cookies = cookies;
  }

  /**
   * The caller goes on behind the entry that was told with this cookie: what came after it was not
   * taken. Answers the present copy's own cookie; undefined if the entry is none of that one's:
   * `restart` with another one, or the same.
   */
  goOn(cookie: bigint): bigint | undefined {
    const at = this.#placeOf(BigInt.asIntN(64, cookie));
    if (at < 0) {
      // A place that was told long ago, or by nobody.
      this.#complete = false;
      return cookie;
    }
    this.#count = at + 1;
    return at < this.#own ? undefined : this.#cookies[at];
  }

  #placeOf(told: bigint): number {
    const place = Number(told >> SPARE_BITS & BigInt(NAMES_MAX - 1));
    const isPlace = told === placeCookie(place) && place >= this.#places && place < this.#count;
    let at = isPlace ? place : Math.min(this.#count, this.#places) - 1;
    if (!isPlace) { while (at >= 0 && this.#cookies[at] !== told) at--; }
    return at;
  }

  /** True if a listing from the beginning of a copy can leave out what was shown. */
  get canRestart(): boolean {
    return this.#complete;
  }

  /** From now on another copy is asked, from its beginning. */
  restart(): void {
    this.#shown = new Set(this.#hashes.subarray(0, this.#count));
    this.#own = this.#count;
    this.#places = Math.min(this.#places, this.#count);
  }

  /** `entries` of the present copy without those that another one told before. */
  unseen<T extends Pick<Dirent, "name">>(entries: readonly T[]): readonly T[] {
    const shown = this.#shown;
    return shown ? entries.filter(({ name }) => !shown.has(hashOf(name))) : entries;
  }
}

function placeCookie(place: number): bigint {
  return PLACE | BigInt(place) << SPARE_BITS;
}

// 53 bits of two multiplicative hashes: of a million names, two are alike once in 20,000 listings.
function hashOf(name: string): number {
  let one = 0xdeadbeef, two = 0x41c6ce57;
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    one = Math.imul(one ^ code, 2654435761);
    two = Math.imul(two ^ code, 1597334677);
  }
  one = Math.imul(one ^ (one >>> 16), 2246822507) ^ Math.imul(two ^ (two >>> 13), 3266489909);
  two = Math.imul(two ^ (two >>> 16), 2246822507) ^ Math.imul(one ^ (one >>> 13), 3266489909);
  return 4294967296 * (2097151 & two) + (one >>> 0);
}
