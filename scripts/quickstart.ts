/**
 * A volume from nothing, in a private directory: no root, no FUSE, loopback only. Starts the
 * management daemon as the process it always is, and then runs the commands that a person would type,
 * each shown: a volume of two bricks is made and started, a file is put into it and got back. With
 * `--keep` all of it stays running; otherwise nothing is left behind, however it ends.
 *
 * Permissions: read, write, net, ffi, run; env and sys for what the processes ask.
 */

// deno-lint-ignore-file no-console -- a command's output

import { parseArgs } from "node:util";
import { realClock } from "core/env.ts";
import { toHex } from "core/lib/bytes.ts";

const VOLUME = "demo";
const HOST = "127.0.0.1";
const FILE_BYTES = 8 << 20;
const READY_MS = 20_000;
const MORTAR = new URL("mortar", import.meta.url).pathname;

/** The management daemon once it runs, and whether it is time to end. */
let daemon: Deno.ChildProcess | undefined, stopping = false;

/** Starts it in the background; answers its port. */
async function startDaemon(home: string): Promise<string> {
  const logFile = `${home}.log`;
  const child = daemon = new Deno.Command(MORTAR, {
    args: ["mgmt", "--home", home, "--port", "0", "--log-format", "json", "--log-file", logFile],
    env: { DENO: Deno.execPath() },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    detached: true,
  }).spawn();
  const complaint = new Response(child.stderr).text();
  let ended = false;
  child.status.then(() => ended = true);
  const end = realClock.monotonic() + READY_MS;
  for (;;) {
    const port = readyPort(logFile);
    if (port !== undefined) return port;
    if (ended) throw new Error(`mortar mgmt ended: ${(await complaint).trim()}`);
    if (realClock.monotonic() > end) throw new Error("mortar mgmt is not ready in time");
    await realClock.delay(20);
  }
}

function readyPort(logFile: string): string | undefined {
  let text: string;
  try {
    text = Deno.readTextFileSync(logFile);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  for (const line of text.split("\n").slice(0, -1)) {
    const { message, address } = JSON.parse(line);
    if (/ ready$/.test(message)) return String(address).split(":").at(-1);
  }
  return undefined;
}

/** Runs a command as a person would, shows it and what it says. Throws if it fails. */
async function type(...words: string[]): Promise<void> {
  if (stopping) throw new Error("interrupted");
  await typeAnyway(words);
}

async function typeAnyway(words: readonly string[]): Promise<void> {
  console.log(`$ mortar ${words.join(" ")}`);
  const { code, stdout, stderr } = await new Deno.Command(MORTAR, {
    args: [...words],
    env: { DENO: Deno.execPath() },
    stdin: "null",
  }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  console.log(said.trimEnd() ? `${said.trimEnd()}\n` : "");
  if (code !== 0) throw new Error(`mortar ${words.join(" ")}: exit code ${code}`);
}

async function sha256(path: string): Promise<string> {
  const data = await Deno.readFile(path);
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));
}

async function writeRandomFile(path: string): Promise<void> {
  const data = new Uint8Array(FILE_BYTES), AT_ONCE = 65536;
  for (let at = 0; at < data.length; at += AT_ONCE) {
    crypto.getRandomValues(data.subarray(at, at + AT_ONCE));
  }
  await Deno.writeFile(path, data);
}

async function walk(directory: string, port: string): Promise<void> {
  const home = ["--home", `${directory}/home`];
  const bricks = ["a", "b"].map((name) => `${HOST}:${directory}/brick-${name}`);
  await type(...home, "volume", "create", VOLUME, ...bricks, "force");
  await type(...home, "volume", "start", VOLUME);
  await type(...home, "volume", "status", VOLUME);
  const sent = `${directory}/hello.bin`, back = `${directory}/back.bin`;
  await writeRandomFile(sent);
  const inside = `${HOST}:${port}:${VOLUME}/hello.bin`;
  await type("file", "put", sent, inside);
  await type("file", "ls", `${HOST}:${port}:${VOLUME}/`);
  await type("file", "get", inside, back);
  const hash = await sha256(sent);
  if (await sha256(back) !== hash) throw new Error("the file came back changed");
  const plain = ["a", "b"].map((name) => `${directory}/brick-${name}/hello.bin`).find(isThere);
  if (plain === undefined || await sha256(plain) !== hash) {
    throw new Error("no brick holds the file");
  }
  console.log(`The same ${FILE_BYTES >> 20} MiB came back, and lie on disk as a plain file:
  ${plain}
`);
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).size === FILE_BYTES;
  } catch {
    return false;
  }
}

/** Ends bricks and daemon. What never came up needs no end. */
async function stop(directory: string): Promise<void> {
  stopping = true;
  const child = daemon;
  if (!child) return;
  const home = ["--home", `${directory}/home`, "--mode=script"];
  await typeAnyway([...home, "volume", "stop", VOLUME]).catch(() => {});
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

function sayHowToGoOn(directory: string, pid: number, port: string): void {
  console.log(`It keeps running; all of it is in ${directory}.

Mount it with GlusterFS's own client, as root:

  mount -t glusterfs -o server-port=${port} ${HOST}:/${VOLUME} /mnt

To end it:

  mortar --home ${directory}/home --mode=script volume stop ${VOLUME}
  kill ${pid}; rm -r ${directory}
`);
}

async function main(keep: boolean): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "mortar-quickstart-" });
  const interrupted = Promise.withResolvers<never>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => interrupted.reject(new Error("interrupted")));
  }
  let kept = false, port = "";
  const all = async () => {
    console.log(`$ mortar mgmt --home ${directory}/home --port 0 &\n`);
    port = await startDaemon(`${directory}/home`);
    await walk(directory, port);
  };
  try {
    await Promise.race([all(), interrupted.promise]);
    kept = keep;
  } finally {
    if (!kept) {
      await stop(directory);
      await Deno.remove(directory, { recursive: true });
    }
  }
  if (daemon && kept) {
    sayHowToGoOn(directory, daemon.pid, port);
    daemon.unref();
  } else console.log("All of it is stopped and removed again; --keep leaves it running.");
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
    Deno.exit(1);
  }
}
