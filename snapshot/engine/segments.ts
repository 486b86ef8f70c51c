/**
 * Old data, in files of a brick's private directory that only grow: `segments/1`, `segments/2`, …
 *
 * One file for all that is preserved at a time: random overwrites of many files become one
 * sequential write, and one sync makes all of them durable. What nobody needs any more is punched
 * out; a file with nothing left in it is removed. A place is a byte in all segments together.
 */

import { EIO, ENOENT, fopError } from "core/errno.ts";
import { AT_FDCWD, cstring, LOCAL_O_DIRECTORY, O_CLOEXEC, sys } from "core/sys/calls.ts";
import { readCached } from "core/sys/cached_read.ts";
import { exists } from "core/lib/files.ts";
import { allDone } from "core/lib/all_done.ts";
import { SharedSync } from "snapshot/engine/shared_sync.ts";

/** Bytes of a segment. */
export const SEGMENT_BYTES = 2 ** 28;
/** What is bigger is written on another thread. */
const DIRECT_MAX = 131_072;
const FDS_MAX = 64;
const O_RDWR = 2, O_CREAT = 0o100, MODE = 0o600;
const PUNCH_HOLE_KEEP_SIZE = 3, FADV_DONTNEED = 4;

/** The segment that a place is in. */
export function segmentOf(place: number): number {
  return Math.floor(place / SEGMENT_BYTES) + 1;
}

/** See the head of this file. Methods throw FopError: what the disk said. */
export class Segments implements Disposable {
  readonly #directory: string;
  readonly #fds = new Map<number, number>();
  #current: number;
  #offset: number;
  /** By segment; a new file's name has to be synced as well. */
  readonly #syncs = new Map<number, SharedSync>();
  readonly #names: SharedSync;
  /** Places of what is being written on other threads. */
  readonly #writing = new Set<number>();
  /** How much was appended to each segment that has no row yet. */
  readonly #unnamed = new Map<number, number>();
  /** Calls on other threads, and descriptors that are closed when none is left: numbers are used again. */
  #calls = 0;
  #closing: number[] = [];

  private constructor(directory: string, current: number, offset: number) {
    this.#directory = directory;
    this.#names = new SharedSync(() => syncDirectory(directory).then(() => 0));
    this.#current = current;
    this.#offset = offset;
  }

  /** Opens those in `directory`, which is made if it is not there. */
  static open(directory: string): Segments {
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    let newest = 0;
    for (const { name } of Deno.readDirSync(directory)) {
      newest = Math.max(newest, Number(name) || 0);
    }
    const size = newest ? Deno.statSync(`${directory}/${newest}`).size : 0;
    return new Segments(directory, Math.max(newest, 1), size);
  }

  /**
   * Keeps a copy of `bytes` (1 MiB at most): in the page cache, until `sync` on the disk. Answers its
   * place, of which has to be told when it is `named`.
   */
  append(bytes: Uint8Array<ArrayBuffer>): { place: number; written: Promise<void> | undefined } {
    if (this.#offset + bytes.length > SEGMENT_BYTES) {
      this.#current++;
      this.#offset = 0;
    }
    const segment = this.#current, offset = this.#offset;
    const fd = this.#fd(segment, O_CREAT);
    const place = (segment - 1) * SEGMENT_BYTES + offset;
    this.#offset += bytes.length;
    const checked = (count: number) => {
      if (count !== bytes.length) throw count < 0 ? fopError(-count) : EIO;
    };
    const isLong = bytes.length > DIRECT_MAX;
    if (!isLong) {
      checked(sys.pwrite(fd, bytes, bytes.length, offset));
      this.#syncOf(segment).wrote();
    }
    this.#unnamed.set(segment, (this.#unnamed.get(segment) ?? 0) + 1);
    if (!isLong) return { place, written: undefined };
    this.#writing.add(place);
    const written = this.#called(sys.pwriteAsync(fd, bytes, bytes.length, offset)).then((count) => {
      this.#writing.delete(place);
      this.#syncOf(segment).wrote();
      checked(count);
    });
    return { place, written };
  }

  #syncOf(segment: number): SharedSync {
    let sync = this.#syncs.get(segment);
    if (!sync) {
      sync = new SharedSync(() => this.#called(sys.fdatasyncAsync(this.#fd(segment, 0))));
      this.#syncs.set(segment, sync);
    }
    return sync;
  }

  /** What was appended has its row, or gets none. */
  named(place: number): void {
    const segment = segmentOf(place), left = this.#unnamed.get(segment)! - 1;
    if (left) this.#unnamed.set(segment, left);
    else this.#unnamed.delete(segment);
  }

  /** All that has a place before this was written. */
  get end(): number {
    return Math.min((this.#current - 1) * SEGMENT_BYTES + this.#offset, ...this.#writing);
  }

  /** Fills `into` with what is kept from `place` on. */
  read(place: number, into: Uint8Array<ArrayBuffer>): void | Promise<void> {
    const offset = place % SEGMENT_BYTES, fd = this.#fd(segmentOf(place), 0);
    if (!readCached(fd, into, offset)) return this.#readOn(fd, offset, into);
  }

  // Of the disk.
  async #readOn(fd: number, offset: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    const count = await this.#called(sys.preadAsync(fd, into, into.length, offset));
    if (count !== into.length) throw count < 0 ? fopError(-count) : EIO;
  }

  /** Gives the room back; of a segment that is not there any more there is none. */
  async punch(place: number, size: number): Promise<void> {
    let fd: number;
    try {
      fd = this.#fd(segmentOf(place), 0);
    } catch (error) {
      if (ENOENT.matches(error)) return;
      throw error;
    }
    const offset = place % SEGMENT_BYTES;
    const result = await this.#called(
      sys.fallocateAsync(fd, PUNCH_HOLE_KEEP_SIZE, offset, size),
    );
    if (result < 0) throw fopError(-result);
  }

  /** Whether there may be rows of this segment that are not there yet. */
  isGrowing(segment: number): boolean {
    return segment === this.#current || this.#unnamed.has(segment);
  }

  /** Removes a whole segment; one that is not there is fine. */
  remove(segment: number): void {
    this.#syncs.delete(segment);
    this.#close(segment);
    try {
      Deno.removeSync(this.#path(segment));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** What was appended before is on the disk afterwards. */
  async sync(): Promise<void> {
    await allDone([this.#names, ...this.#syncs.values()].map((sync) => sync.done()));
  }

  /**
   * What is read from `place` on is what the disk has, from now on: what a process before could not
   * write is not in memory any more.
   */
  async settle(place: number): Promise<void> {
    for (let segment = segmentOf(place); segment <= this.#current; segment++) {
      if (!exists(this.#path(segment))) continue;
      const fd = this.#fd(segment, 0);
      done(await this.#called(sys.fdatasyncAsync(fd)));
      done(await this.#called(sys.fadviseAsync(fd, 0, 0, FADV_DONTNEED)));
    }
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds.values()) sys.close(fd);
    this.#fds.clear();
  }

  #path(segment: number): string {
    return `${this.#directory}/${segment}`;
  }

  #fd(segment: number, create: number): number {
    const known = this.#fds.get(segment);
    if (known !== undefined) return known;
    const path = cstring(this.#path(segment));
    let fd = sys.openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd === -ENOENT.errno && create) {
      fd = sys.openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC | create, MODE);
      this.#names.wrote();
    }
    if (fd < 0) throw fopError(-fd);
    if (this.#fds.size >= FDS_MAX) this.#closeOldest();
    this.#fds.set(segment, fd);
    return fd;
  }

  #closeOldest(): void {
    for (const segment of this.#fds.keys()) {
      if (segment !== this.#current) return this.#close(segment);
    }
  }

  #close(segment: number): void {
    const fd = this.#fds.get(segment);
    if (fd === undefined) return;
    this.#fds.delete(segment);
    if (this.#calls === 0) sys.close(fd);
    else this.#closing.push(fd);
  }

  async #called(call: Promise<number>): Promise<number> {
    this.#calls++;
    try {
      return await call;
    } finally {
      if (--this.#calls === 0) {
        for (const fd of this.#closing.splice(0)) sys.close(fd);
      }
    }
  }
}

function done(result: number): void {
  if (result < 0) throw fopError(-result);
}

/** Makes names that were made in a directory durable. */
export function syncDirectory(path: string): Promise<void> {
  return syncThrough(path, (fd) => sys.fsyncAsync(fd));
}

/** Makes all durable that is on the file system of a directory. */
export function syncFileSystem(path: string): Promise<void> {
  return syncThrough(path, (fd) => sys.syncfsAsync(fd));
}

async function syncThrough(path: string, sync: (fd: number) => Promise<number>): Promise<void> {
  const fd = sys.openat(AT_FDCWD, cstring(path), LOCAL_O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) throw fopError(-fd);
  try {
    done(await sync(fd));
  } finally {
    sys.close(fd);
  }
}
