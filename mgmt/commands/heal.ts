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
  volume: { value: "VOLUME", many: true, help: "Volume to heal, of that daemon's." },
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
      line: "mortar heal -s localhost --volume v1",
    },
  ],
  async run(values) {
    const { volfile: files, volume: volumes, "volfile-server": server } = values;
    if ((server === undefined && !files.length) || (volumes.length && server === undefined)) {
      throw new UsageError(
        `Cannot run "mortar heal": give -f VOLFILE, or --volfile-server with --volume; ` +
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

// Of a management daemon's it looks like GlusterFS's: that is how scripts find it.
function lookOf({ "process-name": name }: OptionValues<typeof options>): DaemonLook {
  if (name === undefined) return { comm: "mortar-heal" };
  const given = Deno.args.slice(Deno.args.indexOf("heal") + 1);
  return { comm: "glusterfs", commandLine: ["/usr/sbin/glusterfs", ...given] };
}
