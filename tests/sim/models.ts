/**
 * What clients may see, told from what they did. A failed change may have happened: the models keep
 * every state that is possible.
 */

import { FopError } from "core/errno.ts";
import { SimFailure } from "tests/sim/sim.ts";

/** Errors that say "not now": no news about what is there. */
const AVAILABILITY: ReadonlySet<string> = new Set([
  "ENOTCONN",
  "EIO",
  "EROFS",
  "ENOSPC",
  "ETIMEDOUT",
  "EBADFD",
  "EAGAIN",
  "ESTALE",
  "EINTR",
  "EUCLEAN",
]);

/** True if `error` only tells that the operation could not be done now. Throws what is no fop's failure. */
export function unavailable(error: unknown): error is FopError {
  if (!(error instanceof FopError)) throw error;
  return AVAILABILITY.has(error.code);
}

/** One thing that one client changes, and the values it may have. */
export class Slot<T> {
  #possible: Set<T>;

  constructor(readonly name: string, value: T) {
    this.#possible = new Set([value]);
  }

  /** All that it may be. */
  get possible(): ReadonlySet<T> {
    return this.#possible;
  }

  /** What it is, if that is known; undefined if not. */
  get known(): T | undefined {
    return this.#possible.size === 1 ? [...this.#possible][0] : undefined;
  }

  /** It was changed. */
  set(value: T): void {
    this.#possible = new Set([value]);
  }

  /** It may have been changed. */
  maybe(...values: readonly T[]): void {
    for (const value of values) this.#possible.add(value);
  }

  /** It was seen. Throws if that cannot be. */
  saw(value: T): void {
    if (this.#possible.has(value)) return;
    throw new SimFailure(
      `${this.name} is ${JSON.stringify(value)}, but may only be ${
        [...this.#possible].map((each) => JSON.stringify(each)).join(" or ")
      }`,
    );
  }
}

/** Blocks are 4 KiB that say who wrote them. */
export const BLOCK_BYTES = 4096;

/** A block of which every 16 bytes hold `stamp`. */
export function stamped(stamp: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK_BYTES), view = new DataView(block.buffer);
  for (let at = 0; at < BLOCK_BYTES; at += 16) view.setUint32(at, stamp);
  return block;
}

/** The stamp of a block, 0 for zeros or nothing. Throws if it is torn. */
export function stampOf(block: Uint8Array, where: string): number {
  if (!block.length) return 0;
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  if (block.length < BLOCK_BYTES) throw new SimFailure(`${where} has ${block.length} bytes`);
  const stamp = view.getUint32(0);
  for (let at = 0; at < BLOCK_BYTES; at += 16) {
    if (view.getUint32(at) !== stamp) {
      throw new SimFailure(`${where} is torn: ${stamp} and ${view.getUint32(at)} in one block`);
    }
  }
  return stamp;
}
