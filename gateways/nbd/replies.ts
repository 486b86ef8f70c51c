/**
 * Replies on their way to a client. Each is made in its place in the memory that is sent, data
 * included; places get ready in any order, and what is ready when a turn ends leaves in one write.
 */

import { Outbound, type Place } from "rpc/outbound.ts";
import { close, type Stream } from "gateways/nbd/stream.ts";

/** Steps of promises that replies of one turn have, to be ready and leave together. */
const HOPS = 8;
/** So much leaves at once: the client begins with it while the next is made. */
const ENOUGH_BYTES = 128 << 10;
const SETTLED = Promise.resolve();

/** See the head of this file. Closes the connection when it cannot be written. */
export class Replies {
  readonly #stream: Stream;
  readonly #left: () => void;
  readonly #outbound = new Outbound();
  readonly #hop = () => this.#hopped();
  /** Requests whose replies are not ready. */
  awaited = 0;
  /** What the connection could not be written with. */
  failed: { readonly error: unknown } | undefined;
  #hopsLeft = 0;
  #leaving = 0;

  /** `left` hears that some of them left, or that no more will. */
  constructor(stream: Stream, left: () => void) {
    this.#stream = stream;
    this.#left = left;
  }

  /** Bytes that are ready and did not leave. */
  get bytes(): number {
    return this.#outbound.bytes + this.#leaving;
  }

  /** A place of `size` bytes; `fill` or `abandon` follows. */
  reserve(size: number): Place {
    return this.#outbound.reserve(size);
  }

  /** All of it is ready. */
  fill(place: Place): void {
    this.#outbound.fill(place, place.size);
    if (this.failed) this.#outbound.clear();
    else if (!this.#leaving && this.#hopsLeft === 0) {
      this.#hopsLeft = HOPS;
      SETTLED.then(this.#hop);
    }
  }

  /** Nothing is sent from there. */
  abandon(place: Place): void {
    this.#outbound.abandon(place);
  }

  #hopped(): void {
    if (--this.#hopsLeft > 0 && this.awaited > 0 && this.#outbound.bytes < ENOUGH_BYTES) {
      return void SETTLED.then(this.#hop);
    }
    this.#hopsLeft = 0;
    if (!this.#leaving) this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    try {
      for (let segment; (segment = this.#outbound.take());) {
        let { from } = segment;
        while ((this.#leaving = segment.to - from) > 0) {
          from += await this.#stream.write(segment.bytes.subarray(from, segment.to));
        }
        this.#outbound.sent(segment);
        this.#left();
      }
    } catch (error) {
      this.failed = { error };
      this.#outbound.clear();
      this.#leaving = 0;
      close(this.#stream);
      this.#left();
    }
  }
}
