/** `mortar mgmt`: the management daemon in the foreground, or detached. */

import { BrickProcesses } from "mgmt/bricks/brick_processes.ts";
import { Ports } from "mgmt/bricks/ports.ts";
import { program } from "mgmt/self.ts";
import { SystemRunner } from "mgmt/bricks/runner.ts";
import { command, CommandError, type OptionValues, UsageError } from "mgmt/cli/command.ts";
import { Daemon, DAEMON_OPTIONS, type DaemonLook } from "mgmt/daemon.ts";
import { detach } from "mgmt/detach.ts";
import { MANAGEMENT_PORT, parseEndpoint, parsePort } from "mgmt/endpoints.ts";
import { defaultHome, longestSocket, type Places, placesUnder } from "mgmt/home.ts";
import { httpEndpoint, type HttpServer, serveHttp } from "mgmt/http/server.ts";
import { SupervisedHealer } from "mgmt/heal/supervised_healer.ts";
import { nbdEndpoint } from "mgmt/nbd/endpoint.ts";
import { SupervisedNbd } from "mgmt/nbd/supervised_nbd.ts";
import { ManagementDaemon } from "mgmt/management_daemon.ts";
import { plain } from "mgmt/plain.ts";
import { SupervisedProxies } from "mgmt/proxy/supervised_proxies.ts";
import { dumpState, stateSection } from "mgmt/statedump.ts";
import { openStore } from "mgmt/store/open_store.ts";
import { StoreError } from "mgmt/store/store.ts";
import { endpointText } from "rpc/transport.ts";

const DEFAULT_ADDRESS = "127.0.0.1";
/** What unix(7) has room for. */
const SOCKET_PATH_MAX = 107;

const options = {
  home: {
    value: "DIR",
    help: "Directory of all that it keeps; /var/lib/mortar, or ~/.local/share/mortar without root.",
  },
  listen: {
    value: "ADDR",
    many: true,
    help: `Address to listen on, ${DEFAULT_ADDRESS} if not given; 0.0.0.0 for all.`,
  },
  port: { value: "PORT", help: `Port to listen on, ${MANAGEMENT_PORT} if not given; 0: any.` },
  socket: {
    value: "PATH",
    help: "Unix socket of the command line, DIR/run/mgmt.socket if not given.",
  },
  http: {
    value: "[HOST:]PORT",
    help: "Also take commands as REST there; the token is in DIR/http.token.",
  },
  nbd: {
    value: "ADDRESS[:PORT]",
    many: true,
    help:
      "Where volumes' exports are served by NBD besides DIR/run/nbd.socket; port 10809 if not " +
      "given.",
  },
  "nbd-tls-certificates": {
    value: "DIR",
    help: "Exports are encrypted, for clients with a certificate: see mortar nbd.",
  },
  volfiles: {
    value: "DIR",
    help: "Directory of hand-written volfiles: KEY.vol there is served in place of a made one.",
  },
  server: {
    value: "HOST:PORT",
    many: true,
    help: "Another volfile server, named to clients for when this one is away.",
  },
  "no-restart": { help: "Leave bricks that end by themselves down, as GlusterFS does." },
  "new-store": {
    help: "Begin with an empty store where the one that is there cannot be used.",
  },
  daemon: { help: "Run detached; answers when it is ready, or why it is not." },
  ...DAEMON_OPTIONS,
} as const;

/** Values of the command's options. */
export type MgmtValues = OptionValues<typeof options>;

/** The command. */
export const mgmt = command({
  name: "mgmt",
  summary: "Manage volumes: the daemon that commands, clients and bricks talk to",
  description: [
    "Keeps volumes and their options, runs a brick process for every brick of a started volume, " +
    "and serves volfiles and ports to clients. Only this machine reaches it unless --listen says " +
    "otherwise. When it ends, bricks and clients go on; the next one finds them again.",
    "SIGHUP looks at hand-written volfiles again and opens the log file anew, SIGUSR2 or SIGUSR1 " +
    "writes a statedump, SIGTERM ends it.",
  ],
  options,
  examples: [
    { what: "Manage volumes of this machine only", line: "mortar mgmt" },
    {
      what: "Serve other machines, detached",
      line: "mortar mgmt --listen 0.0.0.0 --daemon",
    },
    {
      what: "Then make a volume",
      line: "mortar volume create v1 server:/bricks/b1 && mortar volume start v1",
    },
    { what: "And, on another machine, mount it", line: "mount -t glusterfs server:/v1 /mnt" },
  ],
  run(values) {
    return runManagement(values, placesOf(values));
  },
});

function placesOf({ home, socket }: MgmtValues): Places {
  if (home === "") throw new UsageError('Cannot use --home "": expected a directory');
  const env = (name: string) => Deno.env.get(name);
  const places = placesUnder(absolute(home ?? defaultHome({ uid: Deno.uid(), env })));
  return socket === undefined ? places : { ...places, socket: absolute(socket) };
}

// Here rather than when the first brick of a volume cannot listen.
function checkSockets(places: Places): void {
  for (const [path, instead] of [[places.socket, "--socket"], [longestSocket(places), "--home"]]) {
    if (new TextEncoder().encode(path).length <= SOCKET_PATH_MAX) continue;
    throw new CommandError(
      `Cannot use "${path}": the path of a socket may not be longer than ${SOCKET_PATH_MAX} bytes; ` +
        `choose a shorter one with ${instead}`,
    );
  }
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

/** How a management daemon appears, by the name that it was called by. */
export interface ManagementManner {
  readonly look: DaemonLook;
  /** What the names of its statedumps begin with. */
  readonly dumps: string;
  /** Whether it ends when all volumes' files are made anew. */
  readonly once: boolean;
}

const OWN_MANNER: ManagementManner = {
  look: { comm: "mortar-mgmt" },
  dumps: "mgmt",
  once: false,
};

/** Runs the daemon in `places` until a signal ends it; answers the exit code. Throws CommandError. */
export async function runManagement(
  values: MgmtValues,
  places: Places,
  { look, dumps, once }: ManagementManner = OWN_MANNER,
): Promise<number> {
  checkSockets(places);
  const port = parsePort(values.port ?? String(MANAGEMENT_PORT), "--port", 0);
  const servers = values.server.map((each) => endpointText(parseEndpoint(each, "--server")));
  const http = values.http === undefined ? undefined : httpEndpoint(values.http);
  const nbd = values.nbd.map((each) => nbdEndpoint(each, "--nbd"));
  if (values.volfiles !== undefined) checkDirectory(values.volfiles);
  if (values.daemon) return await detach(places, values);
  const daemon = new Daemon({ descriptors: false, ...look }, values);
  const { env } = daemon, ports = new Ports();
  let manager: ManagementDaemon | undefined;
  let web: HttpServer | undefined;
  try {
    manager = await ManagementDaemon.start(env, {
      places,
      listens: values.listen.length ? values.listen : [DEFAULT_ADDRESS],
      port,
      servers,
      volfiles: values.volfiles,
      openStore: (home, env) => openStore(home, env, { startEmpty: values["new-store"] }),
      makeHealer: (parts) =>
        new SupervisedHealer({
          ...parts,
          runner: new SystemRunner(env.clock),
          program,
          restart: !values["no-restart"],
        }),
      makeNbd: (parts) =>
        new SupervisedNbd({
          ...parts,
          runner: new SystemRunner(env.clock),
          program,
          restart: !values["no-restart"],
          listens: nbd.map((each) => endpointText({ kind: "tcp", ...each })),
          certificates: values["nbd-tls-certificates"],
        }),
      makeProxies: (parts) =>
        new SupervisedProxies({
          ...{ ...parts, ports, program },
          runner: new SystemRunner(env.clock),
          restart: !values["no-restart"],
        }),
      makeBricks: (parts) =>
        new BrickProcesses({
          ...{ ...parts, ports, program },
          runner: new SystemRunner(env.clock),
          restart: !values["no-restart"],
        }),
    });
    const running = manager;
    web = http && await serveHttp(http, running.dispatcher, { env, home: places.home });
    daemon.handle({
      reload: () => void running.refresh(),
      dump: () =>
        dumpState(env, values["statedump-dir"], dumps, [
          stateSection("mgmt", running.state()),
        ]),
    });
    daemon.ready("management daemon ready", {
      address: running.endpoints.filter(({ kind }) => kind === "tcp").map(endpointText).join(","),
      socket: places.socket,
      ...(web ? { http: web.address } : {}),
    });
    if (once) void running.settled.then(() => daemon.end(0));
    return await daemon.ended;
  } catch (error) {
    if (error instanceof StoreError) throw new CommandError(error.message);
    throw error;
  } finally {
    await web?.stop();
    await manager?.stop();
    daemon.close();
  }
}

function checkDirectory(path: string): void {
  try {
    if (Deno.statSync(path).isDirectory) return;
  } catch (error) {
    throw new CommandError(`Cannot serve volfiles of "${path}": ${plain(error)}`);
  }
  throw new CommandError(`Cannot serve volfiles of "${path}": it is not a directory`);
}
