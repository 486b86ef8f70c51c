/**
 * Files opened with O_DIRECT (QEMU's `cache=none`, fio's `direct=1`).
 *
 * The kernel wants address, offset and size aligned, and buffers of JavaScript are not. An aligned
 * request goes through memory from `mmap`, one copy more, to and from the disk past the page cache. A
 * request that is not aligned (the kernel would answer EINVAL, and clients cannot align what travels)
 * goes through a second descriptor without O_DIRECT, and a write is then flushed: what was promised,
 * that data is at the device when the answer comes, holds either way.
 */

import { ENOMEM, fopError } from "core/errno.ts";
import { sys } from "core/sys/calls.ts";
import type { InPlace } from "xlators/storage/posix/in_place.ts";
import type { OpenFile, OpenFiles } from "xlators/storage/posix/open_files.ts";

const ALIGN = 4096;
const PROT_READ_WRITE = 3, MAP_PRIVATE_ANONYMOUS = 0x22;
const EINVAL_RESULT = -22;

interface Block {
  readonly address: bigint;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Blocks of one size. */
class Blocks {
  readonly #free: Block[] = [];

  /** `kept` of them wait for the next request; more are made while more requests are under way. */
  constructor(readonly size: number, readonly kept: number) {}

  take(): Block {
    const block = this.#free.pop();
    if (block) return block;
    const { size } = this;
    const address = sys.mmap(0n, BigInt(size), PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0n);
    const pointer = Deno.UnsafePointer.create(BigInt(address));
    // Errors are the last page of addresses.
    if (!pointer || BigInt(address) >= 2n ** 64n - 4096n) throw ENOMEM;
    const memory = new Deno.UnsafePointerView(pointer).getArrayBuffer(size);
    return { address: BigInt(address), bytes: new Uint8Array(memory as ArrayBuffer) };
  }

  give(block: Block): void {
    if (this.#free.length < this.kept) this.#free.push(block);
    else sys.munmap(block.address, BigInt(this.size));
  }
}

/** For pages of guests: as many as a busy disk has under way. */
const SMALL = new Blocks(16 << 10, 512);
/** One transfer; larger requests go in parts. */
const LARGE = new Blocks(1 << 20, 4);

/** A brick's open files, and when one waits for the disk in place. */
interface DiskFiles {
  readonly files: OpenFiles;
  readonly inPlace: InPlace;
}

function blocksFor(size: number): Blocks {
  return size <= SMALL.size ? SMALL : LARGE;
}

function aligned(offset: number, size: number): boolean {
  return offset % ALIGN === 0 && size % ALIGN === 0;
}

/** Reads up to `size` bytes; fewer at the end of the file. Hold the file meanwhile. */
export async function readAligned(
  { files, inPlace }: DiskFiles,
  file: OpenFile,
  into: Uint8Array<ArrayBuffer>,
  size: number,
  offset: number,
): Promise<number> {
  if (!aligned(offset, size)) return await readBuffered(files, file, into, size, offset);
  const blocks = blocksFor(size), block = blocks.take();
  try {
    let done = 0;
    while (done < size) {
      const part = Math.min(blocks.size, size - done);
      const from = offset + done;
      const got = await inPlace.disk(
        part,
        () => sys.preadAt(file.sysfd, block.address, part, from),
        () => sys.preadAtAsync(file.sysfd, block.address, part, from),
      );
      if (got === EINVAL_RESULT) {
        const rest = into.subarray(done);
        return done + await readBuffered(files, file, rest, size - done, from);
      }
      if (got < 0) throw fopError(got);
      into.set(block.bytes.subarray(0, got), done);
      done += got;
      if (got < part) break;
    }
    return done;
  } finally {
    blocks.give(block);
  }
}

async function readBuffered(
  files: OpenFiles,
  file: OpenFile,
  into: Uint8Array<ArrayBuffer>,
  size: number,
  offset: number,
): Promise<number> {
  const fd = files.buffered(file);
  let done = 0;
  while (done < size) {
    const got = await sys.preadAsync(fd, into.subarray(done, size), size - done, offset + done);
    if (got < 0) throw fopError(got);
    if (got === 0) break;
    done += got;
  }
  return done;
}

/** Writes all of `data` to the device. Hold the file meanwhile. */
export async function writeAligned(
  { files, inPlace }: DiskFiles,
  file: OpenFile,
  data: Uint8Array,
  offset: number,
): Promise<void> {
  if (!aligned(offset, data.length)) return await writeBuffered(files, file, data, offset);
  const blocks = blocksFor(data.length), block = blocks.take();
  try {
    let done = 0;
    while (done < data.length) {
      const part = Math.min(blocks.size, data.length - done);
      block.bytes.set(data.subarray(done, done + part));
      const to = offset + done;
      const wrote = await inPlace.disk(
        part,
        () => sys.pwriteAt(file.sysfd, block.address, part, to),
        () => sys.pwriteAtAsync(file.sysfd, block.address, part, to),
      );
      if (wrote === EINVAL_RESULT || (wrote >= 0 && wrote % ALIGN !== 0)) {
        const from = done + Math.max(0, wrote);
        return await writeBuffered(files, file, data.subarray(from), offset + from);
      }
      if (wrote < 0) throw fopError(wrote);
      done += wrote;
    }
  } finally {
    blocks.give(block);
  }
}

async function writeBuffered(
  files: OpenFiles,
  file: OpenFile,
  data: Uint8Array,
  offset: number,
): Promise<void> {
  const fd = files.buffered(file);
  let done = 0;
  while (done < data.length) {
    const part = data.subarray(done) as Uint8Array<ArrayBuffer>;
    const wrote = await sys.pwriteAsync(fd, part, part.length, offset + done);
    if (wrote < 0) throw fopError(wrote);
    done += wrote;
  }
  const synced = await sys.fdatasyncAsync(fd);
  if (synced < 0) throw fopError(synced);
}
