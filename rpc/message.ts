/** Heads of RPC messages (RFC 5531 §9) as GlusterFS uses them: verifiers are always empty. */

import { XdrError, type XdrReader, type XdrWriter } from "rpc/xdr.ts";

export const CALL = 0;
export const REPLY = 1;
const RPC_VERSION = 2;

/** `accept_stat`: how a server that took a call treated it. */
export const ACCEPT = {
  SUCCESS: 0,
  PROG_UNAVAIL: 1,
  PROG_MISMATCH: 2,
  PROC_UNAVAIL: 3,
  GARBAGE_ARGS: 4,
  SYSTEM_ERR: 5,
} as const;
export type AcceptStat = typeof ACCEPT[keyof typeof ACCEPT];

/** Bytes before a result: record marker, xid, REPLY, accepted, empty verifier, SUCCESS. */
export const REPLY_HEAD_SIZE = 28;

/** RFC 5531 §8.2: no credential and no verifier is longer. */
export const AUTH_BYTES_MAX = 400;

/** A call's head. One object per connection, filled anew for each call. */
export class CallHead {
  xid = 0;
  program = 0;
  version = 0;
  procedure = 0;
  /** The credential: its flavor, and its body in the record. */
  flavor = 0;
  bodyAt = 0;
  bodySize = 0;

  /** Reads what follows xid and message type; leaves `from` at the procedure's arguments. */
  read(from: XdrReader, xid: number): void {
    const at = from.skip(28), view = from.view;
    if (view.getUint32(at) !== RPC_VERSION) {
      throw new XdrError(`Cannot read call: RPC version ${view.getUint32(at)}`);
    }
    this.xid = xid;
    this.program = view.getUint32(at + 4);
    this.version = view.getUint32(at + 8);
    this.procedure = view.getUint32(at + 12);
    this.flavor = view.getUint32(at + 16);
    this.bodySize = view.getUint32(at + 20);
    from.at = at + 24;
    this.bodyAt = skipAuth(from, this.bodySize);
    from.skip(4);
    skipAuth(from, from.u32());
  }
}

function skipAuth(from: XdrReader, size: number): number {
  if (size > AUTH_BYTES_MAX) throw new XdrError(`Cannot read credential of ${size} bytes`);
  return from.skip((size + 3) & ~3);
}

/** Writes a call's head up to its credential; `credential` writes flavor and body. */
export function writeCallHead(
  to: XdrWriter,
  xid: number,
  program: number,
  version: number,
  procedure: number,
): void {
  const at = to.reserve(24), view = to.view;
  view.setUint32(at, xid);
  view.setUint32(at + 4, CALL);
  view.setUint32(at + 8, RPC_VERSION);
  view.setUint32(at + 12, program);
  view.setUint32(at + 16, version);
  view.setUint32(at + 20, procedure);
}

/** An empty credential or verifier: AUTH_NONE. */
export function writeNoAuth(to: XdrWriter): void {
  const at = to.reserve(8), view = to.view;
  view.setUint32(at, 0);
  view.setUint32(at + 4, 0);
}

/** Writes marker and head of an accepted call's reply in front of a result of `size` bytes. */
export function putReplyHead(
  view: DataView,
  at: number,
  size: number,
  xid: number,
  stat: AcceptStat,
): void {
  view.setUint32(at, 0x80000000 + 24 + size);
  view.setUint32(at + 4, xid);
  view.setUint32(at + 8, REPLY);
  view.setUint32(at + 12, 0);
  view.setUint32(at + 16, 0);
  view.setUint32(at + 20, 0);
  view.setUint32(at + 24, stat);
}

/** A call that the other end did not carry out, for a reason that is not the procedure's own. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  constructor(
    /** What was wrong: an accept status, or "denied" (the credential was refused). */
    readonly stat: AcceptStat | "denied",
    message: string,
  ) {
    super(message);
  }
}

const STAT_TEXT: Record<number, string> = {
  1: "program is not served there",
  2: "program is served in another version",
  3: "procedure is not served there",
  4: "arguments were not understood",
  5: "system error at the peer",
};

/** Reads a reply's head after xid and type; leaves `from` at the result. Throws RpcError if the call failed. */
export function readReplyHead(from: XdrReader): void {
  const denied = from.u32();
  if (denied) throw new RpcError("denied", "Cannot call: the peer refused the credential");
  from.skip(4);
  skipAuth(from, from.u32());
  const stat = from.u32();
  if (stat === ACCEPT.SUCCESS) return;
  const text = STAT_TEXT[stat];
  if (!text) throw new XdrError(`Cannot read reply: accept status ${stat}`);
  throw new RpcError(stat as AcceptStat, `Cannot call: ${text}`);
}
