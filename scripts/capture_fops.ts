/**
 * Captures golden bytes of the fops from GlusterFS's own client and brick into
 * tests/interop/gfx_golden.json.
 *
 *     deno run -A scripts/capture_fops.ts [FILE]
 *
 * Needs root, /dev/fuse, python3 and Debian's glusterfs-client and glusterfs-server. Up to
 * three bricks (`glusterfsd`) run from hand-written volfiles in a temporary directory on loopback.
 * Between them and the clients (a FUSE mount of one brick, libgfapi through ctypes, FUSE mounts that
 * replicate, disperse and distribute) stands a proxy that records calls of the fop program and their
 * replies. Each form is
 * kept once: a fop, its error, and which extra data went and came. What no GlusterFS software sends
 * is written by our encoder, and only the brick's reply is genuine.
 */

import { realClock } from "core/env.ts";
import { FOP_NAMES, FOPS } from "core/fops.ts";
import { toHex } from "core/lib/bytes.ts";
import { XdrReader } from "rpc/xdr.ts";
import { readDict } from "rpc/gfx_dict.ts";
import { GFX_PROGRAM } from "rpc/programs/gfx.ts";
import { encoderSteps, type Seen } from "./capture/encoder.ts";
import {
  disperseSteps,
  distributeSteps,
  gfapiSteps,
  heal,
  mountSteps,
  replicaSteps,
} from "./capture/steps.ts";
import {
  brickVolfile,
  clientVolfile,
  disperseVolfile,
  distributeVolfile,
  replicaVolfile,
} from "./capture/volfiles.ts";

/** One exchange, as tests/interop/gfx_golden.json holds it. */
export interface Golden {
  readonly fop: string;
  /** "client": both are genuine; "encoder": the request is ours, the reply genuine. */
  readonly from: "client" | "encoder";
  /** The command that produced it. */
  readonly how: string;
  /** The procedure's arguments and bulk data, without the call's header. */
  readonly request: string;
  /** The result and bulk data, without the reply's header. */
  readonly reply: string;
}

const KEEP_BYTES = 2600;
const KEEP_FORMS = 14;

/** What was recorded, each form once. */
class Recorder {
  /** The command that is running. */
  how = "";
  from: Golden["from"] = "client";
  readonly #kept = new Map<string, Golden>();
  readonly #forms = new Map<string, number>();

  add(procedure: number, request: Uint8Array, reply: Uint8Array, how: string): void {
    const fop = FOP_NAMES.find((name) => FOPS[name].proc === procedure);
    if (!fop || request.length + reply.length > KEEP_BYTES) return;
    const key = `${fop} ${form(fop, request, reply)}${this.from === "encoder" ? ` ${how}` : ""}`;
    if (this.#kept.has(key)) return;
    const forms = this.#forms.get(fop) ?? 0;
    if (forms >= KEEP_FORMS && this.from === "client") return;
    this.#forms.set(fop, forms + 1);
    this.#kept.set(key, {
      fop,
      from: this.from,
      how,
      request: toHex(request),
      reply: toHex(reply),
    });
  }

  get goldens(): Golden[] {
    return [...this.#kept.values()].sort((a, b) =>
      FOP_NAMES.indexOf(a.fop as "stat") - FOP_NAMES.indexOf(b.fop as "stat")
    );
  }
}

// Where a request says which kind of its fop it is (command, type, flags, which attributes), and in
// how many bytes.
const KIND: Readonly<Record<string, readonly [number, number]>> = {
  create: [16, 4],
  entrylk: [16, 8],
  fallocate: [24, 4],
  fentrylk: [24, 8],
  finodelk: [24, 8],
  fsetattr: [172, 4],
  fsync: [24, 4],
  fxattrop: [24, 4],
  inodelk: [16, 8],
  lease: [16, 8],
  lk: [24, 8],
  mknod: [24, 4],
  open: [16, 4],
  seek: [32, 4],
  setattr: [164, 4],
  xattrop: [16, 4],
};

/** What tells two exchanges of a fop apart: its kind, the error, the names in extra data both ways. */
function form(fop: string, request: Uint8Array, reply: Uint8Array): string {
  const from = new XdrReader(reply);
  const result = from.i32();
  const errno = result < 0 ? from.i32() : (from.skip(4), 0);
  if (fop === "readv") from.skip(152);
  const names = [...readDict(from)?.names() ?? []].sort().join(",");
  const asked = /[a-z][a-z0-9_.-]{7,}/g;
  const text = new TextDecoder("latin1").decode(request.subarray(16));
  const [at, size] = KIND[fop] ?? [0, 0];
  const kind = toHex(request.subarray(at, at + size));
  return `${kind} ${errno} ${names} ${[...text.match(asked) ?? []].sort().join(",")}`;
}

/** Passes records between a client and a brick, and tells the recorder about fops. */
class Proxy {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.TcpConn>();

  constructor(readonly brickPort: number, readonly recorder: Recorder) {
    this.#accept();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) this.#serve(client).catch(() => {});
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    const brick = await Deno.connect({ hostname: "127.0.0.1", port: this.brickPort })
      .catch(() => undefined);
    if (!brick) return client.close();
    this.#connections.add(client).add(brick);
    const calls = new Map<number, { procedure: number; args: Uint8Array; how: string }>();
    const up = pump(client, brick, (record) => {
      const view = new DataView(record.buffer, record.byteOffset);
      if (view.getUint32(4) !== 0 || view.getUint32(12) !== GFX_PROGRAM) return;
      const credential = view.getUint32(28);
      const args = record.subarray(24 + 8 + credential + (-credential & 3) + 8);
      const how = this.recorder.how;
      calls.set(view.getUint32(0), { procedure: view.getUint32(20), args, how });
    });
    const down = pump(brick, client, (record) => {
      const view = new DataView(record.buffer, record.byteOffset);
      const call = calls.get(view.getUint32(0));
      if (view.getUint32(4) !== 1 || !call) return;
      calls.delete(view.getUint32(0));
      this.recorder.add(call.procedure, call.args, record.subarray(24), call.how);
    });
    await Promise.race([up, down]).catch(() => {});
    for (const conn of [client, brick]) {
      this.#connections.delete(conn);
      try {
        conn.close();
      } catch {
        // Closed by the other end already.
      }
    }
  }

  close(): void {
    this.#listener.close();
    for (const conn of this.#connections) conn.close();
  }
}

async function pump(
  from: Deno.TcpConn,
  to: Deno.TcpConn,
  seen: (record: Uint8Array) => void,
): Promise<void> {
  let pending = new Uint8Array(0);
  const chunk = new Uint8Array(1 << 17);
  const writer = to.writable.getWriter();
  for (;;) {
    const size = await from.read(chunk);
    if (size === null) return;
    const data = chunk.slice(0, size);
    const joined = new Uint8Array(pending.length + size);
    joined.set(pending);
    joined.set(data, pending.length);
    pending = joined;
    while (pending.length >= 4) {
      const record = new DataView(pending.buffer, pending.byteOffset).getUint32(0) & 0x7fffffff;
      if (pending.length < 4 + record) break;
      seen(pending.subarray(4, 4 + record));
      pending = pending.subarray(4 + record);
    }
    await writer.write(data);
  }
}

/** A `glusterfsd` that can be stopped and started at one port. */
class Brick {
  #process: Deno.ChildProcess | undefined;

  constructor(readonly directory: string, readonly name: string, readonly port: number) {}

  get data(): string {
    return `${this.directory}/${this.name}`;
  }

  async start(): Promise<void> {
    await Deno.mkdir(`${this.data}/.glusterfs/indices`, { recursive: true });
    const volfile = `${this.data}.vol`;
    await Deno.writeTextFile(volfile, brickVolfile(this.data, this.port));
    this.#process = spawn("glusterfsd", ["-N", "-f", volfile, "-l", `${this.data}.log`]);
    await until(`brick at port ${this.port}`, async () => {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
      conn.close();
      return true;
    });
  }

  async stop(): Promise<void> {
    try {
      this.#process?.kill("SIGKILL");
    } catch {
      // It ended by itself.
    }
    await this.#process?.status;
    this.#process = undefined;
  }
}

/** A FUSE mount in the foreground. */
class Mount {
  readonly path: string;
  #process: Deno.ChildProcess | undefined;

  constructor(readonly directory: string, readonly name: string) {
    this.path = `${directory}/${name.replaceAll(" ", "-")}`;
  }

  async start(volfile: string, ...options: string[]): Promise<void> {
    await Deno.mkdir(this.path);
    await Deno.writeTextFile(`${this.path}.vol`, volfile);
    this.#process = spawn("glusterfs", [
      "-N",
      "-f",
      `${this.path}.vol`,
      "-l",
      `${this.path}.log`,
      ...options,
      this.path,
    ]);
    await until(`mount at ${this.path}`, () => succeeds("mountpoint", ["-q", this.path]));
  }

  async stop(): Promise<void> {
    await new Deno.Command("umount", { args: ["-l", this.path] }).output();
    await this.#process?.status;
    this.#process = undefined;
  }
}

/** True if the program ends well. */
async function succeeds(program: string, args: string[]): Promise<boolean> {
  return (await new Deno.Command(program, { args }).output()).success;
}

function spawn(program: string, args: string[]): Deno.ChildProcess {
  return new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
}

async function until(what: string, test: () => Promise<boolean>): Promise<void> {
  const end = realClock.monotonic() + 30_000;
  while (realClock.monotonic() < end) {
    if (await test().catch(() => false)) return;
    await realClock.delay(100);
  }
  throw new Error(`Cannot go on: no ${what}`);
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/**
 * Runs shell commands in a mounted directory, one after another. The shell goes there by itself: a
 * system call of ours on the mount would wait for the proxy, which is us.
 */
async function shell(recorder: Recorder, path: string, where: string, steps: readonly string[]) {
  for (const step of steps) {
    recorder.how = `${where}: ${step}`;
    const args = ["-c", `cd "$0" && { ${step}; }`, path];
    const { code, stderr } = await new Deno.Command("sh", { args }).output();
    if (code) say(`  ${step}: exit ${code} ${new TextDecoder().decode(stderr).trim()}`);
  }
}

/** Runs lines of Python, one after another, in one process that has libgfapi open. */
async function gfapi(recorder: Recorder, volfile: string, log: string): Promise<void> {
  const python = new Deno.Command("python3", {
    args: [new URL("./capture/gfapi.py", import.meta.url).pathname, volfile, log],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = python.stdin.getWriter();
  const answers = python.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (const step of gfapiSteps) {
    recorder.how = `gfapi: ${step}`;
    await writer.write(new TextEncoder().encode(step + "\n"));
    let answer = "";
    while (!answer.endsWith("\n")) {
      const { value, done } = await answers.read();
      if (done) throw new Error(`Cannot go on: python ended at ${step}`);
      answer += value;
    }
    if (answer.startsWith("!")) say(`  ${step}: ${answer.slice(1).trim()}`);
  }
  await writer.close();
  await answers.cancel();
  await python.status;
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

/** The bricks and what stands before them. */
class Stage {
  readonly #bricks: readonly Brick[];
  readonly #proxies: readonly Proxy[];

  constructor(readonly directory: string, readonly recorder: Recorder, bricks: number) {
    const names = Array.from({ length: bricks }, (_, i) => `b${i}`);
    this.#bricks = names.map((name) => new Brick(directory, name, freePort()));
    this.#proxies = this.#bricks.map((brick) => new Proxy(brick.port, recorder));
  }

  /** Runs `act` with new bricks and a client of theirs, mounted as `name`. */
  async mounted(
    name: string,
    count: number,
    volfile: (ports: readonly number[]) => string,
    options: readonly string[],
    act: (path: string, bricks: readonly Brick[]) => Promise<void>,
  ): Promise<void> {
    const bricks = this.#bricks.slice(0, count);
    const mount = new Mount(this.directory, name);
    const ports = this.#proxies.slice(0, count).map((proxy) => proxy.port);
    try {
      for (const brick of bricks) await brick.start();
      // A file that has neither gfid nor times of GlusterFS's yet.
      await Deno.writeTextFile(`${bricks[0]!.data}/found`, "found\n");
      this.recorder.how = `mount -t glusterfs, ${name}`;
      await mount.start(volfile(ports), ...options);
      await act(mount.path, bricks);
    } finally {
      await mount.stop();
      for (const brick of bricks) {
        await brick.stop();
        await Deno.remove(brick.data, { recursive: true });
      }
    }
  }

  close(): void {
    for (const proxy of this.#proxies) proxy.close();
  }
}

const UNCACHED = ["--attribute-timeout=0", "--entry-timeout=0"];

async function capture(stage: Stage): Promise<void> {
  const { recorder, directory } = stage;
  const direct = [...UNCACHED, "--direct-io-mode=enable"];
  await stage.mounted(
    "plain",
    1,
    ([port]) => clientVolfile(port!),
    direct,
    async (path, [brick]) => {
      await shell(recorder, path, "fuse", mountSteps);
      await gfapi(recorder, `${path}.vol`, `${directory}/gfapi.log`);
      recorder.from = "encoder";
      const seen: Seen = (procedure, request, reply, how) =>
        recorder.add(procedure, request, reply, how);
      await encoderSteps(brick!.port, seen, say);
      recorder.from = "client";
    },
  );
  await stage.mounted("replica 2", 2, replicaVolfile, UNCACHED, async (path, bricks) => {
    const run = (steps: readonly string[]) => shell(recorder, path, "fuse, replica 2", steps);
    await run(replicaSteps);
    const second = bricks[1]!;
    await heal(() => second.stop(), () => second.start(), run, `${second.data}/healed`, until);
  });
  await stage.mounted(
    "disperse 3",
    3,
    disperseVolfile,
    UNCACHED,
    (path) => shell(recorder, path, "fuse, disperse 3", disperseSteps),
  );
  await stage.mounted(
    "distribute 2",
    2,
    distributeVolfile,
    UNCACHED,
    (path) => shell(recorder, path, "fuse, distribute 2", distributeSteps),
  );
}

async function main(target: string): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "capture-fops-" });
  const recorder = new Recorder();
  const stage = new Stage(directory, recorder, 3);
  try {
    await capture(stage);
  } finally {
    stage.close();
    await Deno.remove(directory, { recursive: true });
  }
  const { goldens } = recorder;
  await Deno.writeTextFile(target, JSON.stringify(goldens, undefined, 1) + "\n");
  const missing = FOP_NAMES.filter((name) => !goldens.some((golden) => golden.fop === name));
  say(`${goldens.length} exchanges of ${FOP_NAMES.length - missing.length} fops in ${target}`);
  if (missing.length) say(`none of: ${missing.join(" ")}`);
}

if (import.meta.main) await main(Deno.args[0] ?? "tests/interop/gfx_golden.json");
