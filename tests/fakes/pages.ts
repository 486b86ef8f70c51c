/** A sparse file's bytes in memory: pages that were written, holes that were not. */

import { EFBIG, ENXIO } from "core/errno.ts";

/** Bytes of one page; a hole is a whole number of them. */
export const PAGE_BYTES = 4096;

/** Largest file: beyond it writes fail with EFBIG, as on a real file system. */
export const FILE_BYTES_MAX = 2 ** 43;

/** Bytes from 0 to `size`; pages that were never written read as zeros and take no space. */
export class Pages {
  #pages = new Map<number, Uint8Array>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** 512-byte units that written pages take. */
  get blocks(): number {
    return this.#pages.size * (PAGE_BYTES / 512);
  }

  /** At most `size` bytes from `offset`, in a new array; nothing past the end. */
  read(offset: number, size: number): Uint8Array {
    const count = Math.max(0, Math.min(size, this.#size - offset));
    const data = new Uint8Array(count);
    this.#each(offset, count, (page, from, to, at) => {
      const bytes = this.#pages.get(page);
      if (bytes) data.set(bytes.subarray(from, to), at);
    });
    return data;
  }

  write(offset: number, data: Uint8Array): void {
    if (offset + data.length > FILE_BYTES_MAX) throw EFBIG;
    this.#each(offset, data.length, (page, from, to, at) => {
      let bytes = this.#pages.get(page);
      if (!bytes) this.#pages.set(page, bytes = new Uint8Array(PAGE_BYTES));
      bytes.set(data.subarray(at, at + to - from), from);
    });
    if (data.length) this.#size = Math.max(this.#size, offset + data.length);
  }

  /** Cuts, or grows with a hole. */
  resize(size: number): void {
    if (size > FILE_BYTES_MAX) throw EFBIG;
    if (size < this.#size) this.clear(size, this.#size - size);
    for (const page of this.#pages.keys()) {
      if (page * PAGE_BYTES >= size) this.#pages.delete(page);
    }
    this.#size = size;
  }

  /** Makes whole pages within the range holes and zeros the rest of it; the size stays. */
  clear(offset: number, size: number): void {
    const end = Math.min(offset + size, this.#size);
    for (const [page, bytes] of this.#pages) {
      const start = page * PAGE_BYTES;
      if (start >= end || start + PAGE_BYTES <= offset) continue;
      if (start >= offset && start + PAGE_BYTES <= offset + size) this.#pages.delete(page);
      else bytes.fill(0, Math.max(0, offset - start), Math.min(PAGE_BYTES, end - start));
    }
  }

  /** Gives the range pages of its own; what they hold reads as before. */
  allocate(offset: number, size: number): void {
    if (offset + size > FILE_BYTES_MAX) throw EFBIG;
    this.#each(offset, size, (page) => {
      if (!this.#pages.has(page)) this.#pages.set(page, new Uint8Array(PAGE_BYTES));
    });
  }

  /** Where data, or a hole, begins at or after `offset`. Throws ENXIO past the end. */
  seek(offset: number, what: "data" | "hole"): number {
    if (offset >= this.#size) throw ENXIO;
    for (let at = offset; at < this.#size; at = (Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES) {
      if (this.#pages.has(Math.floor(at / PAGE_BYTES)) === (what === "data")) return at;
    }
    if (what === "data") throw ENXIO;
    return this.#size;
  }

  #each(
    offset: number,
    size: number,
    visit: (page: number, from: number, to: number, at: number) => void,
  ): void {
    for (let at = 0; at < size;) {
      const page = Math.floor((offset + at) / PAGE_BYTES);
      const from = offset + at - page * PAGE_BYTES;
      const to = Math.min(PAGE_BYTES, from + size - at);
      visit(page, from, to, at);
      at += to - from;
    }
  }
}
