/**
 * Memory of connections. A fresh MiB costs about 150 µs of zeroing, so what is 64 KiB or more is
 * used again: a `Block` goes back to its pool when nobody holds it any more. Holders count: the
 * record being parsed, each call whose arguments still point into it, each reply not yet sent.
 */

import { XdrReader } from "rpc/xdr.ts";

/** Blocks for ordinary traffic, and for bulk data of up to 128 KiB (what FUSE asks for) with its head. */
export const SMALL_BLOCK = 136 << 10;
/** Blocks for bulk data of up to 1 MiB and 2 MiB. */
const MEDIUM_BLOCK = (1 << 20) + (64 << 10);
const LARGE_BLOCK = (2 << 20) + (64 << 10);

/** A buffer with views made once. Its content is whatever was there before. */
export class Block {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** Aimed anew for each record; records are decoded one after another. */
  readonly reader: XdrReader;
  /** Outbound: where the next reply goes. */
  used = 0;
  #holds = 1;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
    this.reader = new XdrReader(this.bytes);
  }

  get size(): number {
    return this.bytes.length;
  }

  /** True if only the owner holds it: what is in it may be moved. */
  get sole(): boolean {
    return this.#holds === 1;
  }

  hold(): void {
    this.#holds++;
  }

  /** One holder less; the last one gives the block back. */
  release(): void {
    if (--this.#holds > 0) return;
    if (this.#holds < 0) throw new Error("Cannot release block: nobody holds it");
    giveBack(this);
  }

  /** Held by its next owner. */
  taken(): this {
    this.#holds = 1;
    this.used = 0;
    return this;
  }
}

// What is kept when nobody uses it: 21 MiB at most.
const KEPT_MAX = new Map([[SMALL_BLOCK, 32], [MEDIUM_BLOCK, 12], [LARGE_BLOCK, 2]]);
const SIZES = [...KEPT_MAX.keys()];
const kept = new Map<number, Block[]>(SIZES.map((size) => [size, []]));

/** A block of at least `size` bytes, held once by the caller. */
export function takeBlock(size: number): Block {
  const whole = size <= SMALL_BLOCK ? SMALL_BLOCK : SIZES.find((each) => each >= size) ?? size;
  return kept.get(whole)?.pop()?.taken() ?? new Block(whole);
}

function giveBack(block: Block): void {
  const list = kept.get(block.size);
  if (list && list.length < KEPT_MAX.get(block.size)!) list.push(block);
}
