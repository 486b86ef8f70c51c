/**
 * The live files of a brick, for its history: attributes and names through the layers below, data
 * through the files' handles (`.glusterfs/aa/bb/GFID`), which are hard links.
 */

import { type Call, PID_SERVER_TRASH, ROOT } from "core/call.ts";
import type { NameIn } from "core/history_orders.ts";
import { ENOENT, ESTALE, fopError } from "core/errno.ts";
import { isSymlink, S_IFMT } from "core/iatt.ts";
import { type Gfid, type InodeTable, ROOT_GFID } from "core/inode.ts";
import { AT_FDCWD, cstring, LOCAL_O_NOFOLLOW, O_CLOEXEC, sys } from "core/sys/calls.ts";
import { readCached } from "core/sys/cached_read.ts";
import { OpenFile } from "core/sys/open_file.ts";
import { valueBytes } from "core/xdata.ts";
import type { Xlator } from "core/xlator.ts";
import type { Entry, InodeState, Live } from "snapshot/engine/live.ts";
import { namesOfHandle } from "snapshot/handle_names.ts";

/** A daemon's: nothing is checked. */
const CALL: Call = { ...ROOT, pid: PID_SERVER_TRASH };
const PATH_MAX = 4096, LISTING_BYTES = 65_536, DIRECT_MAX = 131_072;
const SEEK_DATA = 3, SEEK_HOLE = 4, ENXIO = -6;

/** See the head of this file. */
export class BrickFiles implements Live {
  readonly #child: Xlator;
  readonly #inodes: InodeTable;
  readonly #handles: string;
  #files = new Map<Gfid, OpenedFile>();

  /** `directory` is the brick's. */
  constructor(child: Xlator, inodes: InodeTable, directory: string) {
    this.#child = child;
    this.#inodes = inodes;
    this.#handles = `${directory}/.glusterfs`;
  }

  async inode(gfid: Gfid): Promise<InodeState | undefined> {
    const inode = this.#inodes.of(gfid);
    const found = await ifThere(this.#child.stat(CALL, { inode }));
    if (!found) return undefined;
    const { xattrs } = await this.#child.getxattr(CALL, { inode, name: "" });
    const values = new Map<string, Uint8Array>();
    for (const [name, value] of xattrs ?? []) {
      const bytes = valueBytes(value);
      if (bytes) values.set(name, bytes.slice());
    }
    const state = { iatt: found.stat, xattrs: values };
    if (!isSymlink(found.stat)) return state;
    const { target } = await this.#child.readlink(CALL, { inode, size: PATH_MAX });
    return { ...state, target };
  }

  async entry(parent: Gfid, name: string): Promise<Entry | undefined> {
    const args = { parent: this.#inodes.of(parent), name };
    const found = await ifThere(this.#child.lookup(CALL, args));
    return found && { name, gfid: found.stat.gfid, type: found.stat.mode & S_IFMT };
  }

  async entries(parent: Gfid): Promise<Entry[]> {
    const inode = this.#inodes.of(parent), entries: Entry[] = [];
    const opened = await ifThere(this.#child.opendir(CALL, { inode }));
    if (!opened) return entries;
    const { fd } = opened;
    try {
      for (let offset = 0n;;) {
        const args = { fd, offset, size: LISTING_BYTES };
        const reply = await this.#child.readdirp(CALL, args);
        for (const { name, stat } of reply.entries) {
          if (name === "." || name === ".." || !stat) continue;
          entries.push({ name, gfid: stat.gfid, type: stat.mode & S_IFMT });
        }
        const last = reply.entries.at(-1);
        if (reply.eof || !last) return entries;
        offset = last.offset;
      }
    } finally {
      await this.#child.releasedir(CALL, { fd });
    }
  }

  async names(gfid: Gfid): Promise<NameIn[]> {
    if (gfid === ROOT_GFID) return [];
    const names = namesOfHandle(this.#handle(gfid));
    // A crash may leave one that was.
    const found = await Promise.all(names.map(({ parent, name }) => this.entry(parent, name)));
    return names.filter((_, index) => found[index]?.gfid === gfid);
  }

  read(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): number | Promise<number> {
    const file = this.#opened(gfid);
    if (into.length <= DIRECT_MAX && readCached(file.fd, into, offset)) return into.length;
    file.users++;
    return sys.preadAsync(file.fd, into, into.length, offset).then(checked)
      .finally(() => this.#leave(file));
  }

  nextData(gfid: Gfid, offset: number): number | undefined {
    const at = Number(sys.lseek(this.#opened(gfid).fd, offset, SEEK_DATA));
    if (at === ENXIO) return undefined;
    // A file system that knows no holes has data everywhere.
    return at < 0 ? offset : at;
  }

  nextHole(gfid: Gfid, offset: number): number {
    const at = Number(sys.lseek(this.#opened(gfid).fd, offset, SEEK_HOLE));
    return at < 0 ? offset : at;
  }

  open(gfid: Gfid): OpenFile | undefined {
    return OpenFile.open(this.#handle(gfid));
  }

  /** Gives the file at `path`, which is of the same file system, the handle of an inode that is there no more. */
  raise(gfid: Gfid, path: string): void {
    const handle = this.#handle(gfid);
    Deno.mkdirSync(handle.slice(0, handle.lastIndexOf("/")), { recursive: true, mode: 0o700 });
    Deno.linkSync(path, handle);
  }

  /** Closes what is open: a gfid may be another inode's from now on, or nobody's. */
  forget(): void {
    for (const file of this.#files.values()) this.#leave(file);
    this.#files.clear();
  }

  hasName(gfid: Gfid, path: string): boolean {
    // What was open when the process ended has one more, and storage/posix may be removing that now.
    const aside = inodeAt(`${this.#handles}/unlink/${gfid}`), handle = inodeAt(this.#handle(gfid));
    const { ino, nlink } = Deno.lstatSync(path);
    const others = [aside, handle].filter((other) => other === ino).length;
    return nlink! - 1 - others > 0;
  }

  #handle(gfid: Gfid): string {
    return `${this.#handles}/${gfid.slice(0, 2)}/${gfid.slice(2, 4)}/${gfid}`;
  }

  #opened(gfid: Gfid): OpenedFile {
    const known = this.#files.get(gfid);
    if (known) return known;
    const path = cstring(this.#handle(gfid));
    const fd = checked(sys.openat(AT_FDCWD, path, O_CLOEXEC | LOCAL_O_NOFOLLOW, 0));
    if (this.#files.size >= FILES_MAX) this.forget();
    const file = { fd, users: 1 };
    this.#files.set(gfid, file);
    return file;
  }

  #leave(file: OpenedFile): void {
    if (--file.users === 0) sys.close(file.fd);
  }
}

/** A descriptor for reading, and who needs it: a read on another thread, and whoever reads next. */
interface OpenedFile {
  readonly fd: number;
  users: number;
}

/** Files that are open between reads. */
const FILES_MAX = 256;

function inodeAt(path: string): number | null | undefined {
  try {
    return Deno.lstatSync(path).ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function checked(result: number): number {
  if (result < 0) throw fopError(result);
  return result;
}

/** What is answered, or undefined if there is no such inode or name. */
export async function ifThere<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (ENOENT.matches(error) || ESTALE.matches(error)) return undefined;
    throw error;
  }
}
