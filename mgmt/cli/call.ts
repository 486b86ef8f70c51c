/**
 * One call to the management daemon, from a process that lives for that call only: no connection
 * object, no timers to keep, so that little is loaded and a command line starts fast.
 */

import { CommandError } from "mgmt/cli/command_error.ts";
import { readReplyHead, REPLY, writeCallHead, writeNoAuth } from "rpc/message.ts";
import {
  type Answer,
  type Asked,
  ASKED_MAX,
  COMMANDS_PROGRAM,
  runCommand,
} from "rpc/programs/commands.ts";
import { XdrReader, XdrWriter } from "rpc/xdr.ts";

/** Where the daemon is. */
export type Daemon =
  | { readonly transport: "unix"; readonly path: string }
  | { readonly transport: "tcp"; readonly hostname: string; readonly port: number };

/** Nobody answers there, or not in our program: nothing was done. */
export class NotReached extends Error {
  override readonly name = "NotReached";
}

/** The call was sent, and no answer came: it may have been carried out. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

const LAST_FRAGMENT = 0x80000000, XID = 1;

/**
 * Has the daemon carry out `asked`. Throws CommandError if it is too long, NotReached, NoAnswer,
 * `signal`'s reason, and RpcError if what listens there does not know the program.
 */
export async function call(daemon: Daemon, asked: Asked, signal: AbortSignal): Promise<Answer> {
  const request = written(asked);
  const conn = await connect(daemon, signal);
  const end = () => conn.close();
  signal.addEventListener("abort", end);
  try {
    for (let sent = 0; sent < request.length;) sent += await conn.write(request.subarray(sent));
    const reply = new XdrReader(await record(conn));
    if (reply.u32() !== XID || reply.u32() !== REPLY) throw new NoAnswer("it is no reply");
    readReplyHead(reply);
    return runCommand.result.read(reply);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", end);
    if (!signal.aborted) conn.close();
  }
}

function written(asked: Asked): Uint8Array<ArrayBuffer> {
  const to = new XdrWriter();
  to.reserve(4);
  const { number, version } = COMMANDS_PROGRAM;
  writeCallHead(to, XID, number, version, runCommand.procedure);
  writeNoAuth(to);
  writeNoAuth(to);
  runCommand.args.write(to, asked);
  const size = to.at - 4;
  if (size > ASKED_MAX) {
    throw new CommandError(
      `Cannot send the command: it is too long: ${size} bytes, ${ASKED_MAX} are taken; ` +
        "give fewer or shorter words at once",
    );
  }
  to.view.setUint32(0, LAST_FRAGMENT + size);
  return to.written;
}

async function connect(daemon: Daemon, signal: AbortSignal): Promise<Deno.Conn> {
  try {
    return daemon.transport === "unix"
      ? await Deno.connect(daemon)
      : await Deno.connect({ ...daemon, signal });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw new NotReached(why(error));
  }
}

function why(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such socket";
  if (error instanceof Deno.errors.ConnectionRefused) return "nobody listens there";
  if (error instanceof Deno.errors.PermissionDenied) return "only its owner may use it";
  return error instanceof Error ? error.message : String(error);
}

// Fragments of one record, together.
async function record(conn: Deno.Conn): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const marker = new DataView((await exactly(conn, 4)).buffer).getUint32(0);
    parts.push(await exactly(conn, marker % LAST_FRAGMENT));
    if (marker >= LAST_FRAGMENT) break;
  }
  return parts.length === 1
    ? parts[0]!
    : new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

async function exactly(conn: Deno.Conn, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const count = await conn.read(bytes.subarray(at)).catch(() => null);
    if (count === null) throw new NoAnswer("the management daemon went away");
    at += count;
  }
  return bytes;
}
