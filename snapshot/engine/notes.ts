/**
 * Rows of old data on their way into the index: a file of slots, written over in turn, one small write
 * for each row. What SQLite asks for a row by itself (a transaction, its log, locks) is paid once for
 * hundreds of them, later.
 *
 * Notes are numbered. The index says up to which number it has all rows; a slot is written over when
 * its row is there, and as safe as the durability promises. After a crash the notes that are newer go
 * into the index (`recover.ts`): one that is whole was written after its old data, and before that was
 * overwritten.
 */

import { crc32 } from "node:zlib";
import { EIO, fopError } from "core/errno.ts";
import { type Gfid, gfidFromBytes, gfidToBytes } from "core/inode.ts";
import { AT_FDCWD, cstring, O_CLOEXEC, sys } from "core/sys/calls.ts";
import type { Extension } from "snapshot/engine/extent.ts";
import { SharedSync } from "snapshot/engine/shared_sync.ts";

/** Bytes of a note: two checksums (its own, that of the data), units, four doubles, the gfid. */
const SLOT = 64, SUMMED = 60, GFID = 44;
const SLOTS = 2048, BYTES = SLOT * SLOTS;
const O_RDWR = 2, O_CREAT = 0o100, MODE = 0o600;

/** A row that was noted. */
export interface Note {
  readonly number: number;
  readonly gfid: Gfid;
  readonly extent: Extension;
}

/** See the head of this file. Methods throw FopError. */
export class Notes implements Disposable {
  readonly #fd: number;
  readonly #sync: SharedSync;
  readonly #slot = new Uint8Array(SLOT);
  readonly #view = new DataView(this.#slot.buffer);
  /** Of the note that was written last. */
  number = 0;
  #gfid: Gfid | undefined;

  private constructor(fd: number) {
    this.#fd = fd;
    this.#sync = new SharedSync(() => sys.fdatasyncAsync(fd));
  }

  /** Opens the file at `path`; it is made, with all its room, if it is not there. */
  static open(path: string): Notes {
    const fd = sys.openat(AT_FDCWD, cstring(path), O_RDWR | O_CREAT | O_CLOEXEC, MODE);
    if (fd < 0) throw fopError(fd);
    const notes = new Notes(fd);
    try {
      if (Number(sys.lseek(fd, 0, 2)) < BYTES) write(fd, new Uint8Array(BYTES), 0);
      notes.#sync.wrote();
      return notes;
    } catch (error) {
      notes[Symbol.dispose]();
      throw error;
    }
  }

  /** Notes that are whole and have greater numbers than this, in order. */
  after(number: number): Note[] {
    const bytes = new Uint8Array(BYTES);
    const read = sys.pread(this.#fd, bytes, BYTES, 0);
    if (read < 0) throw fopError(read);
    const found: Note[] = [];
    for (let at = 0; at < BYTES; at += SLOT) {
      const note = noteIn(bytes.subarray(at, at + SLOT));
      if (note && note.number > number) found.push(note);
    }
    return found.sort((one, other) => one.number - other.number);
  }

  /** Whether the next slot holds a note with a greater number than this, that of the last one that may go. */
  isFull(gone: number): boolean {
    return this.number - gone >= SLOTS;
  }

  /** Writes a row's note into the page cache. */
  put(gfid: Gfid, { start, units, epoch, place, crc }: Extension): void {
    const view = this.#view, number = this.number + 1;
    if (gfid !== this.#gfid) this.#slot.set(gfidToBytes(gfid), GFID);
    this.#gfid = gfid;
    view.setUint32(4, crc, true);
    view.setUint32(8, units, true);
    view.setFloat64(12, number, true);
    view.setFloat64(20, start, true);
    view.setFloat64(28, epoch, true);
    view.setFloat64(36, place, true);
    view.setUint32(0, crc32(this.#slot.subarray(4, SUMMED)), true);
    write(this.#fd, this.#slot, number % SLOTS * SLOT);
    this.#sync.wrote();
    this.number = number;
  }

  /** What was written is on the disk; undefined: it is. */
  sync(): Promise<void> | undefined {
    return this.#sync.done();
  }

  [Symbol.dispose](): void {
    sys.close(this.#fd);
  }
}

function write(fd: number, bytes: Uint8Array<ArrayBuffer>, offset: number): void {
  const written = sys.pwrite(fd, bytes, bytes.length, offset);
  if (written !== bytes.length) throw written < 0 ? fopError(written) : EIO;
}

function noteIn(slot: Uint8Array): Note | undefined {
  const view = new DataView(slot.buffer, slot.byteOffset);
  const number = view.getFloat64(12, true);
  if (!(number > 0) || view.getUint32(0, true) !== crc32(slot.subarray(4, SUMMED))) {
    return undefined;
  }
  const extent = {
    ...{ crc: view.getUint32(4, true), units: view.getUint32(8, true) },
    ...{ start: view.getFloat64(20, true), epoch: view.getFloat64(28, true) },
    place: view.getFloat64(36, true),
  };
  return { number, gfid: gfidFromBytes(slot.slice(GFID, SUMMED)), extent };
}
