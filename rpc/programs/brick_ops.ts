/**
 * Gluster Brick operations: what a management daemon asks of its bricks, over the unix socket that
 * they are started with (-S). Program 4867634, version 2.
 * Structs: rpc/xdr/src/glusterd1-xdr.x. Keys of the dictionaries: the answers in `mgmt/brick/`.
 */

import type { Xdata } from "core/xdata.ts";
import { legacyDict } from "rpc/legacy_dict.ts";
import type { ProgramId, Signature } from "rpc/program.ts";
import { type Codec, i32, string, struct } from "rpc/xdr.ts";

export const BRICK_OPS_PROGRAM = { number: 4867634, version: 2 } as const satisfies ProgramId;
/** As DUMP lists it. */
export const BRICK_OPS_NAME = "Gluster Brick operations";

const NAME_MAX = 4096;
/** Metrics come as one text. */
const TEXT_MAX = 16 << 20;
/** Statistics of a brick name every open file of every client, so they may be long. */
const DICT_MAX = 16 << 20;

const dict = legacyDict(DICT_MAX);

/** What is asked: of which brick or layer, and with which values. */
export interface BrickRequest {
  /** The brick's path; for some operations "". */
  readonly name: string;
  /** The procedure's number, or for XLATOR_OP what to do. */
  readonly op: number;
  readonly input: Xdata | undefined;
  /** Empty between today's versions. */
  readonly dict: Xdata | undefined;
}

/** The answer: `ret` 0, or -1 with `errno` (Linux) and `error` for people. */
export interface BrickAnswer {
  readonly ret: number;
  readonly errno: number;
  readonly output: Xdata | undefined;
  readonly error: string;
}

const request: Codec<BrickRequest> = struct({
  name: string(NAME_MAX),
  op: i32,
  input: dict,
  dict,
});
const answer: Codec<BrickAnswer> = struct({
  ret: i32,
  errno: i32,
  output: dict,
  error: string(TEXT_MAX),
});

/** One operation, as both ends see it. */
export type BrickOp = Signature<BrickRequest, BrickAnswer>;

function declare(procedure: number): BrickOp {
  return { ...BRICK_OPS_PROGRAM, procedure, args: request, result: answer };
}

/** The brick named `name` ends in order. */
export const terminate = declare(1);

/** Statistics of the brick `name`; `volume profile info`, `volume top`. */
export const xlatorInfo = declare(2);

/** An order to layers of the self-heal daemon: `volume heal`. */
export const xlatorOp = declare(3);

/** What a brick holds and who uses it; `cmd` in the input has bits of STATUS_OF. */
export const brickStatus = declare(4);

/**
 * An extended attribute of a file: "path" from the brick's root and "name" in the input, its text
 * under that name in the output. Only our bricks know it; GlusterFS mounts the volume to ask.
 */
export const getAttribute = declare(5);

/** An order to a rebalance process. */
export const defrag = declare(6);

/** Statistics of a daemon that is no brick. */
export const nodeProfile = declare(7);

/** Status of a daemon that is no brick. */
export const nodeStatus = declare(8);

/** `volume barrier`: "barrier" in the input is "enable" or "disable". */
export const volumeBarrier = declare(9);

/** Barrier of one brick while a snapshot is taken. */
export const brickBarrier = declare(10);

/** Serve one more brick in the same process; ours refuse. */
export const attach = declare(12);

/** Metrics as text, in `error`: as GlusterFS sends them. */
export const dumpMetrics = declare(13);

/** A request for `op` with the operation's own number, as glusterd makes them. */
export function brickRequest(op: BrickOp, name: string, input?: Xdata): BrickRequest {
  return { name, op: op.procedure, input, dict: undefined };
}
