/** `mortar nbd`: files of volumes as network block devices. */

import type { Env } from "core/env.ts";
import type { XlatorTypes } from "core/registry.ts";
import { type NbdAddress, NbdServer } from "gateways/nbd/server.ts";
import { type Command, command, CommandError, UsageError } from "mgmt/cli/command.ts";
import { Daemon, DAEMON_OPTIONS } from "mgmt/daemon.ts";
import { cannotListen } from "mgmt/endpoints.ts";
import { removeIfThere } from "mgmt/files.ts";
import { TlsCertificates } from "mgmt/nbd/certificates.ts";
import { NBD_PORT, nbdEndpoint } from "mgmt/nbd/endpoint.ts";
import { type ExportSpec, parseExport, VolumeExports } from "mgmt/nbd/exports.ts";
import { readExports } from "mgmt/nbd/kept_exports.ts";
import { plain } from "mgmt/plain.ts";
import { removeStaleSocket, TakenIn } from "rpc/transport.ts";

const LOOPBACK = "127.0.0.1";

const options = {
  export: {
    value: "NAME=HOST:VOLUME/PATH[@SNAPSHOT]",
    many: true,
    help:
      "Serve that file by that name, or as it was in a snapshot. A file whose name has an @ in " +
      "it is given with an @ at the end.",
  },
  volfile: {
    value: "FILE",
    help:
      "Serve files of the graph in this file, given as NAME=/PATH: bricks of this machine need " +
      "no process of their own then.",
  },
  exports: {
    value: "FILE",
    help: "Serve what the management daemon wrote there; read again on SIGHUP.",
  },
  listen: {
    value: "ADDRESS[:PORT]",
    many: true,
    help: `Where to listen, ${LOOPBACK}:${NBD_PORT} if nothing is said; [IPv6]:PORT.`,
  },
  socket: {
    value: "PATH",
    help: "Listen on a unix socket there: instead, if no --listen is given.",
  },
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
      "What changed since a snapshot is told by the contexts mortar:changed-since:SNAPSHOT and " +
      "qemu:dirty-bitmap:SNAPSHOT, of a live file and of one in a later snapshot.",
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
        what: "What changed in it since a snapshot",
        line:
          "nbdinfo --map=qemu:dirty-bitmap:before-upgrade 'nbd+unix:///vm1?socket=/run/vm1.sock'",
      },
      {
        what: "A disk as it was in a snapshot, for a backup",
        line: "mortar nbd --export old=server:v1/vm1.img@before-upgrade",
      },
    ],
    async run(values) {
      const given = exportsGiven(values);
      const addresses = addressesOf(values.listen, values.socket);
      const daemon = new Daemon({ comm: "mortar-nbd" }, values);
      const { env } = daemon;
      try {
        await using exports = new VolumeExports({ types, env });
        if (given === undefined) await exports.replace(await exportsIn(values.exports!));
        else {
          await exports.replace(given);
          await exports.check();
        }
        const tls = await tlsOf(values, env);
        const servers = await servedAt(addresses, exports, tls, env);
        daemon.handle({
          reload: () => {
            void tls?.reload();
            if (values.exports !== undefined) void reload(values.exports, exports, servers, env);
          },
          dump: () =>
            env.log.info("clients", {
              clients: servers.reduce((sum, { clients }) => sum + clients, 0),
            }),
        });
        const where = addresses.map((address, at) => shown(address, servers[at]!.port)).join(",");
        daemon.ready("serving", { address: where, exports: exports.list().length });
        const code = await daemon.ended;
        await Promise.all(servers.map((server) => server.stop()));
        for (const address of addresses) if ("path" in address) await removeIfThere(address.path);
        return code;
      } finally {
        daemon.close();
      }
    },
  });
}

/** What of the options says what is served, and to whom. */
interface Given {
  readonly export: readonly string[];
  readonly exports?: string | undefined;
  readonly volfile?: string | undefined;
  readonly "read-only": boolean;
  readonly "tls-certificates"?: string | undefined;
  readonly "tls-any-client": boolean;
}

/** Undefined: they are in the file of `--exports`. Throws UsageError. */
function exportsGiven(values: Given): ExportSpec[] | undefined {
  const of = { readOnly: values["read-only"], volfile: values.volfile };
  const given = values.export.map((each) => parseExport(each, of));
  if (given.length ? values.exports !== undefined : values.exports === undefined) {
    throw new UsageError(
      'Cannot run "mortar nbd": give --export NAME=HOST:VOLUME/PATH; see "mortar nbd --help"',
    );
  }
  const twice = given.find(({ name }, at) => given.findIndex((one) => one.name === name) < at);
  if (twice) throw new UsageError(`Cannot export "${twice.name}" twice`);
  if (values["tls-any-client"] && values["tls-certificates"] === undefined) {
    throw new UsageError("Cannot use --tls-any-client: give --tls-certificates with it");
  }
  return values.exports === undefined ? given : undefined;
}

async function tlsOf(values: Given, env: Env): Promise<TlsCertificates | undefined> {
  const { "tls-certificates": directory, "tls-any-client": anyClient } = values;
  return directory === undefined
    ? undefined
    : await TlsCertificates.read(directory, { anyClient }, env);
}

async function servedAt(
  addresses: readonly NbdAddress[],
  exports: VolumeExports,
  tls: TlsCertificates | undefined,
  env: Env,
): Promise<NbdServer[]> {
  const taken = env.descriptors && new TakenIn(env.descriptors);
  const options = {
    ...{ exports, env },
    ...(tls ? { tls: () => tls.server } : {}),
    ...(taken ? { direct: (connection: Deno.Conn) => taken.of(connection) } : {}),
  };
  const servers: NbdServer[] = [];
  for (const address of addresses) {
    if ("path" in address) await removeStaleSocket(address.path);
    servers.push(listening(address, () => NbdServer.start(address, options)));
  }
  return servers;
}

async function exportsIn(path: string): Promise<ExportSpec[]> {
  try {
    return readExports(await Deno.readTextFile(path));
  } catch (error) {
    throw new CommandError(`Cannot use the exports in ${path}: ${plain(error)}`);
  }
}

/** What is not in the file any more ends for its clients; what is goes on. */
async function reload(
  path: string,
  exports: VolumeExports,
  servers: readonly NbdServer[],
  env: Env,
): Promise<void> {
  try {
    const before = exports.meanings(), specs = await exportsIn(path);
    const gone = exports.replace(specs), now = exports.meanings();
    for (const server of servers) server.closeClientsOf((name) => now(name) !== before(name));
    await gone;
    env.log.info("exports were read again", { exports: specs.length });
  } catch (error) {
    env.log.error("the old exports stay", { why: plain(error) });
  }
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

function shown(address: NbdAddress, port: number | undefined): string {
  return "path" in address ? address.path : `${address.host}:${port}`;
}

function addressesOf(listens: readonly string[], socket: string | undefined): NbdAddress[] {
  const all: NbdAddress[] = socket === undefined ? [] : [{ path: socket }];
  const named = listens.length || socket !== undefined ? listens : [LOOPBACK];
  return [...all, ...named.map((each) => nbdEndpoint(each, "--listen"))];
}
