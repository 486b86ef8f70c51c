/** For tests: volumes with qcow2 images in them, seen through `features/qcow2`. */

import { ROOT } from "core/call.ts";
import type { Env } from "core/env.ts";
import { InodeTable } from "core/inode.ts";
import { readOptions } from "core/options.ts";
import { Volume } from "core/volume.ts";
import type { Xlator } from "core/xlator.ts";
import { MemoryBrick } from "tests/fakes/memory_brick.ts";
import { LinesLog, node, testEnv } from "tests/fakes/node.ts";
import { qcow2 } from "xlators/features/qcow2/qcow2.ts";

/** A brick in memory under the layer. */
export class ImageTree {
  readonly inodes = new InodeTable();
  readonly log = new LinesLog();
  readonly env: Env;
  readonly brick: Xlator;
  readonly #options: Readonly<Record<string, string>>;
  top!: Xlator;
  /** Paths through the layer. */
  volume!: Volume;
  /** Paths past it. */
  readonly below: Volume;

  constructor(
    options: Readonly<Record<string, string>> = {},
    over: (brick: Xlator) => Xlator = (brick) => brick,
    env: Partial<Env> = {},
  ) {
    const { inodes } = this;
    this.#options = options;
    this.env = testEnv({ log: this.log, ...env });
    this.brick = over(new MemoryBrick(node("memory", [], { inodes })));
    this.below = new Volume({ top: this.brick, inodes, env: this.env, call: ROOT });
    this.restart();
  }

  /** A layer that knows nothing, as in a process that began anew. */
  restart(): void {
    const { env, inodes, brick } = this;
    const values = readOptions(qcow2.options, new Map(Object.entries(this.#options)));
    this.top = qcow2.create(node("tree", [brick], { inodes, env }), values);
    this.volume = new Volume({ top: this.top, inodes, env, call: ROOT });
  }

  /** A file of this machine becomes one of the volume. */
  async put(local: string, path: string): Promise<void> {
    await this.below.writeFile(path, await Deno.readFile(local));
  }

  /** Names in a directory. */
  async names(path: string): Promise<string[]> {
    const entries = await Array.fromAsync(this.volume.readDir(path));
    return entries.map(({ name }) => name).sort();
  }

  async text(path: string): Promise<string> {
    return new TextDecoder().decode(await this.volume.readFile(path));
  }
}
