/**
 * How a fop crosses the wire, both ways in one value. `protocol/client` packs requests and reads
 * results, `protocol/server` unpacks requests and writes answers; both are loops over the table
 * `WIRES` of `rpc/programs/gfx.ts`.
 *
 * On the wire an open file is a number. The server has a table of numbers for each connection, the
 * client one for each brick: both hand the codec a `Peer`, and no other layer sees numbers.
 */

import type { Args, FopName, Reply } from "core/fops.ts";
import type { FopError } from "core/errno.ts";
import type { Fd, Gfid, Inode } from "core/inode.ts";
import type { XdrReader, XdrWriter } from "rpc/xdr.ts";

/** Number of an anonymous fd: open nothing, use the gfid. */
export const ANONYMOUS_FD = -2;

/** What only the end of a connection knows. */
export interface Peer {
  /** The graph's object for a gfid. */
  inode(gfid: Gfid): Inode;
  /** Server: the open file under a number; throws EBADF. `ANONYMOUS_FD` makes one for the gfid. */
  fd(number: number, gfid: Gfid, flags: number): Fd;
  /** Client: the number of an open file at this brick (`ANONYMOUS_FD` if it has none). Server: keeps the fd and gives it a number. */
  numberOf(fd: Fd): number;
  /** Client: the fd that stands for a number the brick just gave out. */
  adopt(number: number, inode: Inode, flags: number): Fd;
}

/** A fop's request and reply as bytes, in both directions. */
export interface Wire<K extends FopName> {
  /** Client: the procedure's arguments, bulk data not included. */
  request(to: XdrWriter, args: Args<K>, peer: Peer): void;
  /** Client: bulk data that follows the request, if the fop has any. */
  payload?(args: Args<K>): Uint8Array;
  /** Server: the args of a request; bulk data is a view into the record (borrowed). Throws XdrError, FopError. */
  args(from: XdrReader, peer: Peer): Args<K>;
  /** Server: a reply, bulk data not included. */
  answer(to: XdrWriter, reply: Reply<K>, args: Args<K>, peer: Peer): void;
  /** Server: bulk data that follows the reply, if the fop has any. */
  bulk?(reply: Reply<K>): Uint8Array;
  /** Server: a failure, with the full fixed tail that a reply has. */
  failure(to: XdrWriter, error: FopError): void;
  /** Client: the reply, or throws the FopError it carries. Bulk data is a view into the record. */
  reply(from: XdrReader, args: Args<K>, peer: Peer): Reply<K>;
}
