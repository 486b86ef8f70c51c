/** `mortar mgmt`: serves volfiles and the brick ports, all that a client needs to mount. */

import { command, CommandError } from "mgmt/cli/command.ts";
import { Daemon, DAEMON_OPTIONS } from "mgmt/daemon.ts";
import { plain } from "mgmt/plain.ts";
import { cannotListen, MANAGEMENT_PORT, parseEndpoint, parsePort } from "mgmt/endpoints.ts";
import { dumpState } from "mgmt/statedump.ts";
import { Volfiles } from "mgmt/volfiles.ts";
import { VolfileServer } from "mgmt/volfile_server.ts";
import { type Endpoint, endpointText, removeStaleSocket } from "rpc/transport.ts";

const DEFAULT_ADDRESS = "127.0.0.1";

const options = {
  volfiles: {
    value: "DIR",
    required: true,
    help: "Directory with a file VOLUME.vol for every volume.",
  },
  listen: {
    value: "ADDR",
    help: `Address to listen on, ${DEFAULT_ADDRESS} if not given; 0.0.0.0 for all.`,
  },
  port: { value: "PORT", help: `Port to listen on, ${MANAGEMENT_PORT} if not given.` },
  socket: { value: "PATH", help: "Also listen on a unix socket there, for tools on this machine." },
  server: {
    value: "HOST:PORT",
    many: true,
    help: "Another volfile server, named to clients for when this one is away.",
  },
  ...DAEMON_OPTIONS,
} as const;

/** The command. */
export const mgmt = command({
  name: "mgmt",
  summary: "Serve volfiles, so that clients can mount",
  description: [
    "Serves the volfiles of a directory: VOLUME.vol is what a client of VOLUME gets, and other " +
    'keys are files of their names plus ".vol". When a file changes, clients that have it are ' +
    "told, and take it over while mounted. Bricks sign in with their ports, so client volfiles " +
    "need none.",
    "SIGHUP looks at the volfiles again, SIGUSR2 or SIGUSR1 writes a statedump, SIGTERM ends it.",
  ],
  options,
  examples: [
    {
      what: "Serve the volfiles of /srv/volfiles on this machine only",
      line: "mortar mgmt --volfiles /srv/volfiles",
    },
    {
      what: "Serve other machines, too",
      line: "mortar mgmt --volfiles /srv/volfiles --listen 0.0.0.0",
    },
    { what: "Then, on one of them, mount volume v1", line: "mount -t glusterfs server:/v1 /mnt" },
  ],
  async run(values) {
    const port = parsePort(values.port ?? String(MANAGEMENT_PORT), "--port", 0);
    const servers = values.server.map((each) => endpointText(parseEndpoint(each, "--server")));
    checkDirectory(values.volfiles);
    const daemon = new Daemon("mortar-mgmt", values);
    const { env } = daemon;
    const server = new VolfileServer(env, {
      volfiles: new Volfiles(values.volfiles),
      servers,
      isOwn,
    });
    try {
      const host = values.listen ?? DEFAULT_ADDRESS;
      const where = listen(server, { kind: "tcp", host, port }, "choose another with --port");
      if (values.socket !== undefined) await listenUnix(server, values.socket);
      server.watch();
      daemon.handle({
        reload: () => void server.refresh(),
        dump: () =>
          dumpState(env, values["statedump-dir"], "mgmt", {
            mgmt: server.state(),
          }),
      });
      daemon.ready("management daemon ready", {
        address: endpointText(where),
        ...(values.socket === undefined ? {} : { socket: values.socket }),
        volfiles: values.volfiles,
      });
      return await daemon.ended;
    } finally {
      await server.stop();
      daemon.close();
    }
  },
});

function checkDirectory(path: string): void {
  try {
    if (Deno.statSync(path).isDirectory) return;
  } catch (error) {
    throw new CommandError(`Cannot serve volfiles of "${path}": ${plain(error)}`);
  }
  throw new CommandError(`Cannot serve volfiles of "${path}": it is not a directory`);
}

function isOwn(address: string): boolean {
  // As a socket for both families shows IPv4.
  const plain = address.replace(/^::ffff:/, "");
  return /^127\.|^::1$/.test(plain) ||
    Deno.networkInterfaces().some((each) => each.address === plain);
}

function listen(server: VolfileServer, endpoint: Endpoint, instead: string): Endpoint {
  try {
    return server.listen(endpoint);
  } catch (error) {
    throw cannotListen(error, endpointText(endpoint), instead);
  }
}

// A socket file outlives a process that was killed: if nobody answers there, it is only in the way.
async function listenUnix(server: VolfileServer, path: string): Promise<void> {
  // Whatever was wrong, listening there will tell.
  await removeStaleSocket(path).catch(() => {});
  listen(server, { kind: "unix", path }, "choose another with --socket");
  Deno.chmodSync(path, 0o600);
}
