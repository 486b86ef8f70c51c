/** Called as `glusterfsd`: a brick, with the command line that GlusterFS's management daemon gives it. */

import { readCommandLine } from "mgmt/cli/command.ts";
import { CommandError, UsageError } from "mgmt/cli/command_error.ts";
import { brick } from "mgmt/commands/brick.ts";
import { GLUSTERD_PLACES } from "mgmt/home.ts";
import { OldArguments } from "mgmt/old_names/arguments.ts";
import { serves } from "mgmt/detach.ts";
import { detached, shownArguments } from "mgmt/old_names/detached.ts";
import { TYPES } from "xlators/mod.ts";
import type { Name } from "mgmt/self.ts";

/** The words of `mortar brick` for a command line of `glusterfsd`. Throws UsageError. */
export function brickWords(given: OldArguments): string[] {
  const volfile = given.last("volfile") ?? given.last("spec-file");
  const server = given.last("volfile-server");
  const words = ["brick"];
  const pass = (name: string) => {
    for (const value of given.all(name)) words.push(`--${name}=${value}`);
  };
  if (server !== undefined) {
    words.push(`--volfile-server=${serverAddress(server, given.last("volfile-server-port"))}`);
    // glusterd's brick asks for its volume by name; nothing else says which.
    words.push(`--volfile-id=${given.last("volfile-id") ?? given.last("volume-name") ?? ""}`);
  } else if (volfile !== undefined) words.push(`--volfile=${volfile}`);
  else {
    throw new UsageError(
      `Cannot run "${given.program}": give -f VOLFILE, or -s SERVER with --volfile-id`,
    );
  }
  for (const name of ["brick-name", "pid-file", "socket-file", "xlator-option"]) pass(name);
  // Only the last counts, as there.
  const port = given.last("brick-port");
  if (port !== undefined) words.push(`--brick-port=${port}`);
  words.push(...given.log(`${GLUSTERD_PLACES.logs}/glusterfs.log`));
  return words;
}

function serverAddress(server: string, port: string | undefined): string {
  if (port === undefined || server.startsWith("/")) return server;
  return server.includes(":") ? `[${server}]:${port}` : `${server}:${port}`;
}

/** Runs it; answers the exit code. Throws CommandError. */
export function glusterfsd(argv: readonly string[]): Promise<number> {
  return brickAs("glusterfsd", argv);
}

/** The same by another name. */
export async function brickAs(name: Name, argv: readonly string[]): Promise<number> {
  const given = new OldArguments(name, argv);
  const { printed } = given;
  if (printed !== undefined) {
    Deno.stdout.writeSync(new TextEncoder().encode(printed));
    return 0;
  }
  const words = brickWords(given);
  if (!given.staysInFront) {
    // It takes orders when it serves; without a socket its pid file must do.
    const signs = { pidFile: given.last("pid-file"), socket: given.last("socket-file") };
    return await detached(name, argv, (pid) => serves(pid, signs));
  }
  const look = { comm: name, commandLine: [`/usr/sbin/${name}`, ...shownArguments(argv)] };
  const request = readCommandLine([brick(TYPES, look)], words);
  if (request.ask !== "run") throw new CommandError(`Cannot run "${name}": no brick is asked for`);
  return await request.command.run(request.values, request.operands);
}
