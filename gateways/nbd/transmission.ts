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
import { type Agreed, BLOCK_BYTES_MAX } from "gateways/nbd/handshake.ts";
import type { Incoming, Outgoing } from "gateways/nbd/stream.ts";
import {
  CHUNK,
  chunk,
  COMMAND,
  COMMAND_FLAG,
  NBD_ERROR,
  readRequest,
  type Request,
  REQUEST_BYTES,
  simpleReply,
} from "gateways/nbd/wire.ts";

/** Requests of one client that run side by side, and bytes of their data. */
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

/** What to answer; nothing: it is done. */
type Outcome = Uint8Array | readonly { id: number; extents: readonly Extent[] }[] | void;

/** Serves a client until it leaves or breaks the protocol. Throws Ended, and what the connection throws. */
export async function serveRequests(
  incoming: Incoming,
  outgoing: Outgoing,
  agreed: Agreed,
  env: Env,
): Promise<void> {
  await new Transmission(incoming, outgoing, agreed, env).run();
}

class Transmission {
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  readonly #agreed: Agreed;
  readonly #disk: Disk;
  readonly #env: Env;
  #running = new Set<Promise<void>>();
  #bytes = 0;
  #broken: { readonly error: unknown } | undefined;

  constructor(incoming: Incoming, outgoing: Outgoing, agreed: Agreed, env: Env) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#agreed = agreed;
    this.#disk = agreed.disk;
    this.#env = env;
  }

  async run(): Promise<void> {
    try {
      while (!this.#broken) {
        const request = readRequest(await this.#incoming.take(REQUEST_BYTES));
        if (!request || request.command === COMMAND.disconnect) return;
        const { command, length } = request;
        let data: Uint8Array | undefined;
        if (command === COMMAND.write) {
          // What is too long to be held cannot be passed over either: the client is not one.
          if (length > BLOCK_BYTES_MAX) return;
          await this.#room(length);
          await this.#incoming.fill(data = new Uint8Array(length));
        } else await this.#room(command === COMMAND.read ? Math.min(length, BLOCK_BYTES_MAX) : 0);
        this.#start(request, data);
      }
      throw this.#broken.error;
    } finally {
      await Promise.all(this.#running);
    }
  }

  /** Waits until there is room for one more. */
  async #room(bytes: number): Promise<void> {
    while (
      this.#running.size >= REQUESTS_MAX ||
      (this.#running.size > 0 && this.#bytes + bytes > BYTES_MAX)
    ) await Promise.race(this.#running);
  }

  #start(request: Request, data: Uint8Array | undefined): void {
    const bytes = request.command === COMMAND.read || data ? request.length : 0;
    this.#bytes += bytes;
    const running = this.#answer(request, data).catch((error) => {
      this.#broken ??= { error };
    }).finally(() => {
      this.#bytes -= bytes;
      this.#running.delete(running);
    });
    this.#running.add(running);
  }

  async #answer(request: Request, data: Uint8Array | undefined): Promise<void> {
    let outcome: Outcome | Refused;
    try {
      outcome = this.#refused(request) ?? await this.#do(request, data);
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      outcome = new Refused(nbdError(error), error.message);
      if (outcome.error === NBD_ERROR.io) {
        const { command, offset, length } = request;
        this.#env.log.warn("a request failed", { command, offset, length, why: error.message });
      }
    }
    await this.#outgoing.send(...this.#reply(request, outcome));
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
    if (command === COMMAND.blockStatus && (length === 0 || !this.#agreed.contexts.length)) {
      return new Refused(NBD_ERROR.invalid, "no context was agreed on, or nothing is asked for");
    }
    return undefined;
  }

  async #do(
    { command, flags, offset, length }: Request,
    data: Uint8Array | undefined,
  ): Promise<Outcome> {
    const disk = this.#disk, at = Number(offset);
    switch (command) {
      case COMMAND.read:
        return length ? await disk.read(at, length) : new Uint8Array(0);
      case COMMAND.write:
        if (length) await disk.write(at, data!);
        break;
      case COMMAND.trim:
        if (length) await disk.trim(at, length);
        break;
      case COMMAND.writeZeroes:
        if (length) await disk.zero(at, length, !(flags & COMMAND_FLAG.noHole));
        break;
      case COMMAND.flush:
        return await disk.flush();
      case COMMAND.cache:
        return await this.#cache(at, length);
      case COMMAND.blockStatus:
        return await this.#extents(at, length, (flags & COMMAND_FLAG.requestOne) !== 0);
    }
    if (flags & COMMAND_FLAG.fua) await disk.flush();
  }

  /** What was read is in the caches below. */
  async #cache(offset: number, length: number): Promise<void> {
    for (let at = offset; at < offset + length; at += CACHED_AT_ONCE) {
      await this.#disk.read(at, Math.min(CACHED_AT_ONCE, offset + length - at));
    }
  }

  async #extents(offset: number, length: number, one: boolean): Promise<Outcome> {
    const { contexts } = this.#agreed;
    return await Promise.all(contexts.map(async (name, id) => {
      const all = await this.#disk.contexts.get(name)!(offset, length);
      return { id, extents: all.slice(0, one ? 1 : EXTENTS_MAX) };
    }));
  }

  #reply(request: Request, outcome: Outcome | Refused): Uint8Array[] {
    const { command, cookie } = request;
    const { structured } = this.#agreed;
    if (outcome instanceof Refused) {
      // Only structured replies say why.
      return structured ? [errorChunk(cookie, outcome)] : [simpleReply(cookie, outcome.error)];
    }
    if (outcome instanceof Uint8Array && command === COMMAND.read) {
      return this.#data(request, outcome);
    }
    if (!outcome || outcome instanceof Uint8Array) return [simpleReply(cookie, 0)];
    return outcome.map((told, index) => statusChunk(cookie, told, index === outcome.length - 1));
  }

  #data({ cookie, offset }: Request, data: Uint8Array): Uint8Array[] {
    const { structured } = this.#agreed;
    if (!structured) return [simpleReply(cookie, 0), data];
    if (!data.length) {
      return [chunk({ cookie, type: CHUNK.none, last: true, length: 0 }, 0).bytes];
    }
    const head = { cookie, type: CHUNK.offsetData, last: true, length: 8 + data.length };
    const { bytes, payload } = chunk(head, 8);
    payload.setBigUint64(0, offset);
    return [bytes, data];
  }
}

function errorChunk(cookie: bigint, { error, why }: Refused): Uint8Array {
  const text = new TextEncoder().encode(why).subarray(0, WHY_MAX);
  const head = { cookie, type: CHUNK.error, last: true, length: 6 + text.length };
  const { bytes, payload } = chunk(head, 6 + text.length);
  payload.setUint32(0, error);
  payload.setUint16(4, text.length);
  bytes.set(text, bytes.length - text.length);
  return bytes;
}

const WHY_MAX = 1024;

function statusChunk(
  cookie: bigint,
  { id, extents }: { readonly id: number; readonly extents: readonly Extent[] },
  last: boolean,
): Uint8Array {
  const length = 4 + 8 * extents.length;
  const { bytes, payload } = chunk({ cookie, type: CHUNK.blockStatus, last, length }, length);
  payload.setUint32(0, id);
  for (const [index, extent] of extents.entries()) {
    payload.setUint32(4 + 8 * index, extent.length);
    payload.setUint32(8 + 8 * index, extent.flags);
  }
  return bytes;
}

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
