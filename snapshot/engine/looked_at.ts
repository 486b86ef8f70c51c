/**
 * A brick's history, looked at from another process than the one that serves the brick, or when none
 * does. Nothing is written here.
 *
 * The process of the brick puts a row before it overwrites, renames or removes what a reader sees. So
 * what was read of the live files and has no row when it is looked for afterwards is what the
 * reader sees, as in `view.ts`; only that nobody tells us of rows: SQLite is asked whether somebody
 * wrote. What is collected meanwhile is nothing that a reader needs.
 */

import type { Env } from "core/env.ts";
import type { Gfid } from "core/inode.ts";
import { Clones } from "snapshot/engine/clones.ts";
import type { Foreign } from "core/foreign.ts";
import { Journal } from "snapshot/engine/journal.ts";
import type { InodeState, Live } from "snapshot/engine/live.ts";
import { OldFiles } from "snapshot/engine/old_files.ts";
import { Readers } from "snapshot/engine/readers.ts";
import { Segments } from "snapshot/engine/segments.ts";
import { HistoryError, HistoryStore } from "snapshot/engine/store.ts";
import { View } from "snapshot/engine/view.ts";

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
  #version = -1;

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
    const refresh = () => this.#refresh();
    this.view = new View({ store, segments, clones, live, refresh }, found.epoch);
  }

  #refresh(): boolean {
    const version = this.#store.dataVersion;
    if (version === this.#version) return false;
    this.#version = version;
    this.#store.forget();
    this.#clones.look();
    return true;
  }

  /** Undefined: the reader sees no such inode. */
  inode(gfid: Gfid): Promise<InodeState | undefined> {
    return this.view.inode(gfid);
  }

  /** Fills `into` with what a file has from `offset` on, and beyond its end with zeros. */
  async read(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let tried = 0; tried < TRIES; tried++) {
      const before = this.#store.dataVersion;
      into.fill(0, await this.view.read(gfid, offset, into));
      // Where a clone's data is may change without a row of what it was.
      if (!this.#clones.any || this.#store.dataVersion === before) return;
    }
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
