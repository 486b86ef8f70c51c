/** Daemons that leave who started them in front, as GlusterFS's do. */

import { realClock } from "core/env.ts";
import { CommandError } from "mgmt/cli/command_error.ts";
import { connectTo } from "rpc/transport.ts";

const LOOK_MS = 50, READY_MS = 60_000;

/** What a detached process is given before its arguments; `shownArguments` takes it away. */
const MARK = "--no-daemon";

/** Arguments as process lists shall show them: those that were given to who started us. */
export function shownArguments(argv: readonly string[]): readonly string[] {
  return argv[0] === MARK ? argv.slice(1) : argv;
}

/**
 * Starts this program by the name `name` with `argv` and `MARK`, in a session of its own, and waits
 * until `ready` says yes. Answers 0. Throws CommandError with the last thing it said if it ends before.
 */
export async function detached(
  name: string,
  argv: readonly string[],
  ready: (pid: number) => Promise<boolean>,
): Promise<number> {
  const child = new Deno.Command(new URL(`../../scripts/${name}`, import.meta.url).pathname, {
    args: [MARK, ...argv],
    env: { DENO: Deno.execPath() },
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
    throw new CommandError(said || `Cannot run "${name}": it ended at once; its log says why`);
  }
  throw new CommandError(`Cannot run "${name}": process ${child.pid} is not ready yet`);
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
