/** Two bricks on this machine's loopback, of either kind, and clients of both kinds on them. */

import { ROOT } from "core/call.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import { parseVolfile, printVolfile, type VolumeBlock } from "core/volfile.ts";
import { Volume } from "core/volume.ts";
import { type BrickKind } from "tests/e2e/harness.ts";
import { exists, listens, must, Process, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";
import { brickVolfile } from "tests/e2e/volfiles.ts";
import { testEnv } from "tests/fakes/node.ts";
import { TYPES } from "xlators/mod.ts";

/** Layers of GlusterFS's own that a client's volfile has above distribute. */
const PERFORMANCE = ["utime", "write-behind", "open-behind", "quick-read", "md-cache"];

/** A client of ours. */
export interface OurClient {
  readonly volume: Volume;
  readonly graph: Graph;
}

/** Bricks that are served, and everything that was started on them. */
export class BrickPair implements AsyncDisposable {
  readonly bricks: { readonly path: string; readonly port: number }[] = [];
  readonly #processes: Process[] = [];
  readonly #graphs: Graph[] = [];
  readonly #mounts: string[] = [];

  private constructor(
    readonly dir: string,
    readonly kinds: readonly BrickKind[],
    readonly size: string | undefined,
  ) {}

  /** The same on disks in memory of `size` each, as mount(8) spells it. */
  static async small(size: string, ...kinds: readonly BrickKind[]): Promise<BrickPair> {
    return await BrickPair.#start(kinds, size);
  }

  /** Serves as many fresh bricks as there are kinds. */
  static async start(...kinds: readonly BrickKind[]): Promise<BrickPair> {
    return await BrickPair.#start(kinds);
  }

  static async #start(kinds: readonly BrickKind[], size?: string): Promise<BrickPair> {
    const pair = new BrickPair(await Deno.makeTempDir({ prefix: "mt-pair-" }), kinds, size);
    try {
      await Promise.all(kinds.map((_, index) => pair.#serve(index)));
      return pair;
    } catch (error) {
      await pair[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #serve(index: number): Promise<void> {
    const path = `${this.dir}/b${index}`, port = freePort();
    this.bricks[index] = { path, port };
    await Deno.mkdir(path);
    if (this.size !== undefined) {
      await must(["mount", "-t", "tmpfs", "-o", `size=${this.size}`, "tmpfs", path]);
    }
    await Deno.mkdir(`${path}/.glusterfs/indices`, { recursive: true });
    const volumeId = "5a7f3c1e-8f0b-4a57-9d2e-0c1b2a394857";
    const id = `0x${volumeId.replaceAll("-", "")}`;
    await must(["setfattr", "-n", "trusted.glusterfs.volume-id", "-v", id, path]);
    const facts = { path, port, volume: "vol", volumeId };
    await Deno.writeTextFile(`${path}.vol`, brickVolfile(facts));
    const argv = this.kinds[index] === "ours"
      ? [MORTAR, "brick", "-f", `${path}.vol`]
      : ["glusterfsd", "-N", "-f", `${path}.vol`, "-l", `${path}.log`, "-L", "WARNING"];
    const process = new Process(argv, `${path}.out`);
    this.#processes[index] = process;
    await until(`brick ${index} listens`, () => {
      if (!process.running) throw new Error(`Brick ended\n${process.lastWords()}`);
      return listens(process.pid, port, { inside: false });
    });
  }

  /** Ends a brick without warning. */
  async kill(index: number): Promise<void> {
    await this.#processes[index]!.end("SIGKILL");
  }

  /** A client's volfile; with `performance`, the layers that glusterd puts there. */
  volfile({ performance = false } = {}): string {
    const block = (
      name: string,
      type: string,
      subvolumes: string[],
      options = {},
    ): VolumeBlock => ({
      name,
      type,
      subvolumes,
      options: new Map(Object.entries(options)),
      line: 0,
    });
    const clients = this.bricks.map(({ path, port }, index) =>
      block(`vol-client-${index}`, "protocol/client", [], {
        "transport-type": "tcp",
        "remote-host": "127.0.0.1",
        "remote-port": String(port),
        "remote-subvolume": path,
      })
    );
    const blocks = [
      ...clients,
      block("vol-dht", "cluster/distribute", clients.map(({ name }) => name)),
    ];
    for (const name of performance ? PERFORMANCE : []) {
      const type = name === "utime" ? "features/utime" : `performance/${name}`;
      blocks.push(block(`vol-${name}`, type, [blocks.at(-1)!.name]));
    }
    blocks.push(block("vol", "debug/io-stats", [blocks.at(-1)!.name]));
    return printVolfile(blocks);
  }

  /** A client of ours in this process. */
  async ours(): Promise<OurClient> {
    const env = testEnv();
    const graph = buildGraph(parseVolfile(this.volfile()), TYPES, env);
    await graph.start();
    this.#graphs.push(graph);
    const volume = new Volume({ top: graph.top, inodes: graph.inodes, env, call: ROOT });
    return { graph, volume };
  }

  /** A mount by GlusterFS's client that caches nothing; answers its path. */
  async mount(): Promise<string> {
    const path = `${this.dir}/mount-${this.#mounts.length}`;
    await Deno.mkdir(path);
    await Deno.writeTextFile(`${path}.vol`, this.volfile());
    const fresh = ["--entry-timeout=0", "--attribute-timeout=0", "--negative-timeout=0"];
    const log = `${path}.log`;
    this.#mounts.push(path);
    this.#processes.push(
      new Process(["glusterfs", "-N", "-f", `${path}.vol`, "-l", log, ...fresh, path], log),
    );
    await until("the volume is mounted", async () => {
      return (await run(["stat", "-f", "-c", "%T", path])).out.trim() === "fuseblk";
    });
    return path;
  }

  /** The extended attribute `name` of a path on each brick, in hexadecimal; "" where there is none. */
  async xattrs(path: string, name: string): Promise<string[]> {
    return await Promise.all(this.bricks.map(async (brick) => {
      const argv = ["getfattr", "--absolute-names", "-e", "hex", "-n", name];
      const { out } = await run([...argv, `${brick.path}/${path}`]);
      return /=0x([0-9a-f]*)/.exec(out)?.[1] ?? "";
    }));
  }

  /** Bricks on which `path` is there, those with a link file as "link". */
  where(path: string): string[] {
    return this.bricks.map((brick) => {
      const at = `${brick.path}/${path}`;
      if (!exists(at)) return "-";
      const { mode, isFile } = Deno.lstatSync(at);
      return isFile && (mode! & 0o7777) === 0o1000 ? "link" : "data";
    });
  }

  /** Everything on the bricks but their private directories. */
  async leftovers(): Promise<string> {
    return await must([
      ...["find", ...this.bricks.map(({ path }) => path)],
      ..."-mindepth 1 -name .glusterfs -prune -o -mindepth 1 -print".split(" "),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.#mounts) await run(["umount", "-l", path]);
    for (const graph of this.#graphs) await graph.stop();
    await Promise.all(this.#processes.map((each) => each.end("SIGKILL")));
    for (const { path } of this.size === undefined ? [] : this.bricks) {
      await run(["umount", "-l", path]);
    }
    await Deno.remove(this.dir, { recursive: true });
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
