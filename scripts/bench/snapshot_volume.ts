/**
 * A management daemon, volumes of one brick each, and our client in this process: what snapshots cost
 * through all of it. Everything is in a directory of its own.
 */

import type { Env } from "core/env.ts";
import { realClock, realEnv } from "core/env.ts";
import type { Graph } from "core/graph.ts";
import { Volume } from "core/volume.ts";
import type { VolumeFile } from "core/volume_file.ts";
import { call } from "mgmt/cli/call.ts";
import { parseAddress } from "mgmt/file/address.ts";
import { openGraph } from "mgmt/file/client_graph.ts";
import { caller } from "mgmt/file/session.ts";
import { placesUnder } from "mgmt/home.ts";
import { LinesLog } from "tests/fakes/node.ts";
import { TYPES } from "xlators/mod.ts";
import {
  BLOCK,
  each,
  FILL_BYTES,
  noise,
  type System,
  timed,
  writtenSynced,
} from "./snapshot_systems.ts";

const MORTAR = new URL("../mortar", import.meta.url).pathname;
const ORDER_MS = 600_000;

/** The daemon. Dispose it: volumes stop, nothing runs any more. */
export class Daemon implements AsyncDisposable {
  readonly env: Env = realEnv(new LinesLog());
  #volumes: string[] = [];

  private constructor(
    readonly directory: string,
    readonly home: string,
    readonly port: number,
    readonly child: Deno.ChildProcess,
  ) {}

  /** Starts one; bricks are in `directory`, records as well. */
  static async start(directory: string): Promise<Daemon> {
    await Deno.mkdir(directory, { recursive: true });
    const home = `${directory}/home`;
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    listener.close();
    const child = new Deno.Command(MORTAR, {
      args: ["mgmt", "--home", home, "--port", String(port), "--log-file", `${directory}/log`],
      ...{ stdin: "null", stdout: "null", stderr: "null" },
    }).spawn();
    const daemon = new Daemon(directory, home, port, child);
    for (let tries = 400;; tries--) {
      try {
        await daemon.order("volume list");
        return daemon;
      } catch (error) {
        if (tries === 0) throw error;
        await realClock.delay(50);
      }
    }
  }

  /** A command, without a process for it. Answers what it printed. */
  async order(line: string): Promise<string> {
    const answer = await call(
      { transport: "unix", path: placesUnder(this.home).socket },
      { words: line.split(" "), form: "text", manner: "mortar", confirmed: true },
      AbortSignal.timeout(ORDER_MS),
    );
    if (answer.exitCode) throw new Error(`mortar ${line}: ${answer.stderr}${answer.stdout}`);
    return answer.stdout;
  }

  /** The same by a process, as people do. */
  async command(line: string): Promise<void> {
    const { code, stderr } = await new Deno.Command(MORTAR, {
      args: ["--home", this.home, "--mode=script", ...line.split(" ")],
      stdin: "null",
    }).output();
    if (code) throw new Error(`mortar ${line}: ${new TextDecoder().decode(stderr)}`);
  }

  /** A volume that is started, of a brick in `directory`. */
  async volume(name: string, durability: "strict" | "relaxed"): Promise<void> {
    await this.order(`volume create ${name} 127.0.0.1:${this.directory}/${name} force`);
    await this.order(`volume set ${name} features.snapshot-durability ${durability}`);
    await this.order(`snapshot config ${name} snap-max-hard-limit 10000`);
    await this.started(name);
  }

  /** Starts a volume that there is. */
  async started(name: string): Promise<void> {
    await this.order(`volume start ${name}`);
    this.#volumes.push(name);
  }

  /** Our client of a volume; once its brick listens. */
  async client(name: string): Promise<{ graph: Graph; volume: Volume }> {
    const address = parseAddress(`127.0.0.1:${this.port}:${name}/`);
    for (let tries = 200;; tries--) {
      try {
        const graph = await openGraph(address, TYPES, this.env, () => {});
        const { top, inodes } = graph;
        return { graph, volume: new Volume({ top, inodes, env: this.env, call: caller() }) };
      } catch (error) {
        if (tries === 0) throw error;
        await realClock.delay(50);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#volumes) await this.order(`volume stop ${name} force`).catch(() => {});
    this.child.kill("SIGTERM");
    await this.child.status;
  }
}

/** An image in a volume of a daemon, written and read by our client; orders go to the daemon. */
export class AtClient implements System {
  readonly name: string;
  readonly concurrent = true;
  readonly #daemon: Daemon;
  readonly #durability: "strict" | "relaxed";
  readonly #data = noise(BLOCK);
  #graph!: Graph;
  #volume!: Volume;
  #file!: VolumeFile;
  #taken: string[] = [];
  #made = 0;

  constructor(daemon: Daemon, durability: "strict" | "relaxed") {
    this.name = `ours, ${durability}, at a client`;
    this.#daemon = daemon;
    this.#durability = durability;
  }

  async fill(bytes: number): Promise<void> {
    await this.#daemon.order("snapshot config snap-max-hard-limit 10000");
    await this.#daemon.volume(this.#durability, this.#durability);
    const { graph, volume } = await this.#daemon.client(this.#durability);
    this.#graph = graph;
    this.#volume = volume;
    this.#file = await volume.open("/disk", { write: true, read: true, create: true });
    const data = noise(FILL_BYTES);
    for (let at = 0; at < bytes; at += data.length) await this.#file.write(at, data);
    await this.#file.sync();
  }

  /** At the daemon; the start of a process for the command is not counted. */
  create(): Promise<number> {
    const name = `${this.#durability}-${this.#made++}`;
    this.#taken.push(name);
    return timed(() =>
      this.#daemon.order(`snapshot create ${name} ${this.#durability} no-timestamp`)
    );
  }

  write(offsets: readonly number[]): Promise<number[]> {
    return each(offsets, (at) => timed(() => this.#file.write(at, this.#data)));
  }

  writeSynced(offsets: readonly number[]): Promise<number[]> {
    return writtenSynced(this.#file, offsets, this.#data);
  }

  read(offsets: readonly number[]): Promise<number[]> {
    return each(offsets, (at) => timed(() => this.#file.read(at, BLOCK)));
  }

  async readOldest(offsets: readonly number[]): Promise<number[]> {
    const [name] = this.#taken;
    await this.#daemon.order(`snapshot activate ${name}`);
    const file = await this.#volume.open(`/.snaps/${name}/disk`, { read: true });
    try {
      return await each(offsets, (at) => timed(() => file.read(at, BLOCK)));
    } finally {
      await file.close();
      await this.#daemon.order(`snapshot deactivate ${name}`);
    }
  }

  removeOldest(): Promise<number> {
    return timed(() => this.#daemon.order(`snapshot delete ${this.#taken.shift()}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
    await this.#graph?.stop();
  }
}
