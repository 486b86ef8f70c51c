/** A client in a simulation: a graph of production layers over links to simulated bricks. */

import { ROOT } from "core/call.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import { text } from "core/options.ts";
import { defineXlator, type XlatorType, xlatorTypes } from "core/registry.ts";
import { parseVolfile } from "core/volfile.ts";
import { Volume } from "core/volume.ts";
import { type SimBrick, SimInodes } from "tests/sim/brick.ts";
import { SimLink } from "tests/sim/link.ts";
import type { SimNet } from "tests/sim/net.ts";

/** What stands between an application and the bricks. */
export interface ClientKind {
  /** Text of the client's volfile; its bottom layers are protocol/client of the bricks' names. */
  readonly volfile: string;
  // deno-lint-ignore no-explicit-any -- each type keeps its own option table
  readonly types: readonly XlatorType<any>[];
}

/** See the head of this file. */
export class SimClient {
  readonly volume: Volume;
  readonly links: readonly SimLink[];
  readonly #graph: Graph;
  /** False after it was killed. */
  alive = true;

  private constructor(readonly name: string, graph: Graph, links: readonly SimLink[]) {
    this.#graph = graph;
    this.links = links;
    const { top, inodes, env } = graph;
    this.volume = new Volume({ top, inodes, env, call: ROOT });
  }

  /** The layers, for who looks closer. */
  get graph(): Graph {
    return this.#graph;
  }

  /** Builds the graph and starts it; bricks that are away do not hold it up. */
  static async start(
    net: SimNet,
    name: string,
    kind: ClientKind,
    bricks: readonly SimBrick[],
  ): Promise<SimClient> {
    const links: SimLink[] = [];
    const link = defineXlator({
      type: "protocol/client",
      summary: "A simulated connection to a brick",
      options: { "remote-subvolume": text({ default: "", help: "Name of the brick." }) },
      subvolumes: "none",
      create: (node, values) => {
        const brick = bricks.find((each) => each.name === values["remote-subvolume"])!;
        const made = new SimLink(node, net, name, brick);
        links.push(made);
        return made;
      },
    });
    const blocks = parseVolfile(kind.volfile);
    const types = xlatorTypes([...kind.types, link]);
    const graph = buildGraph(blocks, types, net.sim.env, new SimInodes());
    await graph.start();
    return new SimClient(name, graph, links);
  }

  /** Ends it as an unmount does. */
  stop(): Promise<void> {
    this.alive = false;
    return this.#graph.stop();
  }

  /** Its process dies: nothing it had begun goes on. */
  kill(): void {
    this.alive = false;
    for (const link of this.links) void link.stop();
  }
}

/** One protocol/client block per brick, named as glusterd does. */
export function clientBlocks(volume: string, bricks: readonly SimBrick[]): string {
  return bricks.map((brick, index) =>
    `volume ${volume}-client-${index}
    type protocol/client
    option remote-subvolume ${brick.name}
end-volume
`
  ).join("");
}
