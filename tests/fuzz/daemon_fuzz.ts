/**
 * Sends malformed records to a management daemon while a client fetches volfiles, and says what
 * became of daemon, client, records and memory. Every way in is there: what anybody reaches over
 * TCP, and what only the daemon's owner reaches, over a unix socket.
 */

import { str, Xdata } from "core/xdata.ts";
import { commandProgram } from "mgmt/command_program.ts";
import { MANAGED } from "mgmt/commands/mod.ts";
import { Dispatcher } from "mgmt/dispatch.ts";
import { glusterCliProgram } from "mgmt/legacy/program.ts";
import { VolfileServer } from "mgmt/volfile_server.ts";
import { Volfiles } from "mgmt/volfiles.ts";
import { Connection } from "rpc/connection.ts";
import { runCommand } from "rpc/programs/commands.ts";
import { cliCall, getwd, GLUSTER_CLI, listFriends } from "rpc/programs/gluster_cli.ts";
import {
  eventNotify,
  fetchVolfile,
  getspec,
  getVolumeInfo,
  handshakePing,
  setLkVersion,
} from "rpc/programs/handshake.ts";
import { brickByPort, portByBrick, signIn, signOut } from "rpc/programs/portmap.ts";
import { connectTo, type Endpoint } from "rpc/transport.ts";
import { fakeCluster } from "tests/fakes/cluster.ts";
import { LinesLog, testEnv } from "tests/fakes/node.ts";
import { callBytes, Enemy, memoryUsed } from "tests/fuzz/enemy.ts";
import { Dice, malformed } from "tests/fuzz/records.ts";

/** What became of all. */
export interface DaemonFuzzResult {
  /** Connections that the daemon closed because of what came. */
  readonly closed: number;
  /** Volfiles that the well-behaved client got, all of them right. */
  readonly goodCalls: number;
  /** Growth of the process from the first tenth to the end, in bytes. */
  readonly growthBytes: number;
  /** Log lines that tell of a bug of ours. */
  readonly errors: readonly string[];
}

const VOLFILE = "# text of v1\n";

/** Runs `cases` malformed inputs. Throws if the daemon stops serving its good client. */
export async function fuzzDaemon(seed: number, cases: number): Promise<DaemonFuzzResult> {
  const dir = await Deno.makeTempDir({ prefix: "mt-fuzz-" });
  const log = new LinesLog(), env = testEnv({ log });
  const { cluster } = fakeCluster(`${dir}/home`, { env });
  await Deno.mkdir(cluster.places.logs, { recursive: true });
  const dispatcher = new Dispatcher(cluster, MANAGED);
  const server = new VolfileServer(env, {
    volfiles: new Volfiles(
      undefined,
      (key) => Promise.resolve(key === "v1" ? VOLFILE : undefined),
    ),
    servers: [],
    isOwn: () => seed % 2 === 0,
    programs: (connection) => [
      commandProgram(dispatcher, connection),
      glusterCliProgram(dispatcher, `${dir}/home`, connection),
    ],
  });
  const endpoints = [
    server.listen({ kind: "tcp", host: "127.0.0.1", port: 0 }),
    server.listen({ kind: "unix", path: `${dir}/socket` }),
  ];
  const errors: string[] = [];
  let closed = 0, goodCalls = 0, start = 0;
  const tidy = async () => {
    if (await good(endpoints[0]!) !== VOLFILE) throw new Error("the good client got another text");
    goodCalls++;
    const lines = log.lines.splice(0);
    errors.push(...lines.filter((line) => line.startsWith("E")));
    closed += lines.filter((line) => line.includes("peer broke the protocol")).length;
  };
  const dice = new Dice(seed), calls = corpus();
  let enemy: Enemy | undefined;
  try {
    for (let i = 0; i < cases; i++) {
      if (i === Math.floor(cases / 10)) start = memoryUsed();
      if (i % 50 === 0) await tidy();
      enemy ??= await Enemy.connect(dice.pick(endpoints));
      await enemy.send(malformed(dice, calls));
      if (dice.int(4)) await enemy.breathe();
      if (!enemy.gone && dice.int(5)) continue;
      enemy.leave();
      enemy = undefined;
    }
    await tidy();
    // Nobody said anything that makes a volume.
    if ((await cluster.volumes()).length) throw new Error("there is a volume that nobody made");
  } finally {
    enemy?.leave();
    await server.stop();
    await Deno.remove(dir, { recursive: true });
  }
  return { closed, goodCalls, growthBytes: memoryUsed() - start, errors };
}

async function good(endpoint: Endpoint): Promise<string | undefined> {
  const link = new Connection(await connectTo(endpoint), testEnv());
  try {
    return await fetchVolfile(link, "v1");
  } finally {
    link.close("done");
  }
}

// A call of everything that the daemon serves, without the markers.
function corpus(): Uint8Array<ArrayBuffer>[] {
  const dict = Xdata.of([
    ...["volname", "key", "key1", "value1", "hostname", "bricks", "type", "count", "op", "cmd"],
    ...["opts", "kind", "path", "transport", "odir", "filename", "daemon", "min-op-version"],
  ].map((name, at) => [name, str(at % 2 ? "v1" : "1")] as const));
  const asked = (line: string) =>
    callBytes(runCommand, {
      words: line.split(" "),
      form: "json",
      manner: "gluster",
      confirmed: true,
    });
  return [
    callBytes(getspec, { flags: 1, key: "v1", xdata: dict }),
    callBytes(handshakePing, undefined),
    callBytes(setLkVersion, { uid: "me", version: 1 }),
    callBytes(eventNotify, { op: 1, dict }),
    callBytes(getVolumeInfo, { dict }),
    callBytes(portByBrick, { brick: "/b/1" }),
    callBytes(brickByPort, { port: 49152 }),
    callBytes(signIn, { brick: "/b/1", port: 49152, pid: 1 }),
    callBytes(signOut, { brick: "/b/1", port: 49152, rdmaPort: 0 }),
    callBytes(listFriends, { flags: 2, dict }),
    callBytes(getwd, { unused: 0 }),
    ...Object.values(GLUSTER_CLI).map((number) => callBytes(cliCall(number), { dict })),
    ...["volume info all", "volume set v1 features.shard on", "volume status all clients"].map(
      asked,
    ),
    ...["peer status", "volume top v1 read list-cnt 5", "volume get all all", "help"].map(asked),
  ];
}
