/**
 * READ, the fop that counts most: arguments are taken straight from the record, the storage puts the
 * data into the outbound buffer, and the head (200 bytes with the record marker) is written in front
 * of it. Requests or replies with extra data take the way of all other fops.
 */

import { EINVAL } from "core/errno.ts";
import type { ReadvReply } from "core/fops.ts";
import { type Fd, gfidFromBytes } from "core/inode.ts";
import { COALESCED_MAX } from "rpc/outbound.ts";
import { IATTX_SIZE, writeIatt } from "rpc/gfx_types.ts";
import type { Procedure } from "rpc/program.ts";
import { WIRES } from "rpc/programs/gfx.ts";
import type { Request } from "rpc/request.ts";
import { XdrError } from "rpc/xdr.ts";
import type { Session } from "xlators/protocol/server/session.ts";

/** gfid, fd, offset, size, flags, and the three words of an absent dictionary. */
const REQUEST_SIZE = 16 + 8 + 8 + 4 + 4 + 12;
/** Result, error number, attributes, size, an absent dictionary. */
const HEAD_SIZE = 8 + IATTX_SIZE + 4 + 12;
const ENOENT_NUMBER = 2;
const wire = WIRES.readv;

/** The procedure, for the session's table. */
export function readProcedure(session: Session): Procedure {
  return (request) => serveRead(session, request);
}

function serveRead(session: Session, request: Request): void {
  const child = session.joined(request, wire);
  if (!child) return;
  const from = request.args, { view, at } = from;
  if (from.left < REQUEST_SIZE) throw new XdrError("Cannot read request: READ is too short");
  const size = view.getUint32(at + 32);
  const offsetHigh = view.getUint32(at + 24);
  if (view.getUint32(at + 48) !== 0 || offsetHigh > 0xfffff) {
    return session.serve("readv", wire, request);
  }
  if (size > session.server.values["record-size-limit"]) {
    return session.fail(request, wire, EINVAL);
  }
  const flags = view.getUint32(at + 36);
  let fd: Fd;
  try {
    const high = view.getInt32(at + 16), low = view.getUint32(at + 20);
    fd = high === 0
      ? session.fds.get(low)
      : session.fd(high * 4294967296 + low, gfidFromBytes(from.bytes, at), flags);
  } catch (error) {
    return session.fail(request, wire, error);
  }
  const into = request.reserve(HEAD_SIZE, size);
  child.readv(session.callOf(request.credentials), {
    fd,
    offset: offsetHigh * 4294967296 + view.getUint32(at + 28),
    size,
    flags,
    into,
  }).then(
    (reply) => answer(session, request, reply, into),
    (error) => session.fail(request, wire, error),
  ).catch((error) => session.answerFailed("readv", request, error));
}

function answer(session: Session, request: Request, reply: ReadvReply, into: Uint8Array): void {
  const { data } = reply;
  const inPlace = data.buffer === into.buffer && data.byteOffset === into.byteOffset;
  const seen = session.seen(reply);
  if (reply.xdata || (!inPlace && data.length > COALESCED_MAX) || data.length > into.length) {
    const to = request.begin();
    wire.answer(to, seen, undefined as never, session);
    // The reserved place is given up with this answer, so data in it must not be sent from there.
    return request.end(inPlace ? data.slice() : data);
  }
  if (!inPlace) into.set(data);
  const to = request.head();
  const start = to.reserve(8), { view } = to;
  view.setUint32(start, data.length);
  view.setUint32(start + 4, reply.eof ? ENOENT_NUMBER : 0);
  writeIatt(to, seen.stat);
  const rest = to.reserve(16);
  view.setUint32(rest, data.length);
  view.setUint32(rest + 4, 0);
  view.setInt32(rest + 8, -1);
  view.setUint32(rest + 12, 0);
  request.endReserved(data.length);
}
