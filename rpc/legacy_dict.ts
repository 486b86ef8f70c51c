/**
 * Dictionaries of the management protocols (`dict_serialize` in GlusterFS): names and bytes,
 * without types or padding, inside an XDR opaque. Text has its NUL, numbers are decimal text.
 */

import { decodeName, encodeName } from "core/lib/bytes.ts";
import { type DictValue, valueBytes, Xdata } from "core/xdata.ts";
import { type Codec, XdrError, XdrWriter } from "rpc/xdr.ts";

/** Largest dictionary accepted, in bytes: a CLI's answer about a big cluster is some 100 KiB. */
export const LEGACY_DICT_MAX = 1 << 20;
const NAME_MAX = 4096;

/**
 * A dictionary in its opaque. Read: values are `ptr`, copied out of the record, and typed keys read
 * them as text or numbers; an empty one is undefined. Write: iatt and mdata have no form here and
 * throw RangeError.
 */
export function legacyDict(max = LEGACY_DICT_MAX): Codec<Xdata | undefined> {
  return {
    write: (to, value) => to.opaque(packLegacyDict(value)),
    read: (from) => parseLegacyDict(from.opaque(max)),
  };
}

/** The bytes of a dictionary, without the opaque's count. None for an absent one. */
export function packLegacyDict(dict: Xdata | undefined): Uint8Array<ArrayBuffer> {
  if (!dict) return new Uint8Array(0);
  const to = new XdrWriter(1024);
  to.u32(dict.size);
  for (const [name, value] of dict) {
    const key = encodeName(name);
    const bytes = bytesOf(name, value);
    to.u32(key.length);
    to.u32(bytes.length);
    to.raw(key);
    to.bytes[to.reserve(1)] = 0;
    to.raw(bytes);
  }
  return to.written.slice();
}

function bytesOf(name: string, value: DictValue): Uint8Array {
  const bytes = valueBytes(value);
  if (!bytes) throw new RangeError(`Cannot write "${name}": ${value.type} has no plain form`);
  return bytes;
}

/** The dictionary that `bytes` spell. Throws XdrError. */
export function parseLegacyDict(bytes: Uint8Array): Xdata | undefined {
  if (bytes.length === 0) return undefined;
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  const fail = (what: string): never => {
    throw new XdrError(`Cannot read dictionary: ${what}`);
  };
  const has = (at: number, size: number) => size <= copy.length - at;
  if (!has(0, 4)) fail("no count");
  const count = view.getInt32(0);
  // Each pair takes 9 bytes at least, so a count that lies is found before anything is made for it.
  if (count < 0 || count * 9 > copy.length) fail(`${count} pairs in ${copy.length} bytes`);
  const values = new Map<string, DictValue>();
  let at = 4;
  for (let i = 0; i < count; i++) {
    if (!has(at, 8)) fail("it ends within a pair");
    const nameSize = view.getUint32(at), size = view.getUint32(at + 4);
    at += 8;
    if (nameSize > NAME_MAX) fail(`name of ${nameSize} bytes`);
    if (!has(at, nameSize + 1 + size)) fail("it ends within a pair");
    const name = decodeName(copy.subarray(at, at + nameSize));
    if (copy[at + nameSize] !== 0 || name.includes("\0")) fail("a name is not ended");
    at += nameSize + 1;
    values.set(name, { type: "ptr", value: copy.subarray(at, at + size) });
    at += size;
  }
  return values.size ? new Xdata(values) : undefined;
}
