/**
 * Record marking (RFC 5531 §11) on the receiving side. Bytes are read from the socket straight into
 * a block and records are handed out in place. A record in several fragments is closed up inside
 * the block. Space that a record still in use occupies is never written to: when the block is full
 * and somebody holds it, the unparsed rest moves to another block.
 */

import { type Block, SMALL_BLOCK, takeBlock } from "rpc/buffers.ts";
import { XdrError } from "rpc/xdr.ts";

/** Last-fragment bit of a record marker. */
export const LAST_FRAGMENT = 0x80000000;

/** Largest record accepted unless an owner says otherwise: 2 MiB of data and its head. */
export const RECORD_BYTES_MAX = (2 << 20) + (64 << 10);

/** No peer known sends more than one; each costs us work and none of them memory. */
const FRAGMENTS_MAX = 1024;
/** A read smaller than this would cost a system call for too little. */
const ROOM_MIN = 8 << 10;
/** So many small records in a row, and a large block is given back. */
const CALM_RECORDS = 256;

/** The stream of one connection, cut into records. */
export class RecordStream {
  /** Largest record accepted, in bytes. */
  recordBytesMax: number;
  /** The record that `next` found: `block.bytes` from `at` to `to`. */
  block: Block = takeBlock(SMALL_BLOCK);
  at = 0;
  to = 0;
  // Unparsed bytes: #start to #end. While a record of several fragments arrives, its body so far
  // is #start + 4 to #body, and the next marker is at #marker.
  #start = 0;
  #end = 0;
  #body = 0;
  #marker = 0;
  #fragments = 0;
  #need = 4;
  #calm = 0;

  constructor(recordBytesMax = RECORD_BYTES_MAX) {
    this.recordBytesMax = recordBytesMax;
  }

  /** Bytes that arrived and are no complete record yet. */
  get pending(): number {
    return this.#end - this.#start;
  }

  /** Where the next bytes of the stream go; call `filled` with how many came. */
  space(): Uint8Array<ArrayBuffer> {
    if (this.#start === this.#end && this.block.sole) this.#rewind();
    const have = this.#end - this.#start;
    const need = Math.max(this.#need - have, ROOM_MIN);
    if (this.block.size - this.#end < need) this.#makeRoom(have + need);
    return this.block.bytes.subarray(this.#end);
  }

  filled(count: number): void {
    this.#end += count;
  }

  /**
   * Finds the next complete record: `block`, `at`, `to`. False if more bytes are needed. Throws
   * XdrError if the peer exceeds a limit.
   */
  next(): boolean {
    if (this.#fragments) return this.#nextFragment();
    const have = this.#end - this.#start;
    if (have < 4) {
      this.#need = 4;
      return false;
    }
    const marker = this.block.view.getUint32(this.#start);
    const size = this.#checked(marker, 0);
    if (have < size + 4) {
      this.#need = size + 4;
      return false;
    }
    if (marker < LAST_FRAGMENT) {
      this.#fragments = 1;
      this.#body = this.#marker = this.#start + 4 + size;
      return this.#nextFragment();
    }
    this.#found(this.#start + 4, size, this.#start + 4 + size);
    return true;
  }

  /** Gives the memory back. Nothing may be called afterwards. */
  close(): void {
    this.block.release();
  }

  #checked(marker: number, before: number): number {
    const size = marker % LAST_FRAGMENT;
    if (before + size > this.recordBytesMax) {
      throw new XdrError(
        `Cannot read record of ${before + size} bytes: at most ${this.recordBytesMax} are allowed`,
      );
    }
    return size;
  }

  #found(at: number, size: number, start: number): void {
    this.at = at;
    this.to = at + size;
    this.#start = start;
    this.#need = 4;
    this.#calm = size > SMALL_BLOCK / 4 ? 0 : this.#calm + 1;
  }

  #nextFragment(): boolean {
    for (;;) {
      const have = this.#end - this.#marker;
      if (have < 4) return this.#wants(4);
      const marker = this.block.view.getUint32(this.#marker);
      const before = this.#body - this.#start - 4;
      const size = this.#checked(marker, before);
      if (++this.#fragments > FRAGMENTS_MAX) {
        throw new XdrError(`Cannot read record: more than ${FRAGMENTS_MAX} fragments`);
      }
      if (have < size + 4) {
        this.#fragments--;
        return this.#wants(size + 4);
      }
      const from = this.#marker + 4;
      this.block.bytes.copyWithin(this.#body, from, from + size);
      this.#body += size;
      this.#marker = from + size;
      if (marker < LAST_FRAGMENT) continue;
      this.#fragments = 0;
      this.#found(this.#start + 4, before + size, this.#marker);
      return true;
    }
  }

  #wants(size: number): false {
    this.#need = this.#marker - this.#start + size;
    return false;
  }

  #rewind(): void {
    if (this.block.size > SMALL_BLOCK && this.#calm > CALM_RECORDS) {
      this.block.release();
      this.block = takeBlock(SMALL_BLOCK);
    }
    this.#start = this.#end = 0;
  }

  // Moves the unparsed rest to the front, or to another block if this one is held or too small.
  #makeRoom(size: number): void {
    const from = this.#start, old = this.block;
    if (old.sole && size <= old.size) {
      old.bytes.copyWithin(0, from, this.#end);
    } else {
      this.block = takeBlock(size);
      this.block.bytes.set(old.bytes.subarray(from, this.#end));
      old.release();
    }
    this.#start = 0;
    this.#end -= from;
    this.#body -= from;
    this.#marker -= from;
  }
}
