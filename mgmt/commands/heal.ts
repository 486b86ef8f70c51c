/** `mortar heal`: makes copies of replicated volumes equal again. */

import { type Command, command, type OptionValues, UsageError } from "mgmt/cli/command.ts";
import { Daemon, DAEMON_OPTIONS, type DaemonLook } from "mgmt/daemon.ts";
import { parseEndpoint } from "mgmt/endpoints.ts";
import { HealProcess } from "mgmt/heal/heal_process.ts";
import { ManagementLink } from "mgmt/management_link.ts";

const options = {
  volfile: {
    short: "f",
    value: "VOLFILE",
    many: true,
    help: "Volfile of a volume to heal: its clients of bricks and sets of copies count.",
  },
  "volfile-server": {
    short: "s",
    value: "HOST[:PORT]",
    help: "Management daemon that has volumes' volfiles, and tells when they change.",
  },
  "volfile-id": {
    value: "ID",
    many: true,
    help: 'Which volfiles to fetch there: "shd/VOLUME" of each volume to heal.',
  },
  "xlator-option": {
    value: "VOLUME.OPTION=VALUE",
    many: true,
    help: "Option of the graph; only node-uuid is known, and of use to people.",
  },
  "client-pid": { value: "PID", help: "As GlusterFS's healers are started; always -6." },
  "socket-file": {
    short: "S",
    value: "PATH",
    help: "Unix socket to take a management daemon's orders on.",
  },
  "process-name": {
    value: "NAME",
    help: "What the process is, for those who look at process lists.",
  },
  ...DAEMON_OPTIONS,
} as const;

/** The command. */
export const heal: Command = command({
  name: "heal",
  summary: "Heal replicated volumes",
  description: [
    "Finds what copies of a volume missed while they were away and brings it to them: at the start, " +
    "when a brick comes back, and every cluster.heal-timeout. Of files only what changed is copied. " +
    "The management daemon runs it; it works beside GlusterFS's healers and clients. Runs until " +
    "SIGTERM; whatever it was at is done again by the next one.",
  ],
  options,
  examples: [
    { what: "Heal what a hand-written volfile describes", line: "mortar heal -f shd.vol" },
    {
      what: "Heal a volume of a management daemon",
      line: "mortar heal -s localhost --volfile-id shd/v1",
    },
  ],
  async run(values) {
    const { volfile: files, "volfile-id": ids, "volfile-server": server } = values;
    const volumes = ids.map(volumeOf);
    if ((server === undefined && !files.length) || (volumes.length && server === undefined)) {
      throw new UsageError(
        `Cannot run "mortar heal": give -f VOLFILE, or --volfile-server with --volfile-id; ` +
          `see "mortar heal --help"`,
      );
    }
    const endpoint = server === undefined ? undefined : parseEndpoint(server, "--volfile-server");
    const daemon = new Daemon(lookOf(values), values);
    try {
      return await new HealProcess(daemon, {
        files,
        volumes,
        link: endpoint && new ManagementLink(daemon.env, endpoint),
        socket: values["socket-file"],
        statedumps: values["statedump-dir"],
      }).run();
    } finally {
      daemon.close();
    }
  },
});

function volumeOf(id: string): string {
  const name = /^\/?shd\/([^/]+)$/.exec(id)?.[1];
  if (name !== undefined) return name;
  throw new UsageError(`Cannot heal volfile "${id}": expected shd/VOLUME`);
}

// Of a management daemon's it looks like GlusterFS's: that is how scripts find it.
function lookOf({ "process-name": name }: OptionValues<typeof options>): DaemonLook {
  if (name === undefined) return { comm: "mortar-heal" };
  const given = Deno.args.slice(Deno.args.indexOf("heal") + 1);
  return { comm: "glusterfs", commandLine: ["/usr/sbin/glusterfs", ...given] };
}
