/**
 * Gluster Portmap: which brick listens where. Program 34123456, version 1, served by the management
 * daemon only: a client that finds it in a DUMP asks it instead of joining a brick there.
 * Structs: rpc/xdr/src/portmap-xdr.x. A brick's name is its path, exactly as volfiles spell it.
 */

import type { Connection } from "rpc/connection.ts";
import type { ProgramId, Signature } from "rpc/program.ts";
import { type Codec, i32, string, struct } from "rpc/xdr.ts";

export const PORTMAP_PROGRAM = { number: 34123456, version: 1 } as const satisfies ProgramId;
/** As DUMP lists it. */
export const PORTMAP_NAME = "Gluster Portmap";

const BRICK_MAX = 4096;
const brick = string(BRICK_MAX);
const result = struct({ ret: i32, errno: i32 });

function declare<A, R>(
  procedure: number,
  args: Codec<A>,
  result: Codec<R>,
): Signature<A, R> & typeof PORTMAP_PROGRAM {
  return { ...PORTMAP_PROGRAM, procedure, args, result };
}

/** The port of a brick; `ret` -1 if none is signed in under that name. */
export const portByBrick = declare(
  1,
  struct({ brick }),
  struct({ ret: i32, errno: i32, status: i32, port: i32 }),
);

/** The brick on a port. */
export const brickByPort = declare(
  2,
  struct({ port: i32 }),
  struct({ ret: i32, errno: i32, status: i32, brick }),
);

/** A brick says that it serves now. */
export const signIn = declare(4, struct({ brick, port: i32, pid: i32 }), result);

/** A brick says that it ends. */
export const signOut = declare(5, struct({ brick, port: i32, rdmaPort: i32 }), result);

/** The port of `name`; undefined if nobody serves it now. */
export async function findPort(
  connection: Connection,
  name: string,
  deadline?: number,
): Promise<number | undefined> {
  const { ret, port } = await connection.ask(portByBrick, { brick: name }, { deadline });
  return ret < 0 || port <= 0 ? undefined : port;
}
