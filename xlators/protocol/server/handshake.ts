/**
 * How a client joins a brick: SETVOLUME, and the lesser procedures of the handshake program. Texts
 * of refusals and error numbers are GlusterFS's (server-handshake.c): clients act on them.
 */

import { type Call, type Client, NO_OWNER, ROOT } from "core/call.ts";
import { CARRIES_LOCKS } from "core/carried_locks.ts";
import { FopError } from "core/errno.ts";
import type { Inode } from "core/inode.ts";
import { viewRoot } from "core/view_gfid.ts";
import { intKey, str, textKey, Xdata } from "core/xdata.ts";
import { type Procedure, procedures, type Program, serve } from "rpc/program.ts";
import {
  getspec,
  HANDSHAKE_NAME,
  HANDSHAKE_PROGRAM,
  handshakePing,
  setLkVersion,
  setvolume,
} from "rpc/programs/handshake.ts";
import type { PeerAddress } from "rpc/transport.ts";
import {
  type Applicant,
  judgeAddress,
  judged,
  judgeLogin,
  type Resolve,
} from "xlators/protocol/server/auth.ts";
import type { ServerValues } from "xlators/protocol/server/options.ts";
import type { Brick, Server } from "xlators/protocol/server/server.ts";
import type { Session } from "xlators/protocol/server/session.ts";
import { findSubdir } from "xlators/protocol/server/subdir.ts";

// Keys of the request.
const REMOTE_SUBVOLUME = textKey("remote-subvolume");
const PROCESS_UUID = textKey("process-uuid");
const PROCESS_NAME = textKey("process-name");
const VOLUME_ID = textKey("volume-id");
const CLIENT_VERSION = textKey("client-version");
const FOPS_VERSION = intKey("fops-version");
const SUBDIR_MOUNT = textKey("subdir-mount");
const USERNAME = textKey("username");
const PASSWORD = textKey("password");

const ENOENT = 2, EAGAIN = 11, EACCES = 13, EINVAL = 22;
const FOPS_PROGRAM = 1298437;

/** Why a client cannot join. */
class Refusal {
  constructor(readonly errno: number, readonly text: string) {}
}

type Answer = { ret: number; errno: number; dict: Xdata | undefined };

/** The handshake program of one connection. */
export function handshakeProgram(session: Session, resolve: Resolve): Program {
  const list: [number, Procedure][] = [
    [setvolume.procedure, serve(setvolume, ({ dict }) => join(session, dict, resolve))],
    // A brick keeps no volfiles: management daemons do.
    [
      getspec.procedure,
      serve(getspec, () => ({ ret: -1, errno: ENOENT, spec: "", xdata: undefined })),
    ],
    [
      handshakePing.procedure,
      serve(handshakePing, () => ({ ret: 0, errno: 0, xdata: new Uint8Array(0) })),
    ],
    [
      setLkVersion.procedure,
      serve(setLkVersion, ({ version }) => ({ ret: 0, errno: 0, version })),
    ],
  ];
  return { ...HANDSHAKE_PROGRAM, name: HANDSHAKE_NAME, procedures: procedures(list) };
}

async function join(
  session: Session,
  dict: Xdata | undefined,
  resolve: Resolve,
): Promise<Answer> {
  const { server, connection } = session;
  try {
    const given = dict ?? new Xdata(new Map());
    const asked = findBrick(server, given), { brick } = asked;
    const { subdir, client, trusted } = await admit(session, asked, given, resolve);
    await server.retireFormer(client.id, client.address);
    // All this took a while: the client may have gone, or asked twice.
    if (!connection.open) throw new Refusal(EACCES, "Disconnected");
    if (session.member) throw new Refusal(EINVAL, "Already joined");
    const version = given.get(CLIENT_VERSION) ?? "unknown";
    const processName = given.get(PROCESS_NAME) ?? "unknown";
    session.join({
      client,
      child: brick.child,
      brick: given.get(REMOTE_SUBVOLUME)!,
      known: asked.name,
      readOnly: asked.snapshot !== undefined,
      subdir,
      trusted,
      version,
      processName,
      given,
    });
    connection.recordBytesMax = server.values["record-size-limit"] + HEADS_MAX;
    server.log.info("client joined", {
      client: client.id,
      peer: connection.peer.text,
      brick: brick.name,
      version,
    });
    return { ret: 0, errno: 0, dict: welcome(server, brick) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    server.log.warn("client refused", {
      peer: connection.peer.text,
      client: dict?.get(PROCESS_UUID),
      reason: error.text,
      errno: error.errno,
    });
    return { ret: -1, errno: error.errno, dict: Xdata.of([["ERROR", str(error.text)]]) };
  }
}

/** What a request may have beside its bulk data. */
const HEADS_MAX = 64 << 10;

/** What a client asks for. */
interface Asked {
  readonly brick: Brick;
  /** As rules about who may come in name it. */
  readonly name: string;
  /** Id of the snapshot whose view of the brick it asks for. */
  readonly snapshot: string | undefined;
}

function findBrick(server: Server, given: Xdata): Asked {
  const subvolume = given.get(REMOTE_SUBVOLUME);
  if (subvolume === undefined) throw new Refusal(EINVAL, "No remote-subvolume option specified");
  const [, snapshot, inside] = server.brick(subvolume) ? [] : SNAPSHOT.exec(subvolume) ?? [];
  const name = inside ?? subvolume, brick = server.brick(name);
  if (!brick) throw new Refusal(ENOENT, "Brick not found");
  if (!server.running) {
    throw new Refusal(
      EAGAIN,
      "xlator graph in server is not initialised yet. Try again later",
    );
  }
  if (!brick.up) throw new Refusal(EAGAIN, "Not received child_up for this xlator");
  return { brick, name, snapshot };
}

/** A brick as a snapshot sees it: the snapshot's id, and the brick's name, which is a path. */
const SNAPSHOT = /^\/snaps\/([^/]+)(\/.+)$/;

async function admit(
  session: Session,
  { brick, name, snapshot }: Asked,
  given: Xdata,
  resolve: Resolve,
): Promise<{ client: Client; subdir: Inode | undefined; trusted: boolean }> {
  const { server, connection } = session;
  const uuid = given.get(PROCESS_UUID);
  if (uuid === undefined) throw new Refusal(EINVAL, "UUID not specified");
  const volumeId = given.get(VOLUME_ID);
  const isOther = volumeId !== undefined && ![brick.volumeId, snapshot].includes(volumeId);
  if (brick.volumeId !== undefined && isOther) {
    throw new Refusal(
      EINVAL,
      "Volume-ID different, possible case of same brick re-used in another volume",
    );
  }
  const fops = given.get(FOPS_VERSION);
  if (fops !== undefined && fops !== FOPS_PROGRAM) {
    throw new Refusal(EINVAL, `version mismatch: client(${fops}) - client-mgmt(0)`);
  }
  const path = given.get(SUBDIR_MOUNT);
  const { allowed, trusted } = await judge(server.values, connection.peer, name, given, resolve);
  if (!allowed) throw new Refusal(EACCES, "Authentication failed");
  const client: Client = { id: uuid, address: connection.peer.address };
  const root = snapshot === undefined ? undefined : await viewOf(server, brick, client, snapshot);
  return { client, subdir: await rootOf(server, brick, client, path, root), trusted };
}

/** What the rules for the brick `name` say of a client that gave `given`. */
export async function judge(
  values: ServerValues,
  peer: PeerAddress,
  name: string,
  given: Xdata,
  resolve: Resolve,
): Promise<{ allowed: boolean; trusted: boolean }> {
  const who: Applicant = {
    address: peer.address,
    port: peer.port,
    subdir: given.get(SUBDIR_MOUNT) ?? "/",
    username: given.get(USERNAME),
    password: given.get(PASSWORD),
  };
  const byAddress = await judgeAddress(who, {
    allow: values["auth.addr.*.allow"].get(name),
    reject: values["auth.addr.*.reject"].get(name),
    allowInsecure: values["rpc-auth-allow-insecure"],
  }, resolve);
  const byLogin = judgeLogin(who, {
    users: values["auth.login.*.allow"].get(name),
    passwords: values["auth.login.*.password"],
    strict: values["strict-auth-accept"],
  });
  return { allowed: judged([byAddress, byLogin]), trusted: byLogin === "accept" };
}

function callOf(server: Server, client: Client): Call {
  return { ...ROOT, client, lkOwner: NO_OWNER, deadline: server.deadline };
}

/** The root of a snapshot's view. */
async function viewOf(
  server: Server,
  { child }: Brick,
  client: Client,
  snapshot: string,
): Promise<Inode> {
  const inode = server.inodeOf(viewRoot(snapshot));
  try {
    await child.lookup(callOf(server, client), { inode, name: "" });
    return inode;
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    throw new Refusal(ENOENT, `snapshot "${snapshot}" is not active on this brick`);
  }
}

async function rootOf(
  server: Server,
  brick: Brick,
  client: Client,
  path: string | undefined,
  root: Inode | undefined,
): Promise<Inode | undefined> {
  if (path === undefined || /^\/*$/.test(path)) return root;
  try {
    const from = root ?? server.inodeTable.root;
    return await findSubdir(brick.child, server.inodeTable, callOf(server, client), path, from);
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    throw new Refusal(ENOENT, `subdirectory for mount "${path}" is not found`);
  }
}

function welcome(server: Server, brick: Brick): Xdata {
  const answer: [string, string][] = [
    ["child_up", "1"],
    // Really: clients look for this key, and take it as an error only if the result says so.
    ["ERROR", "Success"],
    ["process-uuid", server.processUuid],
    ["clnt-lk-version", "0"],
    ["transport-ptr", "1"],
  ];
  if (brick.volumeId !== undefined) answer.push(["volume-id", brick.volumeId]);
  return Xdata.of(answer.map(([name, value]) => [name, str(value)])).with(CARRIES_LOCKS, 1);
}
