/** Entries of a directory by `getdents64`, with the kernel's own cookies. */

import { fopError } from "core/errno.ts";
import { decodeName } from "core/lib/bytes.ts";
import { sys } from "core/sys/calls.ts";

/** An entry as the backend has it. */
export interface BackendEntry {
  readonly name: string;
  /** The name's bytes with a NUL, valid until the next entry is taken from the kernel. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Cookie of what follows (`d_off`). */
  readonly offset: bigint;
  readonly ino: bigint;
  /** DT_REG, …; 0 where the file system does not tell. */
  readonly type: number;
}

const CHUNK = 32768;
const SEEK_SET = 0;
// linux_dirent64: ino, off, reclen, type, name.
const RECLEN = 16, TYPE = 18, NAME = 19;

/**
 * Reads an open directory on from where it stands. Owns no descriptor. An entry that `next` gave can be
 * put back by `seek` to the cookie before it.
 */
export class DirStream {
  #chunk = new Uint8Array(CHUNK);
  #view = new DataView(this.#chunk.buffer);
  #at = 0;
  #end = 0;
  /** Cookie of the entry that `next` will give. */
  #position = 0n;

  constructor(private readonly fd: number) {}

  /** Goes to a cookie; free if that is where the stream stands. */
  seek(offset: bigint): void {
    if (offset === this.#position) return;
    const result = sys.lseek(this.fd, BigInt.asIntN(64, offset), SEEK_SET);
    if (result < 0n) throw fopError(Number(result));
    this.#at = this.#end = 0;
    this.#position = offset;
  }

  /** The entry at the stream's position, without moving on; undefined at the end. */
  peek(): BackendEntry | undefined {
    if (this.#at >= this.#end && !this.#more()) return undefined;
    const at = this.#at;
    const size = this.#view.getUint16(at + RECLEN, true);
    let end = at + NAME;
    while (end < at + size && this.#chunk[end] !== 0) end++;
    const bytes = this.#chunk.subarray(at + NAME, end + 1);
    return {
      name: decodeName(bytes.subarray(0, -1)),
      bytes,
      offset: this.#view.getBigInt64(at + 8, true),
      ino: this.#view.getBigUint64(at, true),
      type: this.#chunk[at + TYPE]!,
    };
  }

  /** Moves past the entry that `peek` gave. */
  skip(entry: BackendEntry): void {
    this.#at += this.#view.getUint16(this.#at + RECLEN, true);
    this.#position = entry.offset;
  }

  /** The next entry; undefined at the end. */
  next(): BackendEntry | undefined {
    const entry = this.peek();
    if (entry) this.skip(entry);
    return entry;
  }

  #more(): boolean {
    const size = sys.getdents64(this.fd, this.#chunk, CHUNK);
    if (size < 0) throw fopError(size);
    this.#at = 0;
    this.#end = size;
    return size > 0;
  }
}
