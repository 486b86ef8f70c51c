/**
 * File contents.
 *
 * A read that the page cache can answer is one `preadv2(RWF_NOWAIT)` into the caller's buffer; one
 * that waits for the disk is made in place while that is quick and nobody else waits, and on another
 * thread otherwise. A write is a plain `pwrite` into the page cache, from the caller's buffer; once one
 * took long (the kernel slows writers down while too much is unwritten), writes go to another thread
 * for a while (`in_place.ts`). What waits for the disk by nature (fsync, writes that ask for stable storage,
 * allocation, cutting much off, copying) always goes to another thread, so nobody else's fop waits
 * for it. Files opened with O_DIRECT: see `aligned.ts`.
 */

import type { Call } from "core/call.ts";
import { EINVAL, EIO, ENXIO, EOPNOTSUPP, fopError } from "core/errno.ts";
import {
  type CopyFileRangeArgs,
  type CopyFileRangeReply,
  DONE,
  type Empty,
  type FallocateArgs,
  type FsyncArgs,
  type FtruncateArgs,
  O_ACCMODE,
  O_APPEND,
  O_TRUNC,
  O_WRONLY,
  type PrePost,
  type RangeArgs,
  type RchecksumArgs,
  type RchecksumReply,
  type ReadvArgs,
  type ReadvReply,
  type SeekArgs,
  type SeekReply,
  type TruncateArgs,
  type WritevArgs,
} from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import { Fd, type Gfid, type Inode } from "core/inode.ts";
import { blockSums } from "core/lib/block_sums.ts";
import { RWF_NOWAIT, sys } from "core/sys/calls.ts";
import { withKey, type Xdata } from "core/xdata.ts";
import { OPEN_ACTIVE_FD_COUNT, OPEN_FD_COUNT, WRITE_IS_APPEND } from "core/xdata_keys.ts";
import { addressInto } from "core/sys/address.ts";
import { readAligned, writeAligned } from "xlators/storage/posix/aligned.ts";
import type { Brick } from "xlators/storage/posix/brick.ts";
import { fill } from "xlators/storage/posix/fill.ts";
import { CTIME, MTIME } from "xlators/storage/posix/mdata.ts";
import { type OpenFile, wantsSync } from "xlators/storage/posix/open_files.ts";
import { dirOf, OpenDir, openStream } from "xlators/storage/posix/readdir.ts";

const EAGAIN = -11, EOPNOTSUPP_RESULT = -95, ENOSYS_RESULT = -38, EINTR = -4, ENXIO_RESULT = -6;
/** What zeros are written at once where the backend has no way of its own. */
const ZEROS_MAX = 1 << 20;
/** One read or write; larger ones are refused as the kernel's own limits would. */
const IO_MAX = 0x7ffff000;
/** What clients read at once as a rule, and the most that is answered. */
const READ_USUAL = 1 << 20, READ_MAX = 256 << 20;
/** Cutting more than this off a file frees so much that it is done on another thread. */
const TRUNCATE_SYNC_MAX = 64 << 20;
const SEEK_DATA = 3, SEEK_HOLE = 4;
const FALLOC_KEEP_SIZE = 1, FALLOC_PUNCH_HOLE = 2, FALLOC_ZERO_RANGE = 16, FALLOC_UNSHARE = 64;
const RCHECKSUM_MAX = 16 << 20;

function checkRange(offset: number, size: number): void {
  if (
    !Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(size) || size < 0 ||
    !Number.isSafeInteger(offset + size)
  ) throw EINVAL;
}

/** Runs something on the file behind an fd; an anonymous one is open for that long. */
function onFile<T>(brick: Brick, fd: Fd, run: (file: OpenFile) => Promise<T>): Promise<T> {
  const file = brick.files.of(fd);
  if (!file.anonymous) return run(file);
  let answer: Promise<T>;
  try {
    answer = run(file);
  } catch (error) {
    file.release();
    throw error;
  }
  return answer.finally(() => file.release());
}

// Keeps the descriptor from being closed while another thread uses it.
function held(file: OpenFile, result: Promise<number>): Promise<number> {
  file.hold();
  return result.finally(() => file.drop());
}

/** `readv`. */
export function readv(brick: Brick, _call: Call, args: ReadvArgs): Promise<ReadvReply> {
  return onFile(brick, args.fd, (file) => readFile(brick, file, args));
}

function readFile(brick: Brick, file: OpenFile, args: ReadvArgs): Promise<ReadvReply> {
  const { offset, size, into } = args;
  checkRange(offset, size);
  if (size === 0 || size > READ_MAX) throw EINVAL;
  if (size > READ_USUAL && !into) return readLarge(brick, file, args);
  if (file.direct) return readDirect(brick, file, args);
  const buffer = into && into.length >= size ? into : new Uint8Array(size);
  const got = readNow(brick, file, buffer, 0, size, offset);
  if (got === EAGAIN) return readSlow(brick, file, buffer, 0, args);
  if (got < 0) throw fopError(got);
  const stat = brick.statFile(file.inode.gfid, file.sysfd);
  // Less than asked for, but not all there is: the rest is not cached.
  if (got < size && offset + got < stat.size) return readSlow(brick, file, buffer, got, args);
  return Promise.resolve(readReply(buffer, got, offset, stat));
}

// A peer does not choose our memory: no more than there is to read.
function readLarge(brick: Brick, file: OpenFile, args: ReadvArgs): Promise<ReadvReply> {
  const stat = brick.statFile(file.inode.gfid, file.sysfd);
  const size = Math.min(args.size, Math.max(stat.size - args.offset, READ_USUAL));
  return readFile(brick, file, { ...args, size, into: new Uint8Array(size) });
}

function readReply(buffer: Uint8Array, got: number, offset: number, stat: Iatt): ReadvReply {
  return {
    data: got === buffer.length ? buffer : buffer.subarray(0, got),
    stat,
    eof: offset + got >= stat.size,
  };
}

// Without waiting for the disk; EAGAIN if that cannot be.
function readNow(
  brick: Brick,
  file: OpenFile,
  buffer: Uint8Array<ArrayBuffer>,
  at: number,
  size: number,
  offset: number,
): number {
  if (!brick.nowait) return sys.pread(file.sysfd, buffer.subarray(at), size, offset);
  const { iovec } = file;
  addressInto(iovec, buffer, at);
  iovec[2] = size;
  const got = sys.preadv2(file.sysfd, iovec, 1, offset, 0, RWF_NOWAIT);
  // The file system cannot, or the kernel (an emulated one, a sandbox) has no such call.
  if (got !== EOPNOTSUPP_RESULT && got !== ENOSYS_RESULT) return got;
  brick.nowait = false;
  brick.env.log.info("backend cannot read without waiting; reads may hold up others", {
    brick: brick.path,
  });
  return sys.pread(file.sysfd, buffer.subarray(at), size, offset);
}

// The rest of what was asked for, from the disk.
async function readSlow(
  brick: Brick,
  file: OpenFile,
  buffer: Uint8Array<ArrayBuffer>,
  already: number,
  { offset, size }: ReadvArgs,
): Promise<ReadvReply> {
  let got = already;
  file.hold();
  try {
    while (got < size) {
      const part = buffer.subarray(got, size), from = offset + got;
      const more = await brick.inPlace.disk(
        part.length,
        () => sys.pread(file.sysfd, part, part.length, from),
        () => sys.preadAsync(file.sysfd, part, part.length, from),
      );
      if (more === EINTR) continue;
      if (more < 0) throw fopError(more);
      if (more === 0) break;
      got += more;
    }
    return readReply(buffer, got, offset, brick.statFile(file.inode.gfid, file.sysfd));
  } finally {
    file.drop();
  }
}

async function readDirect(brick: Brick, file: OpenFile, args: ReadvArgs): Promise<ReadvReply> {
  const { offset, size, into } = args;
  const buffer = into && into.length >= size ? into : new Uint8Array(size);
  file.hold();
  try {
    const got = await readAligned(brick, file, buffer, size, offset);
    return readReply(buffer, got, offset, brick.statFile(file.inode.gfid, file.sysfd));
  } finally {
    file.drop();
  }
}

/** `writev`. */
export function writev(brick: Brick, call: Call, args: WritevArgs): Promise<PrePost> {
  return onFile(brick, args.fd, (file) => writeFile(brick, call, file, args));
}

function writeFile(
  brick: Brick,
  call: Call,
  file: OpenFile,
  args: WritevArgs,
): Promise<PrePost> {
  const { data, offset, xdata } = args;
  checkRange(offset, data.length);
  if (data.length > IO_MAX) throw EINVAL;
  brick.checkSpace(call, xdata);
  const { gfid } = file.inode;
  const pre = brick.statFile(gfid, file.sysfd);
  const stable = file.sync || wantsSync(args.flags) || wantsSync(file.flags);
  if (file.direct || stable || !brick.inPlace.mayWrite(data.length)) {
    return writeSlow(brick, call, file, args, pre, stable, 0);
  }
  const wrote = brick.inPlace.write(file.sysfd, data, offset);
  if (wrote < 0) throw fopError(wrote);
  // What is written stays written: an appended part would be there twice.
  if (wrote < data.length) return writeSlow(brick, call, file, args, pre, stable, wrote);
  return Promise.resolve(wroteReply(brick, call, file, args, pre));
}

function wroteReply(
  brick: Brick,
  call: Call,
  file: OpenFile,
  { offset, xdata }: WritevArgs,
  pre: Iatt,
): PrePost {
  const { gfid } = file.inode;
  brick.times.touch(call, gfid, file.sysfd, MTIME | CTIME);
  const post = brick.statFile(gfid, file.sysfd);
  if (!xdata) return { pre, post };
  const append = offset === pre.size || (file.flags & O_APPEND) !== 0 ? 1 : 0;
  return { pre, post, xdata: writeAnswers(brick, xdata, gfid, file, post, append) };
}

// The keys that replicate asks on every write without a map of others in between.
function writeAnswers(
  brick: Brick,
  xdata: Xdata,
  gfid: Gfid,
  file: OpenFile,
  stat: Iatt,
  append: number,
): Xdata | undefined {
  const simple = xdata.size ===
    Number(xdata.has(WRITE_IS_APPEND)) + Number(xdata.has(OPEN_FD_COUNT)) +
      Number(xdata.has(OPEN_ACTIVE_FD_COUNT));
  let answers: Xdata | undefined;
  if (!simple) answers = fill(brick, xdata, { gfid, target: file.sysfd, stat });
  if (xdata.has(WRITE_IS_APPEND)) answers = withKey(answers, WRITE_IS_APPEND, append);
  if (!simple) return answers;
  if (xdata.has(OPEN_FD_COUNT)) {
    answers = withKey(answers, OPEN_FD_COUNT, brick.files.count(gfid));
  }
  if (xdata.has(OPEN_ACTIVE_FD_COUNT)) {
    answers = withKey(answers, OPEN_ACTIVE_FD_COUNT, brick.files.writers(gfid));
  }
  return answers;
}

async function writeSlow(
  brick: Brick,
  call: Call,
  file: OpenFile,
  args: WritevArgs,
  pre: Iatt,
  stable: boolean,
  already: number,
): Promise<PrePost> {
  file.hold();
  try {
    const rest = already > 0 ? args.data.subarray(already) : args.data;
    const flags = stable ? args.flags | file.flags : 0;
    await writeAll(brick, file, rest, args.offset + already, flags);
    return wroteReply(brick, call, file, args, pre);
  } finally {
    file.drop();
  }
}

/** Writes all of `data`, on stable storage if `flags` say O_SYNC or O_DSYNC. Hold the file meanwhile. */
export async function writeAll(
  brick: Brick,
  file: OpenFile,
  data: Uint8Array,
  offset: number,
  flags: number,
): Promise<void> {
  if (file.direct) {
    await writeAligned(brick, file, data, offset);
  } else {
    await writeBuffered(brick, file.sysfd, data, offset);
  }
  if (!wantsSync(flags)) return;
  const synced = await sys.fdatasyncAsync(file.sysfd);
  if (synced < 0) throw fopError(synced);
}

async function writeBuffered(
  brick: Brick,
  fd: number,
  data: Uint8Array,
  offset: number,
): Promise<void> {
  let done = 0;
  while (done < data.length) {
    const part = data.subarray(done) as Uint8Array<ArrayBuffer>;
    const wrote = brick.inPlace.mayWrite(part.length)
      ? brick.inPlace.write(fd, part, offset + done)
      : await sys.pwriteAsync(fd, part, part.length, offset + done);
    if (wrote === EINTR) continue;
    if (wrote < 0) throw fopError(wrote);
    // No progress and no reason: trying for ever would stop everybody.
    if (wrote === 0) throw EIO;
    done += wrote;
  }
}

/** `fsync`, on another thread; of a directory, too, as GlusterFS's brick allows. */
export function fsync(brick: Brick, call: Call, args: FsyncArgs): Promise<PrePost> {
  if (args.fd instanceof OpenDir) return fsyncOpenDir(brick, call, args);
  return onFile(brick, args.fd, async (file) => {
    const { gfid } = file.inode;
    const pre = brick.statFile(gfid, file.sysfd);
    const result = await held(
      file,
      args.dataOnly ? sys.fdatasyncAsync(file.sysfd) : sys.fsyncAsync(file.sysfd),
    );
    if (result < 0) throw fopError(result);
    if (file.released && !file.anonymous) return { pre, post: pre };
    const post = brick.statFile(gfid, file.sysfd);
    return { pre, post, xdata: fill(brick, args.xdata, { gfid, target: file.sysfd, stat: post }) };
  });
}

async function fsyncOpenDir(brick: Brick, call: Call, args: FsyncArgs): Promise<PrePost> {
  const { gfid } = args.fd.inode;
  const pre = brick.stat(brick.place(gfid));
  await fsyncdir(brick, call, args);
  return { pre, post: brick.stat(brick.place(gfid)) };
}

/** `fsyncdir`. */
export async function fsyncdir(brick: Brick, _call: Call, args: FsyncArgs): Promise<Empty> {
  if (!args.fd.anonymous) dirOf(brick, args.fd);
  // A descriptor of its own: the fd may be released meanwhile.
  const own = openStream(brick, args.fd.inode);
  try {
    const result = await sys.fsyncAsync(own.sysfd);
    if (result < 0) throw fopError(result);
    return DONE;
  } finally {
    own.close();
  }
}

/**
 * Opens a regular file for who calls; what O_TRUNC cuts off, which may take long to free, is cut here and not by
 * the kernel's open.
 */
export async function openFile(
  brick: Brick,
  call: Call,
  inode: Inode,
  flags: number,
): Promise<OpenFile> {
  const file = brick.files.open(inode, flags & ~O_TRUNC);
  file.opener = call;
  if (!(flags & O_TRUNC)) return file;
  try {
    if (flags & O_ACCMODE) await empty(brick, file);
    else {
      // Linux cuts a file that is opened to read, too; but only through one that may write.
      const writable = brick.files.open(inode, O_WRONLY);
      try {
        await empty(brick, writable);
      } finally {
        writable.release();
      }
    }
    return file;
  } catch (error) {
    file.release();
    throw error;
  }
}

async function empty(brick: Brick, file: OpenFile): Promise<void> {
  const { blocks } = brick.statFile(file.inode.gfid, file.sysfd);
  const result = blocks * 512 > TRUNCATE_SYNC_MAX
    ? await held(file, sys.ftruncateAsync(file.sysfd, 0))
    : sys.ftruncate(file.sysfd, 0);
  if (result < 0) throw fopError(result);
}

/** `truncate`. */
export function truncate(brick: Brick, call: Call, args: TruncateArgs): Promise<PrePost> {
  const fd = new Fd(args.inode, 0, true);
  return ftruncate(brick, call, { fd, offset: args.offset, xdata: args.xdata });
}

/** `ftruncate`. */
export function ftruncate(brick: Brick, call: Call, args: FtruncateArgs): Promise<PrePost> {
  checkRange(args.offset, 0);
  return changed(brick, call, args, CTIME | MTIME, (file, pre) => {
    const large = pre.blocks * 512 - args.offset > TRUNCATE_SYNC_MAX;
    return large
      ? held(file, sys.ftruncateAsync(file.sysfd, args.offset))
      : sys.ftruncate(file.sysfd, args.offset);
  });
}

// A change to an open file, with attributes around it.
function changed(
  brick: Brick,
  call: Call,
  args: { fd: Fd; xdata?: Xdata | undefined },
  times: number,
  change: (file: OpenFile, pre: Iatt) => number | Promise<number>,
): Promise<PrePost> {
  return onFile(brick, args.fd, async (file) => {
    const { gfid } = file.inode;
    file.hold();
    try {
      const pre = brick.statFile(gfid, file.sysfd);
      const result = await change(file, pre);
      if (result < 0) throw fopError(result);
      brick.times.touch(call, gfid, file.sysfd, times);
      const post = brick.statFile(gfid, file.sysfd);
      const xdata = fill(brick, args.xdata, { gfid, target: file.sysfd, stat: post });
      return { pre, post, xdata };
    } finally {
      file.drop();
    }
  });
}

/** `fallocate`. Modes that move data (collapse, insert) are refused: clients have them not. */
export function fallocate(brick: Brick, call: Call, args: FallocateArgs): Promise<PrePost> {
  const { mode, offset, size } = args;
  checkRange(offset, size);
  const known = FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE | FALLOC_UNSHARE;
  if ((mode & ~known) !== 0) throw EOPNOTSUPP;
  if (size === 0) throw EINVAL;
  brick.checkSpace(call, args.xdata);
  return changed(
    brick,
    call,
    args,
    CTIME | MTIME,
    (file) => held(file, sys.fallocateAsync(file.sysfd, mode, offset, size)),
  );
}

/** `discard`: a hole; the size stays. */
export function discard(brick: Brick, call: Call, args: RangeArgs): Promise<PrePost> {
  checkRange(args.offset, args.size);
  if (args.size === 0) throw EINVAL;
  const mode = FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE;
  return changed(
    brick,
    call,
    args,
    CTIME | MTIME,
    (file) => held(file, sys.fallocateAsync(file.sysfd, mode, args.offset, args.size)),
  );
}

/** `zerofill`; where the backend cannot do it by itself, zeros are written. */
export function zerofill(brick: Brick, call: Call, args: RangeArgs): Promise<PrePost> {
  const { offset, size } = args;
  checkRange(offset, size);
  if (size === 0) throw EINVAL;
  brick.checkSpace(call, args.xdata);
  return changed(brick, call, args, CTIME | MTIME, async (file) => {
    const result = await sys.fallocateAsync(file.sysfd, FALLOC_ZERO_RANGE, offset, size);
    if (result !== EOPNOTSUPP_RESULT) return result;
    const fd = brick.files.buffered(file);
    const zeros = new Uint8Array(Math.min(size, ZEROS_MAX));
    for (let done = 0; done < size;) {
      const part = Math.min(zeros.length, size - done);
      const wrote = await sys.pwriteAsync(fd, zeros, part, offset + done);
      if (wrote < 0) return wrote;
      done += wrote;
    }
    return 0;
  });
}

/** `seek`: where data or a hole begins. Throws ENXIO past the end. */
export function seek(brick: Brick, _call: Call, args: SeekArgs): Promise<SeekReply> {
  checkRange(args.offset, 0);
  return onFile(brick, args.fd, (file) => {
    const whence = args.what === "data" ? SEEK_DATA : SEEK_HOLE;
    const found = Number(sys.lseek(file.sysfd, args.offset, whence));
    if (found === ENXIO_RESULT) throw ENXIO;
    if (found < 0) throw fopError(found);
    return Promise.resolve({ offset: found });
  });
}

/** `rchecksum`: what healers compare before they copy. */
export function rchecksum(
  brick: Brick,
  call: Call,
  args: RchecksumArgs,
): Promise<RchecksumReply> {
  if (args.size > RCHECKSUM_MAX) throw EINVAL;
  return readv(brick, call, { ...args, flags: 0 }).then(({ data }) => blockSums(data, args.xdata));
}

/** `copyFileRange`: by reference where the backend can. */
export function copyFileRange(
  brick: Brick,
  call: Call,
  args: CopyFileRangeArgs,
): Promise<CopyFileRangeReply> {
  const { sourceOffset, offset, size } = args;
  checkRange(sourceOffset, size);
  checkRange(offset, size);
  if (args.flags !== 0) throw EINVAL;
  brick.checkSpace(call, args.xdata);
  return onFile(brick, args.source, (source) =>
    onFile(brick, args.fd, async (file) => {
      source.hold();
      file.hold();
      try {
        const pre = brick.statFile(file.inode.gfid, file.sysfd);
        const from = BigInt64Array.of(BigInt(sourceOffset));
        const to = BigInt64Array.of(BigInt(offset));
        const copied = await sys.copyFileRangeAsync(
          brick.files.buffered(source),
          from,
          brick.files.buffered(file),
          to,
          Math.min(size, IO_MAX),
          0,
        );
        if (copied < 0) throw fopError(copied);
        brick.times.touch(call, file.inode.gfid, file.sysfd, CTIME | MTIME);
        return {
          size: copied,
          pre,
          post: brick.statFile(file.inode.gfid, file.sysfd),
          stat: brick.statFile(source.inode.gfid, source.sysfd),
        };
      } finally {
        source.drop();
        file.drop();
      }
    }));
}
