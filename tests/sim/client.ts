/** A client in a simulation: a graph of production layers over links to simulated bricks. */

import { ROOT } from "core/call.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import { ActiveGraph } from "core/graph_switch.ts";
import { int, text } from "core/options.ts";
import { defineXlator, type XlatorType, type XlatorTypes, xlatorTypes } from "core/registry.ts";
import { parseVolfile } from "core/volfile.ts";
import { Volume } from "core/volume.ts";
import { type SimBrick, SimInodes } from "tests/sim/brick.ts";
import { SimLink } from "tests/sim/link.ts";
import type { SimNet } from "tests/sim/net.ts";

/** The name of every simulated volume. */
export const VOLUME = "v";

/** What stands between an application and the bricks. */
export interface ClientKind {
  /** Text of the client's volfile; its bottom layers are protocol/client of the bricks' names. */
  readonly volfile: string;
  // deno-lint-ignore no-explicit-any -- each type keeps its own option table
  readonly types: readonly XlatorType<any>[];
  /** It takes other volfiles over. */
  readonly managed?: boolean;
}

/** See the head of this file. */
export class SimClient {
  readonly volume: Volume;
  readonly #graph: Graph;
  readonly #active: ActiveGraph | undefined;
  readonly #links: readonly SimLink[];
  #volfile: string;
  /** False after it was killed. */
  alive = true;

  private constructor(
    readonly name: string,
    { volfile, managed }: ClientKind,
    graph: Graph,
    types: XlatorTypes,
    links: readonly SimLink[],
  ) {
    const { inodes, env } = graph;
    this.#graph = graph;
    this.#links = links;
    this.#volfile = volfile;
    if (managed) this.#active = new ActiveGraph(graph, { types, env, inodes });
    this.volume = new Volume({ top: this.#active ?? graph.top, inodes, env, call: ROOT });
  }

  /** The layers, for who looks closer. */
  get graph(): Graph {
    return this.#active?.graph ?? this.#graph;
  }

  /** The volfile it has. */
  get volfile(): string {
    return this.#volfile;
  }

  /** Its ways to the bricks, those of older graphs left out. */
  get links(): readonly SimLink[] {
    return [...this.graph.nodes].map(({ xlator }) => xlator).filter((each) =>
      each instanceof SimLink
    );
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
      options: {
        "remote-subvolume": text({ default: "", help: "Name of the brick." }),
        "remote-port": int({ default: 0, help: "Where it listens; 0: the client asks." }),
      },
      subvolumes: "none",
      create: (node, values) => {
        const brick = bricks.find((each) => each.name === values["remote-subvolume"])!;
        // A brick tells two graphs of one client apart.
        const number = Math.floor(links.length / bricks.length);
        const from = number ? `${name}.${number}` : name;
        const made = new SimLink(node, net, { name, from }, brick, values["remote-port"]);
        links.push(made);
        return made;
      },
    });
    const types = xlatorTypes([...kind.types, link]);
    const graph = buildGraph(parseVolfile(kind.volfile), types, net.sim.env, new SimInodes());
    await graph.start();
    return new SimClient(name, kind, graph, types, links);
  }

  /** Makes its graph what `volfile` says, while it is used. */
  async take(volfile: string): Promise<void> {
    this.#volfile = volfile;
    await this.#active?.apply(parseVolfile(volfile));
  }

  /** Ends it as an unmount does. */
  stop(): Promise<void> {
    this.alive = false;
    return (this.#active ?? this.#graph).stop();
  }

  /** Its process dies: nothing it had begun goes on. */
  kill(): void {
    this.alive = false;
    for (const link of this.#links) void link.stop();
  }
}

/** One protocol/client block per brick, named as glusterd does; `ports`: with where they listen now. */
export function clientBlocks(
  volume: string,
  bricks: readonly SimBrick[],
  { ports = false } = {},
): string {
  return bricks.map(({ name, port }, index) =>
    `volume ${volume}-client-${index}
    type protocol/client
    option remote-subvolume ${name}
    option remote-port ${ports ? port : 0}
end-volume
`
  ).join("");
}
