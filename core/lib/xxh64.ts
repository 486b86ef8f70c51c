/**
 * XXH64 with seed 0 (xxHash specification 0.1.1, github.com/Cyan4973/xxHash doc/xxhash_spec.md).
 *
 * 64-bit values are two 32-bit halves in typed arrays: a name's hash is needed on every create, and
 * BigInt arithmetic would take several times as long.
 */

import { HEX } from "core/lib/bytes.ts";

// Primes as [high, low]; `P` indexes them.
const PRIME_HI = Uint32Array.of(0x9e3779b1, 0xc2b2ae3d, 0x165667b1, 0x85ebca77, 0x27d4eb2f);
const PRIME_LO = Uint32Array.of(0x85ebca87, 0x27d4eb4f, 0x9e3779f9, 0xc2b2ae63, 0x165667c5);
const P1 = 0, P2 = 1, P3 = 2, P4 = 3, P5 = 4;

// Registers 0 to 3 are the accumulators of the stripes, 4 the hash, 5 a word on its way in.
const hi = new Uint32Array(6);
const lo = new Uint32Array(6);
const HASH = 4, WORD = 5;

/** The hash of `bytes` as 16 lower-case hexadecimal digits, most significant first. */
export function xxh64(bytes: Uint8Array): string {
  const size = bytes.length;
  let at = 0;
  if (size >= 32) at = stripes(bytes);
  else load(HASH, PRIME_HI[P5]!, PRIME_LO[P5]!);
  add(HASH, Math.floor(size / 2 ** 32), size >>> 0);
  for (; at + 8 <= size; at += 8) {
    readWord(bytes, at);
    round(WORD);
    xor(HASH, hi[WORD]!, lo[WORD]!);
    rotate(HASH, 27);
    multiply(HASH, P1);
    add(HASH, PRIME_HI[P4]!, PRIME_LO[P4]!);
  }
  if (at + 4 <= size) {
    load(WORD, 0, word32(bytes, at));
    multiply(WORD, P1);
    xor(HASH, hi[WORD]!, lo[WORD]!);
    rotate(HASH, 23);
    multiply(HASH, P2);
    add(HASH, PRIME_HI[P3]!, PRIME_LO[P3]!);
    at += 4;
  }
  for (; at < size; at++) {
    load(WORD, 0, bytes[at]!);
    multiply(WORD, P5);
    xor(HASH, hi[WORD]!, lo[WORD]!);
    rotate(HASH, 11);
    multiply(HASH, P1);
  }
  // Avalanche: shifts by 33, 29 and 32 bits.
  xor(HASH, 0, hi[HASH]! >>> 1);
  multiply(HASH, P2);
  xor(HASH, hi[HASH]! >>> 29, (hi[HASH]! << 3) | (lo[HASH]! >>> 29));
  multiply(HASH, P3);
  xor(HASH, 0, hi[HASH]!);
  return hex32(hi[HASH]!) + hex32(lo[HASH]!);
}

// Takes whole stripes of 32 bytes into the hash register; answers where they end.
function stripes(bytes: Uint8Array): number {
  load(0, PRIME_HI[P1]!, PRIME_LO[P1]!);
  add(0, PRIME_HI[P2]!, PRIME_LO[P2]!);
  load(1, PRIME_HI[P2]!, PRIME_LO[P2]!);
  load(2, 0, 0);
  // 0 - P1: two's complement.
  load(3, ~PRIME_HI[P1]!, -PRIME_LO[P1]!);
  let at = 0;
  for (; at + 32 <= bytes.length; at += 32) {
    for (let lane = 0; lane < 4; lane++) {
      readWord(bytes, at + 8 * lane);
      multiply(WORD, P2);
      add(lane, hi[WORD]!, lo[WORD]!);
      rotate(lane, 31);
      multiply(lane, P1);
    }
  }
  load(HASH, 0, 0);
  const turns = [1, 7, 12, 18];
  for (let lane = 0; lane < 4; lane++) {
    load(WORD, hi[lane]!, lo[lane]!);
    rotate(WORD, turns[lane]!);
    add(HASH, hi[WORD]!, lo[WORD]!);
  }
  for (let lane = 0; lane < 4; lane++) {
    round(lane);
    xor(HASH, hi[lane]!, lo[lane]!);
    multiply(HASH, P1);
    add(HASH, PRIME_HI[P4]!, PRIME_LO[P4]!);
  }
  return at;
}

// The specification's round with an accumulator of zero.
function round(register: number): void {
  multiply(register, P2);
  rotate(register, 31);
  multiply(register, P1);
}

function load(register: number, high: number, low: number): void {
  hi[register] = high;
  lo[register] = low;
}

function add(register: number, high: number, low: number): void {
  const sum = lo[register]! + (low >>> 0);
  lo[register] = sum;
  hi[register] = hi[register]! + high + (sum >= 2 ** 32 ? 1 : 0);
}

function xor(register: number, high: number, low: number): void {
  hi[register] = hi[register]! ^ high;
  lo[register] = lo[register]! ^ low;
}

// By 1 to 31 bits to the left.
function rotate(register: number, bits: number): void {
  const high = hi[register]!, low = lo[register]!;
  hi[register] = (high << bits) | (low >>> (32 - bits));
  lo[register] = (low << bits) | (high >>> (32 - bits));
}

function multiply(register: number, prime: number): void {
  const a = lo[register]!, b = PRIME_LO[prime]!;
  const a0 = a & 0xffff, a1 = a >>> 16, b0 = b & 0xffff, b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const carry = a0 * b1 + (middle & 0xffff);
  const upper = a1 * b1 + Math.floor(middle / 65536) + Math.floor(carry / 65536);
  hi[register] = upper + Math.imul(hi[register]!, b) + Math.imul(a, PRIME_HI[prime]!);
  lo[register] = Math.imul(a, b);
}

function word32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function readWord(bytes: Uint8Array, at: number): void {
  load(WORD, word32(bytes, at + 4), word32(bytes, at));
}

function hex32(value: number): string {
  return HEX[value >>> 24]! + HEX[(value >>> 16) & 255]! + HEX[(value >>> 8) & 255]! +
    HEX[value & 255]!;
}
