/**
 * XDR (RFC 4506) as values: a `Codec` writes and reads one type, and codecs combine. Decoders take
 * limits and refuse what exceeds them: a peer must not choose our memory.
 */

import { decodeName, encodeName } from "core/lib/bytes.ts";

/** Bytes that are not what the protocol says; the connection that sent them is closed. */
export class XdrError extends Error {
  override readonly name = "XdrError";
}

/** Reads from a record. Byte views it hands out are borrowed: they live as long as the record. */
export class XdrReader {
  readonly view: DataView;
  /** Where the next value begins. A connection reads many records of one buffer with one reader. */
  at: number;
  end: number;

  constructor(readonly bytes: Uint8Array, at = 0, end = bytes.length) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
    this.end = end;
  }

  /** Bytes left. */
  get left(): number {
    return this.end - this.at;
  }

  /** Moves on by `size` bytes and answers where they began. */
  skip(size: number): number {
    const at = this.at;
    if (size < 0 || size > this.end - at) {
      throw new XdrError(`Cannot read ${size} bytes at ${at}: record ends at ${this.end}`);
    }
    this.at = at + size;
    return at;
  }

  u32(): number {
    return this.view.getUint32(this.skip(4));
  }

  i32(): number {
    return this.view.getInt32(this.skip(4));
  }

  /** An unsigned hyper that must be below 2^53: offsets and sizes. */
  u53(): number {
    const at = this.skip(8);
    const high = this.view.getUint32(at);
    if (high > 0x1fffff) throw new XdrError("Cannot read number: 2^53 or more");
    return high * 4294967296 + this.view.getUint32(at + 4);
  }

  u64(): bigint {
    return this.view.getBigUint64(this.skip(8));
  }

  i64(): bigint {
    return this.view.getBigInt64(this.skip(8));
  }

  /** `size` bytes and their padding; a view, not a copy. */
  fixed(size: number): Uint8Array {
    const at = this.skip(size);
    this.skip(-size & 3);
    return this.bytes.subarray(at, at + size);
  }

  /** Counted bytes, at most `max`; a view, not a copy. */
  opaque(max: number): Uint8Array {
    const size = this.u32();
    if (size > max) {
      throw new XdrError(`Cannot read ${size} bytes: at most ${max} are allowed here`);
    }
    return this.fixed(size);
  }

  /** Counted text, at most `max` bytes; lossless for names that are not UTF-8. */
  string(max: number): string {
    return decodeName(this.opaque(max));
  }
}

/** Writes a record into a buffer that grows. */
export class XdrWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  at = 0;

  constructor(size = 512) {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /**
   * Goes on at `at` of a buffer of the caller's. If what is written does not fit, the writer moves
   * to a buffer of its own (from byte 0 on a copy), so compare `bytes` afterwards.
   */
  aim(bytes: Uint8Array<ArrayBuffer>, view: DataView<ArrayBuffer>, at: number): void {
    this.#bytes = bytes;
    this.#view = view;
    this.at = at;
  }

  /** What was written so far; a view, valid until the next write. */
  get written(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.at);
  }

  /** Moves on by `size` bytes, growing if needed, and answers where they begin. Not zeroed. */
  reserve(size: number): number {
    const at = this.at, need = at + size;
    if (need > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(need, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.at = need;
    return at;
  }

  /** The buffer itself: for codecs that write in place after `reserve`. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }
  get view(): DataView<ArrayBuffer> {
    return this.#view;
  }

  u32(value: number): void {
    const at = this.reserve(4);
    this.#view.setUint32(at, value);
  }

  i32(value: number): void {
    const at = this.reserve(4);
    this.#view.setInt32(at, value);
  }

  /** A hyper from a whole number below 2^53. */
  u53(value: number): void {
    const at = this.reserve(8);
    this.#view.setUint32(at, Math.floor(value / 4294967296));
    this.#view.setUint32(at + 4, value >>> 0);
  }

  u64(value: bigint): void {
    const at = this.reserve(8);
    this.#view.setBigUint64(at, value);
  }

  i64(value: bigint): void {
    const at = this.reserve(8);
    this.#view.setBigInt64(at, value);
  }

  /** Bytes without a count, padded to 4. */
  fixed(value: Uint8Array): void {
    const padding = -value.length & 3;
    const at = this.reserve(value.length + padding);
    this.#bytes.set(value, at);
    if (padding) this.#bytes.fill(0, at + value.length, at + value.length + padding);
  }

  /** Bytes as they are, no padding: bulk data behind the last XDR value. */
  raw(value: Uint8Array): void {
    const at = this.reserve(value.length);
    this.#bytes.set(value, at);
  }

  opaque(value: Uint8Array): void {
    this.u32(value.length);
    this.fixed(value);
  }

  string(value: string): void {
    this.opaque(encodeName(value));
  }
}

/** How one type travels. */
export interface Codec<T> {
  write(to: XdrWriter, value: T): void;
  read(from: XdrReader): T;
}

/** The type a codec carries. */
// deno-lint-ignore no-explicit-any -- inference needs the open type
export type Infer<C extends Codec<any>> = C extends Codec<infer T> ? T : never;

export const u32: Codec<number> = {
  write: (to, value) => to.u32(value),
  read: (from) => from.u32(),
};
export const i32: Codec<number> = {
  write: (to, value) => to.i32(value),
  read: (from) => from.i32(),
};
/** A hyper as a number below 2^53: offsets and sizes. */
export const u53: Codec<number> = {
  write: (to, value) => to.u53(value),
  read: (from) => from.u53(),
};
export const u64: Codec<bigint> = {
  write: (to, value) => to.u64(value),
  read: (from) => from.u64(),
};
export const i64: Codec<bigint> = {
  write: (to, value) => to.i64(value),
  read: (from) => from.i64(),
};

/** Exactly `size` bytes. Read: a view into the record. */
export function fixed(size: number): Codec<Uint8Array> {
  return {
    write(to, value) {
      if (value.length !== size) {
        throw new RangeError(`Cannot write ${value.length} bytes as ${size}`);
      }
      to.fixed(value);
    },
    read: (from) => from.fixed(size),
  };
}

/** At most `max` bytes with their count. Read: a view into the record. */
export function opaque(max: number): Codec<Uint8Array> {
  return { write: (to, value) => to.opaque(value), read: (from) => from.opaque(max) };
}

/** Text of at most `max` bytes. */
export function string(max: number): Codec<string> {
  return { write: (to, value) => to.string(value), read: (from) => from.string(max) };
}

/** At most `max` elements with their count. */
export function array<T>(element: Codec<T>, max: number): Codec<readonly T[]> {
  return {
    write(to, values) {
      to.u32(values.length);
      for (const value of values) element.write(to, value);
    },
    read(from) {
      const count = from.u32();
      if (count > max) {
        throw new XdrError(`Cannot read ${count} elements: at most ${max} are allowed here`);
      }
      const values: T[] = [];
      for (let i = 0; i < count; i++) values.push(element.read(from));
      return values;
    },
  };
}

/** An XDR linked list (`struct entry *next`): a 1 before each element, a 0 at the end. */
export function chain<T>(element: Codec<T>, max: number): Codec<readonly T[]> {
  return {
    write(to, values) {
      for (const value of values) {
        to.u32(1);
        element.write(to, value);
      }
      to.u32(0);
    },
    read(from) {
      const values: T[] = [];
      while (from.u32() !== 0) {
        if (values.length >= max) throw new XdrError(`Cannot read list: more than ${max} elements`);
        values.push(element.read(from));
      }
      return values;
    },
  };
}

type Fields = Readonly<Record<string, Codec<never>>>;
type StructOf<F> = { readonly [K in keyof F]: F[K] extends Codec<infer T> ? T : never };

/** Fields in order of declaration. */
export function struct<const F extends Record<string, Codec<never> | Codec<unknown>>>(
  fields: F,
): Codec<StructOf<F>> {
  const list = Object.entries(fields as unknown as Fields) as [string, Codec<unknown>][];
  return {
    write(to, value) {
      for (const [name, codec] of list) codec.write(to, (value as Record<string, unknown>)[name]);
    },
    read(from) {
      const value: Record<string, unknown> = {};
      for (const [name, codec] of list) value[name] = codec.read(from);
      return value as StructOf<F>;
    },
  };
}
