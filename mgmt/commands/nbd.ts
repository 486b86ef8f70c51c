/** `mortar nbd`: files of volumes as network block devices. */

import type { XlatorTypes } from "core/registry.ts";
import { type NbdAddress, NbdServer } from "gateways/nbd/server.ts";
import { type Command, command, UsageError } from "mgmt/cli/command.ts";
import { Daemon, DAEMON_OPTIONS } from "mgmt/daemon.ts";
import { cannotListen, parseEndpoint } from "mgmt/endpoints.ts";
import { TlsCertificates } from "mgmt/nbd/certificates.ts";
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
  "tls-certificates": {
    value: "DIR",
    help:
      "Encrypt: ca-cert.pem, server-cert.pem and server-key.pem are there, as QEMU names them. " +
      "Clients must show a certificate that ca-cert.pem signed. Read again on SIGHUP.",
  },
  "tls-any-client": { help: "Encrypt, and ask clients for no certificate." },
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
      "flushed is on stable storage. Runs until SIGTERM. Without --tls-certificates anybody who " +
      "reaches the address may read and write, in the clear: so listen on loopback or a unix socket.",
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
        what: "To other machines, for clients with a certificate of ours",
        line:
          "mortar nbd --listen 0.0.0.0 --tls-certificates /etc/pki/nbd --export vm1=server:v1/vm1.img",
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
      const certificates = values["tls-certificates"], anyClient = values["tls-any-client"];
      if (anyClient && certificates === undefined) {
        throw new UsageError("Cannot use --tls-any-client: give --tls-certificates with it");
      }
      const daemon = new Daemon({ comm: "mortar-nbd" }, values);
      const { env } = daemon;
      try {
        const readOnly = values["read-only"];
        await using exports = await VolumeExports.open(specs, { types, env, readOnly });
        const tls = certificates === undefined
          ? undefined
          : await TlsCertificates.read(certificates, { anyClient }, env);
        if ("path" in address) await removeStaleSocket(address.path);
        const options = { exports, env, ...(tls ? { tls: () => tls.server } : {}) };
        const server = listening(address, () => NbdServer.start(address, options));
        daemon.handle({
          reload: () => void tls?.reload(),
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
