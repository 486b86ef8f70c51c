/**
 * Times as clients tell them (`trusted.glusterfs.mdata`), so that all copies of a file agree.
 *
 * With option `ctime` on, and `features/utime` in the client's graph, the client's clock gives the
 * times of a change; they are kept in the attribute and reported instead of the backend's. A file
 * without the attribute has the backend's times until a client sets it. A time only grows, except
 * where somebody sets it (utimes).
 *
 * On disk, 57 bytes, big endian: version 1, 8 bytes of flags, then seconds and nanoseconds, 8 bytes
 * each, of ctime, mtime and atime (posix-metadata-disk.h).
 */

import type { Call } from "core/call.ts";
import type { Timespec } from "core/iatt.ts";
import { type Gfid, type InodeTable, PerInode } from "core/inode.ts";
import type { Mdata } from "core/xdata.ts";
import type { Target, XattrSpace } from "xlators/storage/posix/xattr_space.ts";

/** The attribute that keeps the times. */
export const MDATA_XATTR = "trusted.glusterfs.mdata";
const SIZE = 57;

/** Which times a fop touches; sums of these. */
export const CTIME = 1, MTIME = 2, ATIME = 4;

/** The times of a brick's inodes. */
export class Times {
  // "none" is remembered too: most files of a volume without the feature have no attribute.
  #known = new PerInode<Mdata | "none">();

  constructor(
    private readonly xattrs: XattrSpace,
    private readonly inodes: InodeTable,
    /** Option `ctime`. */
    public enabled: boolean,
  ) {}

  /** What to report instead of the backend's times; undefined: those. */
  of(gfid: Gfid, target: Target): Mdata | undefined {
    if (!this.enabled) return undefined;
    const inode = this.inodes.of(gfid);
    let known = this.#known.get(inode);
    if (known === undefined) {
      known = this.#read(target) ?? "none";
      this.#known.set(inode, known);
    }
    return known === "none" ? undefined : known;
  }

  /** As `of`, of one of many that are listed: what nobody looked at by itself is not remembered. */
  listed(gfid: Gfid, target: Target): Mdata | undefined {
    if (!this.enabled) return undefined;
    return this.inodes.known(gfid) ? this.of(gfid, target) : this.#read(target);
  }

  #read(target: Target): Mdata | undefined {
    const size = this.xattrs.read(target, MDATA_XATTR);
    return size === SIZE ? unpack(this.xattrs.bytes) : undefined;
  }

  /** A fop touched the inode: the client's time goes where it is later. `which`: CTIME | MTIME | ATIME. */
  touch(call: Call, gfid: Gfid, target: Target, which: number): void {
    const now = call.ctime;
    if (!now || !this.enabled) return;
    const known = this.of(gfid, target), old = known ?? { ctime: now, mtime: now, atime: now };
    const ctime = which & CTIME ? later(now, old.ctime) : old.ctime;
    const mtime = which & MTIME ? later(now, old.mtime) : old.mtime;
    const atime = which & ATIME ? later(now, old.atime) : old.atime;
    // A client's clock does not tell apart what it does in the same instant: it is stored already.
    if (known && ctime === old.ctime && mtime === old.mtime && atime === old.atime) return;
    this.#store(gfid, target, { ctime, mtime, atime });
  }

  /** Somebody set times outright. Only where the attribute is already: older clients would not agree. */
  set(
    call: Call,
    gfid: Gfid,
    target: Target,
    set: { atime?: Timespec | undefined; mtime?: Timespec | undefined },
  ): void {
    const old = this.of(gfid, target);
    if (!old) return;
    const ctime = call.ctime ? later(call.ctime, old.ctime) : old.ctime;
    this.#store(gfid, target, {
      ctime,
      mtime: set.mtime ?? old.mtime,
      atime: set.atime ?? old.atime,
    });
  }

  /** Times that a client or healer found elsewhere: the later ones win. 0 or `-errno`. */
  adopt(gfid: Gfid, target: Target, given: Mdata): number {
    const old = this.of(gfid, target);
    return this.#store(
      gfid,
      target,
      old
        ? {
          ctime: later(given.ctime, old.ctime),
          mtime: later(given.mtime, old.mtime),
          atime: later(given.atime, old.atime),
        }
        : given,
    );
  }

  /** A file was made just now and has no times of clients yet: no need to look. */
  none(gfid: Gfid): void {
    if (this.enabled) this.#known.set(this.inodes.of(gfid), "none");
  }

  /** Reads the attribute again next time. */
  forget(gfid: Gfid): void {
    this.#known.delete(this.inodes.of(gfid));
  }

  #store(gfid: Gfid, target: Target, times: Mdata): number {
    const result = this.xattrs.set(target, MDATA_XATTR, pack(times));
    if (result === 0) this.#known.set(this.inodes.of(gfid), times);
    return result;
  }
}

// The second one if they are equal.
function later(a: Timespec, b: Timespec): Timespec {
  return a.sec > b.sec || (a.sec === b.sec && a.nsec > b.nsec) ? a : b;
}

/** The times in the attribute's 57 bytes at the start of `bytes`; undefined from other sizes. */
export function parseMdata(bytes: Uint8Array): Mdata | undefined {
  return bytes.length === SIZE ? unpack(bytes) : undefined;
}

function unpack(bytes: Uint8Array): Mdata {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const time = (at: number): Timespec => ({
    sec: view.getInt32(at) * 2 ** 32 + view.getUint32(at + 4),
    nsec: view.getUint32(at + 12),
  });
  return { ctime: time(9), mtime: time(25), atime: time(41) };
}

/** The attribute's value. */
export function pack(times: Mdata): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SIZE);
  const view = new DataView(bytes.buffer);
  bytes[0] = 1;
  [times.ctime, times.mtime, times.atime].forEach(({ sec, nsec }, i) => {
    const at = 9 + 16 * i;
    view.setInt32(at, Math.floor(sec / 2 ** 32));
    view.setUint32(at + 4, sec >>> 0);
    view.setUint32(at + 12, nsec);
  });
  return bytes;
}
