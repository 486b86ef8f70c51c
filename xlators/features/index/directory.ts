/**
 * The index on the brick's disk, below `index-base` (normally `.glusterfs/indices`):
 *
 *     xattrop/xattrop-<uuid>         base file, empty, mode 0
 *     xattrop/<gfid>                 hard link to it: the file may need heal
 *     dirty/dirty-<uuid>, <gfid>     the same for transactions that were begun
 *     entry-changes/<gfid>/<name>    names in a directory that differ between copies; links to
 *     entry-changes/entry-changes-<uuid>
 *
 * Links instead of files because they take no inode. A file system bounds the links of one file, so
 * at EMLINK a new base file takes over; base files that nothing links to go when they are listed.
 * Our UUIDs there are of version 8, GlusterFS's of version 4: who served the brick can be told.
 *
 * All calls are synchronous: they touch one directory that is in the page cache. Listings go on in
 * pieces of at most 64 KiB.
 */

import type { Env } from "core/env.ts";
import {
  EACCES,
  EEXIST,
  EINVAL,
  EMLINK,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  fopError,
} from "core/errno.ts";
import { type Iatt, isDirectory } from "core/iatt.ts";
import { type Gfid, NULL_GFID } from "core/inode.ts";
import { decodeName } from "core/lib/bytes.ts";
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  cstring,
  LOCAL_O_DIRECTORY,
  O_CLOEXEC,
  STATX_BASIC_STATS,
  sys,
} from "core/sys/calls.ts";

/** The three parts of the index, as their directories are named. */
export type IndexKind = "xattrop" | "dirty" | "entry-changes";
export const INDEX_KINDS: readonly IndexKind[] = ["xattrop", "dirty", "entry-changes"];

/** Where features/changed-ranges keeps its records. */
const RECORDS = "changed-ranges";

/** One name in an index directory. */
export interface IndexEntry {
  readonly name: string;
  /** Where the next listing goes on; all 64 bits. */
  readonly offset: bigint;
}

const O_CREAT_WRONLY = 0o101;
/** A brick need not run as root: its owner must be able to enter. */
const DIRECTORY_MODE = 0o700;
const LISTING_MAX = 64 << 10;
// What an entry of a reply weighs beside its name, on the wire.
const ENTRY_WEIGHT = 24;
const REPLY_MAX = 1 << 20;
const OFFSET_MAX = 2n ** 63n - 1n;

/** The index directory of a brick. Methods throw FopError as the kernel answered. */
export class IndexDirectory {
  readonly #base: string;
  readonly #env: Env;
  #baseId: string;
  #pendingCount = 0;

  /** `base` is the path of the index; `baseId` a fresh UUID that names the base files of this run. */
  constructor(base: string, env: Env) {
    this.#base = base;
    this.#env = env;
    this.#baseId = ownId(env);
  }

  /** How many files the xattrop index lists. */
  get pendingCount(): number {
    return this.#pendingCount;
  }

  /**
   * Makes the directories that are missing and counts what is there. The parent of `base` must exist.
   * `watched`: a layer of this process keeps the records beside `base` of what copies missed; if not, marks
   * change and nobody brings them up to date: they go.
   */
  async open(
    kinds: readonly IndexKind[],
    { watched }: { readonly watched: boolean },
  ): Promise<void> {
    const above = this.#base.replace(/\/+[^/]*\/*$/, "") || "/";
    if (!isDirectory(statPath(above))) throw ENOTDIR;
    if (!watched) removeTree(`${above}/${RECORDS}`);
    for (const kind of kinds) this.#makeDirectory(kind);
    this.#pendingCount = await this.count("xattrop");
  }

  #makeDirectory(kind: IndexKind): void {
    for (const path of [this.#base, this.#path(kind)]) {
      const made = sys.mkdirat(AT_FDCWD, cstring(path), DIRECTORY_MODE);
      if (made < 0 && -made !== EEXIST.errno) throw fopError(made);
    }
  }

  #path(kind: IndexKind, ...names: readonly string[]): string {
    return [this.#base, kind, ...names].join("/");
  }

  #basePath(kind: IndexKind): string {
    return this.#path(kind, `${kind}-${this.#baseId}`);
  }

  /** Lists `gfid` under `kind`; no error if it is there already. */
  add(kind: "xattrop" | "dirty", gfid: Gfid): void {
    if (this.#link(kind, this.#path(kind, gfid)) && kind === "xattrop") this.#pendingCount++;
  }

  /** Takes `gfid` off the list; no error if it is not there. */
  remove(kind: "xattrop" | "dirty", gfid: Gfid): void {
    if (unlink(this.#path(kind, gfid)) && kind === "xattrop" && this.#pendingCount > 0) {
      this.#pendingCount--;
    }
  }

  /** Notes that `name` in the directory `gfid` differs between copies. */
  addName(gfid: Gfid, name: string): void {
    const made = sys.mkdirat(AT_FDCWD, cstring(this.#path("entry-changes", gfid)), DIRECTORY_MODE);
    if (made < 0 && -made !== EEXIST.errno) throw fopError(made);
    this.#link("entry-changes", this.#path("entry-changes", gfid, name));
  }

  /** The inverse of `addName`; no error if it is not there. */
  removeName(gfid: Gfid, name: string): void {
    unlink(this.#path("entry-changes", gfid, name));
  }

  /**
   * Forgets the names of the directory `gfid`. If names are left, which a heal of the whole directory
   * does, it is set aside under a random name that the next crawl finds stale and wipes.
   */
  removeNames(gfid: Gfid): void {
    const path = this.#path("entry-changes", gfid);
    const removed = sys.unlinkat(AT_FDCWD, cstring(path), AT_REMOVEDIR);
    if (removed >= 0 || -removed === ENOENT.errno) return;
    if (-removed !== ENOTEMPTY.errno) throw fopError(removed);
    const aside = this.#path("entry-changes", this.#env.random.uuid());
    const moved = sys.renameat2(AT_FDCWD, cstring(path), AT_FDCWD, cstring(aside), 0);
    if (moved < 0) throw fopError(moved);
  }

  /** Removes the directory `name` of entry-changes with all that is in it. */
  async wipeNames(name: string): Promise<void> {
    const path = this.#path("entry-changes", name);
    for await (const entry of this.#all(path)) unlink(`${path}/${entry}`);
    const removed = sys.unlinkat(AT_FDCWD, cstring(path), AT_REMOVEDIR);
    if (removed < 0 && -removed !== ENOENT.errno) throw fopError(removed);
  }

  /** Removes whatever is called `name` there (a stray file); no error if it is not there. */
  removeStray(kind: IndexKind, name: string): void {
    unlink(this.#path(kind, name));
  }

  /** Attributes of an index directory, or of something in it; the gfid is the caller's choice. */
  stat(gfid: Gfid, kind: IndexKind, ...names: readonly string[]): Iatt {
    return statPath(this.#path(kind, ...names), gfid);
  }

  /** A descriptor of an index directory, to be closed by the caller. */
  openDirectory(kind: IndexKind, ...names: readonly string[]): number {
    return openDirectory(this.#path(kind, ...names));
  }

  /** The inverse of `openDirectory`. */
  closeDirectory(fd: number): void {
    sys.close(fd);
  }

  /**
   * Entries after `offset` (0n: from the start) that fit a reply of `size` bytes, without base files;
   * base files of earlier runs that nothing links to any more are removed. `kind` is given for the
   * directories that hold base files.
   */
  list(
    fd: number,
    offset: bigint,
    size: number,
    kind: IndexKind | undefined,
  ): { entries: IndexEntry[]; eof: boolean } {
    if (offset < 0n || offset > OFFSET_MAX) throw EINVAL;
    const moved = sys.lseek(fd, offset, 0);
    if (moved < 0n) throw fopError(Number(moved));
    const buffer = new Uint8Array(LISTING_MAX);
    const entries: IndexEntry[] = [];
    let room = Math.min(size, REPLY_MAX);
    for (;;) {
      const got = sys.getdents64(fd, buffer, buffer.length);
      if (got < 0) throw fopError(got);
      if (got === 0) return { entries, eof: true };
      for (const entry of parseDirents(buffer.subarray(0, got))) {
        if (entry.name === "." || entry.name === "..") continue;
        if (kind && entry.name.startsWith(`${kind}-`)) {
          this.#dropIfStale(kind, entry.name);
          continue;
        }
        room -= ENTRY_WEIGHT + entry.name.length;
        if (room < 0 && entries.length) return { entries, eof: false };
        entries.push(entry);
      }
    }
  }

  /** How many entries an index directory has, base files not counted. Yields to other work. */
  async count(kind: IndexKind): Promise<number> {
    let count = 0;
    for await (const name of this.#all(this.#path(kind))) {
      if (!name.startsWith(`${kind}-`)) count++;
    }
    if (kind === "xattrop") this.#pendingCount = count;
    return count;
  }

  async *#all(path: string): AsyncGenerator<string> {
    let fd: number;
    try {
      fd = openDirectory(path);
    } catch (error) {
      if (ENOENT.matches(error)) return;
      throw error;
    }
    try {
      const buffer = new Uint8Array(LISTING_MAX);
      for (;;) {
        const got = sys.getdents64(fd, buffer, buffer.length);
        if (got < 0) throw fopError(got);
        if (got === 0) return;
        for (const { name } of parseDirents(buffer.subarray(0, got))) {
          if (name !== "." && name !== "..") yield name;
        }
        await this.#env.clock.delay(0);
      }
    } finally {
      sys.close(fd);
    }
  }

  #dropIfStale(kind: IndexKind, name: string): void {
    if (name === `${kind}-${this.#baseId}`) return;
    try {
      if (statPath(this.#path(kind, name)).nlink === 1) unlink(this.#path(kind, name));
    } catch (error) {
      if (!ENOENT.matches(error)) throw error;
    }
  }

  // True if the link is new.
  #link(kind: IndexKind, path: string): boolean {
    const to = cstring(path);
    let linked = this.#linkBase(kind, to);
    if (linked < 0 && -linked !== EEXIST.errno) {
      if (-linked === ENOENT.errno) this.#makeDirectory(kind);
      else if (-linked === EMLINK.errno) this.#baseId = ownId(this.#env);
      else throw fopError(linked);
      this.#makeBase(kind);
      linked = this.#linkBase(kind, to);
    }
    if (linked < 0 && -linked !== EEXIST.errno) throw fopError(linked);
    return linked === 0;
  }

  #linkBase(kind: IndexKind, to: Uint8Array<ArrayBuffer>): number {
    return sys.linkat(AT_FDCWD, cstring(this.#basePath(kind)), AT_FDCWD, to, 0);
  }

  #makeBase(kind: IndexKind): void {
    const path = cstring(this.#basePath(kind));
    const fd = sys.openat(AT_FDCWD, path, O_CREAT_WRONLY | O_CLOEXEC, 0);
    if (fd >= 0) sys.close(fd);
    // Mode 0: whoever is not root cannot open again what is there, and need not.
    else if (-fd !== EACCES.errno) throw fopError(fd);
  }
}

function ownId(env: Env): string {
  const random = env.random.uuid();
  return `${random.slice(0, 14)}8${random.slice(15)}`;
}

// True if there was something to remove.
function unlink(path: string): boolean {
  const removed = sys.unlinkat(AT_FDCWD, cstring(path), 0);
  if (removed < 0 && -removed !== ENOENT.errno) throw fopError(removed);
  return removed === 0;
}

function removeTree(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function openDirectory(path: string): number {
  const fd = sys.openat(AT_FDCWD, cstring(path), LOCAL_O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) throw fopError(fd);
  return fd;
}

// struct linux_dirent64: u64 inode, i64 offset, u16 length, u8 type, name with NUL.
function* parseDirents(bytes: Uint8Array): Generator<IndexEntry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint16(at + 16, true);
    const name = bytes.subarray(at + 19, bytes.indexOf(0, at + 19));
    yield { name: decodeName(name), offset: view.getBigInt64(at + 8, true) };
    at += length;
  }
}

// struct statx, include/uapi/linux/stat.h.
function statPath(path: string, gfid: Gfid = NULL_GFID): Iatt {
  const buffer = new Uint8Array(256);
  const target = cstring(path);
  const answer = sys.statx(AT_FDCWD, target, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, buffer);
  if (answer < 0) throw fopError(answer);
  const view = new DataView(buffer.buffer);
  const u32 = (at: number) => view.getUint32(at, true);
  const i64 = (at: number) => Number(view.getBigInt64(at, true));
  const device = (at: number) => u32(at) * 2 ** 32 + u32(at + 4);
  return {
    gfid,
    mode: view.getUint16(28, true),
    nlink: u32(16),
    uid: u32(20),
    gid: u32(24),
    rdev: device(128),
    dev: device(136),
    size: i64(40),
    blksize: u32(4),
    blocks: i64(48),
    atime: i64(64),
    atimeNsec: u32(72),
    mtime: i64(112),
    mtimeNsec: u32(120),
    ctime: i64(96),
    ctimeNsec: u32(104),
  };
}
