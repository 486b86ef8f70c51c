/** Sections of a brick's statedump. Names and keys are GlusterFS's where its tools read them. */

import type { Graph, GraphNode } from "core/graph.ts";
import type { ClientReport } from "core/reports.ts";
import type { Json } from "core/xlator.ts";
import { type LockedInode, lockEntries } from "mgmt/brick/dump_locks.ts";
import { mallinfo } from "mgmt/brick/status.ts";
import { type DumpSection, shownOptions, stateSection } from "mgmt/statedump.ts";

const LOCKS = "features/locks";

/** What a dump tells beside the graph itself. */
export interface DumpFacts {
  readonly metrics: readonly { readonly name: string; readonly value: number }[];
  /** Paths of files by gfid, as far as they are known. */
  readonly paths: ReadonlyMap<string, string>;
}

/** Files with locks, for their paths. */
export function lockedGfids(graph: Graph): readonly string[] {
  return [...graph.nodes].filter(({ block }) => block.type === LOCKS)
    .flatMap(({ xlator }) => lockedInodes(xlator.state?.() ?? {}).map(({ gfid }) => gfid));
}

/** All of a graph whose bricks' clients join at its top. */
export function* graphSections(
  graph: Graph,
  { metrics, paths }: DumpFacts,
): Generator<DumpSection> {
  const clients = graph.top.clients?.() ?? [];
  const calls = clients.reduce((sum, { callsUnderWay }) => sum + callsUnderWay, 0);
  yield {
    title: "mallinfo",
    entries: mallinfo().map(([name, bytes]) => [`mallinfo_${name}`, bytes] as const),
  };
  yield { title: "global.callpool", entries: [["callpool.cnt", calls]] };
  yield { title: "metrics", entries: metrics.map(({ name, value }) => [name, value] as const) };
  yield { title: "active graph - 1", entries: [] };
  // Top first, as GlusterFS walks its graphs.
  for (const node of [...graph.nodes].reverse()) yield* layerSections(node, paths);
  yield* inodeSections(graph, clients);
}

function* layerSections(
  { block, xlator }: GraphNode,
  paths: DumpFacts["paths"],
): Generator<DumpSection> {
  const { type, name } = block;
  const state = xlator.state?.() ?? {};
  if (type === LOCKS) {
    yield stateSection(`${type}.${name}`, { options: shownOptions(block.options) });
    for (const inode of lockedInodes(state)) {
      const entries = lockEntries(inode, paths.get(inode.gfid));
      yield { title: `xlator.features.locks.${name}.inode`, entries };
    }
    return;
  }
  const shown = typeof state === "object" && !Array.isArray(state) ? state : { state };
  yield stateSection(`${type}.${name}`, { options: shownOptions(block.options), ...shown });
}

function lockedInodes(state: Json): readonly LockedInode[] {
  return (state as unknown as { readonly inodes?: readonly LockedInode[] }).inodes ?? [];
}

function* inodeSections(
  { inodes, top }: Graph,
  clients: readonly ClientReport[],
): Generator<DumpSection> {
  const brick = top.children[0]?.name ?? top.name;
  const table = `conn.0.bound_xl.${brick}`;
  const opened = new Map<string, number>();
  for (const { gfid } of clients.flatMap(({ files }) => files)) {
    opened.set(gfid, (opened.get(gfid) ?? 0) + 1);
  }
  const idle = [...inodes.held()].map(({ gfid }) => gfid).filter((gfid) => !opened.has(gfid));
  yield {
    title: table,
    entries: [
      [`${table}.name`, `${brick}/inode`],
      [`${table}.lru_limit`, Number.isFinite(inodes.limit) ? inodes.limit : 0],
      [`${table}.active_size`, opened.size],
      [`${table}.lru_size`, idle.length],
      [`${table}.purge_size`, 0],
    ],
  };
  const section = (kind: string, number: number, gfid: string, count: number): DumpSection => ({
    title: `${table}.${kind}.${number}`,
    entries: [["gfid", gfid], ["fd-count", count], ["active-fd-count", count]],
  });
  let number = 0;
  for (const [gfid, count] of opened) yield section("active", ++number, gfid, count);
  number = 0;
  for (const gfid of idle) yield section("lru", ++number, gfid, 0);
}
