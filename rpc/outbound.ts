/**
 * What a connection sends. Messages are written straight into a block, one behind the other, so that
 * all that became ready in one turn leaves in one write. A place may be reserved before its content
 * is there (a read from disk goes right behind the place of its head); places become ready in any
 * order, and neighbours that are ready leave together. Bulk data above 64 KiB is sent from where it
 * is.
 */

import { type Block, SMALL_BLOCK, takeBlock } from "rpc/buffers.ts";
import { XdrWriter } from "rpc/xdr.ts";

/** Data up to this size is copied behind its head; more is sent from its own buffer. */
export const COALESCED_MAX = 64 << 10;
/** A message begins only where at least this much room is left: most need no more. */
const ROOM_MIN = 2 << 10;

/** Bytes that are ready: part of a block, or of a buffer that nobody else uses any more. */
interface Segment {
  readonly bytes: Uint8Array<ArrayBuffer>;
  from: number;
  to: number;
  readonly block: Block | undefined;
}

/** A place in a block for a message whose content comes later. */
export interface Place {
  readonly block: Block;
  readonly at: number;
  readonly size: number;
}

/** The queue of one connection. Writes nothing itself. */
export class Outbound {
  /** Aimed at the message being written. */
  readonly writer = new XdrWriter(0);
  #block: Block | undefined;
  #begun = 0;
  #queue: Segment[] = [];
  #bytes = 0;

  /** Bytes ready and not yet handed out. */
  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#queue.length === 0;
  }

  /**
   * Aims the writer `skip` bytes behind where a new message begins. Ended by `end`, or forgotten.
   * A message that grows beyond `room` may have to be copied once.
   */
  begin(skip: number, room = ROOM_MIN): XdrWriter {
    const block = this.#room(Math.min(Math.max(room, ROOM_MIN), SMALL_BLOCK));
    this.#begun = block.used;
    this.writer.aim(block.bytes, block.view, block.used + skip);
    return this.writer;
  }

  /** Where the message begins in `writer.bytes`. */
  get begun(): number {
    return this.#begun;
  }

  /** The message from `begun` to where the writer is, with `bulk` behind it, is ready. */
  end(bulk?: Uint8Array): void {
    const { writer } = this;
    const block = this.#block!;
    if (bulk && bulk.length <= COALESCED_MAX && writer.at + bulk.length <= writer.bytes.length) {
      writer.raw(bulk);
      bulk = undefined;
    }
    if (writer.bytes === block.bytes) {
      this.#push(block.bytes, this.#begun, writer.at, block);
      block.used = writer.at;
    } else {
      // It outgrew the block; the copy before `begun` is not ours to send.
      this.#push(writer.bytes, this.#begun, writer.at, undefined);
    }
    if (bulk) {
      const { buffer, byteOffset } = bulk as Uint8Array<ArrayBuffer>;
      this.#push(new Uint8Array(buffer, byteOffset, bulk.length), 0, bulk.length, undefined);
    }
  }

  /** A place of `size` bytes, held until `fill` or `abandon`. */
  reserve(size: number): Place {
    let block: Block;
    if (size > SMALL_BLOCK / 2) {
      block = takeBlock(size);
    } else {
      block = this.#room(size);
      block.hold();
    }
    const at = block.used;
    block.used += size;
    return { block, at, size };
  }

  /** The first `size` bytes of `place` are ready. */
  fill(place: Place, size: number): void {
    this.#trim(place, size);
    this.#push(place.block.bytes, place.at, place.at + size, place.block);
    place.block.release();
  }

  /** Nothing will be sent from `place`. */
  abandon(place: Place): void {
    this.#trim(place, 0);
    place.block.release();
  }

  // Gives back what is not used, so that the next message is a neighbour.
  #trim({ block, at, size }: Place, used: number): void {
    if (block.used === at + size) block.used = at + used;
  }

  /**
   * Takes the next bytes to write out of the queue, several small pieces copied together. `sent` is
   * called with the answer once they are written.
   */
  take(): Segment | undefined {
    const first = this.#queue[0];
    if (!first) return undefined;
    const size = first.to - first.from;
    let count = 1, total = size;
    while (count < this.#queue.length) {
      const next = this.#queue[count]!;
      if (total + next.to - next.from > COALESCED_MAX) break;
      total += next.to - next.from;
      count++;
    }
    this.#bytes -= total;
    if (count === 1) return this.#queue.shift();
    const block = takeBlock(SMALL_BLOCK);
    let at = 0;
    for (const each of this.#queue.splice(0, count)) {
      block.bytes.set(each.bytes.subarray(each.from, each.to), at);
      at += each.to - each.from;
      each.block?.release();
    }
    return { bytes: block.bytes, from: 0, to: at, block };
  }

  /** A taken segment was written. */
  sent(segment: Segment): void {
    segment.block?.release();
    if (this.#queue.length === 0 && this.#block?.sole) this.#block.used = 0;
  }

  /** Forgets all that is ready. */
  clear(): void {
    for (const each of this.#queue) each.block?.release();
    this.#queue = [];
    this.#bytes = 0;
    this.#block?.release();
    this.#block = undefined;
  }

  #push(bytes: Uint8Array<ArrayBuffer>, from: number, to: number, block: Block | undefined): void {
    this.#bytes += to - from;
    const last = this.#queue.at(-1);
    if (last && last.bytes === bytes) {
      if (last.to === from) {
        last.to = to;
        return;
      }
      if (last.from === to) {
        last.from = from;
        return;
      }
    }
    block?.hold();
    this.#queue.push({ bytes, from, to, block });
  }

  #room(size: number): Block {
    const block = this.#block;
    if (block) {
      if (block.sole && this.#queue.length === 0) block.used = 0;
      if (block.size - block.used >= size) return block;
      block.release();
    }
    return this.#block = takeBlock(SMALL_BLOCK);
  }
}
