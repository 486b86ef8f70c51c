/** A management daemon of ours in a network namespace and a home that vanish with it. */

import { Mount } from "tests/e2e/harness.ts";
import { Namespace, Process, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

/** Its address. */
export const NODE_HOST = "127.0.0.1";

/** A brick as `volume status` shows it. */
export interface BrickRow {
  readonly path: string;
  readonly online: boolean;
  /** 0 if it is not online. */
  readonly port: number;
  readonly pid: number;
}

/** See the head of this file. */
export class ManagedNode implements AsyncDisposable {
  #daemon: Process | undefined;
  #mounts: Mount[] = [];

  private constructor(readonly space: Namespace, readonly dir: string) {}

  /** Makes one, and starts its daemon with `flags`. */
  static async start(...flags: string[]): Promise<ManagedNode> {
    const space = await Namespace.create();
    const dir = await Deno.makeTempDir({ prefix: `${space.name}-` });
    const node = new ManagedNode(space, dir);
    try {
      await node.startDaemon(...flags);
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
    return node;
  }

  get home(): string {
    return `${this.dir}/home`;
  }

  /** Where pid files and sockets are. */
  get run(): string {
    return `${this.home}/run`;
  }

  /** Starts the daemon; resolves when it takes commands. */
  async startDaemon(...flags: string[]): Promise<void> {
    const argv = [MORTAR, "mgmt", "--home", this.home, ...flags];
    const daemon = new Process(this.space.inside(argv), `${this.dir}/mgmt.log`, {
      DENO: Deno.execPath(),
    });
    this.#daemon = daemon;
    await until("the daemon takes commands", async () => {
      if (!daemon.running) throw new Error(`The daemon ended\n${daemon.lastWords()}`);
      return (await this.try("volume list")).code === 0;
    });
  }

  /** Ends the daemon, by default without warning. */
  async endDaemon(signal: Deno.Signal = "SIGKILL"): Promise<void> {
    await this.#daemon!.end(signal);
  }

  /** Number of the daemon's process. */
  get pid(): number {
    return this.#daemon!.pid;
  }

  /** What the daemon logged last. */
  get lastWords(): string {
    return this.#daemon!.lastWords();
  }

  /** Runs `mortar LINE`. */
  try(line: string): Promise<{ code: number; out: string; err: string }> {
    const argv = [MORTAR, "--home", this.home, "--mode=script", ...line.split(" ")];
    return run(this.space.inside(argv), { env: { DENO: Deno.execPath() } });
  }

  /** The same; throws unless it exits with 0. Answers what it printed. */
  async must(line: string): Promise<string> {
    const { code, out, err } = await this.try(line);
    if (code === 0) return out;
    throw new Error(`mortar ${line}: exit code ${code}\n${out}${err}\n${this.lastWords}`);
  }

  /** Makes a volume of `count` bricks and starts it; `layout`: words such as "replica 2". */
  async volume(name: string, count: number, layout = ""): Promise<void> {
    const bricks = Array.from({ length: count }, (_, i) => `${NODE_HOST}:${this.dir}/${name}-${i}`);
    const words = [name, ...(layout ? [layout] : []), ...bricks];
    await this.must(`volume create ${words.join(" ")} force`);
    await this.must(`volume start ${name}`);
  }

  /** Its bricks, in order. */
  async bricks(name: string): Promise<BrickRow[]> {
    const xml = await this.must(`--xml volume status ${name}`);
    const values = (tag: string) =>
      [...xml.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, "g"))].map(([, text]) => text!);
    const [paths, online, ports, pids] = ["path", "status", "port", "pid"].map(values);
    return paths!.map((path, i) => ({
      path,
      online: online![i] === "1",
      port: Number(ports![i]) || 0,
      pid: Number(pids![i]),
    })).filter(({ path }) => path.startsWith("/")); // not the healers
  }

  /** Resolves when all bricks of a volume are online; answers them. */
  async allOnline(name: string): Promise<BrickRow[]> {
    let rows: BrickRow[] = [];
    await until(`all bricks of ${name} are online`, async () => {
      rows = await this.bricks(name);
      return rows.every(({ online }) => online);
    });
    return rows;
  }

  /** Mounts a volume by GlusterFS's client; `more`: options of the mount. */
  async mount(name: string, more = ""): Promise<Mount> {
    const path = `${this.dir}/mnt-${this.#mounts.length}`;
    await Deno.mkdir(path);
    const mount = new Mount(path, `${path}.log`);
    this.#mounts.push(mount);
    const argv = ["mount", "-t", "glusterfs", "-o", `log-file=${path}.log${more && `,${more}`}`];
    const { code, out, err } = await run(
      this.space.inside([...argv, `${NODE_HOST}:/${name}`, path]),
    );
    if (code === 0) return mount;
    throw new Error(`Cannot mount ${name}: ${out}${err}\n${await Deno.readTextFile(mount.log)}`);
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const mount of this.#mounts) await mount[Symbol.asyncDispose]();
    await this.#daemon?.end("SIGKILL");
    await this.space[Symbol.asyncDispose]();
    await Deno.remove(this.dir, { recursive: true });
  }
}
