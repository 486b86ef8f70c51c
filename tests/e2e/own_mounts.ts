/** Volumes of our bricks and management daemon, mounted by our own client. */

import { ok } from "node:assert/strict";
import { ManagedNode, NODE_HOST } from "tests/e2e/managed_node.ts";
import { processesNaming, run, until } from "tests/e2e/process.ts";
import { MORTAR } from "tests/e2e/program.ts";

/** Nothing remembered by the kernel, so that two mounts see the same at once. */
export const FRESH = "acl,entry-timeout=0,attribute-timeout=0";
/** Layers that remember what others may change, or promise what bricks were not asked for yet. */
export const CACHES = ["stat-prefetch", "quick-read", "open-behind"] as const;

/** What a volume is made of. */
export interface Shape {
  readonly bricks: number;
  /** Words of `volume create`: "replica 2"; files are distributed if absent. */
  readonly layout?: string;
  /** Layers of `performance` that are switched off; the one for attributes if absent. */
  readonly without?: readonly string[];
}

/** A node with a volume v1, and mounts of it by our client. Dispose it. */
export class Mounts implements AsyncDisposable {
  readonly #paths: string[] = [];
  private constructor(readonly node: ManagedNode) {}

  static async start(shape: Shape = { bricks: 1 }): Promise<Mounts> {
    const { bricks, layout = "", without = ["stat-prefetch"] } = shape;
    const node = await ManagedNode.start();
    const mounts = new Mounts(node);
    // Other users get to the mounts, too.
    await Deno.chmod(node.dir, 0o755);
    try {
      await node.volume("v1", bricks, layout);
      for (const each of without) await node.must(`volume set v1 performance.${each} off`);
      await node.allOnline("v1");
    } catch (error) {
      await mounts[Symbol.asyncDispose]();
      throw error;
    }
    return mounts;
  }

  client(...words: string[]) {
    const argv = this.node.space.inside([MORTAR, "client", ...words]);
    return run(argv, { env: { DENO: Deno.execPath() }, timeoutMs: 60_000 });
  }

  async directory(): Promise<string> {
    const path = `${this.node.dir}/own-${this.#paths.length}`;
    await Deno.mkdir(path);
    this.#paths.push(path);
    return path;
  }

  /** Mounts `what`; answers where. */
  async mount(options = FRESH, ...what: string[]): Promise<string> {
    const path = await this.directory();
    const source = what.length ? what : [`${NODE_HOST}:/v1`];
    const { code, err } = await this.client(`-o${options}`, `-l${path}.log`, ...source, path);
    if (code !== 0) throw new Error(`Cannot mount: ${err}`);
    return path;
  }

  /** The process of a mount. */
  processOf(path: string): number {
    const found = processesNaming(`${path}\0--foreground`);
    if (found.length !== 1) throw new Error(`${found.length} processes for ${path}`);
    return found[0]!;
  }

  async gone(path: string): Promise<void> {
    await until(
      "the client has ended",
      () => processesNaming(`${path}\0--foreground`).length === 0,
    );
    ok(!(await Deno.readTextFile("/proc/self/mountinfo")).includes(` ${path} `));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.#paths) {
      await run(["umount", "-l", path]);
      await until(
        "the client has ended",
        () => processesNaming(`${path}\0--foreground`).length === 0,
      );
    }
    await this.node[Symbol.asyncDispose]();
  }
}
