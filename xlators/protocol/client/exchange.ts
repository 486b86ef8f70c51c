/** One fop over a connection: its request as the wire wants it, and its reply, owned by the caller. */

import type { Call } from "core/call.ts";
import { ENOTCONN, EREMOTEIO, ETIMEDOUT, FopError } from "core/errno.ts";
import type { Args, FopName, Reply } from "core/fops.ts";
import { FOPS, LENT_FRONT } from "core/fops.ts";
import type { Connection, Held } from "rpc/connection.ts";
import { RpcError } from "rpc/message.ts";
import type { ProgramId } from "rpc/program.ts";
import { GFX_PROGRAM, GFX_VERSION, WIRES } from "rpc/programs/gfx.ts";
import type { Peer, Wire } from "rpc/wire.ts";
import { XdrError, XdrReader } from "rpc/xdr.ts";
import type { Flow } from "xlators/protocol/client/flow.ts";

/** The program of fops. */
export const FOP_PROGRAM: ProgramId = { number: GFX_PROGRAM, version: GFX_VERSION };

/**
 * Asks the brick, once: nothing is ever sent again. `deadline` is monotonic milliseconds. Fails with
 * the FopError of the brick, ENOTCONN if the connection ended or nobody answered in time, EREMOTEIO
 * if the brick's answer is none. Once it is answered it leaves `flow`, in which it was `bytes`.
 */
export function exchange<K extends FopName>(
  fop: K,
  connection: Connection,
  peer: Peer,
  call: Call,
  args: Args<K>,
  deadline: number,
  flow?: Flow,
  bytes = 0,
): Promise<Reply<K>> {
  const wire = WIRES[fop] as unknown as Wire<K>;
  const answer = connection.call(
    FOP_PROGRAM,
    FOPS[fop].proc,
    call,
    (to) => wire.request(to, args, peer),
    (from, record) =>
      fop === "readv"
        ? readReply(wire, from, args, peer, record)
        : wire.reply(own(from), args, peer),
    { bulk: wire.payload?.(args), deadline },
  );
  // One more promise a fop, not two: this is the path of all of them.
  return answer.then((reply) => {
    flow?.leave(bytes);
    return reply;
  }, (error) => {
    flow?.leave(bytes);
    throw asFopError(error);
  });
}

// What is small lies in one slab with its neighbours: a buffer of its own costs several microseconds,
// more than the rest of the fop. A piece that somebody keeps, keeps its slab.
const SLAB_BYTES = 64 << 10, PIECE_MAX = 8 << 10;
let slab = new XdrReader(new Uint8Array(SLAB_BYTES));
slab.end = 0;

// A copy of `bytes`, by a reader that is aimed at the next one soon.
function copied(bytes: Uint8Array, at: number, end: number): XdrReader {
  const size = end - at;
  if (size > PIECE_MAX) return new XdrReader(bytes.slice(at, end));
  if (slab.end + size > SLAB_BYTES) {
    slab = new XdrReader(new Uint8Array(SLAB_BYTES));
    slab.end = 0;
  }
  slab.at = slab.end;
  slab.bytes.set(bytes.subarray(at, end), slab.at);
  slab.end += size;
  return slab;
}

// Extra data and xattrs in a reply are views; the receiver may keep them, so they get a copy.
function own(from: XdrReader): XdrReader {
  return copied(from.bytes, from.at, from.end);
}

// The data of a read is by far the most there is: it stays where it is, or is copied once, to where the
// caller wants it.
function readReply<K extends FopName>(
  wire: Wire<K>,
  from: XdrReader,
  args: Args<K>,
  peer: Peer,
  record: Held,
): Reply<K> {
  const head = from.at;
  const reply = wire.reply(from, args, peer) as Reply<"readv">;
  const { into, lend } = args as Args<"readv">;
  const { data } = reply;
  let owned: Uint8Array, lent: Held | undefined;
  if (lend && data.byteOffset - from.bytes.byteOffset >= head + LENT_FRONT) {
    record.hold();
    owned = data;
    lent = record;
  } else if (into && into.length >= data.length) {
    into.set(data);
    owned = into.subarray(0, data.length);
  } else {
    const copy = copied(data, 0, data.length);
    owned = copy.bytes.subarray(copy.at, copy.end);
  }
  if (!reply.xdata) return { ...reply, data: owned, lent } as Reply<K>;
  const again = copied(from.bytes, head, from.end);
  return { ...wire.reply(again, args, peer), data: owned, lent } as Reply<K>;
}

function asFopError(error: unknown): unknown {
  if (ETIMEDOUT.matches(error)) return ENOTCONN;
  if (error instanceof FopError) return error;
  if (error instanceof RpcError || error instanceof XdrError) return EREMOTEIO;
  return error;
}
