/**
 * The management daemon's part: the volume's volfile. It changes while clients work, who then take it
 * over without a remount (`core/graph_switch.ts`): a layer comes or goes, an option changes, a brick
 * listens on another port since it came back.
 */

import { clientBlocks, type SimClient, VOLUME } from "tests/sim/client.ts";
import { tuningBlocks } from "tests/sim/performance.ts";
import { SimRandom } from "tests/sim/random.ts";
import type { World } from "tests/sim/world.ts";

/** How long until a client has a volfile that changed, in milliseconds, at most. */
const TOLD_MS = 20;

/** See the head of this file. */
export class Management {
  /** The volfile of clients. */
  volfile: string;
  readonly #random: SimRandom;
  /** What clients are doing about the newest volfile. */
  readonly #telling = new Set<Promise<void>>();

  constructor(readonly world: World) {
    // Of its own: where nothing changes, nothing else is drawn differently.
    this.#random = new SimRandom(world.sim.seed ^ 0x5bd1e995);
    this.volfile = this.#draw();
  }

  /** Another graph, if everybody has the last one: other options, more or fewer layers. */
  change(): void {
    if (!this.#telling.size) this.#change();
  }

  #change(): void {
    this.volfile = this.#draw();
    this.world.sim.note("the volume changes");
    for (const client of this.world.clients) this.tell(client);
  }

  /** A brick came back on another port. */
  brickMoved(): void {
    this.world.sim.note("a brick moved");
    this.#change();
  }

  /** Tells a client of the volfile, unless it has it. */
  tell(client: SimClient): void {
    if (!client.alive || client.volfile === this.volfile) return;
    const { sim } = this.world;
    const told = sim.delay(this.#random.float() * TOLD_MS).then(async () => {
      if (client.alive) await client.take(this.volfile);
    });
    this.#telling.add(told);
    const done = () => this.#telling.delete(told);
    told.then(done, (error) => {
      done();
      sim.fail(error);
    });
  }

  /** Resolves when every client has the newest volfile. */
  async settle(): Promise<void> {
    for (const client of this.world.clients) this.tell(client);
    await Promise.all(this.#telling);
  }

  #draw(): string {
    const { system, bricks } = this.world, random = this.#random;
    const names = bricks.map((_, index) => `${VOLUME}-client-${index}`).join(" ");
    let text = clientBlocks(VOLUME, bricks, { ports: system.managed ?? false }) + system.top(names);
    // What may be answered early may also be left out by a change of the volume.
    const tunings = (system.tuned ?? []).filter(() => !system.managed || random.chance(0.7));
    text += tuningBlocks(random, tunings, topOf(text));
    if (!system.managed || random.chance(0.5)) return text;
    const level = random.pick(["INFO", "WARNING", "DEBUG"]);
    return `${text}volume ${VOLUME}\ntype debug/io-stats\noption log-level ${level}\n` +
      `subvolumes ${topOf(text)}\nend-volume\n`;
  }
}

// The last volume of a volfile is its top.
function topOf(volfile: string): string {
  return [...volfile.matchAll(/^\s*volume (\S+)$/gm)].at(-1)![1]!;
}
