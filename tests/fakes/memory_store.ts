/** A store in memory that remembers every write, so that a test can look at what a kill would leave. */

import type { Store } from "snapshot/qcow2/store.ts";

/** A change of the store. */
export type Change =
  | { readonly offset: number; readonly data: Uint8Array<ArrayBuffer> }
  | { readonly size: number };

/** Bytes in memory, and the changes that led to them. */
export class MemoryStore implements Store {
  bytes: Uint8Array<ArrayBuffer>;
  readonly changes: Change[] = [];
  reads = 0;

  constructor(bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0)) {
    this.bytes = bytes;
  }

  size(): Promise<number> {
    return Promise.resolve(this.bytes.length);
  }

  read(offset: number, into: Uint8Array<ArrayBuffer>): Promise<number> {
    this.reads++;
    const found = this.bytes.subarray(Math.min(offset, this.bytes.length), offset + into.length);
    into.set(found);
    return Promise.resolve(found.length);
  }

  write(offset: number, data: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#apply({ offset, data: data.slice() });
    return Promise.resolve();
  }

  truncate(size: number): Promise<void> {
    this.#apply({ size });
    return Promise.resolve();
  }

  punch(offset: number, length: number): Promise<void> {
    const end = Math.min(offset + length, this.bytes.length);
    if (end > offset) this.#apply({ offset, data: new Uint8Array(end - offset) });
    return Promise.resolve();
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #apply(change: Change): void {
    this.changes.push(change);
    this.bytes = applied(this.bytes, change);
  }
}

/** `bytes` after `change`; changes them in place where they are large enough. */
export function applied(bytes: Uint8Array<ArrayBuffer>, change: Change): Uint8Array<ArrayBuffer> {
  const end = "size" in change ? change.size : change.offset + change.data.length;
  let result = bytes;
  if (end > bytes.length || ("size" in change && end < bytes.length)) {
    result = new Uint8Array(end);
    result.set(bytes.subarray(0, end));
  }
  if ("data" in change) result.set(change.data, change.offset);
  return result;
}
