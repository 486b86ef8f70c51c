/** A mount that leaves who asked for it: this program again, in a session of its own. */

import { CommandError } from "mgmt/cli/command.ts";
import { called, type Name } from "mgmt/self.ts";

/** How long it may take to mount, in milliseconds. */
const READY_MS = 120_000;

/** Begins lines that are for who asked for the mount, before the one that it is there. */
export const NOTE = "Note: ";

/**
 * Starts this program by the name `name` with `argv`, which must make it stay in front and print a line when the volume is
 * mounted. Answers 0 then. Throws CommandError with the last thing that it said if it ends before.
 */
export async function detachedMount(
  name: Name,
  argv: readonly string[],
  logFile: string,
): Promise<number> {
  const { command, args, env } = called(name, argv);
  const child = new Deno.Command(command, {
    args: [...args],
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached: true,
  }).spawn();
  const said = new Response(child.stderr).text();
  const reader = child.stdout.getReader();
  const late = AbortSignal.timeout(READY_MS);
  const tooLate = new Promise<undefined>((resolve) => {
    late.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  const first = await Promise.race([reader.read(), tooLate]);
  if (!first) {
    throw new CommandError(
      `Cannot mount: process ${child.pid} is not ready yet; ${logFile} says why`,
    );
  }
  if (!first.done) {
    const lines = new TextDecoder().decode(first.value).split("\n");
    tell(lines.filter((line) => line.startsWith(NOTE)));
    // Its own from now on.
    child.unref();
    return 0;
  }
  const { code } = await child.status;
  const last = (await said).trim().split("\n").at(-1);
  throw new CommandError(last || `Cannot mount: exit code ${code}; ${logFile} says why`);
}

function tell(lines: readonly string[]): void {
  if (!lines.length) return;
  try {
    Deno.stderr.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
  } catch {
    // Nobody is there to read it.
  }
}
