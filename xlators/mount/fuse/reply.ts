/** Answers in the kernel's form, each written with one system call from one buffer. */

import type { Statfs } from "core/fops.ts";
import { kernelDevice } from "core/lib/device.ts";
import type { Iatt } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import { ATTR, DATA_MAX, ENTRY, NOTIFY, OUT_HEADER, STORE } from "xlators/mount/fuse/protocol.ts";

const TWO_32 = 2 ** 32;
/** Room for most answers, and for what a small file holds. */
const SMALL = 8192;

/** A buffer for an answer. */
export class ReplyBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;

  /** Bytes behind the header. */
  readonly room: number;
  readonly #data: Uint8Array<ArrayBuffer>;

  constructor(room: number) {
    this.room = room;
    this.bytes = new Uint8Array(OUT_HEADER + room);
    this.view = new DataView(this.bytes.buffer);
    this.#data = this.bytes.subarray(OUT_HEADER);
  }

  /** The first `size` bytes behind the header. */
  data(size: number): Uint8Array<ArrayBuffer> {
    return size === this.room ? this.#data : this.#data.subarray(0, size);
  }
}

/** Where answers go: the device. Answers what `write` answered, negative for a failure. */
export type Send = (bytes: Uint8Array<ArrayBuffer>, size: number) => number;

/** Tells the kernel what it did not ask for; the bytes are lent until it has done what they say. */
export type Notify = (bytes: Uint8Array<ArrayBuffer>) => Promise<number>;

/** Seconds that the kernel may rely on what it was told. */
export interface Validity {
  readonly entry: number;
  readonly attributes: number;
  readonly missing: number;
  /** Whether numbers of inodes are told in 32 bits. */
  readonly ino32: boolean;
}

/** Puts a whole number below 2^53 as 64 bits. */
export function putU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / TWO_32), true);
}

/** An inode's number: the last 8 bytes of its gfid, or those 4 and 4 laid over each other. */
export function putIno(view: DataView, at: number, gfid: Gfid, ino32: boolean): void {
  // The gfid's text ends in "xxxx-xxxxxxxxxxxx"; the number's upper half comes first.
  const upper = parseInt(gfid.slice(19, 23) + gfid.slice(24, 28), 16);
  const lower = parseInt(gfid.slice(28), 16);
  view.setUint32(at + 4, ino32 ? 0 : upper, true);
  view.setUint32(at, ino32 ? upper ^ lower : lower, true);
}

/** Puts `fuse_attr`. */
export function putAttributes(view: DataView, at: number, stat: Iatt, ino32: boolean): void {
  putIno(view, at, stat.gfid, ino32);
  putU64(view, at + 8, stat.size);
  putU64(view, at + 16, stat.blocks);
  putU64(view, at + 24, stat.atime);
  putU64(view, at + 32, stat.mtime);
  putU64(view, at + 40, stat.ctime);
  view.setUint32(at + 48, stat.atimeNsec, true);
  view.setUint32(at + 52, stat.mtimeNsec, true);
  view.setUint32(at + 56, stat.ctimeNsec, true);
  view.setUint32(at + 60, stat.mode, true);
  view.setUint32(at + 64, stat.nlink, true);
  view.setUint32(at + 68, stat.uid, true);
  view.setUint32(at + 72, stat.gid, true);
  view.setUint32(at + 76, kernelDevice(stat.rdev), true);
  view.setUint32(at + 80, stat.blksize, true);
  view.setUint32(at + 84, 0, true);
}

/** Puts `fuse_entry_out`. */
export function putEntry(
  view: DataView,
  at: number,
  nodeid: number,
  stat: Iatt,
  validity: Validity,
): void {
  putU64(view, at, nodeid);
  putU64(view, at + 8, 0);
  putTime(view, at + 16, at + 32, validity.entry);
  putTime(view, at + 24, at + 36, validity.attributes);
  putAttributes(view, at + 40, stat, validity.ino32);
}

function putTime(view: DataView, secondsAt: number, nanosecondsAt: number, time: number): void {
  const seconds = Math.floor(time);
  putU64(view, secondsAt, seconds);
  view.setUint32(nanosecondsAt, Math.round((time - seconds) * 1e9), true);
}

/** Tells the kernel to ask again for a node's attributes and data; a notice of its own. */
export function invalidation(nodeid: number): Uint8Array<ArrayBuffer> {
  const { bytes, view } = new ReplyBuffer(24);
  view.setUint32(0, bytes.length, true);
  view.setInt32(4, NOTIFY.INVAL_INODE, true);
  putU64(view, OUT_HEADER, nodeid);
  return bytes;
}

/** Writes answers. Those methods that answer a number answer what the device did. */
export class Replier {
  readonly #send: Send;
  // Everything but data and listings is written at once from here.
  readonly #small = new ReplyBuffer(SMALL);
  #large: ReplyBuffer | undefined;

  constructor(send: Send) {
    this.#send = send;
  }

  /** The request `unique` is done and has no answer but that. */
  ok(unique: number): number {
    return this.#finish(this.#small, unique, 0, 0);
  }

  /** It failed with the error number `errno`. */
  failed(unique: number, errno: number): number {
    // The kernel takes an answer with a number that it does not know for nonsense.
    const known = errno > 0 && errno < 512 ? errno : 5;
    return this.#finish(this.#small, unique, -known, 0);
  }

  /** `size` bytes that stand behind the header in `buffer`. */
  filled(buffer: ReplyBuffer, unique: number, size: number): number {
    return this.#finish(buffer, unique, 0, size);
  }

  attributes(unique: number, stat: Iatt, { attributes, ino32 }: Validity): number {
    const { view } = this.#small;
    putTime(view, OUT_HEADER, OUT_HEADER + 8, attributes);
    view.setUint32(OUT_HEADER + 12, 0, true);
    putAttributes(view, OUT_HEADER + 16, stat, ino32);
    return this.#finish(this.#small, unique, 0, 16 + ATTR);
  }

  entry(unique: number, nodeid: number, stat: Iatt, validity: Validity): number {
    putEntry(this.#small.view, OUT_HEADER, nodeid, stat, validity);
    return this.#finish(this.#small, unique, 0, ENTRY);
  }

  /** There is no such name, and the kernel may remember it. */
  missing(unique: number, { missing }: Validity): number {
    const { bytes, view } = this.#small;
    bytes.fill(0, OUT_HEADER, OUT_HEADER + ENTRY);
    putTime(view, OUT_HEADER + 16, OUT_HEADER + 32, missing);
    return this.#finish(this.#small, unique, 0, ENTRY);
  }

  /**
   * Puts the first bytes of a node's data into the kernel's cache. Waits for pages that are being read:
   * only for a node that nobody has open.
   */
  store(nodeid: number, data: Uint8Array): number {
    const size = STORE + data.length;
    const buffer = size <= SMALL ? this.#small : this.#roomy(size);
    const { bytes, view } = buffer;
    putU64(view, OUT_HEADER, nodeid);
    putU64(view, OUT_HEADER + 8, 0);
    view.setUint32(OUT_HEADER + 16, data.length, true);
    view.setUint32(OUT_HEADER + 20, 0, true);
    bytes.set(data, OUT_HEADER + STORE);
    return this.#finish(buffer, 0, NOTIFY.STORE, size);
  }

  opened(unique: number, handle: number, flags: number): number {
    this.#putOpened(OUT_HEADER, handle, flags);
    return this.#finish(this.#small, unique, 0, 16);
  }

  created(
    unique: number,
    nodeid: number,
    stat: Iatt,
    validity: Validity,
    handle: number,
    flags: number,
  ): number {
    putEntry(this.#small.view, OUT_HEADER, nodeid, stat, validity);
    this.#putOpened(OUT_HEADER + ENTRY, handle, flags);
    return this.#finish(this.#small, unique, 0, ENTRY + 16);
  }

  #putOpened(at: number, handle: number, flags: number): void {
    const { view } = this.#small;
    putU64(view, at, handle);
    view.setUint32(at + 8, flags, true);
    view.setUint32(at + 12, 0, true);
  }

  /** A 32-bit size: of what was written, or of an attribute that nobody asked the value of. */
  size(unique: number, size: number): number {
    const { view } = this.#small;
    view.setUint32(OUT_HEADER, size, true);
    view.setUint32(OUT_HEADER + 4, 0, true);
    return this.#finish(this.#small, unique, 0, 8);
  }

  offset(unique: number, offset: number): number {
    putU64(this.#small.view, OUT_HEADER, offset);
    return this.#finish(this.#small, unique, 0, 8);
  }

  /** Bytes of any size. */
  data(unique: number, data: Uint8Array): number {
    const buffer = data.length <= SMALL ? this.#small : this.#roomy(data.length);
    buffer.bytes.set(data, OUT_HEADER);
    return this.#finish(buffer, unique, 0, data.length);
  }

  // A fresh MiB costs about 150 µs of zeroing.
  #roomy(size: number): ReplyBuffer {
    if (size > DATA_MAX) return new ReplyBuffer(size);
    return this.#large ??= new ReplyBuffer(DATA_MAX);
  }

  /** Data with room for the header in front of it. */
  lent(unique: number, data: Uint8Array<ArrayBuffer>): number {
    const at = data.byteOffset - OUT_HEADER;
    const bytes = new Uint8Array(data.buffer, at, OUT_HEADER + data.length);
    const view = new DataView(data.buffer, at, OUT_HEADER);
    return this.#finish({ bytes, view }, unique, 0, data.length);
  }

  space(unique: number, statfs: Statfs): number {
    const { bytes, view } = this.#small;
    const SIZE = 80;
    bytes.fill(0, OUT_HEADER, OUT_HEADER + SIZE);
    const counts = [statfs.blocks, statfs.bfree, statfs.bavail, statfs.files, statfs.ffree];
    counts.forEach((count, i) => putU64(view, OUT_HEADER + 8 * i, count));
    view.setUint32(OUT_HEADER + 40, statfs.bsize, true);
    view.setUint32(OUT_HEADER + 44, statfs.namemax, true);
    view.setUint32(OUT_HEADER + 48, statfs.frsize, true);
    return this.#finish(this.#small, unique, 0, SIZE);
  }

  /** A lock in the way: 32-bit `type` as fcntl spells it; `end` is its last byte. */
  lock(unique: number, start: bigint, end: bigint, type: number, pid: number): number {
    const { view } = this.#small;
    view.setBigUint64(OUT_HEADER, start, true);
    view.setBigUint64(OUT_HEADER + 8, end, true);
    view.setUint32(OUT_HEADER + 16, type, true);
    view.setUint32(OUT_HEADER + 20, pid, true);
    return this.#finish(this.#small, unique, 0, 24);
  }

  #finish(
    { bytes, view }: Pick<ReplyBuffer, "bytes" | "view">,
    unique: number,
    error: number,
    size: number,
  ): number {
    const whole = OUT_HEADER + size;
    view.setUint32(0, whole, true);
    view.setInt32(4, error, true);
    putU64(view, 8, unique);
    return this.#send(bytes, whole);
  }
}
