/**
 * Blocks to a live graph, and a live graph to new blocks: where only option values differ, layers
 * are reconfigured in place; anything else needs a new graph (`core/graph_switch.ts`).
 */

import type { Client } from "core/call.ts";
import type { Env } from "core/env.ts";
import { InodeTable } from "core/inode.ts";
import {
  findOption,
  OptionError,
  type OptionTable,
  readOptions,
  type Values,
} from "core/options.ts";
import type { XlatorType, XlatorTypes } from "core/registry.ts";
import type { VolumeBlock } from "core/volfile.ts";
import type { Xlator } from "core/xlator.ts";

/** One volume of a graph: its layer and what it was made from. */
export interface GraphNode {
  readonly block: VolumeBlock;
  readonly type: XlatorType;
  readonly xlator: Xlator;
  readonly values: Values<OptionTable>;
}

/** A graph that was built; its last block is the top. */
export class Graph {
  #nodes: Map<string, GraphNode>;

  constructor(
    nodes: ReadonlyMap<string, GraphNode>,
    readonly top: Xlator,
    readonly inodes: InodeTable,
    readonly env: Env,
  ) {
    this.#nodes = new Map(nodes);
  }

  /** Volumes in volfile order: children before parents. */
  get nodes(): Iterable<GraphNode> {
    return this.#nodes.values();
  }

  get blocks(): VolumeBlock[] {
    return [...this.#nodes.values()].map((node) => node.block);
  }

  /** The volume of that name. */
  node(name: string): GraphNode | undefined {
    return this.#nodes.get(name);
  }

  /** Starts every layer, children first; what was started is stopped again if one cannot. */
  async start(): Promise<void> {
    const started: Xlator[] = [];
    try {
      for (const { xlator } of this.#nodes.values()) {
        await xlator.start?.();
        started.push(xlator);
      }
    } catch (error) {
      for (const xlator of started.reverse()) await xlator.stop?.();
      throw error;
    }
  }

  /** Stops every layer, top first. */
  async stop(): Promise<void> {
    for (const { xlator } of [...this.#nodes.values()].reverse()) await xlator.stop?.();
  }

  /** A client went away: every layer drops what it kept for it. */
  clientGone(client: Client): void {
    for (const { xlator } of this.#nodes.values()) xlator.clientGone?.(client);
  }

  /**
   * Takes over new option values if nothing else differs. Answers false, and changes nothing, if a
   * new graph is needed. Throws, and changes nothing, if a value is wrong.
   */
  reconfigure(blocks: readonly VolumeBlock[]): boolean {
    const old = [...this.#nodes.values()];
    if (blocks.length !== old.length) return false;
    const changes: { node: GraphNode; next: GraphNode }[] = [];
    for (const [index, block] of blocks.entries()) {
      const node = old[index]!;
      if (!sameShape(node.block, block)) return false;
      const changed = changedOptions(node, block);
      if (!changed.length) continue;
      if (!node.xlator.reconfigure || changed.some((option) => !option.live)) return false;
      const values = valuesOf(node.type, block, this.env);
      changes.push({ node, next: { ...node, block, values } });
    }
    for (const { node, next } of changes) {
      node.xlator.reconfigure!(next.values as never);
      this.#nodes.set(next.block.name, next);
      this.env.log.info("volume reconfigured", { volume: next.block.name });
    }
    return true;
  }
}

function sameShape(a: VolumeBlock, b: VolumeBlock): boolean {
  return a.name === b.name && a.type === b.type &&
    a.subvolumes.join("\n") === b.subvolumes.join("\n");
}

function changedOptions(node: GraphNode, block: VolumeBlock): { live: boolean }[] {
  const names = new Set([...node.block.options.keys(), ...block.options.keys()]);
  return [...names].filter((name) => node.block.options.get(name) !== block.options.get(name))
    .map((name) => {
      const found = findOption(node.type.options, name);
      return found ? node.type.options[found.key]! : { live: true };
    });
}

/**
 * Builds the graph that `blocks` describe; `types` says what can be built. Throws RangeError naming
 * volume and line. Nothing runs before `start`.
 */
export function buildGraph(
  blocks: readonly VolumeBlock[],
  types: XlatorTypes,
  env: Env,
  inodes: InodeTable = new InodeTable(),
): Graph {
  const nodes = new Map<string, GraphNode>();
  const used = new Set<string>();
  let top: Xlator | undefined;
  for (const block of blocks) {
    const { name, subvolumes } = block;
    const type = types.get(block.type);
    if (!type) throw volumeProblem(block, `unknown type "${block.type}"`);
    if (nodes.has(name)) throw volumeProblem(block, "name already used");
    const children = subvolumes.map((subvolume, index) => {
      const child = nodes.get(subvolume);
      if (!child) throw volumeProblem(block, `subvolume "${subvolume}" is not defined above it`);
      // Two copies on one brick would be none, and two shares of a volume the same files twice.
      if (subvolumes.indexOf(subvolume) < index) {
        throw volumeProblem(block, `subvolume "${subvolume}" is named twice`);
      }
      used.add(subvolume);
      return child.xlator;
    });
    checkSubvolumes(block, type, children.length);
    checkNeeds(block, type, nodes);
    const values = valuesOf(type, block, env);
    const node = { name, children, env: { ...env, log: env.log.with({ xlator: name }) }, inodes };
    top = created(block, () => type.create(node, values));
    nodes.set(name, { block, type, xlator: top, values });
  }
  if (!top) throw new RangeError("Cannot build graph: volfile is empty");
  for (const { block } of nodes.values()) {
    if (nodes.get(block.name)!.xlator !== top && !used.has(block.name)) {
      env.log.warn("volume is not part of the graph: no volume names it as subvolume", {
        volume: block.name,
        line: block.line,
      });
    }
  }
  return new Graph(nodes, top, inodes, env);
}

function checkSubvolumes(block: VolumeBlock, type: XlatorType, count: number): void {
  if (type.subvolumes === "none" && count) {
    throw volumeProblem(block, `type "${block.type}" takes no subvolumes`);
  }
  if (type.subvolumes === "one" && count !== 1) {
    throw volumeProblem(block, `type "${block.type}" takes exactly one subvolume, got ${count}`);
  }
  if (type.subvolumes === "many" && !count) {
    throw volumeProblem(block, `type "${block.type}" needs subvolumes`);
  }
}

function checkNeeds(
  block: VolumeBlock,
  { needs }: XlatorType,
  nodes: ReadonlyMap<string, GraphNode>,
): void {
  if (!needs) return;
  const lacking = (name: string): string | undefined => {
    const { block: { subvolumes }, type: { type } } = nodes.get(name)!;
    if (type === needs.layer) return undefined;
    return type === needs.over ? name : subvolumes.values().map(lacking).find((each) => each);
  };
  const found = block.subvolumes.values().map(lacking).find((each) => each);
  if (found === undefined) return;
  throw volumeProblem(
    block,
    `nothing of type ${needs.layer} is between it and "${found}"; put a volume of that type on each ` +
      `${needs.over} below it`,
  );
}

// A layer knows its name, not where that stands.
function created(block: VolumeBlock, create: () => Xlator): Xlator {
  try {
    return create();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw volumeProblem(block, error.message.replace(/^Cannot build "[^"]*": /, ""));
  }
}

function valuesOf(type: XlatorType, block: VolumeBlock, env: Env): Values<OptionTable> {
  let values: Values<OptionTable>;
  try {
    values = readOptions(type.options, block.options, (option) => {
      env.log.warn("option is not known and was ignored", {
        volume: block.name,
        line: block.line,
        type: block.type,
        option,
      });
    });
  } catch (error) {
    if (error instanceof OptionError) throw volumeProblem(block, error.message);
    throw error;
  }
  const wrong = type.check?.(values);
  if (wrong) throw volumeProblem(block, wrong);
  return values;
}

/** What is wrong with a volume of a volfile, to be thrown. */
export function volumeProblem(block: VolumeBlock, what: string): RangeError {
  const line = block.line ? ` (line ${block.line})` : "";
  return new RangeError(`Cannot build volume "${block.name}"${line}: ${what}`);
}
