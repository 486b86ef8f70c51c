/** A call being served: its arguments, and the one answer it must get. */

import type { Block } from "rpc/buffers.ts";
import type { Credentials } from "rpc/auth.ts";
import type { Connection } from "rpc/connection.ts";
import { ACCEPT, type AcceptStat, putReplyHead, REPLY_HEAD_SIZE } from "rpc/message.ts";
import type { Outbound, Place } from "rpc/outbound.ts";
import { XdrReader, type XdrWriter } from "rpc/xdr.ts";

/** What a request needs of its connection. */
export interface RequestOwner {
  readonly connection: Connection;
  readonly outbound: Outbound;
  /** An answer is ready to be sent, or (`sends` false) there will be none. */
  answered(request: Request, sends: boolean): void;
  /** More or fewer bytes are in use for this call. */
  weigh(bytes: number): void;
  /** The call no longer counts, because it waits for other callers. */
  parked(request: Request): void;
}

/**
 * One call of the peer's. Its arguments are a view into the receive buffer, which is kept until the
 * answer, so a parked call should `detach`.
 *
 * Answer in one of these ways, once:
 * - `begin`, write the result, `end`, with bulk data if there is any;
 * - `reserve` a place for bulk data behind a head of known size, have it filled (at once or later),
 *   write the head through `head`, `endReserved`;
 * - `refuse` with an accept status.
 *
 * Between `begin` and `end`, and between `head` and `endReserved`, nothing may be awaited: all calls
 * of a connection share one writer.
 */
export class Request {
  #owner: RequestOwner;
  #block: Block | undefined;
  #place: Place | undefined;
  #headSize = 0;
  #answered = false;
  /** Bytes this call counts for: its record and what is reserved for its reply. */
  bytes: number;
  /** True once it waits for other callers, and does not count against the window. */
  parked = false;

  constructor(
    owner: RequestOwner,
    readonly xid: number,
    readonly procedure: number,
    readonly credentials: Credentials,
    /** At the arguments. Valid until the procedure returns; views it gave out, until the answer. */
    public args: XdrReader,
    block: Block,
    bytes: number,
  ) {
    this.#owner = owner;
    this.#block = block;
    this.bytes = bytes;
    block.hold();
  }

  get connection(): Connection {
    return this.#owner.connection;
  }

  get answered(): boolean {
    return this.#answered;
  }

  /**
   * Copies the arguments (from where `args` stands) out of the receive buffer, which is then free for
   * other records. For calls that may wait long.
   */
  detach(): void {
    const { bytes, at, end } = this.args;
    this.args = new XdrReader(bytes.slice(at, end));
    this.#block?.release();
    this.#block = undefined;
  }

  /** Says that the call waits for other callers (a blocked lock): it does not count any more. */
  park(): void {
    if (this.parked || this.#answered) return;
    this.parked = true;
    this.#owner.parked(this);
  }

  /** The writer, at the result. `room` says about how long the reply is, if it may be over 2 KiB. */
  begin(room?: number): XdrWriter {
    return this.#owner.outbound.begin(REPLY_HEAD_SIZE, room);
  }

  /** The result is written; `bulk` follows it and belongs to the connection from now on. */
  end(bulk?: Uint8Array): void {
    const { outbound } = this.#owner;
    const at = outbound.begun, { writer } = outbound;
    const size = writer.at - at - REPLY_HEAD_SIZE + (bulk?.length ?? 0);
    putReplyHead(writer.view, at, size, this.xid, ACCEPT.SUCCESS);
    if (!this.connection.open) return this.#finish(false);
    outbound.end(bulk);
    this.#finish(true);
  }

  /**
   * A place in the outbound buffer for `dataSize` bytes behind a result head of `headSize`: put the
   * data there and no copy is needed.
   */
  reserve(headSize: number, dataSize: number): Uint8Array<ArrayBuffer> {
    const size = REPLY_HEAD_SIZE + headSize + dataSize;
    const place = this.#place = this.#owner.outbound.reserve(size);
    this.#headSize = headSize;
    this.bytes += size;
    this.#owner.weigh(size);
    const at = place.at + REPLY_HEAD_SIZE + headSize;
    return place.block.bytes.subarray(at, at + dataSize);
  }

  /** The writer, at the head of the reserved place; write exactly the size that was reserved for it. */
  head(): XdrWriter {
    const { writer } = this.#owner.outbound;
    const { block, at } = this.#place!;
    writer.aim(block.bytes, block.view, at + REPLY_HEAD_SIZE);
    return writer;
  }

  /** The head is written, and the first `dataSize` bytes of the reserved place are the data. */
  endReserved(dataSize: number): void {
    const place = this.#place!;
    const size = this.#headSize + dataSize;
    putReplyHead(place.block.view, place.at, size, this.xid, ACCEPT.SUCCESS);
    if (!this.connection.open) return this.#finish(false);
    this.#place = undefined;
    this.#owner.outbound.fill(place, REPLY_HEAD_SIZE + size);
    this.#finish(true);
  }

  /** Answers that the call was not carried out. `low` and `high` are versions, for PROG_MISMATCH. */
  refuse(stat: Exclude<AcceptStat, 0>, low = 0, high = 0): void {
    const { outbound } = this.#owner;
    const to = outbound.begin(REPLY_HEAD_SIZE);
    if (stat === ACCEPT.PROG_MISMATCH) {
      to.u32(low);
      to.u32(high);
    }
    putReplyHead(to.view, outbound.begun, to.at - outbound.begun - REPLY_HEAD_SIZE, this.xid, stat);
    if (!this.connection.open) return this.#finish(false);
    outbound.end();
    this.#finish(true);
  }

  /** Ends the call without an answer: the peer of a callback expects none. */
  drop(): void {
    this.#finish(false);
  }

  #finish(sends: boolean): void {
    if (this.#answered) throw new Error("Cannot answer call: it was answered before");
    this.#answered = true;
    if (this.#place) this.#owner.outbound.abandon(this.#place);
    this.#place = undefined;
    this.#block?.release();
    this.#block = undefined;
    this.#owner.answered(this, sends);
  }
}
