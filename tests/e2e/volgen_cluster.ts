/** Bricks of ours and real clients on the volfiles that volume records become, fetched by their keys. */

import type { VolumeRecord } from "mgmt/records.ts";
import { brickKey, graphKey, volfileKeys, volfileText } from "mgmt/volgen/volfiles.ts";
import { proxyName } from "mgmt/volgen/own_graph.ts";
import { Mount } from "tests/e2e/harness.ts";
import { listens, must, Namespace, Process, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

const HOST = "127.0.0.1";
const VOLFILE_PORT = 24007;
const GLFSHEAL = "/usr/lib/x86_64-linux-gnu/glusterfs/glfsheal";

/** What sort of volume it is; the rest of the record follows. */
export type Shape =
  & Pick<VolumeRecord, "kind">
  & Partial<
    Pick<VolumeRecord, "replicaCount" | "arbiterCount" | "disperseCount" | "redundancyCount">
  >
  & { readonly bricks: number; readonly options?: Readonly<Record<string, string>> };

/** A volume that is served. Dispose it: all of it ends. */
export class VolgenCluster implements AsyncDisposable {
  #processes: Process[] = [];
  #bricks: (Process | undefined)[] = [];
  #mounts: Mount[] = [];

  private constructor(
    readonly space: Namespace,
    readonly dir: string,
    readonly volume: VolumeRecord,
  ) {}

  /** Starts bricks and the volfile server. */
  static async start(shape: Shape): Promise<VolgenCluster> {
    const space = await Namespace.create();
    const dir = await Deno.makeTempDir({ prefix: `${space.name}-` });
    const cluster = new VolgenCluster(space, dir, recordOf(shape, dir));
    try {
      await cluster.#start();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  async #start(): Promise<void> {
    const { volume, dir } = this, folder = `${dir}/volfiles`;
    const input = { volume, globalOptions: {}, nodeId: volume.id, bindToHost: true };
    for (const role of ["shd", "proxy"]) {
      await Deno.mkdir(`${folder}/${role}`, { recursive: true });
    }
    for (const key of volfileKeys(volume)) {
      if (/^(rebalance|client_per_brick)\//.test(key)) continue;
      await Deno.writeTextFile(`${folder}/${key}.vol`, volfileText(input, key, true)!);
    }
    const argv = [MORTAR, "mgmt", "--home", `${dir}/mgmt`, "--volfiles", folder];
    const server = this.#spawn("mgmt", argv);
    await until("volfile server listens", () => {
      if (!server.running) throw new Error(`Volfile server ended\n${server.lastWords()}`);
      return listens(server.pid, VOLFILE_PORT, { inside: true });
    });
    const id = volume.id.replaceAll("-", "");
    for (const { path } of volume.bricks) {
      await Deno.mkdir(path);
      await must(["setfattr", "-n", "trusted.glusterfs.volume-id", "-v", `0x${id}`, path]);
    }
    await Promise.all(volume.bricks.map((_, index) => this.startBrick(index)));
  }

  #spawn(name: string, argv: readonly string[]): Process {
    const process = new Process(this.space.inside(argv), `${this.dir}/${name}.log`);
    this.#processes.push(process);
    return process;
  }

  /** Serves a brick as the management daemon would. */
  async startBrick(index: number): Promise<void> {
    const { volume } = this, brick = volume.bricks[index]!;
    this.#bricks[index] = await this.#serve(`brick-${index}`, brickKey(volume, brick), brick.path);
  }

  /** Serves a client's graph to other clients. */
  async startProxy(): Promise<void> {
    await this.#serve("proxy", graphKey(this.volume, "proxy"), proxyName(this.volume.name));
  }

  async #serve(name: string, key: string, as: string): Promise<Process> {
    const process = this.#spawn(name, [
      ...[MORTAR, "brick", "-s", HOST, "--volfile-id", key],
      ...["--brick-name", as, "--brick-port", "0"],
      ...["--xlator-option", `*-posix.glusterd-uuid=${this.volume.id}`],
    ]);
    // Clients that are told nothing of its port ask again only after three seconds.
    await until(`${name} signs in`, async () => {
      if (!process.running) throw new Error(`${name} ended\n${process.lastWords()}`);
      return (await Deno.readTextFile(`${this.dir}/mgmt.log`)).includes(` pid=${process.pid}\n`);
    });
    return process;
  }

  /** Ends a brick without warning. */
  async killBrick(index: number): Promise<void> {
    await this.#bricks[index]!.end("SIGKILL");
  }

  /** Mounts the volume with GlusterFS's own client, or what has that key. */
  async mount(key = this.volume.name): Promise<Mount> {
    const path = `${this.dir}/mount-${this.#mounts.length}`, log = `${path}.log`;
    await Deno.mkdir(path);
    const mount = new Mount(path, log);
    this.#mounts.push(mount);
    const from = `${HOST}:/${key}`;
    await must(
      this.space.inside(["mount", "-t", "glusterfs", "-o", `acl,log-file=${log}`, from, path]),
    );
    return mount;
  }

  /** Starts GlusterFS's self-heal daemon. */
  async startHealer(): Promise<void> {
    // As for volumes that are in the daemon's store.
    await Deno.mkdir(`${this.dir}/mgmt/run/shd/${this.volume.name}`, { recursive: true });
    this.#spawn("shd", [
      ...["glusterfs", "-N", "-s", HOST, "--volfile-id", graphKey(this.volume, "heal")],
      ...["-l", `${this.dir}/shd.log`, "-p", `${this.dir}/shd.pid`],
      ...["--process-name", "glustershd", "--client-pid=-6"],
      ...["--xlator-option", `*replicate*.node-uuid=${this.volume.id}`],
    ]);
  }

  /** Entries that need healing, of all bricks; undefined while one is not reached. */
  async pendingHeals(): Promise<number | undefined> {
    const { name } = this.volume;
    const argv = [GLFSHEAL, name, "--nolog", "volfile-path", `${this.dir}/volfiles/${name}.vol`];
    const { out, err } = await run(this.space.inside(argv), { timeoutMs: 90_000 });
    const counts = [...out.matchAll(/^Number of entries: (.*)$/gm)].map(([, text]) => Number(text));
    if (counts.length !== this.volume.bricks.length) {
      throw new Error(`glfsheal said: ${out}${err}`);
    }
    const sum = counts.reduce((all, each) => all + each, 0);
    return Number.isNaN(sum) ? undefined : sum;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#mounts.map((each) => each[Symbol.asyncDispose]()));
    await Promise.all(this.#processes.map((each) => each.end("SIGKILL")));
    await this.space[Symbol.asyncDispose]();
    if (Deno.env.get("MORTAR_KEEP") !== "1") await Deno.remove(this.dir, { recursive: true });
  }
}

function recordOf({ bricks, options, ...shape }: Shape, dir: string): VolumeRecord {
  return {
    name: "vol",
    id: crypto.randomUUID(),
    state: "started",
    replicaCount: 1,
    arbiterCount: 0,
    disperseCount: 0,
    redundancyCount: 0,
    stripeCount: 1,
    ...shape,
    bricks: Array.from({ length: bricks }, (_, index) => ({
      host: HOST,
      path: `${dir}/brick-${index}`,
      nodeId: "node",
      // As after bricks were replaced: what is new has a number of its own.
      clientName: `vol-client-${index === 0 ? bricks : index}`,
    })),
    options: { "transport.address-family": "inet", ...options },
    username: crypto.randomUUID(),
    password: crypto.randomUUID(),
    version: 1,
    nextClient: bricks + 1,
    createdAt: 0,
  };
}
