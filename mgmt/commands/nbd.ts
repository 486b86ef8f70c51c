/** `mortar nbd`: files of volumes as network block devices. */

import type { XlatorTypes } from "core/registry.ts";
import { type NbdAddress, NbdServer } from "gateways/nbd/server.ts";
import { type Command, command, UsageError } from "mgmt/cli/command.ts";
import { Daemon, DAEMON_OPTIONS } from "mgmt/daemon.ts";
import { cannotListen, parseEndpoint } from "mgmt/endpoints.ts";
import { parseExport, VolumeExports } from "mgmt/nbd/exports.ts";
import { plain } from "mgmt/plain.ts";
import { removeStaleSocket } from "rpc/transport.ts";

/** NBD's own port (IANA). */
const NBD_PORT = 10809;
const LOOPBACK = "127.0.0.1";

const options = {
  export: {
    value: "NAME=HOST:VOLUME/PATH[@SNAPSHOT]",
    many: true,
    help:
      "Serve that file by that name, or as it was in a snapshot. A file whose name has an @ in " +
      "it is given with an @ at the end.",
  },
  listen: {
    value: "ADDRESS[:PORT]",
    help: `Where to listen, ${LOOPBACK}:${NBD_PORT} if nothing is said; [IPv6]:PORT.`,
  },
  socket: { value: "PATH", help: "Listen on a unix socket there instead." },
  "read-only": { short: "r", help: "Refuse all changes." },
  ...DAEMON_OPTIONS,
} as const;

/** The command, for volumes made of `types`. */
export function nbd(types: XlatorTypes): Command {
  return command({
    name: "nbd",
    summary: "Serve files of volumes as network block devices",
    description: [
      "Disk images of a volume for QEMU, libvirt, nbdcopy and whatever else speaks NBD, without a " +
      "mount. Snapshots are served read-only. What a client was answered is in the volume; what it " +
      "flushed is on stable storage. Runs until SIGTERM. Anybody who reaches the address may read " +
      "and write: there is no encryption and no password, so listen on loopback or a unix socket.",
    ],
    options,
    examples: [
      {
        what: "A disk on this machine",
        line: "mortar nbd --export vm1=server:v1/vm1.img --socket /run/vm1.sock",
      },
      {
        what: "Look at it",
        line: "nbdinfo 'nbd+unix:///vm1?socket=/run/vm1.sock'",
      },
      {
        what: "A disk as it was in a snapshot, for a backup",
        line: "mortar nbd --export old=server:v1/vm1.img@before-upgrade",
      },
    ],
    async run(values) {
      const specs = values.export.map(parseExport);
      if (!specs.length) {
        throw new UsageError(
          'Cannot run "mortar nbd": give --export NAME=HOST:VOLUME/PATH; see "mortar nbd --help"',
        );
      }
      const address = addressOf(values.listen, values.socket);
      const daemon = new Daemon({ comm: "mortar-nbd" }, values);
      const { env } = daemon;
      try {
        const readOnly = values["read-only"];
        await using exports = await VolumeExports.open(specs, { types, env, readOnly });
        if ("path" in address) await removeStaleSocket(address.path);
        const server = listening(address, () => NbdServer.start(address, { exports, env }));
        daemon.handle({
          reload: () => {},
          dump: () => env.log.info("clients", { clients: server.clients }),
        });
        const where = "path" in address ? address.path : `${address.host}:${server.port}`;
        daemon.ready("serving", { address: where, exports: specs.length });
        const code = await daemon.ended;
        await server.stop();
        if ("path" in address) await Deno.remove(address.path).catch(() => {});
        return code;
      } finally {
        daemon.close();
      }
    },
  });
}

function listening(address: NbdAddress, start: () => NbdServer): NbdServer {
  try {
    return start();
  } catch (error) {
    const text = "path" in address ? address.path : `${address.host}:${address.port}`;
    const known = cannotListen(error, text, "give --listen or --socket");
    if (known !== error) throw known;
    throw new UsageError(`Cannot listen on ${text}: ${plain(error)}`);
  }
}

function addressOf(listen: string | undefined, socket: string | undefined): NbdAddress {
  if (socket !== undefined) {
    if (listen === undefined) return { path: socket };
    throw new UsageError("Cannot listen on both --listen and --socket: give one of them");
  }
  const endpoint = parseEndpoint(listen ?? LOOPBACK, "--listen", { port: NBD_PORT, min: 0 });
  if (endpoint.kind === "tcp") return endpoint;
  throw new UsageError(`Cannot listen on "${listen}": a path is given with --socket`);
}
