/** Called as `glusterfs` with a directory: a mount, with the command line of `mount.glusterfs`. */

import { readCommandLine } from "mgmt/cli/command.ts";
import { CommandError, UsageError } from "mgmt/cli/command_error.ts";
import { detachedMount } from "mgmt/client/detached.ts";
import { client, type ClientValues, runClient } from "mgmt/commands/client.ts";
import { dashed, GLUSTERD_PLACES } from "mgmt/home.ts";
import type { OldArguments } from "mgmt/old_names/arguments.ts";
import { shownArguments } from "mgmt/old_names/detached.ts";
import { TYPES } from "xlators/mod.ts";

/** Options that are no mount options, or that are told in another way. All others are, by the same name. */
const OTHERS = new Set([
  ...[
    "volfile-server",
    "volfile",
    "spec-file",
    "volfile-server-port",
    "volfile-id",
    "subdir-mount",
  ],
  ...["log-level", "log-file", "pid-file", "xlator-option", "fuse-mountopts", "no-daemon", "debug"],
]);

/** The words of `mortar client` for a command line of `glusterfs`. Throws UsageError. */
export function mountWords(given: OldArguments): string[] {
  const [directory] = given.operands;
  const [server, ...others] = given.all("volfile-server");
  const volfile = given.last("volfile");
  if (directory === undefined || (server === undefined && volfile === undefined)) {
    throw new UsageError(
      `Cannot run "${given.program}": give a server (-s), --volfile-id and a directory, or -f VOLFILE`,
    );
  }
  const words = ["client", "--foreground"];
  const option = (text: string) => words.push(`-o${text}`);
  // What a server is asked for, if nothing else says that.
  const isSource = volfile === undefined && !given.has("volfile-id");
  for (const name of given.names) {
    if (OTHERS.has(name) || (name === "volume-name" && isSource)) continue;
    const value = given.last(name)!;
    option(value === "" ? name : `${name}=${value}`);
  }
  const ofMount = given.last("fuse-mountopts");
  // In there, colons stand where commas do.
  if (ofMount !== undefined) option(`fuse-mountopts=${ofMount.replaceAll(",", ":")}`);
  if (others.length) option(`backup-volfile-servers=${others.map(bracketed).join(":")}`);
  const subdirectory = given.last("subdir-mount");
  if (subdirectory !== undefined) option(`subdir-mount=${subdirectory}`);
  for (const each of given.all("xlator-option")) words.push(`--xlator-option=${each}`);
  const pidFile = given.last("pid-file");
  if (pidFile !== undefined) words.push(`--pid-file=${pidFile}`);
  words.push(...given.log(logFile(directory)));
  if (server === undefined) return [...words, `--volfile=${volfile}`, directory];
  const port = given.last("volfile-server-port");
  const id = given.last("volfile-id") ?? given.last("volume-name") ?? "";
  const source = `${bracketed(server)}:${port === undefined ? "" : `${port}:`}${id}`;
  return [...words, source, directory];
}

function bracketed(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

function logFile(directory: string): string {
  return `${GLUSTERD_PLACES.logs}/${dashed(directory) || "root"}.log`;
}

/** Mounts; answers the exit code. Throws CommandError. */
export async function mountAs(given: OldArguments, argv: readonly string[]): Promise<number> {
  const words = mountWords(given);
  if (!given.staysInFront) {
    const log = given.last("log-file") ?? logFile(given.operands[0]!);
    return await detachedMount("glusterfs", ["--no-daemon", ...argv], log);
  }
  const request = readCommandLine([client(TYPES)], words);
  if (request.ask !== "run") {
    throw new CommandError('Cannot run "glusterfs": no mount is asked for');
  }
  const look = {
    comm: "glusterfs",
    commandLine: ["/usr/sbin/glusterfs", ...shownArguments(argv)],
  };
  const values = request.values as unknown as ClientValues;
  return await runClient(TYPES, values, request.operands, { look, subtype: "glusterfs" });
}
