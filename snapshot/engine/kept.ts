/**
 * Files that lost their last name while a reader sees them: `kept/GFID.EPOCH`, a hard link that is
 * made before the name goes. A crash in between leaves a link whose file is still alive:
 * `recover` takes it back.
 */

import { AT_FDCWD, cstring, LOCAL_O_NOFOLLOW, O_CLOEXEC, sys } from "core/sys/calls.ts";
import { FopError, fopError } from "core/errno.ts";
import { type Gfid, parseGfid } from "core/inode.ts";
import type { Journal } from "snapshot/engine/journal.ts";
import type { Live } from "snapshot/engine/live.ts";
import type { HistoryStore } from "snapshot/engine/store.ts";

type DataSource = Pick<Live, "read" | "nextData">;

const SEEK_DATA = 3, ENXIO = -6;

/** See the head of this file. */
export class KeptFiles implements Disposable {
  readonly #directory: string;
  readonly #store: HistoryStore;
  readonly #journal: Journal;
  readonly #live: Live;
  #open = new Map<string, KeptFile>();

  /** `directory` is made if it is not there. */
  constructor(directory: string, store: HistoryStore, journal: Journal, live: Live) {
    this.#directory = directory;
    this.#store = store;
    this.#journal = journal;
    this.#live = live;
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Keeps a file that is about to lose its last name; the answer is told whether it did. Throws FopError. */
  async keep(gfid: Gfid, epoch: number): Promise<(gone: boolean) => void> {
    this.#live.keep(gfid, this.#path(gfid, epoch));
    await this.#journal.add(() => this.#store.putKept(this.#store.idOf(gfid), epoch));
    return (gone) => {
      if (!gone) this.remove(gfid, epoch);
    };
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

  #source(gfid: Gfid, epoch: number): DataSource {
    return this.#find(gfid, epoch) ?? this.#live;
  }

  /** Bytes that a kept file takes on the disk. */
  bytes(gfid: Gfid, epoch: number): number {
    return (Deno.lstatSync(this.#path(gfid, epoch)).blocks ?? 0) * 512;
  }

  /** Takes a kept file away. */
  remove(gfid: Gfid, epoch: number): void {
    const path = this.#path(gfid, epoch);
    this.#open.get(path)?.[Symbol.dispose]();
    this.#open.delete(path);
    const id = this.#store.findId(gfid);
    if (id !== undefined) this.#store.transaction(() => this.#store.removeKept(id, epoch));
    removeFile(path);
  }

  /** After a process that did not end by itself: removes links that nothing names, and those of files alive. */
  recover(): void {
    const rows = new Set(
      this.#store.allKept().map(({ inode, epoch }) => `${this.#store.gfidOf(inode)}.${epoch}`),
    );
    for (const { name } of Deno.readDirSync(this.#directory)) {
      const [text = "", epoch] = name.split(".");
      const gfid = parseGfid(text);
      if (gfid === undefined) continue;
      const { nlink } = Deno.lstatSync(`${this.#directory}/${name}`);
      if (rows.has(name) && nlink === 1) continue;
      this.remove(gfid, Number(epoch));
    }
  }

  [Symbol.dispose](): void {
    for (const file of this.#open.values()) file[Symbol.dispose]();
    this.#open.clear();
  }

  #opened(gfid: Gfid, epoch: number): KeptFile {
    const path = this.#path(gfid, epoch);
    let file = this.#open.get(path);
    if (!file) {
      if (this.#open.size >= OPEN_MAX) this[Symbol.dispose]();
      this.#open.set(path, file = new KeptFile(path, epoch));
    }
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

  constructor(path: string, readonly epoch: number) {
    this.#fd = sys.openat(AT_FDCWD, cstring(path), LOCAL_O_NOFOLLOW | O_CLOEXEC, 0);
    if (this.#fd < 0) throw fopError(this.#fd);
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
