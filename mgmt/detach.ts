/** Running a daemon detached from who started it. */

import { realClock } from "core/env.ts";
import { CommandError } from "mgmt/cli/command_error.ts";
import type { Places } from "mgmt/home.ts";
import { called, type Name } from "mgmt/self.ts";
import { makeDirectory } from "mgmt/state/replace_file.ts";
import { LOCK_FILE } from "mgmt/store/home_lock.ts";
import { connectTo } from "rpc/transport.ts";

const READY_MS = 60_000, LOOK_MS = 50;

/** What is started. */
export interface Detached {
  /** The name by which this program is called. */
  readonly program: Name;
  readonly args: readonly string[];
  /** Whether the process `pid` is ready. */
  readonly ready: (pid: number) => Promise<boolean>;
  /** Where the reason is, if it says none: "its log", or a path. */
  readonly log: string;
}

/**
 * Starts a program in a session of its own, and waits until it is ready. Answers 0. Throws CommandError
 * with the last thing it said if it ends before.
 */
export async function startDetached({ program, args, ready, log }: Detached): Promise<number> {
  const line = called(program, args);
  const child = new Deno.Command(line.command, {
    args: [...line.args],
    env: line.env,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    detached: true,
  }).spawn();
  const ended = child.output();
  const late = realClock.monotonic() + READY_MS;
  while (realClock.monotonic() < late) {
    if (await ready(child.pid)) {
      // Its own from now on.
      child.unref();
      return 0;
    }
    const gone = await Promise.race([ended, realClock.delay(LOOK_MS).then(() => undefined)]);
    if (!gone) continue;
    if (gone.code === 0) return 0;
    const said = new TextDecoder().decode(gone.stderr).trim().split("\n").at(-1);
    throw new CommandError(said || `Cannot run "${program}": it ended at once; ${log} says why`);
  }
  throw new CommandError(
    `Cannot run "${program}": process ${child.pid} is not ready yet; ${log} says why`,
  );
}

/**
 * Whether the process `pid` serves: it is the one that the pid file names, and somebody answers on
 * the socket. Both may be absent. Another one that was there before is not taken for it.
 */
export async function serves(
  pid: number,
  { pidFile, socket }: {
    readonly pidFile?: string | undefined;
    readonly socket?: string | undefined;
  },
): Promise<boolean> {
  try {
    if (pidFile !== undefined && (await Deno.readTextFile(pidFile)).trim() !== String(pid)) {
      return false;
    }
    if (socket !== undefined) (await connectTo({ kind: "unix", path: socket })).close();
    return true;
  } catch {
    // Not there yet.
    return false;
  }
}

/** Starts the management daemon again with the same arguments but `--daemon`, and as `startDetached`. */
export async function detach(
  places: Places,
  { "log-file": given }: { readonly "log-file"?: string | undefined },
): Promise<number> {
  await makeDirectory(places.logs);
  const log = given ?? `${places.logs}/mgmt.log`;
  const args = Deno.args.filter((each) => each !== "--daemon");
  const pidFile = `${places.home}/${LOCK_FILE}`;
  return await startDetached({
    program: "mortar",
    args: given === undefined ? [...args, "--log-file", log] : args,
    ready: (pid) => serves(pid, { pidFile, socket: places.socket }),
    log,
  });
}
