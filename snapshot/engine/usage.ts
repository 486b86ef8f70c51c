/**
 * Room that readers need. A row of epoch `e` is seen by the readers that began after the row before
 * it (of the same thing) and not after `e`: old data of one reader goes with it, that of several is
 * shared. Kept files count as what they take on the disk.
 */

import type { Clock } from "core/env.ts";
import type { Gfid } from "core/inode.ts";
import type { ReaderUsage } from "core/history_orders.ts";
import type { KeptFiles } from "snapshot/engine/kept.ts";
import { firstAfter, type Readers } from "snapshot/engine/readers.ts";
import { type HistoryStore, ZEROS } from "snapshot/engine/store.ts";
import { UNIT } from "snapshot/engine/units.ts";

/** Units that are looked at in one turn. */
const WINDOW_UNITS = 16_384;

/** See the head of this file; in the order of `readers.list`. */
export async function usageByReader(
  { store, kept, readers, clock }: {
    readonly store: HistoryStore;
    readonly kept: KeptFiles;
    readonly readers: Readers;
    readonly clock: Clock;
  },
): Promise<ReaderUsage[]> {
  const list = readers.list();
  const sums = new Sums(list.length);
  // Of the readers that see a file: their epochs, and their places in the list.
  const seeing = (file: Gfid) => {
    const places = list.map((_, place) => place)
      .filter((place) => [undefined, file].includes(list[place]!.file));
    return { places, epochs: places.map((place) => list[place]!.epoch) };
  };
  for (let inode = 0, next; (next = store.nextWithExtents(inode)) !== undefined;) {
    inode = next;
    const { places, epochs } = seeing(store.gfidOf(inode));
    for (let at = 0, unit; (unit = store.nextUnit(inode, at)) !== undefined;) {
      at = unit + WINDOW_UNITS;
      for (const { bytes, after, epoch } of seen(store, inode, unit, at)) {
        sums.add(places.slice(firstAfter(epochs, after), firstAfter(epochs, epoch)), bytes);
      }
      await clock.delay(0);
    }
  }
  const before = new Map<number, number>();
  for (const { inode, epoch } of store.allKept()) {
    const gfid = store.gfidOf(inode), { places, epochs } = seeing(gfid);
    const from = firstAfter(epochs, before.get(inode) ?? 0);
    sums.add(places.slice(from, firstAfter(epochs, epoch)), kept.bytes(gfid, epoch));
    before.set(inode, epoch);
  }
  return list.map(({ id }, place) => ({ id, ...sums.of(place) }));
}

class Sums {
  readonly #alone: Float64Array;
  readonly #shared: Float64Array;

  constructor(readers: number) {
    this.#alone = new Float64Array(readers);
    this.#shared = new Float64Array(readers);
  }

  add(places: readonly number[], bytes: number): void {
    const sums = places.length === 1 ? this.#alone : this.#shared;
    for (const place of places) sums[place]! += bytes;
  }

  of(place: number): { alone: number; shared: number } {
    return { alone: this.#alone[place]!, shared: this.#shared[place]! };
  }
}

/** Bytes of units from `start` to before `end` that readers with epochs after `after` up to `epoch` see. */
interface Seen {
  bytes: number;
  readonly after: number;
  readonly epoch: number;
}

function seen(store: HistoryStore, inode: number, start: number, end: number): Iterable<Seen> {
  const found = new Map<string, Seen>();
  const before = new Float64Array(end - start);
  for (const row of store.extents(inode, start, end, 0).reverse()) {
    const { epoch } = row;
    const until = Math.min(end, row.start + row.units);
    for (let unit = Math.max(start, row.start); unit < until; unit++) {
      const after = before[unit - start]!;
      before[unit - start] = epoch;
      if (row.place === ZEROS) continue;
      const key = `${after}/${epoch}`, one = found.get(key);
      if (one) one.bytes += UNIT;
      else found.set(key, { bytes: UNIT, after, epoch });
    }
  }
  return found.values();
}
