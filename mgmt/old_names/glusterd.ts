/** Called as `glusterd`: the management daemon in GlusterFS's places. */

import { parseVolfile } from "core/volfile.ts";
import { readCommandLine } from "mgmt/cli/command.ts";
import { CommandError } from "mgmt/cli/command_error.ts";
import { mgmt, type MgmtValues, runManagement } from "mgmt/commands/mgmt.ts";
import { GLUSTERD_PLACES, type Places } from "mgmt/home.ts";
import { OldArguments } from "mgmt/old_names/arguments.ts";
import { serves } from "mgmt/detach.ts";
import { detached, shownArguments } from "mgmt/old_names/detached.ts";
import { plain } from "mgmt/plain.ts";

const VOLFILE = "/etc/glusterfs/glusterd.vol";
const PID_FILE = "/var/run/glusterd.pid";

/** What a command line of `glusterd` asks for: where it lives, and words of `mortar mgmt`. */
export interface GlusterdRequest {
  readonly places: Places;
  readonly words: readonly string[];
  /** To end when all volumes' files are made anew, as packages ask for after an upgrade. */
  readonly once: boolean;
}

/**
 * Reads it; `configured`: options of the volume "management" in its volfile, which the command line
 * overrides.
 */
export function glusterdRequest(
  given: OldArguments,
  configured: ReadonlyMap<string, string> = new Map(),
): GlusterdRequest {
  const option = (name: string) => {
    const end = `.${name}=`;
    // "*" stands for all layers, of which there is one.
    const value = given.all("xlator-option").findLast((each) =>
      each.startsWith(`management${end}`) || each.startsWith(`*${end}`)
    );
    return value === undefined ? configured.get(name) : value.slice(value.indexOf("=") + 1);
  };
  const places = {
    home: option("working-directory") ?? GLUSTERD_PLACES.home,
    run: option("run-directory") ?? GLUSTERD_PLACES.run,
    logs: option("logging-directory") ?? GLUSTERD_PLACES.logs,
    socket: given.last("socket-file") ?? option("glusterd-sockfile") ?? GLUSTERD_PLACES.socket,
  };
  const port = option("transport.socket.listen-port");
  return {
    places,
    once: option("upgrade") === "on",
    words: [
      "mgmt",
      `--listen=${option("transport.socket.bind-address") ?? "0.0.0.0"}`,
      ...port === undefined ? [] : [`--port=${port}`],
      // As GlusterFS leaves bricks that end down until somebody starts them.
      "--no-restart",
      `--statedump-dir=${places.run}`,
      `--pid-file=${given.last("pid-file") ?? PID_FILE}`,
      ...given.log(`${places.logs}/glusterd.log`),
    ],
  };
}

/** Runs it; answers the exit code. Throws CommandError. */
export async function glusterd(argv: readonly string[]): Promise<number> {
  const given = new OldArguments("glusterd", argv);
  const { printed } = given;
  if (printed !== undefined) {
    Deno.stdout.writeSync(new TextEncoder().encode(printed));
    return 0;
  }
  const { places, words, once } = glusterdRequest(given, configuredIn(given.last("volfile")));
  if (!given.staysInFront) {
    const signs = { pidFile: given.last("pid-file") ?? PID_FILE, socket: places.socket };
    return await detached("glusterd", argv, (pid) => serves(pid, signs));
  }
  // Its log comes before anything else is made.
  await Deno.mkdir(places.logs, { recursive: true });
  await Deno.mkdir(places.run, { recursive: true });
  const request = readCommandLine([mgmt], words);
  if (request.ask !== "run") throw new CommandError('Cannot run "glusterd"');
  const commandLine = ["glusterd", ...shownArguments(argv)];
  return await runManagement(request.values as unknown as MgmtValues, places, {
    look: { comm: "glusterd", commandLine },
    dumps: "glusterdump",
    once,
  });
}

// The file that comes with GlusterFS; that it is missing is no fault unless it was named.
function configuredIn(named: string | undefined): ReadonlyMap<string, string> {
  const path = named ?? VOLFILE;
  try {
    const blocks = parseVolfile(Deno.readTextFileSync(path));
    return blocks.find(({ type }) => type === "mgmt/glusterd")?.options ?? new Map();
  } catch (error) {
    if (named === undefined && error instanceof Deno.errors.NotFound) return new Map();
    throw new CommandError(`Cannot read "${path}": ${plain(error)}`);
  }
}
