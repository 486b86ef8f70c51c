/**
 * A one-brick volume from nothing, in a private directory: no root, no FUSE, loopback only. Starts
 * the volfile server and the brick as the processes they always are, puts a file through the client
 * translator, gets it back, and says how GlusterFS's own client mounts the volume. With `--keep` all
 * of it stays running; otherwise nothing is left behind, however it ends.
 *
 * Permissions: read, write, net, ffi, run; env and sys for what the processes ask.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { ROOT } from "core/call.ts";
import { type Env, makeLog, realClock, realEnv } from "core/env.ts";
import { buildGraph } from "core/graph.ts";
import { toHex } from "core/lib/bytes.ts";
import { printVolfile, type VolumeBlock } from "core/volfile.ts";
import { Volume } from "core/volume.ts";
import { TYPES } from "xlators/mod.ts";

const VOLUME = "demo";
const HOST = "127.0.0.1";
const FILE = "hello.bin";
const FILE_BYTES = 8 << 20;
const READY_MS = 20_000;

const MORTAR = new URL("mortar", import.meta.url).pathname;
const log: string[] = [];
const env: Env = realEnv(makeLog({
  level: "warn",
  format: "text",
  write: (line) => void log.push(line),
  clock: realClock,
}));

/** A process of ours, and where it says what it does. */
interface Started {
  readonly name: string;
  readonly child: Deno.ChildProcess;
  readonly logFile: string;
  /** From its "ready" line. */
  readonly address: string;
}

function block(
  name: string,
  type: string,
  options: Readonly<Record<string, string>>,
  ...subvolumes: string[]
): VolumeBlock {
  return { name, type, options: new Map(Object.entries(options)), subvolumes, line: 0 };
}

/** The brick's graph: what mgmt would write for it. */
function brickVolfile(directory: string): string {
  return printVolfile([
    block(`${VOLUME}-posix`, "storage/posix", { directory }),
    block(`${VOLUME}-access-control`, "features/access-control", {}, `${VOLUME}-posix`),
    block(`${VOLUME}-locks`, "features/locks", {}, `${VOLUME}-access-control`),
    block(directory, "debug/io-stats", {}, `${VOLUME}-locks`),
    block(`${VOLUME}-server`, "protocol/server", {
      "transport-type": "tcp",
      "transport.socket.bind-address": HOST,
      "transport.socket.listen-port": "0",
      [`auth.addr.${directory}.allow`]: HOST,
    }, directory),
  ]);
}

/** Reaches the brick through the portmapper at `port`. */
function clientBlock(directory: string, port: string): VolumeBlock {
  return block(`${VOLUME}-client-0`, "protocol/client", {
    "transport-type": "tcp",
    "remote-host": HOST,
    "remote-port": port,
    "remote-subvolume": directory,
  });
}

/** The graph that GlusterFS's client builds. */
function clientVolfile(directory: string, port: string): string {
  return printVolfile([
    clientBlock(directory, port),
    block(`${VOLUME}-dht`, "cluster/distribute", {}, `${VOLUME}-client-0`),
    block(VOLUME, "debug/io-stats", {}, `${VOLUME}-dht`),
  ]);
}

/** Starts `mortar ARGS…` and waits for its "ready" line. */
async function start(name: string, directory: string, args: readonly string[]): Promise<Started> {
  if (stopping) throw new Error("interrupted");
  const logFile = `${directory}/${name}.log`;
  const child = new Deno.Command(MORTAR, {
    args: [...args, "--log-format", "json", "--log-file", logFile, "--statedump-dir", directory],
    env: { DENO: Deno.execPath() },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    detached: true,
  }).spawn();
  running.push({ name, child, logFile, address: "" });
  const complaint = new Response(child.stderr).text();
  let ended = false;
  child.status.then(() => ended = true);
  const end = realClock.monotonic() + READY_MS;
  for (;;) {
    const address = readyAddress(logFile);
    if (address !== undefined) return { name, child, logFile, address };
    if (ended) throw new Error(`mortar ${args[0]} ended: ${(await complaint).trim()}`);
    if (realClock.monotonic() > end) throw new Error(`mortar ${args[0]} is not ready in time`);
    await realClock.delay(20);
  }
}

function readyAddress(logFile: string): string | undefined {
  let text: string;
  try {
    text = Deno.readTextFileSync(logFile);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  for (const line of text.split("\n").slice(0, -1)) {
    const { message, address } = JSON.parse(line);
    if (/ ready$/.test(message)) return address;
  }
  return undefined;
}

const running: Started[] = [];
let stopping = false;

/** Ends what was started, last first: politely, then not. */
async function stopAll(): Promise<void> {
  stopping = true;
  for (const { child } of running.splice(0).reverse()) {
    const late = new AbortController();
    try {
      child.kill("SIGTERM");
      const patience = realClock.delay(5000, late.signal).then(() => child.kill("SIGKILL"));
      await Promise.race([child.status, patience]);
    } catch (error) {
      // It ended before we could ask it to.
      if (!(error instanceof TypeError)) throw error;
    } finally {
      late.abort();
    }
  }
}

function randomBytes(size: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(size);
  const AT_ONCE = 65536;
  for (let at = 0; at < size; at += AT_ONCE) {
    data.set(env.random.bytes(Math.min(AT_ONCE, size - at)), at);
  }
  return data;
}

async function sha256(data: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", data as Uint8Array<ArrayBuffer>);
  return toHex(new Uint8Array(digest));
}

function say(step: string, text: string): void {
  console.log(`  ${step.padEnd(8)} ${text}`);
}

async function timed(run: () => Promise<unknown>): Promise<string> {
  const began = realClock.monotonic();
  await run();
  const seconds = (realClock.monotonic() - began) / 1000;
  return `${seconds.toFixed(2)} s, ${(FILE_BYTES / seconds / 2 ** 20).toFixed(0)} MiB/s`;
}

/** Puts the file through the volume and back; throws unless it is the same everywhere. */
async function walk(brick: string, port: string): Promise<void> {
  const graph = buildGraph([clientBlock(brick, port)], TYPES, env);
  await graph.start();
  try {
    const volume = new Volume({ top: graph.top, inodes: graph.inodes, env, call: ROOT });
    const data = randomBytes(FILE_BYTES);
    const hash = await sha256(data);
    say(
      "put",
      `${FILE}, ${FILE_BYTES >> 20} MiB: ${await timed(() => volume.writeFile(FILE, data))}`,
    );
    let back = new Uint8Array(0) as Uint8Array;
    const speed = await timed(async () => void (back = await volume.readFile(FILE)));
    if (await sha256(back) !== hash) throw new Error("the file came back changed");
    say("get", `the same bytes: ${speed}`);
    const plain = `${brick}/${FILE}`;
    if (await sha256(await Deno.readFile(plain)) !== hash) {
      throw new Error(`${plain} does not hold the file`);
    }
    say("on disk", `${plain}, a plain file`);
    say("sha256", `${hash}, three times`);
  } finally {
    await graph.stop();
  }
}

function sayHowToMount(port: string): void {
  console.log(`
Mount it with GlusterFS's own client, as root:

  mount -t glusterfs -o server-port=${port} ${HOST}:/${VOLUME} /mnt

or, which is the same:

  glusterfs --volfile-server=${HOST} --volfile-server-port=${port} --volfile-id=${VOLUME} /mnt
`);
}

async function main(keep: boolean): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "mortar-quickstart-" });
  let kept = false;
  const interrupted = Promise.withResolvers<never>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => interrupted.reject(new Error("interrupted")));
  }
  try {
    await Promise.race([bringUp(directory), interrupted.promise]);
    kept = keep;
  } finally {
    if (!kept) {
      await stopAll();
      await Deno.remove(directory, { recursive: true });
    }
  }
  if (kept) {
    const pids = running.map(({ child }) => child.pid).reverse().join(" ");
    console.log(`It keeps running; logs and data are in ${directory}. To end it:

  kill ${pids}; rm -r ${directory}
`);
    for (const { child } of running) child.unref();
  } else console.log("All of it is stopped and removed again; --keep leaves it running.");
}

async function bringUp(directory: string): Promise<void> {
  const brick = `${directory}/brick`, volfiles = `${directory}/volfiles`;
  await Deno.mkdir(brick);
  await Deno.mkdir(volfiles);
  console.log(`A volume "${VOLUME}" of one brick, from nothing\n`);
  const mgmt = await start("mgmt", directory, ["mgmt", "--volfiles", volfiles, "--port", "0"]);
  const port = mgmt.address.split(":").at(-1)!;
  say("mgmt", `serves volfiles on ${mgmt.address} (process ${mgmt.child.pid})`);
  await Deno.writeTextFile(`${volfiles}/${VOLUME}.vol`, clientVolfile(brick, port));
  await Deno.writeTextFile(`${volfiles}/${VOLUME}-brick.vol`, brickVolfile(brick));
  const served = await start("brick", directory, [
    ...["brick", "--volfile-server", mgmt.address, "--volfile-id", `${VOLUME}-brick`],
  ]);
  say("brick", `serves ${brick} on ${served.address} (process ${served.child.pid})`);
  await walk(brick, port);
  sayHowToMount(port);
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { keep: { type: "boolean", default: false } } });
  try {
    await main(values.keep);
    Deno.exit(0);
  } catch (error) {
    console.error(
      `Cannot finish the quickstart: ${error instanceof Error ? error.message : error}`,
    );
    for (const line of log) console.error(line.trimEnd());
    Deno.exit(1);
  }
}
