/**
 * What GlusterFS's `gluster` and `glusterd` say to each other, verb by verb, as dictionaries: makes
 * tests/interop/gluster_cli.json. Needs root and the Debian packages glusterfs-server and
 * glusterfs-client; touches no state of the machine's own glusterd.
 *
 *     deno run -A scripts/capture/gluster_cli.ts tests/interop/gluster_cli.json
 *
 * Names of hosts, ids, process numbers, ports and sizes are put by words, so that two runs differ little.
 */

// deno-lint-ignore-file no-console -- a command's output

import { must, Process, run, until } from "tests/e2e/process.ts";
import { valueBytes, type Xdata } from "core/xdata.ts";
import { CallHead } from "rpc/message.ts";
import {
  cliReply,
  cliRequest,
  getwd,
  GLUSTER_CLI,
  GLUSTER_CLI_PROGRAM,
  listFriends,
} from "rpc/programs/gluster_cli.ts";
import { type Codec, XdrReader } from "rpc/xdr.ts";

const HOST = "10.77.9.1";
/** Where --remote-host finds the proxy. */
const REMOTE = "10.77.9.2";
const WORK = "/tmp/mortar-capture-cli";
const REAL_SOCKET = "/var/run/glusterd.socket", SOCKET = `${WORK}/proxy.socket`;
const SELF = new URL(import.meta.url).pathname;

/** Brick N. */
const b = (name: string) => `${HOST}:${WORK}/bricks/${name}`;

const COMMANDS: readonly string[] = [
  "peer status",
  "pool list",
  "volume list",
  "volume info",
  "volume status",
  "volume info nope",
  "volume status nope",
  "volume start nope",
  "volume stop nope",
  "volume delete nope",
  "volume set nope nfs.disable on",
  "volume get nope all",
  "volume get nope nfs.disable",
  "volume reset nope",
  "volume profile nope info",
  "volume top nope read",
  "volume statedump nope",
  "volume clear-locks nope / kind all inode",
  "volume barrier nope enable",
  "volume log nope rotate",
  `volume create d2 ${b("d1")} ${b("d2")}`,
  `volume create d2 ${b("d1")} ${b("d2")} force`,
  `volume create d2 ${b("d3")} force`,
  `volume create dup ${b("d1")} force`,
  `volume create far 10.99.99.99:/x force`,
  `volume create r3 replica 3 ${b("r1")} ${b("r2")} ${b("r3")} force`,
  `volume create a3 replica 3 arbiter 1 ${b("a1")} ${b("a2")} ${b("a3")} force`,
  `volume create e3 disperse 3 redundancy 1 ${b("e1")} ${b("e2")} ${b("e3")} force`,
  `volume create dr replica 2 ${b("x1")} ${b("x2")} ${b("x3")} ${b("x4")} force`,
  "volume list",
  "volume info d2",
  "volume info",
  "volume info a3",
  "volume info e3",
  "volume status d2",
  "volume stop d2",
  "volume profile d2 start",
  "volume start d2",
  "volume start d2",
  "volume start d2 force",
  "volume start r3",
  "volume status d2",
  "volume status r3",
  "volume status",
  "volume status all detail",
  "volume status d2 detail",
  "volume status d2 clients",
  "volume status r3 client-list",
  "volume status d2 mem",
  "volume status d2 inode",
  "volume status d2 fd",
  "volume status d2 callpool",
  "volume status d2 tasks",
  `volume status d2 ${b("d1")}`,
  `volume status d2 ${b("none")}`,
  `volume status d2 ${b("d1")} detail`,
  "volume status r3 shd",
  "volume delete d2",
  "volume set d2 nfs.disable on",
  "volume set d2 performance.cache-size 64MB",
  "volume set d2 performance.cache-size much",
  "volume set d2 no.such-option 1",
  "volume set d2 auth.allow 10.*",
  "volume set d2 diagnostics.client-log-level INFO diagnostics.brick-log-level INFO",
  "volume set d2 group virt",
  "volume set d2 user.note hello",
  "volume set all cluster.max-op-version 1",
  "volume set all cluster.op-version 100000",
  "volume get d2 performance.cache-size",
  "volume get d2 no.such-option",
  "volume get d2 user.note",
  "volume get d2 all",
  "volume get all all",
  "volume get all cluster.op-version",
  "volume info d2",
  "volume reset d2 performance.cache-size",
  "volume reset d2 no.such-option",
  "volume reset d2",
  "volume reset d2 all force",
  "volume set help",
  "volume profile d2 info",
  "volume profile d2 start",
  "volume profile d2 start",
  "!load",
  "volume profile d2 info",
  "volume profile d2 info peek",
  "volume profile d2 info incremental",
  "volume profile d2 info cumulative",
  "volume profile d2 info clear",
  "volume profile d2 stop",
  "volume profile d2 stop",
  "volume top d2 open",
  "volume top d2 read",
  "volume top d2 write list-cnt 2",
  "volume top d2 opendir",
  "volume top d2 readdir",
  `volume top d2 read brick ${b("d1")}`,
  "volume top d2 read-perf",
  "volume top d2 read-perf bs 4096 count 2",
  "volume top d2 write-perf bs 4096 count 2",
  "volume top d2 clear",
  "volume status d2 clients",
  "volume status d2 inode",
  "volume status d2 fd",
  "volume status d2 client-list",
  "volume statedump d2",
  "volume statedump d2 all",
  "volume statedump d2 nfs",
  "volume clear-locks d2 / kind all inode",
  "volume clear-locks d2 / kind granted entry x",
  "volume clear-locks d2 / kind all posix 0,0-0",
  "volume clear-locks d2 /none kind all inode",
  "volume barrier d2 enable",
  "volume barrier d2 enable",
  "volume barrier d2 disable",
  "volume barrier d2 disable",
  "volume log d2 rotate",
  `volume log d2 rotate ${b("d1")}`,
  `volume log d2 rotate ${b("none")}`,
  "volume sync 10.99.99.99 all",
  `volume sync ${HOST} all`,
  "volume heal r3",
  "volume heal r3 statistics heal-count",
  "volume rebalance d2 status",
  "volume quota d2 list",
  `volume add-brick d2 ${b("d1")} force`,
  `volume remove-brick d2 ${b("d1")} status`,
  `volume replace-brick r3 ${b("r1")} ${b("r2")} commit force`,
  `volume reset-brick r3 ${b("r1")} start`,
  "volume bitrot d2 scrub status",
  "snapshot list",
  "snapshot create s d2",
  "peer probe 10.77.9.1",
  "peer probe 10.99.99.99",
  "peer detach 10.99.99.99",
  "system:: getspec d2",
  "system:: getspec nope",
  "system:: getwd",
  "system:: uuid get",
  "system:: fsm log",
  "system:: fsm log nope",
  "get-state",
  "get-state odir /tmp/mortar-capture-cli/ file state",
  "get-state detail",
  "get-state volumeoptions",
  "volume stop d2",
  "volume stop d2",
  "volume status d2",
  "volume status d2 detail",
  "volume top d2 read",
  "volume profile d2 info",
  "volume delete d2",
  "volume delete d2",
  "volume stop r3 force",
  "volume delete r3",
  `--remote-host=${REMOTE} volume list`,
  `--remote-host=${REMOTE} volume info a3`,
  `--remote-host=${REMOTE} volume status`,
  `--remote-host=${REMOTE} peer status`,
  `--remote-host=${REMOTE} pool list`,
  `--remote-host=${REMOTE} volume start a3`,
  `--remote-host=${REMOTE} volume set a3 nfs.disable on`,
  `--remote-host=${REMOTE} volume get a3 nfs.disable`,
  `--remote-host=${REMOTE} system:: uuid get`,
  `--remote-host=${REMOTE} system:: getwd`,
  `--remote-host=${REMOTE} get-state`,
  `--remote-host=${REMOTE} volume profile a3 info`,
];

type Plain = Record<string, unknown>;
interface Call {
  procedure: string;
  request: Plain;
  reply: Plain | string;
}
interface Exchange {
  command: string;
  exit: number;
  calls: Call[];
}

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(GLUSTER_CLI).map(([name, number]) => [number, name]),
);
const SIGNATURES = new Map<number, { args: Codec<unknown>; result: Codec<unknown> }>(
  [listFriends, getwd].map((each) => [each.procedure, each as never]),
);
const CLI = { args: cliRequest as Codec<unknown>, result: cliReply as Codec<unknown> };

function text(bytes: Uint8Array): string {
  const printable = bytes.length > 0 && bytes[bytes.length - 1] === 0 &&
    bytes.subarray(0, -1).every((each) => each >= 32 || each === 10 || each === 9);
  if (printable) return new TextDecoder().decode(bytes.subarray(0, -1));
  return `0x${[...bytes].map((each) => each.toString(16).padStart(2, "0")).join("")}`;
}

function plain(value: unknown): Plain {
  const out: Plain = {};
  for (const [name, each] of Object.entries(value as Plain)) {
    if (name === "dict" || name === "friends") {
      out[name] = each === undefined
        ? null
        : Object.fromEntries([...each as Xdata].map(([key, raw]) => [key, text(valueBytes(raw)!)]));
    } else out[name] = each;
  }
  return out;
}

/** What management daemons tell each other in the same dictionary; no reader of an answer looks at it. */
const INTERNAL =
  /^(originator_uuid|transaction_id|sync-mgmt-operation|is_synctasked|node-uuid|internal-.*|port|rotate-key|(check|new)-op-version|op-version\d+|transport\.address-family|max-opversion)$/;
/** Values that are another one at each run. */
const VARYING =
  /\.(pid|port|free|total|total_inodes|free_inodes|device|mnt_options|timings)$|latency$|mallinfo|bytes|-time|throughput$|client\d+\.hostname$/;
/** Of an answer with all options only the first few are kept. */
const OPTIONS_MAX = 3;

function neutral(text: string): string {
  return text.replaceAll(`${WORK}/bricks`, "/bricks").replaceAll(WORK, "/tmp/capture")
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UUID")
    .replaceAll(/\b(0x)?[0-9a-f]{32}\b/g, "UUID")
    .replaceAll(/state_\d+_\d+/g, "state_TIME");
}

function neutralCall({ procedure, request, reply }: Call): Call {
  const isAll = (request["dict"] as Plain | null)?.["key"] === "all";
  return {
    procedure,
    request: neutralPlain(request, false),
    reply: typeof reply === "string" ? reply : neutralPlain(reply, isAll),
  };
}

function neutralPlain(from: Plain, isAll: boolean): Plain {
  const out: Plain = {};
  for (const [name, value] of Object.entries(from)) {
    if (typeof value === "string") out[name] = neutral(value);
    else if (name === "dict" || name === "friends") {
      out[name] = value === null ? null : neutralDict(value as Record<string, string>, isAll);
    } else out[name] = value;
  }
  return out;
}

function neutralDict(from: Record<string, string>, isAll: boolean): Plain {
  const kept = Object.entries(from).filter(([key]) => {
    const number = /^(?:key|value)(\d+)$/.exec(key)?.[1];
    return !INTERNAL.test(key) && !(isAll && number && Number(number) > OPTIONS_MAX);
  });
  return Object.fromEntries(kept.map(([key, value]) => {
    if (key === "help-str") return [key, "…"];
    return [key, VARYING.test(key) ? "…" : neutral(value)];
  }));
}

/** Record-marked messages of a stream. */
async function* messages(from: Deno.Conn): AsyncGenerator<[Uint8Array<ArrayBuffer>, Uint8Array]> {
  let held = new Uint8Array(0);
  const chunk = new Uint8Array(1 << 16);
  for (;;) {
    const size = held.length < 4 ? -1 : new DataView(held.buffer).getUint32(0) & 0x7fffffff;
    if (size >= 0 && held.length >= 4 + size) {
      yield [held.slice(0, 4 + size), held.slice(4, 4 + size)];
      held = held.slice(4 + size);
      continue;
    }
    const count = await from.read(chunk).catch(() => null);
    if (count === null) return;
    const grown = new Uint8Array(held.length + count);
    grown.set(held);
    grown.set(chunk.subarray(0, count), held.length);
    held = grown;
  }
}

/** One of the program's connections: what it asks and gets, in order. */
async function carry(client: Deno.Conn, server: Deno.Conn, calls: Call[]): Promise<void> {
  const asked = new Map<number, { call: Call; procedure: number }>();
  const up = async () => {
    for await (const [whole, body] of messages(client)) {
      const from = new XdrReader(body), head = new CallHead();
      const xid = from.u32();
      from.u32();
      head.read(from, xid);
      const ours = head.program === GLUSTER_CLI_PROGRAM.number;
      if (ours) {
        const { args } = SIGNATURES.get(head.procedure) ?? CLI;
        const call: Call = {
          procedure: NAMES.get(head.procedure) ?? String(head.procedure),
          request: plain(args.read(from)),
          reply: "none",
        };
        calls.push(call);
        asked.set(xid, { call, procedure: head.procedure });
      } else {
        calls.push({ procedure: `${head.program}/${head.procedure}`, request: {}, reply: "" });
      }
      await writeAll(server, whole);
    }
    close(server);
  };
  const down = async () => {
    for await (const [whole, body] of messages(server)) {
      const from = new XdrReader(body);
      const about = asked.get(from.u32());
      if (about && from.u32() === 1) {
        from.skip(12);
        const status = from.u32();
        const { result } = SIGNATURES.get(about.procedure) ?? CLI;
        about.call.reply = status === 0 ? plain(result.read(from)) : `accept status ${status}`;
      }
      await writeAll(client, whole);
    }
    close(client);
  };
  await Promise.all([up(), down()]).catch(() => {});
  close(client);
  close(server);
}

async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // Closed already.
  }
}

/** Between `gluster` and `glusterd`, over the unix socket and, for --remote-host, TCP. */
function proxy(calls: Call[]): void {
  const accept = async (listener: Deno.Listener, connect: () => Promise<Deno.Conn>) => {
    for await (const client of listener) {
      connect().then((server) => carry(client, server, calls), () => close(client));
    }
  };
  accept(
    Deno.listen({ transport: "unix", path: SOCKET }) as unknown as Deno.Listener,
    () => Deno.connect({ transport: "unix", path: REAL_SOCKET }) as unknown as Promise<Deno.Conn>,
  );
  accept(
    Deno.listen({ hostname: REMOTE, port: 24007 }),
    () => Deno.connect({ hostname: HOST, port: 24007 }),
  );
}

async function load(): Promise<void> {
  const mount = `${WORK}/mnt`;
  await Deno.mkdir(mount, { recursive: true });
  await must(["mount", "-t", "glusterfs", `${HOST}:/d2`, mount]);
  await must([
    "sh",
    "-c",
    `cd ${mount}; for i in 1 2 3 4; do dd if=/dev/zero of=f$i bs=4k count=8; cat f$i; done; mkdir d; ls -l; cp f1 d/`,
  ]);
  new Process(["sh", "-c", `exec 9<>${mount}/f1; sleep 600`], `${WORK}/holder.log`);
}

async function inside(out: string): Promise<void> {
  await must(["sh", "-c", `rm -rf ${WORK}; mkdir -p ${WORK}/bricks`]);
  const glusterd = new Process([
    ...["glusterd", "-N"],
    ...["--xlator-option", `management.transport.socket.bind-address=${HOST}`],
  ], `${WORK}/glusterd.log`);
  await until("glusterd's socket", () => {
    try {
      return Deno.statSync(REAL_SOCKET).isSocket!;
    } catch {
      return false;
    }
  });
  await until("glusterd answers", async () => (await run(["gluster", "pool", "list"])).code === 0);
  const calls: Call[] = [], exchanges: Exchange[] = [];
  proxy(calls);
  for (const command of COMMANDS) {
    if (command === "!load") {
      await load();
      continue;
    }
    calls.length = 0;
    const argv = ["gluster", "--mode=script", "--log-file=/dev/null"];
    if (command.startsWith("--remote-host")) argv.push(...command.split(" "));
    else argv.push(`--glusterd-sock=${SOCKET}`, ...command.split(" "));
    const { code, out: printed, err } = await run(argv, { timeoutMs: 120_000 });
    exchanges.push({ command: neutral(command), exit: code, calls: calls.map(neutralCall) });
    console.log(`${code}: ${command}: ${(printed + err).slice(0, 200).replaceAll("\n", "|")}`);
  }
  await Deno.writeTextFile(out, `${JSON.stringify(exchanges, null, 1)}\n`);
  await run(["umount", "-l", `${WORK}/mnt`]);
  await glusterd.end();
}

async function outside(out: string): Promise<void> {
  const space = "mortar-capture-cli";
  await run(["ip", "netns", "del", space]);
  await must(["ip", "netns", "add", space]);
  try {
    await must(["ip", "-n", space, "link", "set", "lo", "up"]);
    for (const address of [HOST, REMOTE]) {
      await must(["ip", "-n", space, "address", "add", `${address}/24`, "dev", "lo"]);
    }
    const script = [
      "mount -t tmpfs none /mnt",
      "cp -a /var/lib/glusterd/groups /mnt/",
      "mount -t tmpfs none /var/lib/glusterd",
      "cp -a /mnt/groups /var/lib/glusterd/",
      "mount -t tmpfs none /var/log/glusterfs",
      "mount -t tmpfs none /run",
      "mkdir -p /run/gluster",
      `exec ${Deno.execPath()} run -A ${SELF} --inside ${out}`,
    ].join(" && ");
    const child = new Deno.Command("nsenter", {
      args: [
        `--net=/run/netns/${space}`,
        ...["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
        ...["sh", "-c", script],
      ],
    }).spawn();
    const { code } = await child.status;
    Deno.exitCode = code;
  } finally {
    await run(["ip", "netns", "del", space]);
  }
}

if (Deno.args[0] === "--inside") await inside(Deno.args[1]!), Deno.exit(0);
else await outside(Deno.args[0]!);
