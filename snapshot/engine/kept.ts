/**
 * Files that lost their last name while a reader sees them: `kept/GFID.EPOCH`.
 *
 * Which name is the last only the storage knows: names go at the same time. So a row is put before
 * a name goes, the storage moves the file there if that was the last one and says so, and if it did
 * not, the row goes. A row without a file means nothing until then: readers look at the live file.
 * After a crash rows without files go, and files that have a name, or no row, too: `recover`.
 */

import { removeFile } from "core/lib/files.ts";
import { type Gfid, parseGfid } from "core/inode.ts";
import type { Journal } from "snapshot/engine/journal.ts";
import type { Live } from "snapshot/engine/live.ts";
import { OldFiles } from "snapshot/engine/old_files.ts";
import type { HistoryStore } from "snapshot/engine/store.ts";

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
export class KeptFiles extends OldFiles {
  readonly #directory: string;
  readonly #store: HistoryStore;
  readonly #journal: Journal;
  readonly #live: Live;
  /** Names that are on their way, and rows of such that were not the last. */
  #leaving = new Map<string, Names>();
  #unkeeping = new Map<string, Promise<void>>();

  /** `directory` is made if it is not there. */
  constructor(directory: string, store: HistoryStore, journal: Journal, live: Live) {
    super(directory, store, live);
    this.#directory = directory;
    this.#store = store;
    this.#journal = journal;
    this.#live = live;
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Before a name goes that may be a file's last. Undefined: what readers see is kept already. Throws FopError. */
  async leaving(gfid: Gfid, epoch: number): Promise<Leaving | undefined> {
    const name = `${gfid}.${epoch}`;
    // No turn between the last look and what follows: a row that is about to go keeps nothing.
    for (let unkeeping; (unkeeping = this.#unkeeping.get(name));) await unkeeping;
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

  /** Bytes that a kept file takes on the disk; 0 if it is not there yet. */
  bytes(gfid: Gfid, epoch: number): number {
    try {
      return (Deno.lstatSync(this.path(gfid, epoch)).blocks ?? 0) * 512;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return 0;
      throw error;
    }
  }

  /** Takes a kept file away. */
  async remove(gfid: Gfid, epoch: number): Promise<void> {
    const leaving = this.#leaving.get(`${gfid}.${epoch}`), path = this.path(gfid, epoch);
    if (leaving) {
      leaving.unneeded = true;
      return;
    }
    this.close();
    await this.#removeRow(gfid, epoch);
    removeFile(path);
  }

  /** Where a file is that comes from another copy of the brick. */
  pathOf(gfid: Gfid, epoch: number): string {
    return this.path(gfid, epoch);
  }

  /**
   * The rows of files that came from another copy have taken effect: so do the files (see
   * `copy_rows.ts`), and those without a row go.
   */
  turn(): void {
    this.close();
    this.#store.forgetKept();
    const rows = this.#rows();
    for (const { name } of Deno.readDirSync(this.#directory)) {
      const turned = name.replace(".-", ".");
      if (turned !== name && rows.has(turned) && !rows.has(name)) {
        Deno.renameSync(`${this.#directory}/${name}`, `${this.#directory}/${turned}`);
      }
    }
    for (const { name } of Deno.readDirSync(this.#directory)) {
      if (!rows.has(name)) removeFile(`${this.#directory}/${name}`);
    }
  }

  #rows(): Map<string, { gfid: Gfid; epoch: number }> {
    return new Map(
      this.#store.allKept().map(({ inode, epoch }) => {
        const gfid = this.#store.gfidOf(inode);
        return [`${gfid}.${epoch}`, { gfid, epoch }];
      }),
    );
  }

  /** After a process that did not end by itself. */
  async recover(): Promise<void> {
    this.turn();
    const rows = this.#rows();
    for (const { name } of Deno.readDirSync(this.#directory)) {
      const gfid = parseGfid(name.slice(0, name.indexOf(".")));
      if (gfid === undefined) continue;
      const path = `${this.#directory}/${name}`;
      if (rows.has(name) && !this.#live.hasName(gfid, path)) rows.delete(name);
      else removeFile(path);
    }
    for (const { gfid, epoch } of rows.values()) await this.#removeRow(gfid, epoch);
  }
}
