/**
 * Who a file is (gfid), what stands for it in a graph (`Inode`), and an open file (`Fd`).
 *
 * An `Inode` is identity only: attributes travel in replies. The table hands out one object per
 * gfid as long as anybody holds it, so a layer may hang state on it with `PerInode`: the state
 * lives as long as the inode object and needs no `forget`. State that must outlive every holder
 * (a granted lock) belongs in a `Map` by gfid in the layer.
 */

/** A file's identity in a volume: a UUID as lower-case text with hyphens. */
export type Gfid = string & { readonly __brand: "Gfid" };

/** The volume's root directory. */
export const ROOT_GFID = "00000000-0000-0000-0000-000000000001" as Gfid;

/** All zero: "no gfid". Never a file's. */
export const NULL_GFID = "00000000-0000-0000-0000-000000000000" as Gfid;

const GFID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The gfid that `text` spells, or undefined if it is none. Upper case is accepted. */
export function parseGfid(text: string): Gfid | undefined {
  const lower = text.toLowerCase();
  return GFID_TEXT.test(lower) ? lower as Gfid : undefined;
}

// Direct-mapped memo of recent conversions: a gfid repeats on every fop of its file, and comparing
// 16 bytes is several times cheaper than spelling 36 characters.
const MEMO_SLOTS = 4096;
const memoBytes = new Uint8Array(MEMO_SLOTS * 16);
const memoText: Gfid[] = new Array(MEMO_SLOTS).fill(NULL_GFID);

/** Digits of hexadecimal numbers, and a gfid that is spelt, as character codes: hyphens stay. */
const DIGITS = Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0));
const spelt: number[] = new Array(36).fill("-".charCodeAt(0));

/** The gfid in the 16 bytes of `bytes` at `at`. */
export function gfidFromBytes(bytes: Uint8Array, at = 0): Gfid {
  const slot = ((bytes[at + 15]! | (bytes[at + 14]! << 8)) ^ (bytes[at + 3]! << 4)) &
    (MEMO_SLOTS - 1);
  const base = slot * 16;
  let same = true;
  for (let i = 0; i < 16; i++) {
    if (memoBytes[base + i] !== bytes[at + i]) {
      same = false;
      break;
    }
  }
  if (same) return memoText[slot]!;
  // Flat at once: it is looked up by, and text that was put together would be copied then.
  for (let i = 0, to = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) to++;
    const byte = memoBytes[base + i] = bytes[at + i]!;
    spelt[to++] = DIGITS[byte >> 4]!;
    spelt[to++] = DIGITS[byte & 15]!;
  }
  return memoText[slot] = String.fromCharCode.apply(null, spelt) as Gfid;
}

/** Writes the 16 bytes of `gfid` into `bytes` at `at`. */
export function gfidToBytes(
  gfid: Gfid,
  bytes: Uint8Array = new Uint8Array(16),
  at = 0,
): Uint8Array {
  let to = at;
  for (let i = 0; i < 36; i += 2) {
    if (i === 8 || i === 13 || i === 18 || i === 23) i++;
    bytes[to++] = (nibble(gfid.charCodeAt(i)) << 4) | nibble(gfid.charCodeAt(i + 1));
  }
  return bytes;
}

function nibble(code: number): number {
  return code <= 57 ? code - 48 : code - 87;
}

/** One file in one graph. Compare by identity: the table never makes two for a gfid that is held. */
export class Inode {
  constructor(readonly gfid: Gfid) {}
}

/** A directory entry: which directory, which name. Names never hold `/` or NUL, nor are `.` or `..`. */
export interface Entry {
  readonly parent: Inode;
  readonly name: string;
}

/**
 * An open file or directory. Made by the layer that opened it (storage, protocol/client, a cluster
 * layer over its children's) and handed up in the reply of `open`, `create` or `opendir`; other
 * layers hang state on it with `PerFd` as it passes.
 */
export class Fd {
  constructor(
    readonly inode: Inode,
    /** Linux open flags as on the wire (x86 values): O_RDWR, O_APPEND, O_DIRECT, … */
    readonly flags: number,
    /** True if nothing was opened: storage serves it ad hoc, `release` is never sent. */
    readonly anonymous = false,
  ) {}
}

/** State of one layer for one inode; gone when the inode is. */
export class PerInode<T> {
  #map = new WeakMap<Inode, T>();
  get(inode: Inode): T | undefined {
    return this.#map.get(inode);
  }
  set(inode: Inode, value: T): void {
    this.#map.set(inode, value);
  }
  delete(inode: Inode): void {
    this.#map.delete(inode);
  }
}

/** State of one layer for one open file; gone when the fd is. */
export class PerFd<T> {
  #map = new WeakMap<Fd, T>();
  get(fd: Fd): T | undefined {
    return this.#map.get(fd);
  }
  set(fd: Fd, value: T): void {
    this.#map.set(fd, value);
  }
  delete(fd: Fd): void {
    this.#map.delete(fd);
  }
}

/** Of inodes that were let go, so many at least come before those that are gone are looked for. */
const SWEEP_LEAST = 1024;

/**
 * The inodes of a graph. The last `limit` used are held; older ones live on only while somebody
 * else holds them, and come back as the same object if so.
 */
export class InodeTable {
  /** The root directory: always there. */
  readonly root = new Inode(ROOT_GFID);
  #held = new Map<Gfid, Inode>();
  #evicted = new Map<Gfid, WeakRef<Inode>>();
  /** How many evicted ones there are before those that are gone are looked for. */
  #sweepAt = 0;
  #limit: number;

  /** Holds at most `limit` inodes of its own accord. */
  constructor(limit = 65536) {
    this.#limit = limit;
  }

  /** From now on holds at most `limit`; 0 means all. */
  holdAtMost(limit: number): void {
    this.#limit = limit === 0 ? Infinity : limit;
    if (this.#held.size > this.#limit) this.#evict();
  }

  /** How many it holds at most; Infinity: all. */
  get limit(): number {
    return this.#limit;
  }

  /** How many inodes the table holds itself. */
  get size(): number {
    return this.#held.size;
  }

  /** How many it knows: with those that it let go and somebody held when it last looked. */
  get remembered(): number {
    return this.#held.size + this.#evicted.size;
  }

  /** Those it holds itself, the longest held first. */
  held(): Iterable<Inode> {
    return this.#held.values();
  }

  /** The inode of `gfid` if anybody holds one. */
  known(gfid: Gfid): Inode | undefined {
    if (gfid === ROOT_GFID) return this.root;
    return this.#held.get(gfid) ?? this.#evicted.get(gfid)?.deref();
  }

  /** The inode of `gfid`, made if nobody holds one. */
  of(gfid: Gfid): Inode {
    if (gfid === ROOT_GFID) return this.root;
    const held = this.#held.get(gfid);
    if (held) return held;
    const inode = this.#evicted.get(gfid)?.deref() ?? new Inode(gfid);
    this.#evicted.delete(gfid);
    this.#held.set(gfid, inode);
    if (this.#held.size > this.#limit) this.#evict();
    return inode;
  }

  /** Stops holding `gfid`: its last name went away. */
  forget(gfid: Gfid): void {
    const inode = this.#held.get(gfid);
    if (!inode) return;
    this.#held.delete(gfid);
    this.#weaken(inode);
  }

  // First in, first out, an eighth at a time: cheaper than moving an entry on every hit, and an
  // inode in use comes back through its weak reference.
  #evict(): void {
    let count = Math.max(1, this.#limit >> 3, this.#held.size - this.#limit);
    for (const inode of this.#held.values()) {
      if (count-- === 0) break;
      this.#held.delete(inode.gfid);
      this.#weaken(inode);
    }
  }

  #weaken(inode: Inode): void {
    this.#evicted.set(inode.gfid, new WeakRef(inode));
    if (this.#evicted.size > this.#sweepAt) this.#sweep();
  }

  // Hearing from the engine of each that is gone would cost more memory than an inode has.
  #sweep(): void {
    for (const [gfid, ref] of this.#evicted) if (!ref.deref()) this.#evicted.delete(gfid);
    this.#sweepAt = this.#evicted.size + Math.max(SWEEP_LEAST, this.#held.size >> 1);
  }
}
