/**
 * Where a name belongs: GlusterFS's hash of names, 32 bits, the same as its cluster/distribute
 * (libglusterfs hashfn.c: a Davies-Meyer construction over rounds of TEA).
 */

import { encodeName } from "core/lib/bytes.ts";

const DELTA = 0x9e3779b9;
const ROUNDS_FULL_BLOCK = 6;
const ROUNDS_LAST_BLOCK = 10;
const BLOCK_BYTES = 16;

/** The hash of `bytes`, from 0 to 2^32 - 1. */
export function hashBytes(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const state = new Uint32Array([0x9464a485, 0x542e1a94]);
  const block = new Uint32Array(4);
  let at = 0;
  for (; at + BLOCK_BYTES <= bytes.length; at += BLOCK_BYTES) {
    for (let word = 0; word < 4; word++) block[word] = view.getUint32(at + 4 * word, true);
    mix(state, block, ROUNDS_FULL_BLOCK);
  }
  for (let word = 0; word < 4; word++, at += 4) block[word] = lastWord(view, at);
  mix(state, block, ROUNDS_LAST_BLOCK);
  return (state[0]! ^ state[1]!) >>> 0;
}

// What the last block has no bytes for is filled with the length. A word that is cut short takes
// its bytes in the other order, and each as C's signed char: those from 0x80 on fill all above them.
function lastWord(view: DataView, at: number): number {
  const size = view.byteLength;
  if (at + 4 <= size) return view.getUint32(at, true);
  let word = size | size << 8;
  word |= word << 16;
  for (; at < size; at++) word = word << 8 | view.getInt8(at);
  return word;
}

function mix(state: Uint32Array, block: Uint32Array, rounds: number): void {
  const [k0, k1, k2, k3] = block as unknown as [number, number, number, number];
  let a = state[0]!, b = state[1]!, sum = 0;
  for (let round = 0; round < rounds; round++) {
    sum = sum + DELTA | 0;
    a = a + ((b << 4) + k0 ^ b + sum ^ (b >>> 5) + k1) | 0;
    b = b + ((a << 4) + k2 ^ a + sum ^ (a >>> 5) + k3) | 0;
  }
  state[0] = state[0]! + a;
  state[1] = state[1]! + b;
}

/** What rsync calls a file while it copies it: `.name.suffix` belongs where `name` does. */
export const RSYNC_PATTERN = "^\\.(.+)\\.[^.]+$";

/** Hashes names after taking off what programs add to them for a while. */
export class NameHash {
  readonly #patterns: readonly RegExp[];

  /** The first of `patterns` that fits with a group 1 decides what of a name is hashed. */
  constructor(patterns: readonly RegExp[]) {
    this.#patterns = patterns;
  }

  /** What of `name` is hashed. */
  reduced(name: string): string {
    for (const pattern of this.#patterns) {
      const kept = pattern.exec(name)?.[1];
      if (kept !== undefined && kept !== name) return kept;
    }
    return name;
  }

  /** The hash of a name, or of any text. */
  of(name: string): number {
    return hashBytes(encodeName(this.reduced(name)));
  }
}
