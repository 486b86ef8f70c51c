/**
 * Gluster Handshake: how a client gets a volfile and joins a brick. Program 14398633, version 2.
 * Structs: rpc/xdr/src/glusterfs3-xdr.x.
 */

import { str, Xdata } from "core/xdata.ts";
import type { Connection } from "rpc/connection.ts";
import { legacyDict } from "rpc/legacy_dict.ts";
import { nothing, type ProgramId, type Signature } from "rpc/program.ts";
import { type Codec, i32, opaque, string, struct, u32 } from "rpc/xdr.ts";

export const HANDSHAKE_PROGRAM = { number: 14398633, version: 2 } as const satisfies ProgramId;
/** As DUMP lists it. */
export const HANDSHAKE_NAME = "GlusterFS Handshake";

/** Largest volfile that is taken from a server: the same as `core/volfile.ts` reads. */
const VOLFILE_MAX = 16 << 20;
const TEXT_MAX = 4096;

const dict = legacyDict();
const dictReply = struct({ ret: i32, errno: i32, dict });

function declare<A, R>(
  procedure: number,
  args: Codec<A>,
  result: Codec<R>,
): Signature<A, R> & typeof HANDSHAKE_PROGRAM {
  return { ...HANDSHAKE_PROGRAM, procedure, args, result };
}

/** A client joins a brick. Keys of both dictionaries: `xlators/protocol/server/setvolume.ts`. */
export const setvolume = declare(1, struct({ dict }), dictReply);

/** A volfile by key. `ret` is its size in bytes; -1 with ENOENT if there is none. */
export const getspec = declare(
  2,
  struct({ flags: u32, key: string(TEXT_MAX), xdata: dict }),
  struct({ ret: i32, errno: i32, spec: string(VOLFILE_MAX), xdata: dict }),
);

/** Alive? Clients of today ask PING of GF-DUMP instead. */
export const handshakePing = declare(
  3,
  nothing,
  struct({ ret: i32, errno: i32, xdata: opaque(4096) }),
);

/** From clients that could re-acquire locks; answered, nothing more. */
export const setLkVersion = declare(
  4,
  struct({ uid: string(TEXT_MAX), version: i32 }),
  struct({ ret: i32, errno: i32, version: i32 }),
);

/** A daemon tells the management daemon that something ended (rebalance). */
export const eventNotify = declare(5, struct({ op: i32, dict }), dictReply);

const errorReply = struct({ ret: i32, errno: i32, error: string(TEXT_MAX), dict });

/** Details of a volume: `flags` 1 and `volname` in, `volume_id` as text out. */
export const getVolumeInfo = declare(6, struct({ dict }), errorReply);

/** Names and ids of a volume's snapshots, for user-serviceable snapshots. */
export const getSnapshotInfo = declare(7, struct({ dict }), errorReply);

// GlusterFS's management daemon gives no volfile to who does not say which versions of options it
// knows: those of 10.3.
const OP_VERSIONS = Xdata.of([["min-op-version", str("1")], ["max-op-version", str("100000")]]);

/** The volfile under `key`; undefined if the server has none. */
export async function fetchVolfile(
  connection: Connection,
  key: string,
  deadline?: number,
): Promise<string | undefined> {
  const args = { flags: 0, key, xdata: OP_VERSIONS };
  const { ret, spec } = await connection.ask(getspec, args, { deadline });
  return ret < 0 ? undefined : spec;
}
