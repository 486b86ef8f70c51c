/**
 * NBD on the wire, all numbers big-endian. Source: the NBD project's protocol description
 * (doc/proto.md): fixed newstyle negotiation, simple and structured replies.
 */

/** First words of a server; of an option. */
export const NBD_MAGIC = 0x4e42_444d_4147_4943n, OPTION_MAGIC = 0x4948_4156_454f_5054n;
/** First word of a reply to an option. */
export const OPTION_REPLY_MAGIC = 0x0003_e889_0455_65a9n;
/** First words of a request and of both kinds of reply. */
export const REQUEST_MAGIC = 0x2560_9513,
  SIMPLE_REPLY_MAGIC = 0x6744_6698,
  CHUNK_MAGIC = 0x668e_33ef;

/** What both ends say of the negotiation. */
export const FIXED_NEWSTYLE = 1, NO_ZEROES = 2;

/** Options of a client. */
export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

/** Replies to options; those from 2^31 on are errors. */
export const OPTION_REPLY = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 0x8000_0001,
  policy: 0x8000_0002,
  invalid: 0x8000_0003,
  tlsRequired: 0x8000_0005,
  unknown: 0x8000_0006,
  tooBig: 0x8000_0009,
} as const;

/** What may be told of an export. */
export const INFO = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** What an export can do. */
export const EXPORT_FLAG = {
  hasFlags: 1,
  readOnly: 2,
  flush: 4,
  fua: 8,
  trim: 32,
  writeZeroes: 64,
  dontFragment: 128,
  multiConn: 256,
  cache: 1024,
} as const;

/** Requests. */
export const COMMAND = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

/** Flags of requests. */
export const COMMAND_FLAG = { fua: 1, noHole: 2, dontFragment: 4, requestOne: 8 } as const;

/** Chunks of structured replies. */
export const CHUNK = { none: 0, offsetData: 1, blockStatus: 5, error: 0x8001 } as const;
/** The last chunk of a reply. */
export const CHUNK_DONE = 1;

/** Failures, as a client is told them. */
export const NBD_ERROR = {
  permission: 1,
  io: 5,
  memory: 12,
  invalid: 22,
  noSpace: 28,
  unsupported: 95,
  shutdown: 108,
} as const;

/** Bytes of a request's header, of an option's, and of both kinds of reply. */
export const REQUEST_BYTES = 28,
  OPTION_BYTES = 16,
  SIMPLE_REPLY_BYTES = 16,
  CHUNK_BYTES = 20;

/** A request without its data. */
export interface Request {
  readonly command: number;
  readonly flags: number;
  /** The client's name for it, given back in the reply. */
  readonly cookie: bigint;
  readonly offset: bigint;
  readonly length: number;
}

/** Reads a request's header; undefined: it is none. */
export function readRequest(bytes: Uint8Array): Request | undefined {
  const view = viewOf(bytes);
  if (view.getUint32(0) !== REQUEST_MAGIC) return undefined;
  return {
    flags: view.getUint16(4),
    command: view.getUint16(6),
    cookie: view.getBigUint64(8),
    offset: view.getBigUint64(16),
    length: view.getUint32(24),
  };
}

/** Puts a simple reply's header at `at`; `error` 0 is success. */
export function putSimpleReply(to: DataView, at: number, cookie: bigint, error: number): void {
  to.setUint32(at, SIMPLE_REPLY_MAGIC);
  to.setUint32(at + 4, error);
  to.setBigUint64(at + 8, cookie);
}

/** What a chunk's header says. */
export interface ChunkHead {
  readonly cookie: bigint;
  readonly type: number;
  readonly last: boolean;
  /** Bytes of its payload. */
  readonly length: number;
}

/** Puts a chunk's header at `at`; its payload follows. */
export function putChunk(
  to: DataView,
  at: number,
  { cookie, type, last, length }: ChunkHead,
): void {
  to.setUint32(at, CHUNK_MAGIC);
  to.setUint16(at + 4, last ? CHUNK_DONE : 0);
  to.setUint16(at + 6, type);
  to.setBigUint64(at + 8, cookie);
  to.setUint32(at + 16, length);
}

/** A reply to an option. */
export function optionReply(option: number, type: number, payload: Uint8Array = EMPTY): Uint8Array {
  const bytes = new Uint8Array(20 + payload.length), view = viewOf(bytes);
  view.setBigUint64(0, OPTION_REPLY_MAGIC);
  view.setUint32(8, option);
  view.setUint32(12, type);
  view.setUint32(16, payload.length);
  bytes.set(payload, 20);
  return bytes;
}

const EMPTY = new Uint8Array(0);

/** Numbers of some bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
