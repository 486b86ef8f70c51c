/** Daemons that leave who started them in front, as GlusterFS's do. */

import { realClock } from "core/env.ts";
import { CommandError } from "mgmt/cli/command_error.ts";

const LOOK_MS = 50, READY_MS = 60_000;

/**
 * Starts this program by the name `name` with `argv` and `-N`, in a session of its own, and waits
 * until `ready` says yes. Answers 0. Throws CommandError with the last thing it said if it ends before.
 */
export async function detached(
  name: string,
  argv: readonly string[],
  ready: (pid: number) => Promise<boolean>,
): Promise<number> {
  const child = new Deno.Command(new URL(`../../scripts/${name}`, import.meta.url).pathname, {
    args: ["-N", ...argv],
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
