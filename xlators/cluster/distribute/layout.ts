/**
 * Which subvolume of a directory has which names: each has a range of hashes, kept on its copy of
 * the directory in `trusted.glusterfs.dht` as four big-endian words: commit hash, hash type, first
 * and last hash. A range from 0 to 0 takes no part.
 */

const SHARE_BYTES = 16;
const HASH_TYPE_DM = 0, HASH_TYPE_DM_USER = 1;
const LAST_HASH = 0xffffffff;

/** The commit hash of a layout that was repaired: names may be elsewhere (DHT_LAYOUT_HASH_INVALID). */
export const COMMIT_REPAIRED = 1;

/** One subvolume's range of hashes, `stop` included. */
export interface Share {
  readonly commit: number;
  readonly start: number;
  readonly stop: number;
}

/** The range that takes no part. */
export const NO_SHARE: Share = { commit: 0, start: 0, stop: 0 };

/** Reads a share; undefined if that is none, or of a kind that GlusterFS does not know. */
export function parseShare(bytes: Uint8Array): Share | undefined {
  if (bytes.length !== SHARE_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, SHARE_BYTES);
  const type = view.getUint32(4);
  if (type !== HASH_TYPE_DM && type !== HASH_TYPE_DM_USER) return undefined;
  const share = { commit: view.getUint32(0), start: view.getUint32(8), stop: view.getUint32(12) };
  return share.start <= share.stop ? share : undefined;
}

/** The inverse of `parseShare`. */
export function printShare({ commit, start, stop }: Share): Uint8Array {
  const bytes = new Uint8Array(SHARE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, commit);
  view.setUint32(4, HASH_TYPE_DM);
  view.setUint32(8, start);
  view.setUint32(12, stop);
  return bytes;
}

/** The shares of one directory by subvolume; undefined where none is known. */
export class Layout {
  constructor(readonly shares: readonly (Share | undefined)[]) {}

  /** The subvolume whose range `hash` is in; undefined if it is in none. */
  find(hash: number): number | undefined {
    const index = this.shares.findIndex((share) =>
      share !== undefined && takesPart(share) && share.start <= hash && hash <= share.stop
    );
    return index < 0 ? undefined : index;
  }

  /** True if the subvolume may have names of its own. */
  has(index: number): boolean {
    const share = this.shares[index];
    return share !== undefined && takesPart(share);
  }

  /** True if every hash is in exactly one range. */
  get whole(): boolean {
    const ranges = this.shares.filter((share) => share !== undefined && takesPart(share));
    ranges.sort((a, b) => a!.start - b!.start);
    let next = 0;
    for (const range of ranges) {
      if (range!.start !== next) return false;
      next = range!.stop + 1;
    }
    return next === LAST_HASH + 1;
  }
}

function takesPart({ start, stop }: Share): boolean {
  return start !== stop;
}

/** What a new layout is made of. */
export interface NewLayout {
  /** Names of all subvolumes. */
  readonly names: readonly string[];
  /** How much each may get, in proportion; 0: nothing. */
  readonly weights: readonly number[];
  /** Decides which one begins: GlusterFS takes the hash of the directory's path. */
  readonly seed: number;
  readonly commit: number;
}

/**
 * Ranges for a directory that has none, as GlusterFS deals them out: in order of names, beginning
 * at `seed` modulo their count, the last one up to the end. Throws RangeError if all weights are 0.
 */
export function newLayout({ names, weights, seed, commit }: NewLayout): Layout {
  const sorted = [...names.keys()].sort((a, b) => names[a]! < names[b]! ? -1 : 1);
  const order = sorted.map((_, at) => sorted[(at + seed) % sorted.length]!)
    .filter((index) => weights[index]! > 0);
  if (!order.length) throw new RangeError("Cannot lay out a directory: no subvolume may be used");
  const chunk = LAST_HASH / order.reduce((sum, index) => sum + weights[index]!, 0);
  const shares: Share[] = names.map(() => ({ ...NO_SHARE, commit }));
  let start = 0;
  for (const [at, index] of order.entries()) {
    const size = Math.floor(chunk * weights[index]!);
    const stop = at === order.length - 1 ? LAST_HASH : start + size - 1;
    shares[index] = { commit, start, stop };
    start += size;
  }
  return new Layout(shares);
}
