/** The production healer in a simulation: a client without applications that heals what bricks list. */

import { SimClient } from "tests/sim/client.ts";
import { SimFailure } from "tests/sim/sim.ts";
import { clientBlocks, VOLUME } from "tests/sim/client.ts";
import { healOptions, REPLICA_NAME } from "tests/sim/systems.ts";
import type { World } from "tests/sim/world.ts";
import { ReplicateHealer } from "xlators/cluster/replicate/heal.ts";

/** Crawls after which a volume without faults must be healed. */
const CRAWLS_MAX = 20;
/** Milliseconds between crawls while clients work. */
const PAUSE_MS = 500;

/** See the head of this file. */
export class SimHealer {
  readonly #healer: ReplicateHealer;
  readonly #client: SimClient;

  private constructor(readonly world: World, client: SimClient) {
    this.#client = client;
    const { env, inodes } = client.graph;
    const options = healOptions(world.system);
    this.#healer = new ReplicateHealer({
      name: REPLICA_NAME,
      copies: client.links,
      options,
      env,
      inodes,
    });
  }

  /** Connects to all bricks. */
  static async start(world: World, name: string): Promise<SimHealer> {
    const kind = { volfile: clientBlocks(VOLUME, world.bricks), types: [] };
    return new SimHealer(world, await SimClient.start(world.net, name, kind, world.bricks));
  }

  /** Heals again and again until `signal` ends it, whatever fails meanwhile. */
  async keepHealing(signal: AbortSignal): Promise<void> {
    const { sim } = this.world;
    while (!signal.aborted) {
      await this.#crawl(signal);
      await sim.delay(PAUSE_MS);
    }
    await this.#client.stop();
  }

  /** Heals what is listed once, and ends. */
  async healOnce(): Promise<void> {
    await this.#crawl(new AbortController().signal);
    await this.#client.stop();
  }

  /** Heals until nothing is left; `every`: compares all files, too. Throws if that does not end. */
  async healAll({ every = false } = {}): Promise<void> {
    // A client that died may have marked a file and not its directory: only a full heal finds the name.
    await this.#healListed({ mustEnd: !every });
    if (every) {
      const never = new AbortController().signal;
      await this.world.sim.waiting("the full heal", this.#healer.healAll(never));
      await this.#healListed({ mustEnd: true });
    }
    await this.#client.stop();
  }

  async #healListed({ mustEnd }: { readonly mustEnd: boolean }): Promise<void> {
    const never = new AbortController().signal;
    for (let crawl = 0; crawl < CRAWLS_MAX; crawl++) {
      const { healed, splitBrain, failed } = await this.#crawl(never);
      if (splitBrain) throw new SimFailure(`${splitBrain} files are split-brained`);
      if (!healed && !failed && !await this.#left()) return;
      await this.world.sim.delay(PAUSE_MS);
    }
    if (!mustEnd) return;
    throw new SimFailure(`heal does not end: ${await this.#left()} entries after many crawls`);
  }

  async #crawl(signal: AbortSignal) {
    const { sim } = this.world;
    const counts = await sim.waiting("the healer", this.#healer.healIndex(signal));
    sim.note(`healer ${JSON.stringify(counts)}`);
    return counts;
  }

  async #left(): Promise<number> {
    let left = 0;
    for (let copy = 0; copy < this.world.bricks.length; copy++) {
      left += await this.#healer.count(copy);
    }
    return left;
  }
}
