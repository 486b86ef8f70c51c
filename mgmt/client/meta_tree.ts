/** What `.meta` holds, made when somebody looks. The names are GlusterFS's. */

import type { Graph, GraphNode } from "core/graph.ts";
import type { Json } from "core/xlator.ts";
import { shownOptions, stateSection } from "mgmt/statedump.ts";
import { VERSION } from "mgmt/version.ts";

/** A directory, which lists, or a file, which has text. */
export type MetaEntry =
  | { readonly list: () => ReadonlyMap<string, MetaEntry>; readonly text?: undefined }
  | { readonly text: () => string; readonly list?: undefined };

/** Where the tree looks. */
export interface MetaParts {
  /** The live graph. */
  readonly graph: () => Graph;
  /** What the mount tells of itself. */
  readonly mount: () => Json;
  readonly commandLine: readonly string[];
  readonly logLevel: string;
}

/** GlusterFS's numbers of log levels. */
const LEVELS: Readonly<Record<string, number>> = { none: 0, error: 4, warn: 5, info: 7, debug: 8 };

/** The whole tree. */
export function metaTree({ graph, mount, commandLine, logLevel }: MetaParts): MetaEntry {
  const shown = (value: unknown) => file(() => `${JSON.stringify(value, undefined, 1)}\n`);
  return directory({
    version: shown({ "Package Version": VERSION }),
    cmdline: shown({ Cmdlinestr: commandLine.join(" ") }),
    frames: file(() => stateText(mount())),
    logging: directory({ loglevel: file(() => `${LEVELS[logLevel] ?? logLevel}\n`) }),
    graphs: directory({ active: { list: () => graphEntries(graph()) } }),
  });
}

function graphEntries({ nodes, top }: Graph): ReadonlyMap<string, MetaEntry> {
  const all = [...nodes].map((node) => [node.block.name, layer(node)] as const);
  return new Map([["top", file(() => `${top.name}\n`)], ...all]);
}

function layer({ block, xlator }: GraphNode): MetaEntry {
  const options = Object.entries(shownOptions(block.options));
  return directory({
    type: file(() => `${block.type}\n`),
    name: file(() => `${block.name}\n`),
    subvolumes: file(() => block.subvolumes.map((each) => `${each}\n`).join("")),
    options: directory(
      Object.fromEntries(options.map(([name, value]) => [name, file(() => `${value}\n`)])),
    ),
    private: file(() => stateText(xlator.state?.() ?? null)),
  });
}

// Switches are numbers there: scripts look for "connected = 1".
function stateText(state: Json): string {
  const { entries } = stateSection("", state);
  return Array.from(entries, ([key, value]) => `${key} = ${shown(value)}\n`)
    .join("");
}

function shown(value: string | number | boolean): string {
  return String(typeof value === "boolean" ? Number(value) : value);
}

function directory(entries: Readonly<Record<string, MetaEntry>>): MetaEntry {
  const all = new Map(Object.entries(entries));
  return { list: () => all };
}

function file(text: () => string): MetaEntry {
  return { text };
}
