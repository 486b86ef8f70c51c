/**
 * Gluster CLI: what the `gluster` program asks of the management daemon over its unix socket, or,
 * with --remote-host, over TCP. Program 1238463, version 2. Structs: rpc/xdr/src/cli1-xdr.x;
 * numbers: `gluster_cli_procnum` in rpc/rpc-lib/src/protocol-common.h (10.3).
 */

import { legacyDict } from "rpc/legacy_dict.ts";
import type { ProgramId, Signature } from "rpc/program.ts";
import { type Codec, i32, type Infer, string, struct } from "rpc/xdr.ts";

export const GLUSTER_CLI_PROGRAM = { number: 1238463, version: 2 } as const satisfies ProgramId;
/** As DUMP lists it. */
export const GLUSTER_CLI_NAME = "GlusterD svc cli";

/** Procedures by what they do. Numbers that nothing sends any more are left out. */
export const GLUSTER_CLI = {
  probe: 1,
  deprobe: 2,
  listFriends: 3,
  createVolume: 4,
  getVolume: 5,
  deleteVolume: 7,
  startVolume: 8,
  stopVolume: 9,
  defragVolume: 11,
  setVolume: 12,
  addBrick: 13,
  removeBrick: 14,
  replaceBrick: 15,
  logRotate: 16,
  syncVolume: 19,
  resetVolume: 20,
  fsmLog: 21,
  gsyncSet: 22,
  profileVolume: 23,
  quota: 24,
  getwd: 26,
  statusVolume: 27,
  mount: 29,
  umount: 30,
  healVolume: 31,
  statedumpVolume: 32,
  listVolume: 33,
  clearLocks: 34,
  uuidReset: 35,
  uuidGet: 36,
  copyFile: 37,
  sysExec: 38,
  snapshot: 39,
  barrierVolume: 40,
  getVolumeOption: 41,
  ganesha: 42,
  bitrot: 43,
  getState: 46,
  resetBrick: 47,
} as const;

/** Words of people's, and paths. */
const TEXT_MAX = 64 << 10;

const dict = legacyDict();
/** `gf_cli_req`: of all procedures but those that have a signature of their own here. */
export const cliRequest = struct({ dict });
/** `gf_cli_rsp`. `ret` 0 is success; `error` is for people. */
export const cliReply = struct({ ret: i32, errno: i32, error: string(TEXT_MAX), dict });

function declare<A, R>(
  procedure: number,
  args: Codec<A>,
  result: Codec<R>,
): Signature<A, R> & typeof GLUSTER_CLI_PROGRAM {
  return { ...GLUSTER_CLI_PROGRAM, procedure, args, result };
}

/** Any procedure that takes a dictionary and answers one. */
export function cliCall(
  procedure: number,
): Signature<Infer<typeof cliRequest>, Infer<typeof cliReply>> {
  return declare(procedure, cliRequest, cliReply);
}

/** Other nodes (`flags` 1: `peer status`), or all (2: `pool list`). */
export const listFriends = declare(
  GLUSTER_CLI.listFriends,
  struct({ flags: i32, dict }),
  struct({ ret: i32, errno: i32, friends: dict }),
);

/** The daemon's state directory. */
export const getwd = declare(
  GLUSTER_CLI.getwd,
  struct({ unused: i32 }),
  struct({ ret: i32, errno: i32, wd: string(4096) }),
);
