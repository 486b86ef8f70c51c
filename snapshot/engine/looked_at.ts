/**
 * A brick's history, looked at from another process than the one that serves the brick, or when none
 * does. Nothing is written here.
 *
 * The process of the brick puts a row before it overwrites, renames or removes what a reader sees. So
 * what was read of the live files and has no row when it is looked for afterwards is what the
 * reader sees, as in `view.ts`; only that nobody tells us of rows: it is counted whenever some are
 * committed (`commit_count.ts`), and we look whether that went on. What is collected meanwhile is
 * nothing that a reader needs.
 */

import type { Env } from "core/env.ts";
import type { Gfid } from "core/inode.ts";
import { Clones } from "snapshot/engine/clones.ts";
import type { Foreign, ForeignData, ForeignPlace, ForeignWindow } from "core/foreign.ts";
import { ENOENT } from "core/errno.ts";
import type { Link } from "snapshot/engine/clone.ts";
import { Journal } from "snapshot/engine/journal.ts";
import type { InodeState, Live } from "snapshot/engine/live.ts";
import { OldFiles } from "snapshot/engine/old_files.ts";
import { Readers } from "snapshot/engine/readers.ts";
import { Segments } from "snapshot/engine/segments.ts";
import { Located } from "snapshot/engine/located.ts";
import { isForeign } from "snapshot/engine/origins.ts";
import { type Extent, HistoryError, HistoryStore, ZEROS } from "snapshot/engine/store.ts";
import { UNIT } from "snapshot/engine/units.ts";
import { View } from "snapshot/engine/view.ts";
import { WINDOW_UNITS } from "snapshot/engine/window.ts";

/** Where the history is, and of what. */
export interface LookedAtOptions {
  readonly directory: string;
  /** The brick's files; nothing is changed there. */
  readonly live: Live;
  /** What the brick's files began as, if it is of a clone itself. */
  readonly foreign?: Foreign | undefined;
  readonly env: Env;
}

/** Tries until nobody wrote meanwhile. */
const TRIES = 64;

/** What one reader sees. Methods throw FopError. */
export class LookedAt implements Disposable {
  readonly view: View;
  readonly #store: HistoryStore;
  readonly #segments: Segments;
  readonly #kept: OldFiles;
  readonly #clones: Clones;
  readonly #foreign: Foreign | undefined;
  readonly #located: Located;
  #version = 0;
  #turns: number | undefined;

  /** Throws HistoryError: there is no history, or no such reader. */
  constructor({ directory, live, foreign, env }: LookedAtOptions, reader: string) {
    const path = `${directory}/index.sqlite`;
    const store = this.#store = HistoryStore.look(path);
    const readers = new Readers();
    readers.set(store.readers());
    const found = readers.get(reader);
    if (!found) {
      store.close();
      throw new HistoryError(`the history "${path}" has no reader ${reader}`);
    }
    const segments = this.#segments = Segments.open(`${directory}/segments`);
    const kept = this.#kept = new OldFiles(`${directory}/kept`, store, live);
    const journal = new Journal(store, segments, path, "relaxed");
    const clones = this.#clones = new Clones({
      ...{ store, journal, segments, kept, readers, live, env, foreign },
      end: () => Promise.resolve(),
    });
    clones.look();
    const refresh = () => void this.#now();
    this.view = new View({ store, segments, clones, live, refresh }, found.epoch);
    this.#foreign = foreign;
    this.#located = new Located((...which) => this.locate(...which));
  }

  /** Another number after the brick's process committed something; what was remembered is forgotten then. */
  #now(): number {
    const version = this.#store.dataVersion;
    if (version !== this.#version) {
      this.#version = version;
      this.#store.forget();
      // Files that are open may not be those that are kept now.
      const { turns } = this.#store.copies.turn;
      if (turns !== this.#turns) this.#kept.close();
      this.#turns = turns;
      this.#clones.look();
      this.view.lookAgain();
    }
    return version;
  }

  /** Undefined: the reader sees no such inode. */
  inode(gfid: Gfid): Promise<InodeState | undefined> {
    return this.view.inode(gfid);
  }

  /** Fills `into` with what a file has from `offset` on, and beyond its end with zeros. */
  read(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): void | Promise<void> {
    return this.#located.read(gfid, offset, into);
  }

  /** See `Foreign.locate`. ENOENT: no such inode. */
  async locate(gfid: Gfid, number: number, window: ForeignWindow): Promise<void> {
    const version = this.#now();
    const state = await this.view.inode(gfid);
    if (!state) throw ENOENT;
    const { sources, at } = this.#clones.locate({ gfid, epoch: this.view.epoch }, number);
    const units = Math.ceil(state.iatt.size / UNIT) - number * WINDOW_UNITS;
    const known = new Map<Extent | Link, number>();
    const place: ForeignPlace = {
      isStill: () => this.#store.dataVersion === version,
      again: (number, window) => this.locate(gfid, number, window),
    };
    const indexOf = (source: Extent | Link) => {
      const read: ForeignData["read"] = (...part) => this.#clones.readSource(source, ...part);
      const index = window.data.push({ read, place: source === BEYOND ? undefined : place }) - 1;
      known.set(source, index);
      return index;
    };
    let below: Gfid | undefined;
    for (let unit = 0; unit < WINDOW_UNITS; unit++) {
      if (window.at[unit]! >= 0) continue;
      const source = unit < units ? sources[at[unit]!]! : BEYOND;
      if (isForeign(source)) below = source.gfid;
      else window.at[unit] = known.get(source) ?? indexOf(source);
    }
    if (below !== undefined) await this.#foreign!.locate(below, number, window);
  }

  /** Start of the first data from `offset` to before `until`; undefined: there is none. */
  nextData(gfid: Gfid, offset: number, until: number): number | undefined {
    for (let tried = 0; tried < TRIES; tried++) {
      const before = this.#store.dataVersion;
      const found = this.view.nextDataIn(gfid, offset, until);
      if (this.#store.dataVersion === before) return found;
    }
    // That there may be some does no harm.
    return offset;
  }

  [Symbol.dispose](): void {
    this.#kept.close();
    this.#segments[Symbol.dispose]();
    this.#store.close();
  }
}

/** What lies beyond the file's end. */
const BEYOND: Extent = { inode: 0, start: 0, units: 0, epoch: 0, place: ZEROS, crc: 0 };
