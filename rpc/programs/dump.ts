/** GF-DUMP: which programs an end serves, and whether it is alive. Program 123451501, version 1. */

import type { Connection } from "rpc/connection.ts";
import {
  nothing,
  procedures,
  type Program,
  type ProgramId,
  serve,
  type Signature,
} from "rpc/program.ts";
import { chain, i32, opaque, string, struct, u53, u64 } from "rpc/xdr.ts";

export const DUMP_PROGRAM = { number: 123451501, version: 1 } as const satisfies ProgramId;

/** What clients send as `gfs_id`; servers answer 0 or the same. */
export const GFS_ID = 0xcaedn;
const PROGRAMS_MAX = 256;

/** `gf_prog_detail`, rpc-common-xdr.x. */
const programDetail = struct({ name: string(255), number: u53, version: u53 });

/** DUMP: the programs of the other end. */
export const dump = {
  ...DUMP_PROGRAM,
  procedure: 1,
  args: struct({ gfsId: u64 }),
  result: struct({
    gfsId: u64,
    ret: i32,
    errno: i32,
    programs: chain(programDetail, PROGRAMS_MAX),
  }),
} satisfies Signature<unknown, unknown>;

/** PING: clients ask it every few seconds and close a connection that does not answer in time. */
export const ping = {
  ...DUMP_PROGRAM,
  procedure: 2,
  args: nothing,
  result: struct({ ret: i32, errno: i32, xdata: opaque(4096) }),
} satisfies Signature<unknown, unknown>;

const EMPTY = new Uint8Array(0);

/** The serving end: lists `programs` and itself. */
export function dumpProgram(programs: readonly Program[]): Program {
  const self: Program = {
    ...DUMP_PROGRAM,
    name: "GF-DUMP",
    procedures: procedures([
      [
        dump.procedure,
        serve(dump, ({ gfsId }) => ({ gfsId, ret: 0, errno: 0, programs: [...programs, self] })),
      ],
      [ping.procedure, serve(ping, () => ({ ret: 0, errno: 0, xdata: EMPTY }))],
    ]),
  };
  return self;
}

/** Programs that the peer serves. */
export async function listPrograms(
  connection: Connection,
  deadline?: number,
): Promise<readonly (ProgramId & { readonly name: string })[]> {
  const { programs } = await connection.ask(dump, { gfsId: GFS_ID }, { deadline });
  return programs;
}
