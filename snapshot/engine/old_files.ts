/**
 * What readers find where the history has no rows of a file's data: the file where it was kept
 * (`kept.ts`), or the live one.
 */

import { FopError } from "core/errno.ts";
import type { Gfid } from "core/inode.ts";
import { OpenFile } from "core/sys/open_file.ts";
import type { Live } from "snapshot/engine/live.ts";
import type { HistoryStore } from "snapshot/engine/store.ts";

type DataSource = Pick<Live, "read" | "nextData" | "nextHole">;

/** See the head of this file. */
export class OldFiles {
  readonly #directory: string;
  readonly #store: HistoryStore;
  readonly #live: Live;
  /** By gfid and epoch of the reader, the oldest first. */
  #open = new Map<string, OpenOld>();

  /** Files are kept in `directory`. */
  constructor(directory: string, store: HistoryStore, live: Live) {
    this.#directory = directory;
    this.#store = store;
    this.#live = live;
  }

  /**
   * Fills `into` with what a reader of `epoch` finds where it has no extents: of the kept file, or the
   * live one; answers how much there was. Throws FopError.
   */
  read(
    gfid: Gfid,
    epoch: number,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
  ): number | Promise<number> {
    const source = this.#source(gfid, epoch);
    if (source !== this.#live) return source.read(gfid, offset, into);
    return this.#readLive(gfid, epoch, offset, into);
  }

  async #readLive(
    gfid: Gfid,
    epoch: number,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
  ): Promise<number> {
    const count = await answer(() => this.#live.read(gfid, offset, into));
    // Removed in between: it was kept before that.
    const since = this.#source(gfid, epoch);
    if (since !== this.#live) return await since.read(gfid, offset, into);
    if (count instanceof FopError) throw count;
    return count;
  }

  /** Start of the first data at or after `offset` in the same; undefined if only holes follow. */
  nextData(gfid: Gfid, epoch: number, offset: number): number | undefined {
    return this.#source(gfid, epoch).nextData(gfid, offset);
  }

  /** The same of holes; at the latest the file's end. */
  nextHole(gfid: Gfid, epoch: number, offset: number): number {
    return this.#source(gfid, epoch).nextHole(gfid, offset);
  }

  // What a reader found once is what it finds: the file keeps its inode when it is kept, and another
  // file with its gfid is none that the reader sees. Of now there is nothing to remember.
  #source(gfid: Gfid, epoch: number): DataSource {
    if (epoch === Number.MAX_SAFE_INTEGER) return this.#live;
    const key = `${gfid}.${epoch}`;
    const known = this.#open.get(key);
    if (known) return known;
    const opened = this.#openKept(gfid, epoch) ?? this.#live.open?.(gfid);
    if (!opened) return this.#live;
    if (this.#open.size >= OPEN_MAX) this.#closeOldest();
    const source = new OpenOld(opened);
    this.#open.set(key, source);
    return source;
  }

  #openKept(gfid: Gfid, epoch: number): OpenFile | undefined {
    const id = this.#store.findId(gfid);
    const kept = id === undefined ? undefined : this.#store.kept(id, epoch);
    return kept === undefined ? undefined : OpenFile.open(this.path(gfid, kept));
  }

  #closeOldest(): void {
    for (const [key, file] of this.#open) {
      this.#open.delete(key);
      return file.close();
    }
  }

  /** Lets go of files that are open: they may go, or who reads them went. */
  close(): void {
    for (const file of this.#open.values()) file.close();
    this.#open.clear();
  }

  /** Where a file is kept. */
  protected path(gfid: Gfid, epoch: number): string {
    return `${this.#directory}/${gfid}.${epoch}`;
  }
}

/** Most files that are open. */
const OPEN_MAX = 256;

async function answer(read: () => number | Promise<number>): Promise<number | FopError> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof FopError) return error;
    throw error;
  }
}

/** A file that is kept, or alive. */
class OpenOld implements DataSource {
  constructor(readonly file: OpenFile) {}

  read(_gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): number | Promise<number> {
    return this.file.read(offset, into);
  }

  nextData(_gfid: Gfid, offset: number): number | undefined {
    return this.file.nextData(offset);
  }

  nextHole(_gfid: Gfid, offset: number): number {
    return this.file.nextHole(offset);
  }

  close(): void {
    this.file[Symbol.dispose]();
  }
}
