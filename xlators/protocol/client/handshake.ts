/**
 * From a socket to a brick that takes fops: which programs are served, the portmapper if there is no
 * port yet, then joining (SETVOLUME).
 */

import { CARRIES_LOCKS } from "core/carried_locks.ts";
import type { Env } from "core/env.ts";
import { intKey, str, textKey, Xdata } from "core/xdata.ts";
import { AUTH_GLUSTERFS_V3 } from "rpc/auth.ts";
import type { Connection } from "rpc/connection.ts";
import type { ProgramId } from "rpc/program.ts";
import { listPrograms } from "rpc/programs/dump.ts";
import { setvolume } from "rpc/programs/handshake.ts";
import { findPort, PORTMAP_PROGRAM } from "rpc/programs/portmap.ts";
import { FOP_PROGRAM } from "xlators/protocol/client/exchange.ts";
import type { ClientValues } from "xlators/protocol/client/options.ts";

/** Where GlusterFS's management daemon listens. */
export const MANAGEMENT_PORT = 24007;
/** The version of GlusterFS whose protocol this is; bricks show it. */
const CLIENT_VERSION = "10.3";
const OP_VERSION = "100000";

const ERROR = textKey("ERROR");
const VOLUME_ID = textKey("volume-id");
const CHILD_UP = intKey("child_up");

/** What a brick said of itself. */
export interface Welcome {
  /** What is behind it can serve. */
  readonly up: boolean;
  /** It serves requests that carry locks: see `core/carried_locks.ts`. */
  readonly carriesLocks: boolean;
}

/** Why a brick cannot be joined. `final` if trying again will not help until somebody acts. */
export class JoinError extends Error {
  override readonly name = "JoinError";
  constructor(message: string, readonly final = false) {
    super(message);
  }
}

/** Who joins; the same for all connections of a layer. */
export interface Joiner {
  readonly values: ClientValues;
  /** Name of the layer. */
  readonly name: string;
  /** Names this process to bricks. */
  readonly processId: string;
  /** The volume's id, once a brick told it. */
  volumeId: string | undefined;
}

/** What the other end turned out to be. */
export type Found =
  | { readonly kind: "brick" }
  | { readonly kind: "portmapper"; readonly port: number };

/** Asks what is served on `connection`, and the brick's port if that is a portmapper. */
export async function look(
  connection: Connection,
  brick: string,
  deadline: number,
): Promise<Found> {
  const programs = await listPrograms(connection, deadline);
  const serves = (id: ProgramId) =>
    programs.some(({ number, version }) => number === id.number && version === id.version);
  if (serves(FOP_PROGRAM)) return { kind: "brick" };
  if (!serves(PORTMAP_PROGRAM)) {
    throw new JoinError("neither a brick nor a portmapper answers there");
  }
  const port = await findPort(connection, brick, deadline);
  if (port === undefined) throw new JoinError(`the portmapper knows no brick "${brick}"`);
  return { kind: "portmapper", port };
}

/**
 * Joins the brick; `attempt` counts connections. Throws JoinError.
 */
export async function join(
  connection: Connection,
  joiner: Joiner,
  attempt: number,
  env: Env,
  deadline: number,
): Promise<Welcome> {
  // From here on calls carry the client's time: the credential of the 4.x program.
  connection.flavor = AUTH_GLUSTERFS_V3;
  const dict = request(joiner, attempt);
  const { ret, errno, dict: answer } = await connection.ask(setvolume, { dict }, { deadline });
  if (ret < 0) {
    const EACCES = 13;
    const why = answer?.get(ERROR) ?? "no reason given";
    throw new JoinError(`the brick refused: ${why} (error number ${errno})`, errno === EACCES);
  }
  const volumeId = answer?.get(VOLUME_ID);
  if (joiner.volumeId !== undefined && volumeId !== undefined && volumeId !== joiner.volumeId) {
    throw new JoinError(`the brick belongs to another volume, ${volumeId}`, true);
  }
  joiner.volumeId ??= volumeId;
  env.log.info("connected to brick", {
    brick: joiner.values["remote-subvolume"],
    at: connection.peer.text,
  });
  return {
    up: answer?.get(CHILD_UP) !== 0,
    carriesLocks: answer?.get(CARRIES_LOCKS) === 1,
  };
}

function request({ values, name, processId, volumeId }: Joiner, attempt: number): Xdata {
  const entries: [string, string | undefined][] = [
    ["remote-subvolume", values["remote-subvolume"]],
    ["process-uuid", `${processId}-PC_NAME:${name}-RECON_NO:-${attempt}`],
    ["process-name", values["process-name"]],
    ["client-version", CLIENT_VERSION],
    ["opversion", OP_VERSION],
    ["fops-version", String(FOP_PROGRAM.number)],
    ["clnt-lk-version", "1"],
    ["volfile-key", values["volfile-key"]],
    ["volume-id", volumeId],
    ["username", values.username],
    ["password", values.password],
    ["subdir-mount", values["subdir-mount"]],
  ];
  return Xdata.of(
    entries.flatMap(([key, value]) => value === undefined ? [] : [[key, str(value)] as const]),
  );
}
