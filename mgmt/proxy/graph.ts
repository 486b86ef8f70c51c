/**
 * A proxy's graph: a client's, which may change to another one while it is used, below a
 * protocol/server whose connections stay.
 */

import { type ActiveGraph, type Applied, startActiveGraph } from "core/graph_switch.ts";
import { buildGraph, type Graph } from "core/graph.ts";
import { InodeTable } from "core/inode.ts";
import type { Env } from "core/env.ts";
import { defineXlator, type XlatorType, type XlatorTypes } from "core/registry.ts";
import type { VolumeBlock } from "core/volfile.ts";

const SERVER = "protocol/server";
/** Stands for the whole client's graph in that of the server. No volfile has it. */
const CLIENT = "proxy/client";

/** What a graph is made of. */
export interface ProxyGraphParts {
  readonly types: XlatorTypes;
  readonly env: Env;
}

/** See the head of this file. Serves from `start` to `stop`. */
export class ProxyGraph {
  readonly #client: ActiveGraph;
  readonly #served: Graph;

  private constructor(client: ActiveGraph, served: Graph) {
    this.#client = client;
    this.#served = served;
  }

  /** Builds and starts it. Throws RangeError if the blocks are no proxy's, and what layers throw. */
  static async start(
    blocks: readonly VolumeBlock[],
    { types, env }: ProxyGraphParts,
  ): Promise<ProxyGraph> {
    const { lower, upper } = divided(blocks);
    const inodes = new InodeTable();
    const client = await startActiveGraph(lower, { types, env, inodes, name: lower.at(-1)!.name });
    try {
      const place = [CLIENT, placed(client)] as const;
      const served = buildGraph(upper, new Map([...types, place]), env, inodes);
      await served.start();
      return new ProxyGraph(client, served);
    } catch (error) {
      await client.stop();
      throw error;
    }
  }

  /** What serves, with one layer for all that is below it. */
  get served(): Graph {
    return this.#served;
  }

  /** What is below it now. */
  get client(): Graph {
    return this.#client.graph;
  }

  /**
   * Makes it what `blocks` say; clients stay connected. "restart": only another process can be that,
   * and nothing changed. Throws RangeError, and what layers throw, with the old layers in use.
   */
  async apply(blocks: readonly VolumeBlock[]): Promise<Applied | "restart"> {
    const { lower, upper } = divided(blocks);
    if (!this.#served.reconfigure(upper)) return "restart";
    return await this.#client.apply(lower);
  }

  async stop(): Promise<void> {
    await this.#served.stop();
    await this.#client.stop();
  }
}

function divided(blocks: readonly VolumeBlock[]) {
  const server = blocks.at(-1), lower = blocks.slice(0, -1), top = lower.at(-1);
  if (server?.type !== SERVER || !top || server.subvolumes.join() !== top.name) {
    throw new RangeError(
      `Cannot build graph: a proxy's ends with a ${SERVER} and the layer that it serves`,
    );
  }
  const { name, line } = top;
  const client: VolumeBlock = { name, type: CLIENT, options: new Map(), subvolumes: [], line };
  return { lower, upper: [client, server] };
}

function placed(client: ActiveGraph): XlatorType {
  return defineXlator({
    type: CLIENT,
    summary: "The client's graph of a proxy",
    options: {},
    subvolumes: "none",
    create: () => client,
  });
}
