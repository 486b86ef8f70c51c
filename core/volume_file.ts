/** An open file of a `Volume`. */

import type { Call, LkOwner } from "core/call.ts";
import { EBADF, ENODATA, ENXIO, FopError } from "core/errno.ts";
import type { ActiveLock, Flock, LockType } from "core/fops.ts";
import type { Iatt, Timespec } from "core/iatt.ts";
import type { Fd } from "core/inode.ts";
import { dataRuns } from "core/lib/bytes.ts";
import { valueBytes, withKey, type Xdata } from "core/xdata.ts";
import { OPEN_FD_COUNT } from "core/xdata_keys.ts";
import type { Xlator } from "core/xlator.ts";

/** Largest single read or write that is sent, in bytes. */
export const CHUNK_BYTES = 1 << 20;
/** How many chunks of one transfer are under way at once. */
export const CHUNKS_PARALLEL = 4;

/** A part of a file, and how to move it. */
export interface ChunkOptions {
  /** First byte; 0 by default. */
  readonly offset?: number;
  /** How many bytes at most; all by default. */
  readonly size?: number;
  /** Bytes per chunk, up to 1 MiB. */
  readonly chunkBytes?: number;
  /** Chunks under way at once. */
  readonly parallel?: number;
}

/** A byte range to lock; all of the file by default. */
export interface LockOptions {
  /** First byte. */
  readonly start?: bigint;
  /** Bytes; 0n reaches to infinity. */
  readonly size?: bigint;
  /** Waits for others to unlock instead of failing with EAGAIN. */
  readonly wait?: boolean;
  /** Gives up the wait, with EINTR. */
  readonly signal?: AbortSignal;
}

/** How a file is written from a source. */
export interface WriteOptions extends ChunkOptions {
  /** Zeros are left out, in steps of 64 KiB: for what is new, and gets its size afterwards. */
  readonly sparse?: boolean;
}

const KEEP_SIZE = 1;
/** Least run of zeros that is left out: smaller ones cost more requests than they save. */
const SPARSE_GRAIN = 65_536;

/**
 * Close it, or hold it in `await using`. All fails with EBADF after that. Buffers given to `write`
 * are borrowed until it is answered; those that `read` answers are the caller's.
 */
export class VolumeFile implements AsyncDisposable {
  readonly #top: Xlator;
  readonly #call: Call;
  #sizeTold: number | undefined;
  #open = true;

  /** Takes over an fd that was opened through `top`. POSIX locks are taken as `owner`. */
  constructor(top: Xlator, readonly fd: Fd, call: Call, owner: LkOwner) {
    this.#top = top;
    this.#call = { ...call, lkOwner: owner };
  }

  #fd(): Fd {
    if (!this.#open) throw EBADF;
    return this.fd;
  }

  /** Its size as the last answer told it, in bytes: it may have changed. Undefined: none did. */
  get sizeTold(): number | undefined {
    return this.#sizeTold;
  }

  /**
   * Up to `size` bytes from `offset`; fewer only at the end of the file. They may be put into `into`,
   * a place of `size` bytes.
   */
  async read(offset: number, size: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    if (size <= CHUNK_BYTES) {
      const args = { fd: this.#fd(), offset, size, flags: 0, into };
      const { data, stat } = await this.#top.readv(this.#call, args);
      if (stat) this.#sizeTold = stat.size;
      return data;
    }
    const there = Math.min(size, Math.max(0, (await this.stat()).size - offset));
    const data = into?.subarray(0, there) ?? new Uint8Array(there);
    let at = 0;
    for await (const chunk of this.chunks({ offset, size: data.length })) {
      data.set(chunk, at);
      at += chunk.length;
    }
    return data.subarray(0, at);
  }

  /** Writes all of `data` at `offset`, a large one in chunks side by side. */
  async write(offset: number, data: Uint8Array): Promise<void> {
    if (data.length <= CHUNK_BYTES) await this.#writeOne(offset, data);
    else await this.writeFrom([data], { offset });
  }

  async #writeOne(offset: number, data: Uint8Array): Promise<void> {
    const args = { fd: this.#fd(), offset, data, flags: this.fd.flags };
    const { post } = await this.#top.writev(this.#call, args);
    if (post) this.#sizeTold = post.size;
  }

  /** Writes what `source` yields from `offset` on, and answers how many bytes that were. */
  async writeFrom(
    source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    { offset = 0, chunkBytes = CHUNK_BYTES, parallel = CHUNKS_PARALLEL, sparse = false }:
      WriteOptions = {},
  ): Promise<number> {
    const line = new Line(parallel);
    const most = Math.min(chunkBytes, CHUNK_BYTES);
    let at = offset;
    try {
      for await (const data of source) {
        for (let from = 0; from < data.length; from += most) {
          const part = data.subarray(from, from + most);
          const whole = [{ start: 0, end: part.length }];
          for (const { start, end } of sparse ? dataRuns(part, SPARSE_GRAIN) : whole) {
            await line.add(this.#writeOne(at + start, part.subarray(start, end)));
          }
          at += part.length;
        }
      }
    } finally {
      // Also after a failure: the others still read from the caller's buffers.
      await line.end();
    }
    return at - offset;
  }

  /** The bytes in order, read ahead in parallel; ends where the file ends when it is asked. */
  async *chunks(
    { offset = 0, size = Infinity, chunkBytes = CHUNK_BYTES, parallel = CHUNKS_PARALLEL }:
      ChunkOptions = {},
  ): AsyncGenerator<Uint8Array> {
    const end = Math.min(offset + size, (await this.stat()).size);
    const step = Math.min(chunkBytes, CHUNK_BYTES);
    const ahead: Promise<Uint8Array>[] = [];
    for (let at = offset; at < end || ahead.length;) {
      while (at < end && ahead.length < parallel) {
        const chunk = this.read(at, Math.min(step, end - at));
        // A later one may fail while an earlier is waited for; it is thrown in its turn.
        chunk.catch(() => {});
        ahead.push(chunk);
        at += step;
      }
      const chunk = await ahead.shift()!;
      if (chunk.length) yield chunk;
      // Cut short since it was opened: what follows is past the end.
      if (chunk.length < step && at < end) return;
    }
  }

  async stat(): Promise<Iatt> {
    const { stat } = await this.#top.fstat(this.#call, { fd: this.#fd() });
    this.#sizeTold = stat.size;
    return stat;
  }

  /** Open files of it that the brick which answers knows, of any client, this one too. */
  async openCount(): Promise<number> {
    const xdata = withKey(undefined, OPEN_FD_COUNT, 1);
    const { xdata: told } = await this.#top.fstat(this.#call, { fd: this.#fd(), xdata });
    return told?.get(OPEN_FD_COUNT) ?? 0;
  }

  /** Cuts the file, or grows it with zeros. */
  async truncate(size: number): Promise<void> {
    await this.#top.ftruncate(this.#call, { fd: this.#fd(), offset: size });
  }

  /** Resolves when all that was written is on stable storage. */
  async sync({ dataOnly = false } = {}): Promise<void> {
    await this.#top.fsync(this.#call, { fd: this.#fd(), dataOnly });
  }

  /** Reserves space; the file grows unless `keepSize`. */
  async allocate(offset: number, size: number, { keepSize = false } = {}): Promise<void> {
    const mode = keepSize ? KEEP_SIZE : 0;
    await this.#top.fallocate(this.#call, { fd: this.#fd(), mode, offset, size });
  }

  /** Makes a range a hole: zeros that take no space. */
  async discard(offset: number, size: number): Promise<void> {
    await this.#top.discard(this.#call, { fd: this.#fd(), offset, size });
  }

  /** Makes a range zeros. */
  async zero(offset: number, size: number): Promise<void> {
    await this.#top.zerofill(this.#call, { fd: this.#fd(), offset, size });
  }

  /** Where data, or a hole, begins at or after `offset`. Throws ENXIO if there is none. */
  async seek(offset: number, what: "data" | "hole"): Promise<number> {
    return (await this.#top.seek(this.#call, { fd: this.#fd(), offset, what })).offset;
  }

  /** An extended attribute. Throws ENODATA if there is none of that name. */
  async getXattr(name: string): Promise<Uint8Array> {
    const { xattrs } = await this.#top.fgetxattr(this.#call, { fd: this.#fd(), name });
    return xattrValue(xattrs, name);
  }

  /** The same before `end`, which is the answer if there is none. */
  async seekBefore(end: number, offset: number, what: "data" | "hole"): Promise<number> {
    try {
      return Math.min(end, await this.seek(offset, what));
    } catch (error) {
      // Only a hole up to the file's end follows.
      if (ENXIO.matches(error)) return end;
      throw error;
    }
  }

  /** Copies within the volume, and answers how many bytes there were to copy. */
  async copyFrom(
    source: VolumeFile,
    sourceOffset: number,
    offset: number,
    size: number,
  ): Promise<number> {
    const args = { source: source.#fd(), sourceOffset, fd: this.#fd(), offset, size, flags: 0 };
    return (await this.#top.copyFileRange(this.#call, args)).size;
  }

  /** Changes permission bits. */
  async chmod(mode: number): Promise<void> {
    await this.#top.fsetattr(this.#call, { fd: this.#fd(), changes: { mode } });
  }

  /** Changes the times of last access and change. */
  async utimes(atime: Timespec | "now", mtime: Timespec | "now"): Promise<void> {
    await this.#top.fsetattr(this.#call, { fd: this.#fd(), changes: { atime, mtime } });
  }

  /** Takes a POSIX lock. This handle is its owner: other handles meet it, closing drops it. */
  async lock(type: "read" | "write", options: LockOptions = {}): Promise<void> {
    await this.#lk(type, options);
  }

  /** Gives a POSIX lock, or a part of one, up. */
  async unlock(options: Pick<LockOptions, "start" | "size"> = {}): Promise<void> {
    await this.#lk("unlock", options);
  }

  /** The lock of somebody else that is in the way of one like this; undefined: nobody is. */
  async blocker(type: "read" | "write", options: LockOptions = {}): Promise<Flock | undefined> {
    const { lock } = await this.#top.lk(this.#call, {
      fd: this.#fd(),
      cmd: "get",
      lock: this.#flock(type, options),
    });
    return lock.type === "unlock" ? undefined : lock;
  }

  /** All POSIX locks on the file, and whose they are. */
  async locks(): Promise<readonly ActiveLock[]> {
    return (await this.#top.getactivelk(this.#call, { inode: this.#fd().inode })).locks;
  }

  #flock(type: LockType, { start = 0n, size = 0n }: LockOptions): Flock {
    const { pid, lkOwner: owner } = this.#call;
    return { type, whence: 0, start, size, pid, owner };
  }

  #lk(type: LockType, options: LockOptions) {
    const { wait = false, signal } = options;
    const lock = this.#flock(type, options), cmd = wait ? "set-wait" : "set";
    return this.#top.lk(this.#call, { fd: this.#fd(), cmd, lock, signal });
  }

  /**
   * Closes the file; the failure of a write that was answered early is thrown here. Does nothing if
   * it is closed already.
   */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    try {
      await this.#top.flush(this.#call, { fd: this.fd });
    } finally {
      await this.#top.release(this.#call, { fd: this.fd });
    }
  }

  /** Closes the file after a failure that tells more than one of closing would. */
  async abandon(): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

// Answers waited for with at most `limit` under way; the first failure is thrown once.
class Line {
  #under = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(readonly limit: number) {}

  async add(answer: Promise<void>): Promise<void> {
    const tracked: Promise<void> = answer.catch((error) => {
      this.#failure ??= { error };
    }).finally(() => this.#under.delete(tracked));
    this.#under.add(tracked);
    if (this.#under.size >= this.limit) await Promise.race(this.#under);
    this.#throw();
  }

  async end(): Promise<void> {
    await Promise.all(this.#under);
    this.#throw();
  }

  #throw(): void {
    if (!this.#failure) return;
    throw this.#failure.error;
  }
}

/** One of some extended attributes. Throws ENODATA. */
export function xattrValue(xattrs: Xdata | undefined, name: string): Uint8Array {
  const value = xattrs?.raw(name);
  const bytes = value && valueBytes(value);
  if (!bytes) throw ENODATA;
  return bytes;
}
