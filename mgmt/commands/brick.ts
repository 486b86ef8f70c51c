/** `mortar brick`: serves one directory to clients, as its volfile says. */

import type { XlatorTypes } from "core/registry.ts";
import { BrickProcess, type VolfileSource } from "mgmt/brick/process.ts";
import { served } from "mgmt/brick/served_volfile.ts";
import { restoreBrick } from "mgmt/brick/restore.ts";
import { parseOverride } from "mgmt/brick/volfile.ts";
import {
  type Command,
  command,
  CommandError,
  type OptionValues,
  UsageError,
} from "mgmt/cli/command.ts";
import { Daemon, DAEMON_OPTIONS, type DaemonLook } from "mgmt/daemon.ts";
import { plain } from "mgmt/plain.ts";
import { parseEndpoint, parsePort } from "mgmt/endpoints.ts";
import { ManagementLink } from "mgmt/management_link.ts";

const options = {
  volfile: { short: "f", value: "VOLFILE", help: "Volfile to serve." },
  "volfile-server": {
    short: "s",
    value: "HOST[:PORT]",
    help: "Fetch the volfile from that server instead, follow its changes, and sign in there.",
  },
  "volfile-id": { value: "ID", help: "Which volfile to fetch." },
  "brick-name": {
    value: "NAME",
    help:
      "Name that clients ask the portmapper for; if not given, the volume below protocol/server.",
  },
  "brick-port": {
    value: "PORT",
    help: "Port to listen on, instead of the volfile's; 0: any that is free.",
  },
  "xlator-option": {
    value: "VOLUME.OPTION=VALUE",
    many: true,
    help: "Set an option of a volume; * and ? in VOLUME stand for any characters and any one.",
  },
  "socket-file": {
    short: "S",
    value: "PATH",
    help:
      "Unix socket to take a management daemon's orders on (status, profile, end); statedumps " +
      "are written beside it if nothing else is said.",
  },
  signin: { value: "HOST[:PORT]", help: "Portmapper to sign in at." },
  restore: {
    value: "SNAPSHOT",
    help: "Serve nobody: make the directory what its snapshot with that id has, and end.",
  },
  "restore-missed-by": {
    value: "NAMES",
    help:
      "With --restore: copies that miss what is restored, by their clients' names with commas " +
      "between; they are healed from this one.",
  },
  "process-name": {
    value: "NAME",
    help: "What the process is, for those who look at process lists.",
  },
  "no-portmap": { help: "Sign in nowhere." },
  ...DAEMON_OPTIONS,
} as const;

/** Values of the command's options. */
export type BrickValues = OptionValues<typeof options>;

/** The command, for volfiles that name `types`. `look`: of one that is GlusterFS's by name. */
export function brick(types: XlatorTypes, look?: DaemonLook): Command {
  return command({
    name: "brick",
    summary: "Serve a directory to GlusterFS clients",
    description: [
      "Builds the translators that a volfile describes and serves them until SIGTERM. SIGHUP reads " +
      "the volfile again and takes over changed options, and opens the log file anew; SIGUSR2 or " +
      "SIGUSR1 writes a statedump. The exit code is 0 after SIGTERM, 1 if the brick cannot serve.",
    ],
    options,
    examples: [
      { what: "Serve what a hand-written volfile says", line: "mortar brick -f brick.vol" },
      {
        what: "The same on any free port, known to the portmapper of this machine",
        line: "mortar brick -f brick.vol --brick-port 0 --signin localhost",
      },
      {
        what: "As glusterd starts bricks",
        line: "mortar brick -s localhost --volfile-id v1.host.bricks-b1 -p /run/b1.pid " +
          "--brick-name /bricks/b1 --brick-port 49152",
      },
    ],
    async run(values) {
      const overrides = values["xlator-option"].map(parseOverride);
      const port = values["brick-port"] === undefined
        ? undefined
        : parsePort(values["brick-port"], "--brick-port", 0);
      const server = endpoint(values["volfile-server"], "--volfile-server");
      const portmapper = endpoint(values.signin, "--signin");
      const { volfile, "volfile-id": id } = values;
      if ((volfile === undefined) === (server === undefined) || (server && id === undefined)) {
        throw new UsageError(
          `Cannot run "mortar brick": give either -f VOLFILE, or --volfile-server with --volfile-id; ` +
            `see "mortar brick --help"`,
        );
      }
      if (server && portmapper) {
        throw new UsageError(
          'Cannot run "mortar brick": with --volfile-server the brick signs in there; leave --signin out',
        );
      }
      const daemon = new Daemon(look ?? lookOf(values), values);
      try {
        const where = server ?? portmapper;
        const link = where && new ManagementLink(daemon.env, where);
        const source = volfile === undefined
          ? served(link!, id!, daemon, "check --volfile-id")
          : file(volfile);
        if (values.restore !== undefined) {
          try {
            const missedBy = values["restore-missed-by"]?.split(",") ?? [];
            const wanted = { snapshot: values.restore, missedBy };
            return await restoreBrick(daemon, types, source, overrides, wanted);
          } finally {
            await link?.stop();
          }
        }
        const process = new BrickProcess(daemon, types, {
          source,
          name: values["brick-name"],
          port,
          overrides,
          statedumps: values["statedump-dir"] ?? directoryOf(values["socket-file"]),
          socket: values["socket-file"],
          // A management daemon names the address unless it means all.
          everywhere: (look?.comm ?? values["process-name"]) !== undefined,
          link,
          signsIn: !values["no-portmap"],
        });
        return await process.run();
      } finally {
        daemon.close();
      }
    },
  });
}

// Bricks of a management daemon look like GlusterFS's: that is how scripts find them.
function lookOf({ "process-name": name }: BrickValues): DaemonLook {
  if (name === undefined) return { comm: "mortar-brick" };
  return { comm: "glusterfsd", commandLine: ["/usr/sbin/glusterfsd", ...argumentsAfter("brick")] };
}

function directoryOf(path: string | undefined): string | undefined {
  return path?.includes("/") ? path.slice(0, path.lastIndexOf("/")) || "/" : undefined;
}

function argumentsAfter(command: string): string[] {
  return Deno.args.slice(Deno.args.indexOf(command) + 1);
}

function endpoint(text: string | undefined, option: string) {
  return text === undefined ? undefined : parseEndpoint(text, option);
}

function file(path: string): VolfileSource {
  const where = `volfile "${path}"`;
  return {
    where,
    served: false,
    async read() {
      try {
        return await Deno.readTextFile(path);
      } catch (error) {
        throw new CommandError(`Cannot read ${where}: ${plain(error)}`);
      }
    },
  };
}
