/** `volume graph`: the layers that a volume's clients, bricks and healers run, as they are now. */

import type { FopReport } from "core/reports.ts";
import { parseVolfile } from "core/volfile.ts";
import { INFO, profileRequest, readProfile } from "mgmt/brick/profile.ts";
import { managed, optional, optionalChoice, Refusal, volumeName } from "mgmt/cli/managed.ts";
import { element, type XmlElement } from "mgmt/cli/xml.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { askBricks } from "mgmt/commands/ask_bricks.ts";
import { plain } from "mgmt/plain.ts";
import { type BrickRecord, brickText, type VolumeRecord } from "mgmt/records.ts";
import { type Calls, type GraphLayer, graphTree, treeLines } from "mgmt/volgen/graph_tree.ts";
import { brickKey, graphKey, type GraphName, GRAPHS, volfileKeys } from "mgmt/volgen/volfiles.ts";
import { isOn } from "mgmt/volgen/settings.ts";
import { xlatorInfo } from "rpc/programs/brick_ops.ts";

/** What it answers. */
export type VolumeGraph = {
  readonly volume: string;
  readonly graphs: readonly ShownGraph[];
};

/** One graph. */
export type ShownGraph = {
  /** "client", "heal", …, or "brick". */
  readonly graph: string;
  /** "HOST:/PATH" of a brick's. */
  readonly brick: string | null;
  /** What its volfile is asked for by. */
  readonly key: string;
  /** Somebody wrote it: the volume's options do not change it. */
  readonly handWritten: boolean;
  readonly top: GraphLayer;
};

const COUNTING = ["diagnostics.latency-measurement", "diagnostics.count-fop-hits"];

const KINDS = ["brick", ...GRAPHS] as const;

/** See the head of this file. */
export const volumeGraph = managed({
  path: "volume graph",
  summary: "print the layers of a volume's clients or bricks, and options that are not defaults",
  description: [
    "Each line is a layer, the topmost first, with its type and the options that differ from what it would do by " +
    "itself. While the volume is profiled, bricks' layers that count say how often they were called. Passwords are " +
    "not shown.",
  ],
  args: {
    volume: volumeName,
    graph: optionalChoice(KINDS, "Whose layers: clients' if not given."),
    brick: optional("[<BRICK>]", {
      help: "One brick as HOST:/PATH; all of them if not given.",
      offers: "brick",
    }),
  },
  scope: "nothing",
  rest: "GET /volumes/{volume}/graph",
  examples: [
    { what: "What GlusterFS's clients of v1 run", line: "mortar volume graph v1" },
    { what: "What its bricks run", line: "mortar volume graph v1 brick" },
  ],
  async check(cluster, { volume, graph, brick }) {
    await cluster.volume(volume);
    if (brick === undefined || graph === "brick") return;
    if (graph) throw new Refusal(`A brick goes with "brick", not with "${graph}"`);
    throw new Refusal(`"${brick}" is no graph: expected ${KINDS.join(", ")}`);
  },
  async apply(cluster, { volume: name, graph = "client", brick }): Promise<VolumeGraph> {
    const volume = await cluster.volume(name);
    if (graph !== "brick") {
      return { volume: name, graphs: [await named(cluster, volume, graph)] };
    }
    const bricks = chosen(volume, brick);
    const graphs = await Promise.all(bricks.map((each) => ofBrick(cluster, volume, each)));
    return { volume: name, graphs };
  },
  text: ({ graphs }) => graphs.map(graphText).join("\n"),
  xml: ({ volume, graphs }) => [
    element("volGraph", [element("name", volume), ...graphs.map(graphXml)]),
  ],
});

function chosen({ name, bricks }: VolumeRecord, only: string | undefined): readonly BrickRecord[] {
  if (only === undefined) return bricks;
  const found = bricks.filter((each) => brickText(each) === only);
  if (found.length) return found;
  throw new Refusal(
    `Brick ${only} is not a brick of volume ${name}; "volume info ${name}" has them`,
  );
}

async function named(
  cluster: Cluster,
  volume: VolumeRecord,
  graph: GraphName,
): Promise<ShownGraph> {
  const key = graphKey(volume, graph);
  // One that is written by hand may be there although none would be made.
  if (!volfileKeys(volume).includes(key) && !await cluster.isHandWritten(key)) {
    throw new Refusal(`Volume ${volume.name} has no graph "${graph}": ${absence(graph)}`);
  }
  return { graph, brick: null, ...await read(cluster, key) };
}

function absence(graph: GraphName): string {
  if (graph === "heal") return "its files have one copy only";
  if (graph === "rebalance") return "its files are not distributed";
  return 'GlusterFS\'s clients know no striping; ours have "own"';
}

async function ofBrick(
  cluster: Cluster,
  volume: VolumeRecord,
  brick: BrickRecord,
): Promise<ShownGraph> {
  const key = brickKey(volume, brick), calls = await counted(cluster, volume, brick);
  return { graph: "brick", brick: brickText(brick), ...await read(cluster, key, calls) };
}

async function read(cluster: Cluster, key: string, calls?: Calls) {
  const text = await cluster.volfile(key);
  if (text === undefined) throw new Refusal(`Cannot read volfile "${key}": there is none now`);
  try {
    const top = graphTree(parseVolfile(text), calls);
    return { key, handWritten: await cluster.isHandWritten(key), top };
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    throw new Refusal(`Cannot show volfile "${key}": ${plain(error)}; correct it by hand`);
  }
}

// A brick that is down, or does not count, has no figures; its graph is shown all the same.
async function counted(
  cluster: Cluster,
  volume: VolumeRecord,
  brick: BrickRecord,
): Promise<Calls> {
  const none = new Map();
  if (!COUNTING.every((key) => isOn(volume.options, key))) return none;
  if (!cluster.bricks.status(volume, brick).online) return none;
  try {
    const request = profileRequest(INFO.cumulative, true);
    const [told] = await askBricks(cluster, volume, [brick], xlatorInfo, request);
    const [period] = readProfile(told?.answer.output).periods;
    return period ? new Map([[brick.path, callsOf(period.fops)]]) : none;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return none;
  }
}

function callsOf(fops: readonly FopReport[]): Record<string, number> {
  return Object.fromEntries(fops.map(({ fop, hits }) => [fop, hits]));
}

function graphText({ graph, brick, key, handWritten, top }: ShownGraph): string {
  const title = brick === null ? graph : `brick ${brick}`;
  const written = handWritten ? ", written by hand" : "";
  return [`${title} (volfile ${key}${written})`, ...treeLines(top), ""].join("\n");
}

function graphXml({ graph, brick, key, handWritten, top }: ShownGraph): XmlElement {
  return element("graph", [
    element("type", graph),
    ...(brick === null ? [] : [element("brick", brick)]),
    element("volfile", key),
    element("handWritten", handWritten ? 1 : 0),
    layerXml(top),
  ]);
}

function layerXml({ name, type, options, calls, again, layers }: GraphLayer): XmlElement {
  return element("layer", [
    element("name", name),
    element("type", type),
    element("again", again ? 1 : 0),
    ...options.map((each) =>
      element("option", [element("name", each.name), element("value", each.value)])
    ),
    ...Object.entries(calls ?? {}).map(([fop, count]) =>
      element("calls", [element("fop", fop), element("count", count)])
    ),
    ...layers.map(layerXml),
  ]);
}
