/** A cluster's volume as a directory, by GlusterFS's client or by ours, and what both ends spend on it. */

import { type BrickKind, type Cluster, HOST } from "tests/e2e/harness.ts";
import { cpuSeconds, must, Process, processesNaming, run, until } from "tests/e2e/process.ts";

const MORTAR = new URL("../../scripts/mortar", import.meta.url).pathname;

/** CPU seconds, user and system. */
export interface Cpu {
  readonly client: number;
  /** Of all bricks. */
  readonly bricks: number;
}

/** See the head of this file. Dispose it before the cluster. */
export class Mounted implements AsyncDisposable {
  #ours: Process | undefined;

  private constructor(readonly cluster: Cluster, readonly path: string) {}

  /** Mounts with nobody's options but where the log goes. */
  static async of(cluster: Cluster, kind: BrickKind): Promise<Mounted> {
    const path = `${cluster.dir}/mounted`;
    await Deno.mkdir(path, { recursive: true });
    const mounted = new Mounted(cluster, path);
    const source = `${HOST}:/${cluster.volume}`, log = `${path}.log`;
    if (kind === "glusterfsd") {
      await cluster.must(["mount", "-t", "glusterfs", "-o", `log-file=${log}`, source, path]);
      return mounted;
    }
    const argv = cluster.space.inside([MORTAR, "client", "--foreground", source, path]);
    const process = mounted.#ours = new Process(argv, log);
    await until("our client mounted", async () => {
      if (!process.running) throw new Error(`Our client ended\n${process.lastWords()}`);
      return (await run(["stat", "-c", "%i", path])).out.trim() === "1";
    });
    return mounted;
  }

  /** Process number of the client. */
  get pid(): number {
    return this.#ours?.pid ?? processesNaming(this.path)[0]!;
  }

  /** CPU that client and bricks used so far. */
  cpu(): Cpu {
    const bricks = this.cluster.bricks.filter(({ running }) => running);
    return {
      client: cpuSeconds(this.pid),
      bricks: bricks.reduce((sum, each) => sum + cpuSeconds(each.pid), 0),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await must(["umount", this.path]).catch(() => run(["umount", "-l", this.path]));
    await until("the client has ended", () => processesNaming(this.path).length === 0, 60_000);
  }
}

/** What was used between two readings. */
export function cpuSince(before: Cpu, now: Cpu): Cpu {
  return { client: now.client - before.client, bricks: now.bricks - before.bricks };
}
