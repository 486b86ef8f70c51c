/**
 * `trusted.glusterfs.lockinfo`: how a client that switches to a new graph takes its POSIX locks
 * along. It gets the attribute of the old open file, a dictionary of brick to number in the legacy
 * encoding, and sets it on the new one. Clusters join the dictionaries of their bricks.
 *
 * The number is not to be guessed: who knows it may take the locks.
 */

import type { Random } from "core/env.ts";
import { EINVAL } from "core/errno.ts";
import { PerFd } from "core/inode.ts";
import type { Fd } from "core/inode.ts";
import { decodeName, encodeName } from "core/lib/bytes.ts";
import { bytesKey } from "core/xdata.ts";

export const LOCKINFO = "trusted.glusterfs.lockinfo";
export const LOCKINFO_KEY = bytesKey(LOCKINFO);

/** Dictionaries of more bricks than that are refused. */
const PAIRS_MAX = 65_536;

/** Numbers that stand for open files. */
export class FdNumbers {
  readonly #random: Random;
  #numbers = new PerFd<string>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** The number of `fd` in decimal digits; given out at the first question. */
  of(fd: Fd): string {
    let number = this.#numbers.get(fd);
    if (number === undefined) {
      const bytes = this.#random.bytes(8);
      number = String(new DataView(bytes.buffer).getBigUint64(0) | 1n);
      this.#numbers.set(fd, number);
    }
    return number;
  }

  /** True if `number` was given out for `fd`. */
  isOf(fd: Fd, number: string): boolean {
    return this.#numbers.get(fd) === number;
  }
}

/** A dictionary with one pair: `u32 count; u32 key size, value size; key, NUL, value` (dict.c). */
export function encodeLockinfo(brick: string, number: string): Uint8Array<ArrayBuffer> {
  const key = encodeName(brick), value = encodeName(`${number}\0`);
  const bytes = new Uint8Array(12 + key.length + 1 + value.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 1);
  view.setUint32(4, key.length);
  view.setUint32(8, value.length);
  bytes.set(key, 12);
  bytes.set(value, 12 + key.length + 1);
  return bytes;
}

/** What a dictionary has for `brick`; undefined if nothing. Throws EINVAL on what is no dictionary. */
export function decodeLockinfo(bytes: Uint8Array, brick: string): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4) throw EINVAL;
  const count = view.getUint32(0);
  if (count > PAIRS_MAX) throw EINVAL;
  let at = 4;
  for (let pair = 0; pair < count; pair++) {
    if (at + 8 > bytes.length) throw EINVAL;
    const keySize = view.getUint32(at), valueSize = view.getUint32(at + 4);
    const valueAt = at + 8 + keySize + 1;
    if (valueAt + valueSize > bytes.length) throw EINVAL;
    if (decodeName(bytes.subarray(at + 8, valueAt - 1)) === brick) {
      const digits = /^\d{1,20}/.exec(decodeName(bytes.subarray(valueAt, valueAt + valueSize)));
      return digits?.[0];
    }
    at = valueAt + valueSize;
  }
  return undefined;
}

/** What storage's `<POSIX(brick):host:path>` tells of the brick; undefined if it is none. */
export function brickInPathinfo(pathinfo: string): string | undefined {
  const end = pathinfo.lastIndexOf(":");
  return end > 0 ? pathinfo.slice(0, end) : undefined;
}
