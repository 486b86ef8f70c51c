/** What `.meta` holds, made when somebody looks. Names, places and forms are GlusterFS's. */

import type { Graph, GraphNode } from "core/graph.ts";
import { EINVAL } from "core/errno.ts";
import type { FopName } from "core/fops.ts";
import { printVolfile } from "core/volfile.ts";
import type { Json, Xlator } from "core/xlator.ts";
import {
  dictText,
  framesText,
  memoryText,
  profileText,
  stateText,
} from "mgmt/client/meta_texts.ts";
import type { Latency, Measurement } from "mgmt/client/measurement.ts";
import { shownOptions } from "mgmt/statedump.ts";
import { VERSION } from "mgmt/version.ts";

/** A directory, which lists; a file, which has text and may take some; or a link, which leads on. */
export type MetaEntry =
  | { readonly kind: "directory"; readonly list: () => ReadonlyMap<string, MetaEntry> }
  | {
    readonly kind: "file";
    readonly text: () => string;
    /** Takes what somebody writes. Throws FopError. */
    readonly take?: (text: string) => void;
  }
  | { readonly kind: "link"; readonly target: () => string };

/** The layer that mounts. */
export interface MountLook {
  readonly layer: Xlator;
  readonly options: ReadonlyMap<string, string>;
}

/** Where the tree looks. */
export interface MetaParts {
  /** The live graph, and what it is called. */
  readonly graph: () => { readonly graph: Graph; readonly name: string };
  /** Absent until it is there. */
  readonly mount: () => MountLook | undefined;
  readonly commandLine: readonly string[];
  readonly processId: string;
  readonly logFile: string | undefined;
  /** GlusterFS's number of the level of logs. */
  readonly logLevel: () => number;
  /** Sets it, 0 to 9. */
  readonly setLogLevel: (level: number) => void;
  readonly measurement: Measurement;
  /** Switches the measurement. */
  readonly measure: (on: boolean) => void;
}

/** The whole tree. */
export function metaTree(parts: MetaParts): MetaEntry {
  const { graph, mount, commandLine, logFile, measurement } = parts;
  const mounted = () => mount()?.layer.state?.() ?? null;
  return directory({
    version: file(() => dictText("Package Version", VERSION)),
    cmdline: file(() => dictText("Cmdlinestr", commandLine.join(" "))),
    process_uuid: file(() => `${parts.processId}\n`),
    frames: file(() => framesText(measurement.underWay, mounted())),
    mallinfo: file(() => memoryText(Deno.memoryUsage())),
    measure_latency: file(() => `${Number(measurement.on)}\n`, (text) => {
      parts.measure(number(text, 1) !== 0);
    }),
    logging: directory({
      loglevel: file(() => `${parts.logLevel()}\n`, (text) => parts.setLogLevel(number(text, 9))),
      ...logFile === undefined ? {} : { logfile: link(() => logFile) },
    }),
    graphs: listed(() => {
      const { graph: live, name } = graph();
      return [["active", link(() => graph().name)], [
        name,
        listed(() => graphEntries(live, measurement)),
      ]];
    }),
    root: listed(() => rootEntries(mount(), measurement)),
  });
}

function* graphEntries(
  { nodes, top, blocks }: Graph,
  measurement: Measurement,
): Generator<[string, MetaEntry]> {
  yield ["top", link(() => top.name)];
  const shown = () =>
    blocks.map((block) => ({
      ...block,
      options: new Map(Object.entries(shownOptions(block.options))),
    }));
  yield ["volfile", file(() => printVolfile(shown()))];
  for (const node of nodes) yield [node.block.name, layerOf(node, measurement)];
}

/** A layer in the tree. */
interface LayerLook {
  readonly type: string;
  readonly layer: Xlator;
  readonly options: ReadonlyMap<string, string>;
  readonly subvolumes: readonly string[];
  readonly latencies: () => ReadonlyMap<FopName, Readonly<Latency>>;
}

function layerOf({ block, xlator }: GraphNode, measurement: Measurement): MetaEntry {
  return directory(
    layerEntries({ ...block, layer: xlator, latencies: () => measurement.latencies(xlator) }),
  );
}

// What the mount waits for is what the layer below it answers.
function rootEntries(
  mount: MountLook | undefined,
  measurement: Measurement,
): [string, MetaEntry][] {
  if (!mount) return [];
  const [below] = mount.layer.children;
  const latencies = () => measurement.latencies(below!);
  return Object.entries(
    layerEntries({ type: "mount/fuse", ...mount, subvolumes: [], latencies }),
  );
}

function layerEntries(
  { type, layer, options: given, subvolumes, latencies }: LayerLook,
): Record<string, MetaEntry> {
  const options = Object.entries(shownOptions(given));
  const state = () => layer.state?.() ?? null;
  const { name } = layer;
  return {
    type: file(() => `${type}\n`),
    name: file(() => `${name}\n`),
    subvolumes: directory(
      Object.fromEntries(subvolumes.map((each, i) => [String(i), link(() => `../../${each}`)])),
    ),
    options: directory(
      Object.fromEntries(options.map(([key, value]) => [key, file(() => `${value}\n`)])),
    ),
    private: file(() => stateText(state())),
    history: file(() => historyText(state())),
    profile: file(() => profileText(name, latencies())),
    // Memory is the whole program's: it is not counted by layers.
    meminfo: file(() => `[${type}.${name} - Memory usage]\nnum_types = 0\n`),
    view: directory({}),
  };
}

// Of layers that keep one.
function historyText(state: Json): string {
  const { history } = (state ?? {}) as { readonly history?: Json };
  return Array.isArray(history) ? history.map((line) => `${line}\n`).join("") : "";
}

function number(text: string, most: number): number {
  const found = /^\s*(\d+)\s*$/.exec(text);
  if (!found || Number(found[1]) > most) throw EINVAL;
  return Number(found[1]);
}

function directory(entries: Readonly<Record<string, MetaEntry>>): MetaEntry {
  return listed(() => Object.entries(entries));
}

function listed(entries: () => Iterable<readonly [string, MetaEntry]>): MetaEntry {
  return { kind: "directory", list: () => new Map(entries()) };
}

function file(text: () => string, take?: (text: string) => void): MetaEntry {
  return take ? { kind: "file", text, take } : { kind: "file", text };
}

function link(target: () => string): MetaEntry {
  return { kind: "link", target };
}
