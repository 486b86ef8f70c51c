/**
 * Requests of a client and their replies. Requests run side by side, replies leave as they come; a
 * flush covers what was answered before it came, whichever connection asked for it.
 */

import type { Env } from "core/env.ts";
import {
  EACCES,
  EDQUOT,
  EINVAL,
  ENOMEM,
  ENOSPC,
  EOPNOTSUPP,
  EPERM,
  EROFS,
  FopError,
} from "core/errno.ts";
import type { Disk, Extent } from "gateways/nbd/disk.ts";
import { BLOCK_BYTES_MAX, type Negotiated } from "gateways/nbd/handshake.ts";
import { Replies } from "gateways/nbd/replies.ts";
import { close, type Incoming, type Stream } from "gateways/nbd/stream.ts";
import {
  CHUNK,
  CHUNK_BYTES,
  type ChunkHead,
  COMMAND,
  COMMAND_FLAG,
  NBD_ERROR,
  putChunk,
  putSimpleReply,
  readRequest,
  type Request,
  REQUEST_BYTES,
  SIMPLE_REPLY_BYTES,
} from "gateways/nbd/wire.ts";
import { type Block, takeBlock } from "rpc/buffers.ts";

/** Requests of one client that run side by side, and bytes of their data, of replies not sent as well. */
const REQUESTS_MAX = 256, BYTES_MAX = 64 << 20;
/** Extents of one answer. */
const EXTENTS_MAX = 4096;
/** Bytes that are read at once to be cached. */
const CACHED_AT_ONCE = 1 << 20;

/** Flags that a command may have. */
const FLAGS_OF: Readonly<Record<number, number>> = {
  [COMMAND.read]: COMMAND_FLAG.dontFragment,
  [COMMAND.write]: COMMAND_FLAG.fua,
  [COMMAND.flush]: 0,
  [COMMAND.trim]: COMMAND_FLAG.fua,
  [COMMAND.cache]: 0,
  [COMMAND.writeZeroes]: COMMAND_FLAG.fua | COMMAND_FLAG.noHole,
  [COMMAND.blockStatus]: COMMAND_FLAG.requestOne,
};
/** Commands that change something. */
const CHANGING: ReadonlySet<number> = new Set([
  COMMAND.write,
  COMMAND.trim,
  COMMAND.writeZeroes,
]);

/** What a request failed with, and why, for people. */
class Refused {
  constructor(readonly error: number, readonly why: string) {}
}

/** What contexts say of a range. */
type Told = readonly { readonly id: number; readonly extents: readonly Extent[] }[];

/** Serves a client until it leaves or breaks the protocol. Throws Ended, and what the connection throws. */
export async function serveRequests(agreed: Negotiated, env: Env): Promise<void> {
  await new Transmission(agreed, env).run();
}

class Transmission {
  readonly #stream: Stream;
  readonly #incoming: Incoming;
  readonly #structured: boolean;
  readonly #contexts: readonly string[];
  readonly #disk: Disk;
  readonly #env: Env;
  readonly #replies: Replies;
  /** Of requests that run. */
  #bytes = 0;
  /** Hears that a request is over, or that replies left. */
  #moved: (() => void) | undefined;
  #broken: { readonly error: unknown } | undefined;

  constructor({ stream, incoming, disk, structured, contexts }: Negotiated, env: Env) {
    this.#stream = stream;
    this.#incoming = incoming;
    this.#structured = structured;
    this.#contexts = contexts;
    this.#disk = disk;
    this.#env = env;
    this.#replies = new Replies(stream, () => this.#moved?.());
  }

  async run(): Promise<void> {
    try {
      await this.#takeAll();
    } catch (error) {
      throw (this.#broken ?? this.#replies.failed ?? { error }).error;
    } finally {
      while (this.#replies.awaited || this.#replies.bytes) await this.#movement();
    }
  }

  async #takeAll(): Promise<void> {
    const incoming = this.#incoming;
    for (;;) {
      const request = readRequest(
        incoming.takeNow(REQUEST_BYTES) ?? await incoming.take(REQUEST_BYTES),
      );
      if (!request || request.command === COMMAND.disconnect) return;
      const { command, length } = request;
      // What is too long to be held cannot be passed over either: the client is not one.
      if (command === COMMAND.write && length > BLOCK_BYTES_MAX) return;
      const bytes = command === COMMAND.write || command === COMMAND.read
        ? Math.min(length, BLOCK_BYTES_MAX)
        : 0;
      while (!this.#hasRoomFor(bytes)) await this.#movement();
      let data: Block | undefined;
      if (command === COMMAND.write) {
        data = takeBlock(length);
        try {
          await incoming.fill(data.bytes.subarray(0, length));
        } catch (error) {
          data.release();
          throw error;
        }
      }
      this.#bytes += bytes;
      this.#replies.awaited++;
      void this.#answer(request, data).then(() => {
        this.#bytes -= bytes;
        this.#moved?.();
      });
    }
  }

  #hasRoomFor(bytes: number): boolean {
    const { awaited } = this.#replies, held = this.#bytes + this.#replies.bytes;
    return awaited < REQUESTS_MAX && (held === 0 || held + bytes <= BYTES_MAX);
  }

  /** Until a request is over, or replies left. */
  async #movement(): Promise<void> {
    await new Promise<void>((resolve) => this.#moved = resolve);
    this.#moved = undefined;
  }

  /** Never fails: what nobody expects ends the connection. */
  async #answer(request: Request, data: Block | undefined): Promise<void> {
    const replies = this.#replies;
    try {
      const refused = this.#refused(request);
      if (refused) this.#refuse(request, refused);
      else if (request.command === COMMAND.read && request.length) await this.#read(request);
      else this.#reply(request, await this.#do(request, data));
    } catch (error) {
      // Who gave up waiting for a write may send it yet: nobody else gets its memory.
      data = undefined;
      if (error instanceof FopError) this.#refuse(request, this.#why(request, error));
      else {
        this.#broken ??= { error };
        close(this.#stream);
      }
    } finally {
      data?.release();
      replies.awaited--;
    }
  }

  #refused({ command, flags, offset, length }: Request): Refused | undefined {
    const allowed = FLAGS_OF[command];
    if (allowed === undefined) return new Refused(NBD_ERROR.invalid, "no such command");
    if (flags & ~allowed) return new Refused(NBD_ERROR.invalid, "a flag that does not belong");
    if (command === COMMAND.flush) return undefined;
    const { size, readOnly } = this.#disk, changing = CHANGING.has(command);
    if (changing && readOnly) return new Refused(NBD_ERROR.permission, "the export is read-only");
    if (offset + BigInt(length) > BigInt(size)) {
      const error = changing && command !== COMMAND.trim ? NBD_ERROR.noSpace : NBD_ERROR.invalid;
      return new Refused(error, "past the end of the export");
    }
    if (command === COMMAND.read && length > BLOCK_BYTES_MAX) {
      return new Refused(NBD_ERROR.invalid, "longer than the largest block");
    }
    if (command === COMMAND.blockStatus && (length === 0 || !this.#contexts.length)) {
      return new Refused(NBD_ERROR.invalid, "no context was agreed on, or nothing is asked for");
    }
    return undefined;
  }

  /** Data is read to where it is sent from. */
  async #read({ cookie, offset, length }: Request): Promise<void> {
    const replies = this.#replies, structured = this.#structured;
    const front = structured ? CHUNK_BYTES + 8 : SIMPLE_REPLY_BYTES;
    const place = replies.reserve(front + length), { bytes, view } = place.block;
    const begin = place.at + front, into = bytes.subarray(begin, begin + length);
    try {
      const data = await this.#disk.read(Number(offset), length, into);
      if (data.buffer !== into.buffer || data.byteOffset !== into.byteOffset) into.set(data);
    } catch (error) {
      replies.abandon(place);
      throw error;
    }
    if (structured) {
      const type = CHUNK.offsetData;
      putChunk(view, place.at, { cookie, type, last: true, length: 8 + length });
      view.setBigUint64(place.at + CHUNK_BYTES, offset);
    } else putSimpleReply(view, place.at, cookie, 0);
    replies.fill(place);
  }

  async #do({ command, flags, offset, length }: Request, data: Block | undefined) {
    const disk = this.#disk, at = Number(offset);
    switch (command) {
      case COMMAND.write:
        if (length) await disk.write(at, data!.bytes.subarray(0, length));
        break;
      case COMMAND.trim:
        if (length) await disk.trim(at, length);
        break;
      case COMMAND.writeZeroes:
        if (length) await disk.zero(at, length, !(flags & COMMAND_FLAG.noHole));
        break;
      case COMMAND.flush:
        await disk.flush();
        break;
      case COMMAND.cache:
        await this.#cache(at, length);
        break;
      case COMMAND.blockStatus:
        return await this.#extents(at, length, (flags & COMMAND_FLAG.requestOne) !== 0);
    }
    if (flags & COMMAND_FLAG.fua) await disk.flush();
    return undefined;
  }

  /** What was read is in the caches below. */
  async #cache(offset: number, length: number): Promise<void> {
    for (let at = offset; at < offset + length; at += CACHED_AT_ONCE) {
      await this.#disk.read(at, Math.min(CACHED_AT_ONCE, offset + length - at));
    }
  }

  async #extents(offset: number, length: number, one: boolean): Promise<Told> {
    return await Promise.all(this.#contexts.map(async (name, id) => {
      const all = await this.#disk.contexts.get(name)!(offset, length);
      return { id, extents: all.slice(0, one ? 1 : EXTENTS_MAX) };
    }));
  }

  /** It is done; without data, unless it is what contexts say. */
  #reply({ command, cookie }: Request, told: Told | undefined): void {
    if (told) {
      for (const [at, each] of told.entries()) this.#status(cookie, each, at === told.length - 1);
    } else if (command === COMMAND.read && this.#structured) {
      this.#chunk({ cookie, type: CHUNK.none, last: true, length: 0 }, () => {});
    } else this.#simple(cookie, 0);
  }

  #why({ command, offset, length }: Request, error: FopError): Refused {
    const refused = new Refused(nbdError(error), error.message);
    if (refused.error === NBD_ERROR.io) {
      const why = error.message;
      this.#env.log.warn("a request failed", { command, offset, length, why });
    }
    return refused;
  }

  /** Only structured replies say why. */
  #refuse({ cookie }: Request, { error, why }: Refused): void {
    if (!this.#structured) return this.#simple(cookie, error);
    const text = new TextEncoder().encode(why).subarray(0, WHY_MAX);
    const length = 6 + text.length;
    this.#chunk({ cookie, type: CHUNK.error, last: true, length }, (payload, at) => {
      payload.setUint32(at, error);
      payload.setUint16(at + 4, text.length);
      for (const [index, byte] of text.entries()) payload.setUint8(at + 6 + index, byte);
    });
  }

  #status(cookie: bigint, { id, extents }: Told[number], last: boolean): void {
    const length = 4 + 8 * extents.length;
    this.#chunk({ cookie, type: CHUNK.blockStatus, last, length }, (payload, at) => {
      payload.setUint32(at, id);
      for (const [index, extent] of extents.entries()) {
        payload.setUint32(at + 4 + 8 * index, extent.length);
        payload.setUint32(at + 8 + 8 * index, extent.flags);
      }
    });
  }

  #simple(cookie: bigint, error: number): void {
    const place = this.#replies.reserve(SIMPLE_REPLY_BYTES);
    putSimpleReply(place.block.view, place.at, cookie, error);
    this.#replies.fill(place);
  }

  #chunk(head: ChunkHead, put: (to: DataView, at: number) => void): void {
    const place = this.#replies.reserve(CHUNK_BYTES + head.length), { view } = place.block;
    putChunk(view, place.at, head);
    put(view, place.at + CHUNK_BYTES);
    this.#replies.fill(place);
  }
}

const WHY_MAX = 1024;

const ERRORS: readonly (readonly [readonly FopError[], number])[] = [
  [[EPERM, EACCES, EROFS], NBD_ERROR.permission],
  [[ENOSPC, EDQUOT], NBD_ERROR.noSpace],
  [[EINVAL], NBD_ERROR.invalid],
  [[ENOMEM], NBD_ERROR.memory],
  [[EOPNOTSUPP], NBD_ERROR.unsupported],
];

function nbdError(error: FopError): number {
  return ERRORS.find(([same]) => same.some((each) => each.matches(error)))?.[1] ?? NBD_ERROR.io;
}
