/**
 * A snapshot, or the difference of two, as a stream of bytes: a line that says what it is, then
 * records. Each is a type and a length (32 bits, big-endian), so many bytes, and the CRC-32 of all of
 * these; the last one has the number of records and a SHA-256 of their checksums, so that a stream that
 * was cut or put together differently is noticed before a snapshot is made of it.
 *
 * Records are a head, operations (JSON), and data of the file that the operation before is about.
 */

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { CommandError } from "mgmt/cli/command_error.ts";

/** Version 1. */
const MAGIC = new TextEncoder().encode("mortar snapshot stream 1\n");
const HEAD = 1, OPERATION = 2, DATA = 3, HOLE = 4, END = 5;
const FRAME = 8, CRC = 4;
/** Longest operation, with all its extended attributes. */
const OPERATION_MAX = 4 << 20;
/** Most bytes of one record of data. */
export const DATA_MAX = 1 << 20;

/** What a stream is. */
export interface StreamHead {
  /** Which it is: the same two snapshots make the same one. 16 hexadecimal digits. */
  readonly stream: string;
  readonly name: string;
  /** Id of the snapshot. */
  readonly snapshot: string;
  /** Id of the one that the receiver has to have; null: none, it is all. */
  readonly base: string | null;
  readonly description: string | null;
  /** Where it begins: operations, and bytes of the next one, that it leaves out. */
  readonly done: number;
  readonly offset: number;
}

/** Attributes of one inode; times are seconds and nanoseconds. */
export interface SentAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: readonly [sec: number, nsec: number];
  readonly atime: readonly [sec: number, nsec: number];
  /** Extended ones, values in base64; of a symbolic link none. */
  readonly xattrs: readonly (readonly [name: string, value: string])[];
}

/** One thing to do; paths are from the volume's root on, without a slash before them. */
export type Operation =
  /** What is there waits under `key` for its new place. */
  | { readonly do: "aside"; readonly path: string; readonly key: number }
  | { readonly do: "remove"; readonly path: string }
  | { readonly do: "place"; readonly path: string; readonly key: number }
  | { readonly do: "directory"; readonly path: string }
  | { readonly do: "symlink"; readonly path: string; readonly target: string }
  | { readonly do: "node"; readonly path: string; readonly mode: number; readonly rdev: number }
  | { readonly do: "link"; readonly path: string; readonly to: string }
  /** All before was done: what follows may be done again, but not what was before. */
  | { readonly do: "names done" }
  /** Its data follows, where it is not what it was; it is made if it is not there. */
  | { readonly do: "file"; readonly path: string; readonly size: number }
  | { readonly do: "attributes"; readonly path: string; readonly set: SentAttributes };

/** A record as it was read. */
export type StreamRecord =
  | { readonly is: "operation"; readonly operation: unknown }
  | { readonly is: "data"; readonly offset: number; readonly data: Uint8Array }
  | { readonly is: "hole"; readonly offset: number; readonly size: number }
  | { readonly is: "end" };

/** Something is wrong with a stream. */
function broken(why: string): CommandError {
  return new CommandError(`Cannot receive: ${why}; nothing was made a snapshot`);
}

/** Makes the bytes of a stream. */
export class StreamWriter {
  readonly #hash = createHash("sha256");
  #records = 0;

  *head(head: StreamHead): Generator<Uint8Array> {
    yield MAGIC;
    yield this.#json(HEAD, head);
  }

  operation(operation: Operation): Uint8Array {
    return this.#json(OPERATION, operation);
  }

  data(offset: number, data: Uint8Array): Uint8Array {
    const body = new Uint8Array(8 + data.length);
    new DataView(body.buffer).setBigUint64(0, BigInt(offset));
    body.set(data, 8);
    return this.#record(DATA, body);
  }

  hole(offset: number, size: number): Uint8Array {
    const body = new Uint8Array(16), view = new DataView(body.buffer);
    view.setBigUint64(0, BigInt(offset));
    view.setBigUint64(8, BigInt(size));
    return this.#record(HOLE, body);
  }

  end(): Uint8Array {
    const body = new Uint8Array(40);
    new DataView(body.buffer).setBigUint64(0, BigInt(this.#records));
    body.set(this.#hash.digest(), 8);
    return this.#framed(END, body);
  }

  #json(type: number, value: unknown): Uint8Array {
    return this.#record(type, new TextEncoder().encode(JSON.stringify(value)));
  }

  #record(type: number, body: Uint8Array): Uint8Array {
    const framed = this.#framed(type, body);
    this.#records++;
    this.#hash.update(framed.subarray(-CRC));
    return framed;
  }

  #framed(type: number, body: Uint8Array): Uint8Array {
    const framed = new Uint8Array(FRAME + body.length + CRC), view = new DataView(framed.buffer);
    view.setUint32(0, type);
    view.setUint32(4, body.length);
    framed.set(body, FRAME);
    view.setUint32(FRAME + body.length, crc32(framed.subarray(0, -CRC)));
    return framed;
  }
}

/** Where bytes come from: answers how many it put into `into`, null at the end. */
export type ReadInto = (into: Uint8Array) => Promise<number | null>;

/** Reads a stream. All methods throw CommandError for what is wrong with it. */
export class StreamReader {
  readonly #read: ReadInto;
  readonly #hash = createHash("sha256");
  #records = 0;

  constructor(read: ReadInto) {
    this.#read = read;
  }

  async #take(size: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size;) {
      const got = await this.#read(bytes.subarray(at));
      if (got === null) throw broken("the stream ends in the middle");
      at += got;
    }
    return bytes;
  }

  async head(): Promise<StreamHead> {
    const magic = await this.#take(MAGIC.length);
    if (magic.some((byte, at) => byte !== MAGIC[at])) {
      throw broken("it is no stream of mortar snapshot send, or a newer one");
    }
    const { type, body } = await this.#record();
    if (type !== HEAD) throw broken("its head is missing");
    return headOf(json(body));
  }

  /** The next one. */
  async next(): Promise<StreamRecord> {
    const { type, body } = await this.#record();
    const view = new DataView(body.buffer);
    switch (type) {
      case OPERATION:
        return { is: "operation", operation: json(body) };
      case DATA:
        if (body.length <= 8) throw broken("a record of data has none");
        return { is: "data", offset: byteAt(view, 0), data: body.subarray(8) };
      case HOLE:
        if (body.length !== 16) throw broken("a record has another length than its kind");
        return { is: "hole", offset: byteAt(view, 0), size: byteAt(view, 8) };
      case END:
        return this.#end(body, view);
      default:
        throw broken(`there is no record of kind ${type}`);
    }
  }

  #end(body: Uint8Array, view: DataView): StreamRecord {
    const digest = this.#hash.digest();
    const right = body.length === 40 && byteAt(view, 0) === this.#records &&
      digest.every((byte, at) => byte === body[8 + at]);
    if (!right) throw broken("records are missing, or are others than were sent");
    return { is: "end" };
  }

  async #record(): Promise<{ type: number; body: Uint8Array<ArrayBuffer> }> {
    const frame = await this.#take(FRAME), view = new DataView(frame.buffer);
    const type = view.getUint32(0), size = view.getUint32(4);
    const most = type === DATA ? DATA_MAX + 8 : OPERATION_MAX;
    if (size > most) {
      throw broken(`a record says that it has ${size} bytes, at most ${most} are right`);
    }
    const body = await this.#take(size), crc = await this.#take(CRC);
    if (new DataView(crc.buffer).getUint32(0) !== crc32(body, crc32(frame))) {
      throw broken("a checksum is wrong, so it was damaged on its way");
    }
    if (type !== END) {
      this.#records++;
      this.#hash.update(crc);
    }
    return { type, body };
  }
}

function json(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw broken("a record is not readable");
  }
}

function byteAt(view: DataView, at: number): number {
  const value = view.getBigUint64(at);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw broken("a byte's number is beyond all files");
  return Number(value);
}

function headOf(value: unknown): StreamHead {
  const head = value as StreamHead;
  const id = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
  const isText = (text: unknown, pattern: RegExp) => typeof text === "string" && pattern.test(text);
  const right = typeof value === "object" && value !== null &&
    isText(head.stream, /^[0-9a-f]{16}$/) &&
    isText(head.name, /^[\w-]{1,255}$/) && isText(head.snapshot, id) &&
    (head.base === null || isText(head.base, id)) &&
    (head.description === null || isText(head.description, /^[^]{0,1024}$/)) &&
    [head.done, head.offset].every((count) => Number.isSafeInteger(count) && count >= 0);
  if (!right) throw broken("its head is not readable");
  return head;
}
