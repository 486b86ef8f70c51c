/** The index of a simulated brick: what `features/index` keeps in a directory, in memory. */

import { ENOENT, ENOTDIR } from "core/errno.ts";
import { type Iatt, S_IFDIR } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import type { SimDisk } from "tests/sim/disk.ts";
import type { IndexEntry, IndexKind } from "xlators/features/index/directory.ts";
import type { IndexStore } from "xlators/features/index/index.ts";

/** Entries are on `disk`, in its journal like all names. */
export class SimIndexStore implements IndexStore {
  readonly #disk: SimDisk;
  readonly #open = new Map<number, readonly string[]>();
  #next = 1;

  constructor(disk: SimDisk) {
    this.#disk = disk;
  }

  get pendingCount(): number {
    return this.#names("xattrop")?.size ?? 0;
  }

  open(kinds: readonly IndexKind[]): Promise<void> {
    for (const kind of kinds) this.#make(kind);
    return Promise.resolve();
  }

  add(kind: "xattrop" | "dirty", gfid: Gfid): void {
    this.#enter(kind, gfid);
  }

  remove(kind: "xattrop" | "dirty", gfid: Gfid): void {
    this.#leave(kind, gfid);
  }

  addName(gfid: Gfid, name: string): void {
    this.#enter(`entry-changes/${gfid}`, name);
  }

  removeName(gfid: Gfid, name: string): void {
    this.#leave(`entry-changes/${gfid}`, name);
  }

  removeNames(gfid: Gfid): void {
    for (const name of [...this.#names(`entry-changes/${gfid}`) ?? []]) this.removeName(gfid, name);
    this.#disk.index.delete(`entry-changes/${gfid}`);
  }

  wipeNames(name: string): Promise<void> {
    this.removeNames(name as Gfid);
    return Promise.resolve();
  }

  removeStray(kind: IndexKind, name: string): void {
    this.#leave(kind, name);
  }

  stat(gfid: Gfid, kind: IndexKind, ...names: readonly string[]): Iatt {
    const path = [kind, ...names].join("/");
    if (!this.#list(path) && !this.#names(kind)?.has(names[0] ?? "")) throw ENOENT;
    return {
      gfid,
      mode: S_IFDIR | 0o700,
      nlink: 2,
      uid: 0,
      gid: 0,
      rdev: 0,
      dev: 1,
      size: 4096,
      blksize: 4096,
      blocks: 8,
      atime: 0,
      atimeNsec: 0,
      mtime: 0,
      mtimeNsec: 0,
      ctime: 0,
      ctimeNsec: 0,
    };
  }

  openDirectory(kind: IndexKind, ...names: readonly string[]): number {
    const list = this.#list([kind, ...names].join("/"));
    if (!list) throw ENOTDIR;
    this.#open.set(this.#next, list);
    return this.#next++;
  }

  closeDirectory(fd: number): void {
    this.#open.delete(fd);
  }

  // What was there when it was opened: as a real directory that changes while it is read.
  list(fd: number, offset: bigint): { entries: IndexEntry[]; eof: boolean } {
    const names = this.#open.get(fd)!;
    const entries = names.map((name, at) => ({ name, offset: BigInt(at + 1) }));
    return { entries: entries.slice(Number(offset)), eof: true };
  }

  count(kind: IndexKind): Promise<number> {
    return Promise.resolve(this.#list(kind)?.length ?? 0);
  }

  #names(path: string): Set<string> | undefined {
    return this.#disk.index.get(path);
  }

  #list(path: string): string[] | undefined {
    if (path !== "entry-changes") {
      const names = this.#names(path);
      return names && [...names];
    }
    const prefix = `${path}/`;
    return [...this.#disk.index].filter(([at, names]) => at.startsWith(prefix) && names.size)
      .map(([at]) => at.slice(prefix.length));
  }

  #make(path: string): Set<string> {
    let names = this.#names(path);
    if (!names) this.#disk.index.set(path, names = new Set());
    return names;
  }

  #enter(path: string, name: string): void {
    const names = this.#make(path);
    if (names.has(name)) return;
    names.add(name);
    this.#disk.undoable(() => void names.delete(name));
  }

  #leave(path: string, name: string): void {
    const names = this.#names(path);
    if (!names?.delete(name)) return;
    this.#disk.undoable(() => void names.add(name));
  }
}
