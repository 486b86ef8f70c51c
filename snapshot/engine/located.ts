/**
 * Data of files of another brick, read again and again: where it is, is found once for a window (1 MiB)
 * and remembered, however many bricks lie between, so that a clone of 64 clones is read as a clone is.
 *
 * Only the brick where the search ended can turn that over (by preserving what is there, and changing it
 * then), so only that one is asked whether something was committed, and looked at again if so. What the
 * bricks on the way said does not change: a unit that was not a clone's own is the origin's for whoever
 * reads the clone's old state, and remains so as long as the clone reads from the origin.
 */

import type { ForeignData, ForeignPlace, ForeignWindow } from "core/foreign.ts";
import type { Gfid } from "core/inode.ts";
import { runAt, WINDOW_BYTES, WINDOW_UNITS, windowsOf } from "snapshot/engine/window.ts";

/** Finds what is missing in a window, as `Foreign.locate`. */
export type Locate = (gfid: Gfid, number: number, window: ForeignWindow) => Promise<void>;

type Bytes = Uint8Array<ArrayBuffer>;

/** All of a window in one place, as of most: one array for all of them. */
const ONE_PLACE = new Int32Array(WINDOW_UNITS);
/** Bytes that are remembered, about: 64 GiB that lie in one place each. */
const ROOM = 16 << 20, FEW_BYTES = 256, PLACE_BYTES = 100, UNITS_BYTES = 4 * WINDOW_UNITS;

/** See the head of this file. Methods throw FopError. */
export class Located {
  readonly #locate: Locate;
  #windows = new Map<string, ForeignWindow>();
  #used = 0;

  constructor(locate: Locate) {
    this.#locate = locate;
  }

  /** Fills `into` with what a file has from `offset` on. */
  read(gfid: Gfid, offset: number, into: Bytes): void | Promise<void> {
    const number = Math.floor(offset / WINDOW_BYTES), end = offset + into.length;
    const window = this.#windows.get(`${gfid}/${number}`);
    const piece = window && pieceAt(window, offset, end);
    if (!piece || piece.until < end) return this.#readAll(gfid, offset, into);
    // As a rule it lies in one place and in memory.
    const again = () => this.#readAll(gfid, offset, into);
    let reading: void | Promise<void>;
    try {
      reading = piece.data.read(offset, into);
    } catch (_) {
      return again();
    }
    if (reading) return reading.then(() => isStill(piece.data) ? undefined : again(), again);
    if (!isStill(piece.data)) return again();
  }

  async #readAll(gfid: Gfid, offset: number, into: Bytes): Promise<void> {
    for (const { number, start, end } of windowsOf(offset, into.length)) {
      await this.#readIn(gfid, number, start, into.subarray(start - offset, end - offset));
    }
  }

  async #readIn(gfid: Gfid, number: number, offset: number, into: Bytes): Promise<void> {
    const key = `${gfid}/${number}`;
    for (let window = this.#windows.get(key) ?? await this.#found(gfid, number, key);;) {
      const places = new Set<ForeignPlace>();
      for (let at = offset; at < offset + into.length;) {
        const { data, until } = pieceAt(window, at, offset + into.length);
        if (data.place) places.add(data.place);
        try {
          await data.read(at, into.subarray(at - offset, until - offset));
        } catch (error) {
          // It may have been taken away.
          if (isStill(data)) throw error;
        }
        at = until;
      }
      const turned = [...places].filter((place) => !place.isStill());
      if (!turned.length) return;
      for (const place of turned) window = await this.#again(window, number, key, place);
    }
  }

  async #found(gfid: Gfid, number: number, key: string): Promise<ForeignWindow> {
    const window = { at: new Int32Array(WINDOW_UNITS).fill(-1), data: [] };
    await this.#locate(gfid, number, window);
    return this.#remember(key, window);
  }

  async #again(
    { at, data }: ForeignWindow,
    number: number,
    key: string,
    place: ForeignPlace,
  ): Promise<ForeignWindow> {
    const window = { at: at.slice(), data: [...data] };
    for (let unit = 0; unit < WINDOW_UNITS; unit++) {
      if (data[at[unit]!]!.place === place) window.at[unit] = -1;
    }
    await place.again(number, window);
    return this.#remember(key, window);
  }

  // What nothing lies in any more is left out.
  #remember(key: string, { at, data }: ForeignWindow): ForeignWindow {
    const used = new Map<number, number>();
    for (let unit = 0; unit < WINDOW_UNITS; unit++) {
      const which = at[unit]!, index = used.get(which) ?? used.size;
      used.set(which, index);
      at[unit] = index;
    }
    const window = {
      at: used.size === 1 ? ONE_PLACE : at,
      data: [...used.keys()].map((which) => data[which]!),
    };
    const before = this.#windows.get(key);
    this.#used += bytesOf(window) - (before ? bytesOf(before) : 0);
    if (this.#used > ROOM) {
      this.#windows.clear();
      this.#used = bytesOf(window);
    }
    this.#windows.set(key, window);
    return window;
  }
}

function isStill({ place }: ForeignData): boolean {
  return !place || place.isStill();
}

function bytesOf({ at, data }: ForeignWindow): number {
  return FEW_BYTES + data.length * PLACE_BYTES + (at === ONE_PLACE ? 0 : UNITS_BYTES);
}

/** Where a byte is, and up to where all is there. */
function pieceAt(
  { at, data }: ForeignWindow,
  byte: number,
  end: number,
): { data: ForeignData; until: number } {
  const { which, until } = runAt(at, byte, end);
  return { data: data[which]!, until };
}
