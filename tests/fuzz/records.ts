/** Malformed records from a seed: what a hostile or broken client may send. */

import { FOPS } from "core/fops.ts";
import { fromHex } from "core/lib/bytes.ts";
import { AUTH_GLUSTERFS_V3, writeCredentials } from "rpc/auth.ts";
import { LAST_FRAGMENT } from "rpc/record.ts";
import { ROOT_CREDENTIALS } from "rpc/auth.ts";
import { writeCallHead, writeNoAuth } from "rpc/message.ts";
import { GFX_PROGRAM, GFX_VERSION } from "rpc/programs/gfx.ts";
import { XdrWriter } from "rpc/xdr.ts";
import gfx from "tests/interop/gfx_golden.json" with { type: "json" };
import handshake from "tests/interop/handshake.json" with { type: "json" };

/** Repeatable numbers: the same seed gives the same ones (mulberry32). */
export class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** A whole number below `below`. */
  int(below: number): number {
    let t = this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 4294967296 * below);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)]!;
  }
  bytes(size: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: size }, () => this.int(256));
  }
}

/** Fops that would stay under way until somebody unlocks, or make the brick's store grow. */
const LEFT_OUT = new Set(["put"]);

/** Well-formed records without their markers: a call of every fop and of the small programs. */
export function corpus(): Uint8Array<ArrayBuffer>[] {
  const calls = handshake.filter(({ message }) => message === "call")
    .map(({ hex }) => fromHex(hex).slice(4));
  const fops = gfx.filter(({ fop }) => fop in FOPS && !LEFT_OUT.has(fop)).map(
    ({ fop, request }) => fopCall(FOPS[fop as keyof typeof FOPS].proc, fromHex(request)),
  );
  return [...calls, ...fops];
}

/** A call of the fop program around `args`. */
export function fopCall(procedure: number, args: Uint8Array): Uint8Array<ArrayBuffer> {
  const to = new XdrWriter();
  writeCallHead(to, 1, GFX_PROGRAM, GFX_VERSION, procedure);
  writeCredentials(to, AUTH_GLUSTERFS_V3, ROOT_CREDENTIALS);
  writeNoAuth(to);
  to.raw(args);
  return to.written.slice();
}

/** `body` as one record. */
export function marked(body: Uint8Array, size = body.length): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(body.length + 4);
  new DataView(bytes.buffer).setUint32(0, (LAST_FRAGMENT + size) >>> 0);
  bytes.set(body, 4);
  return bytes;
}

const ODD = [0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 127, 255, 256, 4095, 65535, 65536, 1 << 20];
const ODD_WORDS = [...ODD, ...ODD.map((each) => (-each) >>> 0), 0x7fffffff, 0x80000000, 0x7ffffffe];

/** One malformed (or by chance well-formed) stretch of a stream. */
export function malformed(dice: Dice, good: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const base = dice.pick(good).slice();
  switch (dice.int(10)) {
    case 0:
      return dice.bytes(1 + dice.int(200));
    case 1:
      return marked(dice.bytes(dice.int(300)));
    case 2: // Cut short, with a marker that fits.
      return marked(base.subarray(0, dice.int(base.length)));
    case 3: // Longer than it should be.
      return marked(concat(base, dice.bytes(dice.int(100))));
    case 4: // A marker that lies.
      return marked(base, dice.pick(ODD_WORDS) & 0x7fffffff);
    case 5: // In fragments, maybe unfinished.
      return fragments(dice, base);
    case 6: // Flipped bits.
      for (let i = dice.int(8); i >= 0; i--) base[dice.int(base.length)]! ^= 1 << dice.int(8);
      return marked(base);
    case 7: // The arguments are noise.
      base.set(dice.bytes(Math.max(0, base.length - 80)), Math.min(80, base.length));
      return marked(base.subarray(0, base.length));
    default: // Odd numbers where counts, sizes and types are.
      for (let i = dice.int(4); i >= 0; i--) {
        const words = Math.max(1, base.length >> 2);
        setWord(base, dice.int(words) * 4, dice.pick(ODD_WORDS));
      }
      return marked(base);
  }
}

function setWord(bytes: Uint8Array<ArrayBuffer>, at: number, value: number): void {
  if (at + 4 <= bytes.length) new DataView(bytes.buffer).setUint32(at, value);
}

function fragments(dice: Dice, body: Uint8Array): Uint8Array<ArrayBuffer> {
  let all: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  for (let at = 0; at < body.length;) {
    const size = dice.int(Math.min(60, body.length - at + 1));
    const part = marked(body.subarray(at, at + size));
    at += size;
    if (at < body.length || dice.int(3) === 0) part[0]! &= 0x7f;
    all = concat(all, part);
  }
  return all;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
