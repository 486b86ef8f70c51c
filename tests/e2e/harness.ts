/**
 * A whole cluster for a test: bricks of either kind, a volfile server, mounts by the real client,
 * the real self-heal daemon; all in a network namespace and a directory that vanish with it.
 *
 * `MORTAR_E2E_BRICKS=glusterfsd` runs every test against GlusterFS's own brick instead of ours: what
 * fails there too is the test's fault. `MORTAR=PROGRAM` judges another build than the sources here,
 * `MORTAR_LONG=1` runs the long forms, `MORTAR_KEEP=1` leaves directories and logs behind.
 */

import { Host } from "tests/e2e/hosts.ts";
import {
  exists,
  killAllNaming,
  listens,
  must,
  Namespace,
  PATIENCE_MS,
  Process,
  processesNaming,
  run,
  type RunOptions,
  until,
} from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";
import {
  type BrickFacts,
  BRICKS,
  brickVolfile,
  type ClientFacts,
  clientVolfile,
  healVolfile,
  type Layout,
} from "tests/e2e/volfiles.ts";
import { hasProgram } from "tests/fakes/programs.ts";

/** Whose program serves a brick. */
export type BrickKind = "ours" | "glusterfsd";

/** The kind that tests judge. */
export const KIND: BrickKind = Deno.env.get("MORTAR_E2E_BRICKS") === "glusterfsd"
  ? "glusterfsd"
  : "ours";

/** Full sizes instead of the few minutes that CI has. */
export const LONG = Deno.env.get("MORTAR_LONG") === "1";

/** The three ways to spread files that every client test runs on. */
export const LAYOUTS: readonly Layout[] = ["one", "distributed", "replica"];

/** Address of everything inside a cluster's namespace. */
export const HOST = "127.0.0.1";

const GLFSHEAL = "/usr/lib/x86_64-linux-gnu/glusterfs/glfsheal";
const FIRST_PORT = 49152;
const VOLFILE_PORT = 24007;

/** Why a test that needs root and these programs cannot run here; "" if it can. */
export function cannotRun(...programs: readonly string[]): string {
  if (Deno.uid() !== 0) return "needs root";
  const all = ["ip", "nsenter", "setfattr", "glusterfsd", "glusterfs", "python3", ...programs];
  const missing = all.filter((each) => !hasProgram(each));
  if (missing.length) return `not installed: ${missing.join(", ")}`;
  return exists("/dev/fuse") ? "" : "no /dev/fuse";
}

/** Declares a test that runs if root and the programs are there, and says why it does not. */
export function e2e(name: string, programs: readonly string[], body: () => Promise<void>): void {
  const reason = cannotRun(...programs);
  Deno.test({
    name: reason ? `${name} (skipped: ${reason})` : name,
    ignore: reason !== "",
    // Children end with their cluster; the output streams of killed ones may close a turn later.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: body,
  });
}

/** One brick: its directory, and the process that serves it. */
export class Brick {
  #process: Process | undefined;
  constructor(
    readonly cluster: Cluster,
    readonly index: number,
    public kind: BrickKind,
    readonly facts: BrickFacts,
    /** Where it runs, if not where the others do. */
    readonly host: Host | undefined,
  ) {}

  get path(): string {
    return this.facts.path;
  }

  get port(): number {
    return this.facts.port;
  }

  /** Where it takes orders. */
  get socket(): string {
    return `${this.cluster.dir}/brick-${this.index}.socket`;
  }

  /** Process number; throws if it does not run. */
  get pid(): number {
    if (!this.#process?.running) throw new Error(`Brick ${this.index} does not run`);
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process?.running ?? false;
  }

  /** What it logged last. */
  get lastWords(): string {
    return this.#process?.lastWords() ?? "";
  }

  /** Makes an empty brick, as glusterd does. */
  async prepare(): Promise<void> {
    if (exists(`${this.path}/.glusterfs`)) return;
    await Deno.mkdir(this.path, { recursive: true, mode: 0o755 });
    await Deno.mkdir(`${this.path}/.glusterfs/indices`, { recursive: true, mode: 0o700 });
    const id = this.facts.volumeId.replaceAll("-", "");
    await must(["setfattr", "-n", "trusted.glusterfs.volume-id", "-v", `0x${id}`, this.path]);
  }

  /** Serves the directory until `end`; resolves when clients may come. */
  async start(): Promise<void> {
    const { cluster, index, facts } = this;
    const volfile = `${cluster.dir}/brick-${index}.vol`;
    const log = `${cluster.dir}/brick-${index}-${this.kind}.log`;
    const own = { ...facts, changedRanges: this.kind === "ours" && cluster.bricks.length > 1 };
    await Deno.writeTextFile(volfile, brickVolfile(own));
    const argv = this.kind === "ours"
      ? [MORTAR, "brick", "-f", volfile, "-S", this.socket]
      : ["glusterfsd", "-N", "-f", volfile, "-l", log, "-L", "WARNING"];
    const process = new Process((this.host?.space ?? cluster.space).inside(argv), log);
    this.#process = process;
    await until(`brick ${index} (${this.kind}) listens`, () => {
      if (!process.running) throw new Error(`Brick ${index} ended\n${process.lastWords()}`);
      return listens(process.pid, facts.port, { inside: true });
    });
  }

  /** Ends the process, by default without warning. */
  async end(signal: Deno.Signal = "SIGKILL"): Promise<void> {
    await this.#process?.end(signal);
  }
}

/** A volume as a client sees it. */
export class Mount implements AsyncDisposable {
  constructor(readonly path: string, readonly log: string) {}

  /** Kills the client, and programs whose command line names the mount; others that use it get ENOTCONN. */
  async kill(): Promise<void> {
    await killAllNaming(this.path);
  }

  /** Unmounts and waits until the client's process is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await run(["umount", "-l", this.path]);
    try {
      await until("client ends", () => processesNaming(this.path).length === 0, 5000);
    } catch {
      await killAllNaming(this.path);
    }
  }
}

/** What a cluster is made of. */
export interface ClusterOptions {
  readonly layout: Layout;
  /** Who serves each brick; the kind under test if absent. */
  readonly kinds?: readonly BrickKind[];
  /** Client-side caches: glusterd's (true, and if absent), our daemon's, or all; then bricks tell of changes. */
  readonly performance?: boolean | "all" | "ours";
  /** Directories of existing bricks to serve instead of fresh ones. */
  readonly adopt?: readonly string[];
  readonly volumeId?: string;
  readonly brick?: Pick<BrickFacts, "allow" | "reject" | "login" | "snapshots" | "counts">;
  readonly client?: Pick<ClientFacts, "login" | "sourceAddress" | "pingTimeout" | "shard">;
  /** Each brick is on a host of its own, which can be cut off; else all share one. */
  readonly hosts?: boolean;
  /** A mount namespace for the cluster's programs; mounts made through it are not seen outside. */
  readonly ownMounts?: boolean;
  /** Where directories are made; the default place for temporary files if absent. */
  readonly under?: string;
}

/** Bricks, a volfile server and clients of one volume. Dispose it: all of it ends. */
export class Cluster implements AsyncDisposable {
  readonly volume = "vol";
  readonly bricks: Brick[] = [];
  #processes: Process[] = [];
  #mounts: Mount[] = [];
  #hosts: Host[] = [];
  #count = 0;

  private constructor(
    readonly options: ClusterOptions,
    readonly space: Namespace,
    readonly dir: string,
    readonly volumeId: string,
  ) {}

  /** Starts bricks and volfile server. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const space = await Namespace.create(options.ownMounts);
    const dir = await Deno.makeTempDir({
      prefix: `${space.name}-`,
      ...(options.under ? { dir: options.under } : {}),
    });
    // Tests that act as another user go through it.
    await Deno.chmod(dir, 0o755);
    const id = options.volumeId ?? crypto.randomUUID();
    const cluster = new Cluster(options, space, dir, id);
    try {
      await cluster.#start();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  async #start(): Promise<void> {
    const { layout, kinds, adopt, brick, performance, hosts } = this.options;
    const count = BRICKS[layout];
    for (let index = 0; index < count; index++) {
      const host = hosts ? await Host.join(this.space, index) : undefined;
      if (host) this.#hosts.push(host);
      const facts: BrickFacts = {
        path: adopt?.[index] ?? `${this.dir}/brick-${index}`,
        port: FIRST_PORT + index,
        volume: this.volume,
        volumeId: this.volumeId,
        arbiter: layout === "arbiter" && index === count - 1,
        invalidation: performance === "all",
        ...(host ? { host: host.address } : {}),
        ...brick,
      };
      this.bricks.push(new Brick(this, index, kinds?.[index] ?? KIND, facts, host));
    }
    await Promise.all(this.bricks.map(async (each) => {
      await each.prepare();
      await each.start();
    }));
    await this.#serveVolfiles();
  }

  async #serveVolfiles(): Promise<void> {
    const folder = `${this.dir}/volfiles`;
    await Deno.mkdir(folder);
    await Deno.writeTextFile(`${folder}/${this.volume}.vol`, clientVolfile(this.clientFacts()));
    const server = new Process(
      this.space.inside([MORTAR, "mgmt", "--home", `${this.dir}/mgmt`, "--volfiles", folder]),
      `${this.dir}/mgmt.log`,
    );
    this.#processes.push(server);
    await until("volfile server listens", () => {
      if (!server.running) throw new Error(`Volfile server ended\n${server.lastWords()}`);
      return listens(server.pid, VOLFILE_PORT, { inside: true });
    });
  }

  /** What clients are told about the volume. */
  clientFacts(more: ClusterOptions["client"] = this.options.client): ClientFacts {
    return {
      volume: this.volume,
      volumeId: this.volumeId,
      layout: this.options.layout,
      host: HOST,
      bricks: this.bricks.map(({ facts }) => facts),
      ...(this.options.performance === undefined ? {} : { performance: this.options.performance }),
      ...more,
    };
  }

  /** Runs a program inside the cluster's network; throws unless it exits with 0. */
  must(argv: readonly string[], options?: RunOptions): Promise<string> {
    return must(this.space.inside(argv), options);
  }

  /** Runs a program inside the cluster's network. */
  run(
    argv: readonly string[],
    options?: RunOptions,
  ): Promise<{ code: number; out: string; err: string }> {
    return run(this.space.inside(argv), options);
  }

  /**
   * Mounts the volume as an administrator would: `mount -t glusterfs HOST:/VOLUME`. Clusters without
   * performance layers get mounts that cache nothing, so that two of them see the same at once. `more`
   * are options of the mount.
   */
  async mount(more?: string): Promise<Mount> {
    const { path, log } = await this.#mountPoint();
    const fresh = this.options.performance === false ? ",attribute-timeout=0,entry-timeout=0" : "";
    const options = `acl,log-file=${log}${fresh}${more === undefined ? "" : `,${more}`}`;
    const argv = ["mount", "-t", "glusterfs", "-o", options];
    const { code, out, err } = await this.run([...argv, `${HOST}:/${this.volume}`, path]);
    if (code !== 0) throw new Error(`Cannot mount: ${out}${err}${tail(log)}`);
    return this.#mounted(path, log);
  }

  /** Mounts with a volfile of its own, for clients that differ. Answers undefined if it is refused. */
  async mountVolfile(more: NonNullable<ClusterOptions["client"]>): Promise<Mount | undefined> {
    const { path, log } = await this.#mountPoint();
    const volfile = `${path}.vol`;
    await Deno.writeTextFile(volfile, clientVolfile(this.clientFacts(more)));
    const { code } = await this.run(["glusterfs", "-f", volfile, "-l", log, path], {
      timeoutMs: PATIENCE_MS,
    });
    const mount = this.#mounted(path, log);
    // A client that is refused unmounts: what then answers is the directory below.
    const root = await run(["stat", "-c", "%i", path], { timeoutMs: PATIENCE_MS });
    if (code !== 0 || root.out.trim() !== "1") {
      await mount[Symbol.asyncDispose]();
      return undefined;
    }
    return mount;
  }

  async #mountPoint(): Promise<{ path: string; log: string }> {
    const path = `${this.dir}/mount-${this.#count++}`;
    await Deno.mkdir(path);
    return { path, log: `${path}.log` };
  }

  #mounted(path: string, log: string): Mount {
    const mount = new Mount(path, log);
    this.#mounts.push(mount);
    return mount;
  }

  /** Starts the real self-heal daemon on this volume. */
  async startHealer(): Promise<Process> {
    const volfile = `${this.dir}/shd.vol`, log = `${this.dir}/shd.log`;
    await Deno.writeTextFile(volfile, healVolfile(this.clientFacts()));
    const healer = new Process(
      this.space.inside([
        ...["glusterfs", "-N", "-f", volfile, "-l", log],
        ...["--process-name", "glustershd", "--client-pid=-6"],
        ...["--xlator-option", "*replicate*.node-uuid=6ab5a7a4-3c1f-4c6d-9f44-1d8ed0f8ef1a"],
      ]),
      log,
    );
    this.#processes.push(healer);
    return healer;
  }

  /** Entries that `glfsheal` says need healing on each brick; undefined where a brick is not reached. */
  async pendingHeals(): Promise<(number | undefined)[]> {
    const volfile = `${this.dir}/glfsheal.vol`;
    await Deno.writeTextFile(
      volfile,
      clientVolfile({ ...this.clientFacts(), performance: false }),
    );
    const argv = [GLFSHEAL, this.volume, "--nolog", "volfile-path", volfile];
    const { out, err } = await this.run(argv, { timeoutMs: 90_000 });
    const counts = [...out.matchAll(/^Number of entries: (.*)$/gm)].map(([, text]) => {
      return /^\d+$/.test(text!) ? Number(text) : undefined;
    });
    if (counts.length !== this.bricks.length) throw new Error(`glfsheal said: ${out}${err}`);
    return counts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#mounts.map((each) => each[Symbol.asyncDispose]()));
    await Promise.all(this.#processes.map((each) => each.end("SIGKILL")));
    await Promise.all(this.bricks.map((each) => each.end()));
    await Promise.all(this.#hosts.map((each) => each[Symbol.asyncDispose]()));
    await this.space[Symbol.asyncDispose]();
    if (Deno.env.get("MORTAR_KEEP") !== "1") await Deno.remove(this.dir, { recursive: true });
  }
}

function tail(path: string): string {
  return exists(path) ? `\n${Deno.readTextFileSync(path).slice(-3000)}` : "";
}
