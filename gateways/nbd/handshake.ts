/**
 * What client and server agree on before the first request: which export, replies of which kind,
 * which contexts. Source: the NBD project's doc/proto.md, "Fixed newstyle negotiation".
 */

import { type Disk, type Exports, Unavailable } from "gateways/nbd/disk.ts";
import { Incoming, type Stream, writeAll } from "gateways/nbd/stream.ts";
import {
  EXPORT_FLAG,
  FIXED_NEWSTYLE,
  INFO,
  NBD_MAGIC,
  NO_ZEROES,
  OPTION,
  OPTION_BYTES,
  OPTION_MAGIC,
  OPTION_REPLY,
  optionReply,
  viewOf,
} from "gateways/nbd/wire.ts";

/** Largest read or write, in bytes: what QEMU sends at most. */
export const BLOCK_BYTES_MAX = 32 << 20;
/** Longest name that the protocol allows. */
const NAME_BYTES_MAX = 4096;
/** Longest option that is read, and that is passed over. */
const OPTION_BYTES_MAX = 32_768, SKIPPED_BYTES_MAX = 1 << 20;
/** More options than any client sends. */
const OPTIONS_MAX = 1000;
const OLD_ZEROES = 124;

/** What was agreed on. */
export interface Agreed {
  /** Of the export. */
  readonly name: string;
  readonly disk: Disk;
  /** Replies may be structured. */
  readonly structured: boolean;
  /** Names of chosen contexts; their numbers are their places. */
  readonly contexts: readonly string[];
}

/** How to negotiate. */
export interface HandshakeOptions {
  readonly exports: Exports;
  /** Encrypts the connection; undefined: there is no TLS. With it, nothing is served in the clear. */
  readonly startTls?: (() => Promise<Stream>) | undefined;
  /** Hears which export the client is about to use. */
  readonly using?: (name: string) => void;
}

/** What was agreed on, and the connection as it goes on, encrypted or not. */
export interface Negotiated extends Agreed {
  readonly stream: Stream;
  /** What came of it. */
  readonly incoming: Incoming;
}

/**
 * Negotiates; undefined: the client left in order, or what it sent is no negotiation. The disk is
 * the caller's to close. Throws Ended, and what the connection throws.
 */
export async function negotiate(
  stream: Stream,
  options: HandshakeOptions,
): Promise<Negotiated | undefined> {
  const incoming = new Incoming(stream);
  const greeting = new Uint8Array(18), view = viewOf(greeting);
  view.setBigUint64(0, NBD_MAGIC);
  view.setBigUint64(8, OPTION_MAGIC);
  view.setUint16(16, FIXED_NEWSTYLE | NO_ZEROES);
  await writeAll(stream, greeting);
  const flags = viewOf(await incoming.take(4)).getUint32(0);
  if (flags & ~(FIXED_NEWSTYLE | NO_ZEROES)) return undefined;
  const noZeroes = (flags & NO_ZEROES) !== 0;
  await using negotiation = new Negotiation(stream, incoming, options, noZeroes);
  return await negotiation.run();
}

class Negotiation implements AsyncDisposable {
  #stream: Stream;
  #incoming: Incoming;
  readonly #options: HandshakeOptions;
  readonly #noZeroes: boolean;
  #secure: boolean;
  #structured = false;
  #chosen: { readonly name: string; readonly contexts: readonly string[] } | undefined;
  /** Open for the next question about it: contexts are asked for before the export is used. */
  #disk: { readonly name: string; readonly disk: Disk } | undefined;

  constructor(
    stream: Stream,
    incoming: Incoming,
    options: HandshakeOptions,
    noZeroes: boolean,
  ) {
    this.#stream = stream;
    this.#incoming = incoming;
    this.#options = options;
    this.#noZeroes = noZeroes;
    this.#secure = !options.startTls;
  }

  async run(): Promise<Negotiated | undefined> {
    for (let count = 0; count < OPTIONS_MAX; count++) {
      const head = viewOf(await this.#incoming.take(OPTION_BYTES));
      if (head.getBigUint64(0) !== OPTION_MAGIC) return undefined;
      const option = head.getUint32(8), length = head.getUint32(12);
      if (length > OPTION_BYTES_MAX) {
        if (length > SKIPPED_BYTES_MAX || option === OPTION.exportName) return undefined;
        await this.#incoming.skip(length);
        await this.#reply(option, OPTION_REPLY.tooBig);
        continue;
      }
      const data = (await this.#incoming.take(length)).slice();
      const done = await this.#option(option, data);
      if (done === "end") return undefined;
      if (done) return { ...done, stream: this.#stream, incoming: this.#incoming };
    }
    return undefined;
  }

  async #option(option: number, data: Uint8Array): Promise<Agreed | "end" | undefined> {
    if (option === OPTION.abort) {
      await this.#reply(option, OPTION_REPLY.ack);
      return "end";
    }
    if (option === OPTION.startTls) return await this.#startTls(data);
    if (!this.#secure) {
      if (option === OPTION.exportName) return "end";
      return void await this.#reply(option, OPTION_REPLY.tlsRequired, "this server wants TLS");
    }
    switch (option) {
      case OPTION.exportName:
        return await this.#exportName(data);
      case OPTION.list:
        return void await this.#list(data);
      case OPTION.info:
      case OPTION.go:
        return await this.#go(option, data);
      case OPTION.structuredReply:
        if (data.length) return void await this.#invalid(option);
        this.#structured = true;
        return void await this.#reply(option, OPTION_REPLY.ack);
      case OPTION.listMetaContext:
      case OPTION.setMetaContext:
        return void await this.#metaContexts(option, data);
      default:
        return void await this.#reply(option, OPTION_REPLY.unsupported);
    }
  }

  async #startTls(data: Uint8Array): Promise<"end" | undefined> {
    const { startTls } = this.#options;
    if (data.length || this.#secure && startTls) return void await this.#invalid(OPTION.startTls);
    if (!startTls) return void await this.#reply(OPTION.startTls, OPTION_REPLY.policy, "no TLS");
    // Somebody in between could have put it there, to be taken for what comes encrypted.
    if (this.#incoming.waiting) return "end";
    await this.#reply(OPTION.startTls, OPTION_REPLY.ack);
    this.#stream = await startTls();
    this.#incoming = new Incoming(this.#stream);
    this.#secure = true;
    // What was agreed on in the clear counts for nothing.
    this.#structured = false;
    this.#chosen = undefined;
    await this[Symbol.asyncDispose]();
  }

  async #exportName(data: Uint8Array): Promise<Agreed | "end"> {
    const name = textOf(data);
    const disk = name === undefined ? undefined : await this.#open(name);
    // There is no other way to say no.
    if (!disk || disk instanceof Unavailable) return "end";
    const reply = new Uint8Array(10 + (this.#noZeroes ? 0 : OLD_ZEROES)), view = viewOf(reply);
    view.setBigUint64(0, BigInt(disk.size));
    view.setUint16(8, flagsOf(disk));
    await writeAll(this.#stream, reply);
    return this.#agreed(name!, disk);
  }

  async #list(data: Uint8Array): Promise<void> {
    if (data.length) return await this.#invalid(OPTION.list);
    for (const { name, description } of this.#options.exports.list()) {
      const bytes = encode(name), reply = new Uint8Array(4 + bytes.length + description.length * 3);
      viewOf(reply).setUint32(0, bytes.length);
      reply.set(bytes, 4);
      const { written } = new TextEncoder().encodeInto(
        description,
        reply.subarray(4 + bytes.length),
      );
      await this.#reply(
        OPTION.list,
        OPTION_REPLY.server,
        reply.subarray(0, 4 + bytes.length + written),
      );
    }
    await this.#reply(OPTION.list, OPTION_REPLY.ack);
  }

  async #go(option: number, data: Uint8Array): Promise<Agreed | undefined> {
    const asked = new Fields(data), name = asked.name();
    const infos = name === undefined ? undefined : asked.numbers();
    if (name === undefined || !infos || !asked.ended) return void await this.#invalid(option);
    const disk = await this.#open(name);
    if (!disk) {
      return void await this.#reply(option, OPTION_REPLY.unknown, `no export "${shown(name)}"`);
    }
    if (disk instanceof Unavailable) {
      const why = `export "${shown(name)}" cannot be opened: ${disk.message}`;
      return void await this.#reply(option, OPTION_REPLY.unknown, why);
    }
    const replies = [exportInfo(disk), blockInfo(disk)];
    if (infos.has(INFO.name)) replies.push(textInfo(INFO.name, name));
    if (infos.has(INFO.description)) replies.push(textInfo(INFO.description, disk.description));
    for (const info of replies) await this.#reply(option, OPTION_REPLY.info, info);
    await this.#reply(option, OPTION_REPLY.ack);
    return option === OPTION.info ? undefined : this.#agreed(name, disk);
  }

  /** From now on the disk is the caller's. */
  #agreed(name: string, disk: Disk): Agreed {
    this.#disk = undefined;
    // What was chosen for another export counts for nothing.
    const contexts = this.#chosen?.name === name ? this.#chosen.contexts : [];
    return { name, disk, structured: this.#structured, contexts };
  }

  async #metaContexts(option: number, data: Uint8Array): Promise<void> {
    const asked = new Fields(data), name = asked.name();
    const queries = name === undefined ? undefined : asked.texts();
    const choosing = option === OPTION.setMetaContext;
    if (choosing) this.#chosen = undefined;
    if (!queries || !asked.ended || (choosing && !this.#structured)) {
      return await this.#invalid(option);
    }
    const disk = await this.#open(name!);
    if (!disk || disk instanceof Unavailable) {
      return await this.#reply(option, OPTION_REPLY.unknown, `no export "${shown(name!)}"`);
    }
    const known = [...disk.contexts.keys()];
    const found = queries.length || choosing
      ? known.filter((context) => queries.some((query) => asksFor(query, context, choosing)))
      : known;
    for (const [id, context] of found.entries()) {
      const bytes = encode(context), reply = new Uint8Array(4 + bytes.length);
      viewOf(reply).setUint32(0, choosing ? id : 0);
      reply.set(bytes, 4);
      await this.#reply(option, OPTION_REPLY.metaContext, reply);
    }
    if (choosing) this.#chosen = { name: name!, contexts: found };
    await this.#reply(option, OPTION_REPLY.ack);
  }

  /** Stays open until another is asked for, or nobody uses it in the end. */
  async #open(name: string): Promise<Disk | Unavailable | undefined> {
    if (this.#disk?.name === name) return this.#disk.disk;
    await this[Symbol.asyncDispose]();
    const { exports, using } = this.#options;
    using?.(name);
    try {
      const disk = await exports.open(name);
      this.#disk = disk && { name, disk };
      return disk;
    } catch (error) {
      if (error instanceof Unavailable) return error;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = this.#disk;
    this.#disk = undefined;
    await open?.disk.close();
  }

  #invalid(option: number): Promise<void> {
    return this.#reply(option, OPTION_REPLY.invalid, "not understood");
  }

  #reply(option: number, type: number, payload: Uint8Array | string = ""): Promise<void> {
    const bytes = typeof payload === "string" ? encode(payload) : payload;
    return writeAll(this.#stream, optionReply(option, type, bytes));
  }
}

/** Fields of an option's data. */
class Fields {
  readonly #data: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
    this.#view = viewOf(data);
  }

  get ended(): boolean {
    return this.#at === this.#data.length;
  }

  /** Undefined: there is none, or it is too long or no text. */
  name(): string | undefined {
    const length = this.#u32();
    if (length === undefined || length > NAME_BYTES_MAX) return undefined;
    if (this.#at + length > this.#data.length) return undefined;
    return textOf(this.#data.subarray(this.#at, this.#at += length));
  }

  numbers(): Set<number> | undefined {
    if (this.#at + 2 > this.#data.length) return undefined;
    const count = this.#view.getUint16(this.#at);
    this.#at += 2;
    if (this.#at + 2 * count > this.#data.length) return undefined;
    const numbers = new Set<number>();
    for (let left = count; left > 0; left--, this.#at += 2) {
      numbers.add(this.#view.getUint16(this.#at));
    }
    return numbers;
  }

  texts(): string[] | undefined {
    const count = this.#u32();
    if (count === undefined) return undefined;
    const texts: string[] = [];
    for (let left = count; left > 0; left--) {
      const text = this.name();
      if (text === undefined) return undefined;
      texts.push(text);
    }
    return texts;
  }

  #u32(): number | undefined {
    if (this.#at + 4 > this.#data.length) return undefined;
    const value = this.#view.getUint32(this.#at);
    this.#at += 4;
    return value;
  }
}

function flagsOf({ readOnly }: Disk): number {
  const { hasFlags, flush, fua, dontFragment, multiConn, cache } = EXPORT_FLAG;
  const both = hasFlags | flush | fua | dontFragment | multiConn | cache;
  return readOnly ? both | EXPORT_FLAG.readOnly : both | EXPORT_FLAG.trim | EXPORT_FLAG.writeZeroes;
}

function exportInfo(disk: Disk): Uint8Array {
  const info = new Uint8Array(12), view = viewOf(info);
  view.setUint16(0, INFO.export);
  view.setBigUint64(2, BigInt(disk.size));
  view.setUint16(10, flagsOf(disk));
  return info;
}

function blockInfo({ preferredBlock }: Disk): Uint8Array {
  const info = new Uint8Array(14), view = viewOf(info);
  view.setUint16(0, INFO.blockSize);
  view.setUint32(2, 1);
  view.setUint32(6, preferredBlock);
  view.setUint32(10, BLOCK_BYTES_MAX);
  return info;
}

function textInfo(type: number, text: string): Uint8Array {
  const bytes = encode(text), info = new Uint8Array(2 + bytes.length);
  viewOf(info).setUint16(0, type);
  info.set(bytes, 2);
  return info;
}

/** A query that ends with ":" lists all of a name space. */
function asksFor(query: string, context: string, choosing: boolean): boolean {
  return query === context || (!choosing && query.endsWith(":") && context.startsWith(query));
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

const SHOWN_MAX = 200;

function shown(name: string): string {
  return name.length > SHOWN_MAX ? `${name.slice(0, SHOWN_MAX)}…` : name;
}
