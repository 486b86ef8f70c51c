/**
 * Files that lost their last name while a reader sees them: `kept/GFID.EPOCH`.
 *
 * Which name is the last only the storage knows: names go at the same time. So a row is put before
 * a name goes, the storage moves the file there if that was the last one and says so, and if it did
 * not, the row goes. A row without a file means nothing until then: readers look at the live file.
 * After a crash rows without files go, and files that have a name, or no row, too: `recover`.
 */

import { FopError } from "core/errno.ts";
import { removeFile } from "core/lib/files.ts";
import { type Gfid, parseGfid } from "core/inode.ts";
import { OpenFile } from "core/sys/open_file.ts";
import type { Journal } from "snapshot/engine/journal.ts";
import type { Live } from "snapshot/engine/live.ts";
import type { HistoryStore } from "snapshot/engine/store.ts";

type DataSource = Pick<Live, "read" | "nextData" | "nextHole">;

/** A name that is about to go. */
export interface Leaving {
  /** Under which the file is kept if it was its last. */
  readonly name: string;
  /** Has to be told, once, whether it was kept. */
  readonly done: (kept: boolean) => void;
}

interface Names {
  count: number;
  kept: boolean;
  /** No reader sees the file any more. */
  unneeded: boolean;
}

/** See the head of this file. */
export class KeptFiles {
  readonly #directory: string;
  readonly #store: HistoryStore;
  readonly #journal: Journal;
  readonly #live: Live;
  /** What readers find beneath the history, by gfid and epoch of the reader, the oldest first. */
  #open = new Map<string, OpenOld>();
  /** Names that are on their way, and rows of such that were not the last. */
  #leaving = new Map<string, Names>();
  #unkeeping = new Map<string, Promise<void>>();

  /** `directory` is made if it is not there. */
  constructor(directory: string, store: HistoryStore, journal: Journal, live: Live) {
    this.#directory = directory;
    this.#store = store;
    this.#journal = journal;
    this.#live = live;
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Before a name goes that may be a file's last. Undefined: what readers see is kept already. Throws FopError. */
  async leaving(gfid: Gfid, epoch: number): Promise<Leaving | undefined> {
    const name = `${gfid}.${epoch}`;
    await this.#unkeeping.get(name);
    const id = this.#store.findId(gfid);
    let names = this.#leaving.get(name);
    if (!names && id !== undefined && this.#store.kept(id, epoch) === epoch) return undefined;
    if (!names) this.#leaving.set(name, names = { count: 0, kept: false, unneeded: false });
    names.count++;
    const done = (kept: boolean) => this.#left(gfid, epoch, names, kept);
    try {
      await this.#journal.add(() => this.#store.putKept(this.#store.idOf(gfid), epoch));
    } catch (error) {
      done(false);
      throw error;
    }
    return { name, done };
  }

  #left(gfid: Gfid, epoch: number, names: Names, kept: boolean): void {
    const name = `${gfid}.${epoch}`;
    names.kept ||= kept;
    if (--names.count) return;
    this.#leaving.delete(name);
    if (names.kept && !names.unneeded) return;
    const unkeeping = (names.kept ? this.remove(gfid, epoch) : this.#removeRow(gfid, epoch))
      // `check` finds it.
      .catch(() => {})
      .finally(() => this.#unkeeping.delete(name));
    this.#unkeeping.set(name, unkeeping);
  }

  async #removeRow(gfid: Gfid, epoch: number): Promise<void> {
    const id = this.#store.findId(gfid);
    if (id !== undefined) await this.#journal.add(() => this.#store.removeKept(id, epoch));
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
    return kept === undefined ? undefined : OpenFile.open(this.#path(gfid, kept));
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

  /** Bytes that a kept file takes on the disk; 0 if it is not there yet. */
  bytes(gfid: Gfid, epoch: number): number {
    try {
      return (Deno.lstatSync(this.#path(gfid, epoch)).blocks ?? 0) * 512;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return 0;
      throw error;
    }
  }

  /** Takes a kept file away. */
  async remove(gfid: Gfid, epoch: number): Promise<void> {
    const leaving = this.#leaving.get(`${gfid}.${epoch}`), path = this.#path(gfid, epoch);
    if (leaving) {
      leaving.unneeded = true;
      return;
    }
    this.close();
    await this.#removeRow(gfid, epoch);
    removeFile(path);
  }

  /** After a process that did not end by itself. */
  async recover(): Promise<void> {
    const rows = new Map(
      this.#store.allKept().map(({ inode, epoch }) => {
        const gfid = this.#store.gfidOf(inode);
        return [`${gfid}.${epoch}`, { gfid, epoch }];
      }),
    );
    for (const { name } of Deno.readDirSync(this.#directory)) {
      const gfid = parseGfid(name.slice(0, name.indexOf(".")));
      if (gfid === undefined) continue;
      const path = `${this.#directory}/${name}`;
      if (rows.has(name) && !this.#live.hasName(gfid, path)) rows.delete(name);
      else removeFile(path);
    }
    for (const { gfid, epoch } of rows.values()) await this.#removeRow(gfid, epoch);
  }

  #path(gfid: Gfid, epoch: number): string {
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
