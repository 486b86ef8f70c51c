/**
 * Files that lost their last name while a reader sees them: `kept/GFID.EPOCH`.
 *
 * Which name is the last only the storage knows: names go at the same time. So a row is put before
 * a name goes, the storage moves the file there if that was the last one and says so, and if it did
 * not, the row goes. A row without a file means nothing until then: readers look at the live file.
 * After a crash rows without files go, and files that have a name, or no row, too: `recover`.
 */

import { AT_FDCWD, cstring, LOCAL_O_NOFOLLOW, O_CLOEXEC, sys } from "core/sys/calls.ts";
import { ENOENT, FopError, fopError } from "core/errno.ts";
import { type Gfid, parseGfid } from "core/inode.ts";
import type { Journal } from "snapshot/engine/journal.ts";
import type { Live } from "snapshot/engine/live.ts";
import type { HistoryStore } from "snapshot/engine/store.ts";

type DataSource = Pick<Live, "read" | "nextData" | "nextHole">;

const SEEK_DATA = 3, SEEK_HOLE = 4, ENXIO = -6;

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
export class KeptFiles implements Disposable {
  readonly #directory: string;
  readonly #store: HistoryStore;
  readonly #journal: Journal;
  readonly #live: Live;
  #open = new Map<string, KeptFile>();
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

  #find(gfid: Gfid, epoch: number): KeptFile | undefined {
    const id = this.#store.findId(gfid);
    const kept = id === undefined ? undefined : this.#store.kept(id, epoch);
    return kept === undefined ? undefined : this.#opened(gfid, kept);
  }

  /**
   * Fills `into` with what a reader of `epoch` finds where it has no extents: of the kept file, or the
   * live one; answers how much there was. Throws FopError.
   */
  async read(
    gfid: Gfid,
    epoch: number,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
  ): Promise<number> {
    for (let source = this.#source(gfid, epoch);;) {
      const count = await answer(() => source.read(gfid, offset, into));
      // Removed in between: it was kept before that.
      const since = this.#source(gfid, epoch);
      if (since !== source) source = since;
      else if (count instanceof FopError) throw count;
      else return count;
    }
  }

  /** Start of the first data at or after `offset` in the same; undefined if only holes follow. */
  nextData(gfid: Gfid, epoch: number, offset: number): number | undefined {
    return this.#source(gfid, epoch).nextData(gfid, offset);
  }

  /** The same of holes; at the latest the file's end. */
  nextHole(gfid: Gfid, epoch: number, offset: number): number {
    return this.#source(gfid, epoch).nextHole(gfid, offset);
  }

  #source(gfid: Gfid, epoch: number): DataSource {
    return this.#find(gfid, epoch) ?? this.#live;
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
    this.#open.get(path)?.[Symbol.dispose]();
    this.#open.delete(path);
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

  [Symbol.dispose](): void {
    for (const file of this.#open.values()) file[Symbol.dispose]();
    this.#open.clear();
  }

  #opened(gfid: Gfid, epoch: number): KeptFile | undefined {
    const path = this.#path(gfid, epoch);
    const known = this.#open.get(path);
    if (known) return known;
    const file = KeptFile.open(path);
    if (!file) return undefined;
    if (this.#open.size >= OPEN_MAX) this[Symbol.dispose]();
    this.#open.set(path, file);
    return file;
  }

  #path(gfid: Gfid, epoch: number): string {
    return `${this.#directory}/${gfid}.${epoch}`;
  }
}

const OPEN_MAX = 256;

async function answer(read: () => number | Promise<number>): Promise<number | FopError> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof FopError) return error;
    throw error;
  }
}

/** One kept file, open for reading. */
class KeptFile implements DataSource, Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Undefined: it is not there. */
  static open(path: string): KeptFile | undefined {
    const fd = sys.openat(AT_FDCWD, cstring(path), LOCAL_O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd === -ENOENT.errno) return undefined;
    if (fd < 0) throw fopError(fd);
    return new KeptFile(fd);
  }

  read(_gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): number {
    const count = sys.pread(this.#fd, into, into.length, offset);
    if (count < 0) throw fopError(count);
    return count;
  }

  nextData(_gfid: Gfid, offset: number): number | undefined {
    const at = Number(sys.lseek(this.#fd, offset, SEEK_DATA));
    if (at === ENXIO) return undefined;
    // A file system without holes has data everywhere.
    return at < 0 ? offset : at;
  }

  nextHole(_gfid: Gfid, offset: number): number {
    const at = Number(sys.lseek(this.#fd, offset, SEEK_HOLE));
    return at < 0 ? offset : at;
  }

  [Symbol.dispose](): void {
    sys.close(this.#fd);
  }
}

function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
