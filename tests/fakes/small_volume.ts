/**
 * A small volume for tests of histories: one or two directories of files, with data in real files
 * (so that a file can be kept by a second name), the rest in memory. `copy` is a naive snapshot.
 */

import type { NameIn } from "core/history_orders.ts";
import { ENOENT, fopError } from "core/errno.ts";
import { type Iatt, S_IFDIR, S_IFREG } from "core/iatt.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { AT_FDCWD, cstring, sys } from "core/sys/calls.ts";
import { OpenFile } from "core/sys/open_file.ts";
import type { Entry, InodeState, Live } from "snapshot/engine/live.ts";

/** A file of a naive snapshot. */
export interface CopiedFile {
  readonly mode: number;
  readonly nlink: number;
  readonly xattr: number;
  readonly data: Uint8Array;
}

/** A naive snapshot: every directory's names, and every file. */
export interface VolumeCopy {
  readonly entries: ReadonlyMap<Gfid, ReadonlyMap<string, Gfid>>;
  readonly files: ReadonlyMap<Gfid, CopiedFile>;
}

interface SmallFile {
  mode: number;
  nlink: number;
  xattr: number;
}

const XATTR = "user.number";
const SEEK_DATA = 3, SEEK_HOLE = 4, ENXIO = -6;

/** See the head of this file. */
export class SmallVolume implements Live {
  readonly files = new Map<Gfid, SmallFile>();
  readonly directories = new Map<Gfid, Map<string, Gfid>>([[ROOT_GFID, new Map()]]);

  readonly open?: NonNullable<Live["open"]>;

  /**
   * Data is in `directory`/GFID; `turnsBefore` says how many turns of the loop a read takes. `opens`:
   * files are kept open instead of that.
   */
  constructor(
    readonly directory: string,
    readonly turnsBefore: () => number,
    readonly opens = false,
  ) {
    Deno.mkdirSync(directory, { recursive: true });
    if (opens) this.open = (gfid) => OpenFile.open(this.path(gfid));
  }

  /** The same volume with its data elsewhere, where it was copied. */
  movedTo(directory: string): SmallVolume {
    const moved = new SmallVolume(directory, this.turnsBefore, this.opens);
    for (const [gfid, file] of this.files) moved.files.set(gfid, { ...file });
    for (const [gfid, names] of this.directories) moved.directories.set(gfid, new Map(names));
    return moved;
  }

  path(gfid: Gfid): string {
    return `${this.directory}/${gfid}`;
  }

  make(parent: Gfid, name: string, gfid: Gfid): void {
    this.directories.get(parent)!.set(name, gfid);
    this.files.set(gfid, { mode: S_IFREG | 0o644, nlink: 1, xattr: 0 });
    Deno.writeFileSync(this.path(gfid), new Uint8Array(0), { createNew: true });
  }

  makeDirectory(parent: Gfid, name: string, gfid: Gfid): void {
    this.directories.get(parent)!.set(name, gfid);
    this.directories.set(gfid, new Map());
  }

  removeDirectory(parent: Gfid, name: string): void {
    const names = this.directories.get(parent)!;
    this.directories.delete(names.get(name)!);
    names.delete(name);
  }

  link(parent: Gfid, name: string, gfid: Gfid): void {
    this.directories.get(parent)!.set(name, gfid);
    this.files.get(gfid)!.nlink++;
  }

  /** Answers whether the file was kept at `keep`, because that was its last name. */
  unlink(parent: Gfid, name: string, keep?: string): boolean {
    const names = this.directories.get(parent)!;
    const gfid = names.get(name)!;
    names.delete(name);
    const file = this.files.get(gfid)!;
    if (--file.nlink > 0) return false;
    this.files.delete(gfid);
    if (keep) Deno.renameSync(this.path(gfid), keep);
    else Deno.removeSync(this.path(gfid));
    return keep !== undefined;
  }

  /** Bytes of a file. */
  size(gfid: Gfid): number {
    return Deno.statSync(this.path(gfid)).size;
  }

  write(gfid: Gfid, offset: number, data: Uint8Array): void {
    using file = Deno.openSync(this.path(gfid), { write: true });
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let done = 0; done < data.length;) done += file.writeSync(data.subarray(done));
  }

  truncate(gfid: Gfid, size: number): void {
    Deno.truncateSync(this.path(gfid), size);
  }

  /** Everything, as it is now. */
  copy(): VolumeCopy {
    return {
      entries: new Map([...this.directories].map(([gfid, names]) => [gfid, new Map(names)])),
      files: new Map(
        [...this.files].map(([gfid, file]) => [
          gfid,
          { ...file, data: Deno.readFileSync(this.path(gfid)) },
        ]),
      ),
    };
  }

  inode(gfid: Gfid): Promise<InodeState | undefined> {
    const file = this.files.get(gfid), names = this.directories.get(gfid);
    if (!file && !names) return Promise.resolve(undefined);
    const size = file ? this.size(gfid) : names!.size;
    const iatt: Iatt = {
      ...{ gfid, mode: file?.mode ?? S_IFDIR | 0o755, nlink: file?.nlink ?? 2, size },
      ...{ uid: 0, gid: 0, rdev: 0, dev: 0, blksize: 4096, blocks: 0 },
      ...{ atime: 0, atimeNsec: 0, mtime: 0, mtimeNsec: 0, ctime: 0, ctimeNsec: 0 },
    };
    return Promise.resolve({ iatt, xattrs: new Map([[XATTR, Uint8Array.of(file?.xattr ?? 0)]]) });
  }

  #entry(name: string, gfid: Gfid): Entry {
    return { name, gfid, type: this.files.has(gfid) ? S_IFREG : S_IFDIR };
  }

  entry(parent: Gfid, name: string): Promise<Entry | undefined> {
    const gfid = this.directories.get(parent)?.get(name);
    return Promise.resolve(gfid && this.#entry(name, gfid));
  }

  entries(parent: Gfid): Promise<readonly Entry[]> {
    const names = [...this.directories.get(parent) ?? []];
    return Promise.resolve(names.map(([name, gfid]) => this.#entry(name, gfid)));
  }

  names(gfid: Gfid): NameIn[] {
    return [...this.directories].flatMap(([parent, names]) =>
      [...names].filter(([, child]) => child === gfid).map(([name]) => ({ parent, name }))
    );
  }

  // Like a disk: what is read may be told long after it was.
  async read(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): Promise<number> {
    for (let turns = this.turnsBefore(); turns > 0; turns--) await undefined;
    let done = 0;
    try {
      using file = Deno.openSync(this.path(gfid));
      file.seekSync(offset, Deno.SeekMode.Start);
      for (let count; done < into.length && (count = file.readSync(into.subarray(done)));) {
        done += count;
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw ENOENT;
    }
    return done;
  }

  nextData(gfid: Gfid, offset: number): number | undefined {
    const at = this.#seek(gfid, offset, SEEK_DATA);
    return at === ENXIO ? undefined : at;
  }

  nextHole(gfid: Gfid, offset: number): number {
    const at = this.#seek(gfid, offset, SEEK_HOLE);
    return at === ENXIO ? offset : at;
  }

  #seek(gfid: Gfid, offset: number, whence: number): number {
    const fd = sys.openat(AT_FDCWD, cstring(this.path(gfid)), 0, 0);
    if (fd < 0) throw fopError(fd);
    try {
      return Number(sys.lseek(fd, offset, whence));
    } finally {
      sys.close(fd);
    }
  }

  hasName(gfid: Gfid): boolean {
    return this.files.has(gfid);
  }
}

/** The attribute of a file whose value is its `xattr`. */
export function xattrOf(state: InodeState): number {
  return state.xattrs.get(XATTR)![0]!;
}
