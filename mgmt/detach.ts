/** Running the management daemon detached from who started it. */

import { realClock } from "core/env.ts";
import { CommandError } from "mgmt/cli/command.ts";
import type { Places } from "mgmt/home.ts";
import { makeDirectory } from "mgmt/state/replace_file.ts";
import { connectTo } from "rpc/transport.ts";

const PROGRAM = new URL("../scripts/mortar", import.meta.url).pathname;
/** How long it may take until commands are taken. */
const READY_MS = 30_000, LOOK_MS = 50;

/**
 * Starts this program again with the same arguments but `--daemon`, in a session of its own, and
 * waits until it takes commands. Answers 0. Throws CommandError with the last line of its log.
 */
export async function detach(
  places: Places,
  { "log-file": given }: { readonly "log-file"?: string | undefined },
): Promise<number> {
  await makeDirectory(places.logs);
  const log = given ?? `${places.logs}/mgmt.log`;
  const rest = Deno.args.filter((each) => each !== "--daemon");
  const child = new Deno.Command(PROGRAM, {
    args: given === undefined ? [...rest, "--log-file", log] : rest,
    env: { DENO: Deno.execPath() },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    detached: true,
  }).spawn();
  const ended = child.output();
  const late = realClock.monotonic() + READY_MS;
  while (realClock.monotonic() < late) {
    if (await answers(places.socket)) {
      // Its own from now on.
      child.unref();
      return 0;
    }
    const gone = await Promise.race([ended, realClock.delay(LOOK_MS).then(() => undefined)]);
    if (!gone) continue;
    const said = new TextDecoder().decode(gone.stderr).trim().split("\n").at(-1);
    throw new CommandError(said || `Cannot run detached: it ended at once; ${log} says why`);
  }
  throw new CommandError(
    `Cannot run detached: process ${child.pid} takes no commands yet; ${log} says why`,
  );
}

async function answers(socket: string): Promise<boolean> {
  try {
    (await connectTo({ kind: "unix", path: socket })).close();
    return true;
  } catch {
    // Nobody listens there yet.
    return false;
  }
}
