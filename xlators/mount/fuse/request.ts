/** A request of the kernel: its header, and its fields by their place behind the header. */

import type { LkOwner } from "core/call.ts";
import { EINVAL, ENAMETOOLONG } from "core/errno.ts";
import { decodeName, toHex } from "core/lib/bytes.ts";
import { IN_HEADER } from "xlators/mount/fuse/protocol.ts";

const TWO_32 = 2 ** 32;
/** Names are longer nowhere on a brick. */
const NAME_BYTES_MAX = 255;

/** Bytes that requests are read into. */
export interface RequestBytes {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
}

/** See the head of this file. Fields are only there until the bytes are read into again. */
export class Request {
  readonly #in: RequestBytes;
  /** Where the fields begin. */
  readonly #at: number;
  /** Where it ends. */
  readonly #end: number;
  readonly opcode: number;
  readonly unique: number;
  readonly nodeid: number;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;

  /** The request of `size` bytes at `at`. Throws EINVAL if that is none. */
  constructor(from: RequestBytes, at: number, size: number) {
    const { view } = from;
    if (size < IN_HEADER || view.getUint32(at, true) !== size) throw EINVAL;
    this.#in = from;
    this.#at = at + IN_HEADER;
    this.#end = at + size;
    this.opcode = view.getUint32(at + 4, true);
    this.unique = view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * TWO_32;
    this.nodeid = view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * TWO_32;
    this.uid = view.getUint32(at + 24, true);
    this.gid = view.getUint32(at + 28, true);
    this.pid = view.getUint32(at + 32, true);
  }

  /** Bytes behind the header. */
  get size(): number {
    return this.#end - this.#at;
  }

  u32(at: number): number {
    return this.#in.view.getUint32(this.#place(at, 4), true);
  }

  /** 64 bits, which must be below 2^53. Throws EINVAL. */
  u64(at: number): number {
    const place = this.#place(at, 8);
    const { view } = this.#in;
    const value = view.getUint32(place, true) + view.getUint32(place + 4, true) * TWO_32;
    if (value > Number.MAX_SAFE_INTEGER) throw EINVAL;
    return value;
  }

  /** Whole seconds, which may be negative. */
  i64(at: number): number {
    const place = this.#place(at, 8);
    const { view } = this.#in;
    return view.getUint32(place, true) + view.getInt32(place + 4, true) * TWO_32;
  }

  /** All 64 bits. */
  big(at: number): bigint {
    return this.#in.view.getBigUint64(this.#place(at, 8), true);
  }

  /** An owner of locks: the kernel's 64 bits as they lie in memory, as GlusterFS's clients send them. */
  owner(at: number): LkOwner {
    return toHex(this.bytes(at, 8)) as LkOwner;
  }

  /** `size` bytes, borrowed. */
  bytes(at: number, size: number): Uint8Array<ArrayBuffer> {
    const place = this.#place(at, size);
    return this.#in.bytes.subarray(place, place + size);
  }

  /** The name at `at`, and where the next field begins. Throws ENAMETOOLONG. */
  name(at: number): { readonly name: string; readonly next: number } {
    const { name, next } = this.text(at);
    if (next - at - 1 > NAME_BYTES_MAX) throw ENAMETOOLONG;
    return { name, next };
  }

  /** The same of any length. */
  text(at: number): { readonly name: string; readonly next: number } {
    const from = this.#place(at, 1);
    const nul = this.#in.bytes.indexOf(0, from);
    if (nul < 0 || nul >= this.#end) throw EINVAL;
    const name = decodeName(this.#in.bytes.subarray(from, nul));
    return { name, next: at + nul - from + 1 };
  }

  #place(at: number, size: number): number {
    const place = this.#at + at;
    if (place + size > this.#end) throw EINVAL;
    return place;
  }
}
