/**
 * Extra data of a fop, and dictionaries in general (`gfx_dict`): names with typed values.
 *
 * Immutable, because replicate sends one request to several bricks at once. Layers use the typed
 * keys of `core/xdata_keys.ts`; only codecs, storage and tests look at raw values.
 */

import type { Iatt, Timespec } from "core/iatt.ts";
import { type Gfid, gfidFromBytes } from "core/inode.ts";
import { decodeName, encodeName } from "core/lib/bytes.ts";

/** Times of an inode as the `features/utime` layer keeps them (`mdata_iatt`). */
export interface Mdata {
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
}

/**
 * A value with its type on the wire (glusterfs4-xdr.x `gfx_value`). Integers beyond 2^53 are
 * bigint so that nothing is lost in passing. `str` is text without the NUL that the wire adds.
 * Bytes are borrowed like any argument: copy to keep.
 */
export type DictValue =
  | { readonly type: "int"; readonly value: number | bigint }
  | { readonly type: "uint"; readonly value: number | bigint }
  | { readonly type: "double"; readonly value: number }
  | { readonly type: "str"; readonly value: string }
  | { readonly type: "ptr"; readonly value: Uint8Array }
  | { readonly type: "gfuuid"; readonly value: Gfid }
  | { readonly type: "iatt"; readonly value: Iatt }
  | { readonly type: "mdata"; readonly value: Mdata };

/** A value by kind; extended attributes are `ptr`. */
export type DictType = DictValue["type"];

/** How a key's value reads and writes; `undefined` from `read` means "not of this type". */
export interface XKey<T> {
  readonly name: string;
  read(value: DictValue): T | undefined;
  write(value: T): DictValue;
}

/**
 * An immutable dictionary. Absent xdata is `undefined`, not an empty one; only clients that look
 * whether a lookup's answer has any are given an empty one.
 */
export class Xdata implements Iterable<[string, DictValue]> {
  readonly #values: ReadonlyMap<string, DictValue>;

  /** Takes `values` over: the caller must not change the map afterwards. */
  constructor(values: ReadonlyMap<string, DictValue>) {
    this.#values = values;
  }

  /** A dictionary of raw entries. */
  static of(entries: Iterable<readonly [string, DictValue]>): Xdata {
    return new Xdata(new Map(entries));
  }

  get size(): number {
    return this.#values.size;
  }

  /** The raw value under `name`. */
  raw(name: string): DictValue | undefined {
    return this.#values.get(name);
  }

  /** True if `key` is there, whatever its value. */
  has(key: XKey<unknown> | string): boolean {
    return this.#values.has(typeof key === "string" ? key : key.name);
  }

  /** The value of `key`; undefined if it is absent or of a type the key cannot read. */
  get<T>(key: XKey<T>): T | undefined {
    const value = this.#values.get(key.name);
    return value && key.read(value);
  }

  /** A copy with `key` set. */
  with<T>(key: XKey<T>, value: T): Xdata {
    return new Xdata(this.#copy().set(key.name, key.write(value)));
  }

  /** A copy without the named keys; undefined if nothing is left. */
  without(...keys: readonly (XKey<unknown> | string)[]): Xdata | undefined {
    const out = keys.map((key) => typeof key === "string" ? key : key.name);
    let left: Map<string, DictValue> | undefined;
    this.#values.forEach((value, name) => {
      if (!out.includes(name)) (left ??= new Map()).set(name, value);
    });
    return left && new Xdata(left);
  }

  /** A copy with everything of `other` over it. */
  merged(other: Xdata | undefined): Xdata {
    if (!other) return this;
    const values = this.#copy();
    other.#values.forEach((value, name) => values.set(name, value));
    return new Xdata(values);
  }

  // Replies are copied for each layer that adds to them. Iterating makes a pair of each entry first.
  #copy(): Map<string, DictValue> {
    const copy = new Map<string, DictValue>();
    this.#values.forEach((value, name) => copy.set(name, value));
    return copy;
  }

  names(): IterableIterator<string> {
    return this.#values.keys();
  }

  [Symbol.iterator](): IterableIterator<[string, DictValue]> {
    return this.#values.entries();
  }
}

/** `xdata` with `key` set, made if there was none. */
export function withKey<T>(xdata: Xdata | undefined, key: XKey<T>, value: T): Xdata {
  return xdata ? xdata.with(key, value) : new Xdata(new Map([[key.name, key.write(value)]]));
}

/** A `ptr` value. */
export function ptr(value: Uint8Array): DictValue {
  return { type: "ptr", value };
}

/** A `str` value. */
export function str(value: string): DictValue {
  return { type: "str", value };
}

/**
 * The bytes of a value as an extended attribute or as C's `dict_get_bin` would see them: `str`
 * with its NUL, integers as decimal text with NUL, gfids as 16 bytes; undefined for iatt and mdata.
 */
export function valueBytes(value: DictValue): Uint8Array | undefined {
  switch (value.type) {
    case "ptr":
      return value.value;
    case "str":
      return encodeName(value.value + "\0");
    case "int":
    case "uint":
    case "double":
      return encodeName(`${value.value}\0`);
    case "gfuuid":
      return Uint8Array.from(
        value.value.replaceAll("-", "").match(/../g)!,
        (pair) => parseInt(pair, 16),
      );
    case "iatt":
    case "mdata":
      return undefined;
  }
}

/** The text of a value: `str`, or `ptr` up to its first NUL; undefined for the rest. */
export function valueText(value: DictValue): string | undefined {
  if (value.type === "str") return value.value;
  if (value.type !== "ptr") return undefined;
  const nul = value.value.indexOf(0);
  return decodeName(nul < 0 ? value.value : value.value.subarray(0, nul));
}

/** A key whose value is a count or size; integers in text (legacy dictionaries) are read too. */
export function intKey(name: string, type: "int" | "uint" = "int"): XKey<number> {
  return { name, read: readInteger, write: (value) => ({ type, value }) };
}

function readInteger(value: DictValue): number | undefined {
  if (value.type === "int" || value.type === "uint") {
    return typeof value.value === "number" ? value.value : undefined;
  }
  const text = valueText(value);
  return text !== undefined && /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** A key whose value is text. */
export function textKey(name: string): XKey<string> {
  return { name, read: valueText, write: str };
}

/** A key whose value is bytes. */
export function bytesKey(name: string): XKey<Uint8Array> {
  return { name, read: valueBytes, write: ptr };
}

/** A key whose value is a gfid. 16 plain bytes are read too: FUSE clients send `gfid-req` so when they have a file healed. */
export function gfidKey(name: string): XKey<Gfid> {
  return {
    name,
    read: readGfid,
    write: (value) => ({ type: "gfuuid", value }),
  };
}

function readGfid(value: DictValue): Gfid | undefined {
  if (value.type === "gfuuid") return value.value;
  return value.type === "ptr" && value.value.length === 16 ? gfidFromBytes(value.value) : undefined;
}

/** A key whose value is an inode's attributes. */
export function iattKey(name: string): XKey<Iatt> {
  return {
    name,
    read: (value) => value.type === "iatt" ? value.value : undefined,
    write: (value) => ({ type: "iatt", value }),
  };
}

/** A key whose value is `features/utime`'s times. */
export function mdataKey(name: string): XKey<Mdata> {
  return {
    name,
    read: (value) => value.type === "mdata" ? value.value : undefined,
    write: (value) => ({ type: "mdata", value }),
  };
}

/** A key that only asks: whatever stands there counts as "please answer". */
export function requestKey(name: string): XKey<true> {
  return { name, read: () => true, write: () => ({ type: "int", value: 1 }) };
}
