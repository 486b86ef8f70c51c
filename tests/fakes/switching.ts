/** A graph that is switched under its users' hands. */

import type { Call } from "core/call.ts";
import type { Args, FopName, Reply } from "core/fops.ts";
import type { ActiveGraph } from "core/graph_switch.ts";
import { parseVolfile } from "core/volfile.ts";
import { Uniform } from "core/xlator.ts";
import { node } from "tests/fakes/node.ts";

/** Switches the graph below it every few fops, while they are under way. */
export class Switching extends Uniform {
  #fops = 0;
  #switches: Promise<unknown> = Promise.resolve();

  /** `volfile` answers another shape for every number. */
  constructor(
    readonly graph: ActiveGraph,
    readonly every: number,
    readonly volfile: (number: number) => string,
  ) {
    super(node("switching", [graph]));
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (this.#fops++ % this.every === 0) {
      const blocks = parseVolfile(this.volfile(this.#fops));
      this.#switches = this.#switches.then(() => this.graph.apply(blocks));
    }
    return this.wind(fop, call, args);
  }

  /** Stops all graphs after the last switch; rejects if one failed. */
  async stop(): Promise<void> {
    await this.#switches;
    await this.graph.stop();
  }
}
