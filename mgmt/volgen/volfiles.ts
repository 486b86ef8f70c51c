/** Volfiles by the keys they are asked for with, and by the file names they have in a state directory. */

import { printVolfile, type VolumeBlock } from "core/volfile.ts";
import { dashed } from "mgmt/home.ts";
import { type BrickRecord, setSize, type VolumeRecord } from "mgmt/records.ts";
import { brickGraph } from "mgmt/volgen/brick_graph.ts";
import {
  brickClientGraph,
  clientGraph,
  healGraph,
  rebalanceGraph,
} from "mgmt/volgen/client_graph.ts";
import { ownGraph, proxyClientGraph, proxyGraph } from "mgmt/volgen/own_graph.ts";
import type { Asker, VolgenInput } from "mgmt/volgen/volgen.ts";

/** The graphs that a volume has, besides one for each brick. */
export const GRAPHS = ["client", "own", "heal", "rebalance", "proxy", "proxy-client"] as const;

/** One of them. */
export type GraphName = (typeof GRAPHS)[number];

/** The key of one of a volume's graphs. */
export function graphKey({ name }: Pick<VolumeRecord, "name">, graph: GraphName): string {
  const keys = {
    client: name,
    own: `${name}.mortar`,
    heal: `shd/${name}`,
    rebalance: `rebalance/${name}`,
    // A volume's name has no dot: to its clients, what a proxy serves is a volume of its own.
    proxy: `proxy/${name}`,
    "proxy-client": `${name}.proxy`,
  };
  return keys[graph];
}

/**
 * The key that `key` stands for where it is no volume's own: libgfapi, and with it QEMU, knows no name
 * with a dot, so VOLUME-proxy is VOLUME.proxy. Undefined if it stands for nothing else.
 */
export function otherKey(key: string): string | undefined {
  const name = /^\/?([^/.]+)-proxy(?:\.tcp)?$/.exec(key)?.[1];
  return name === undefined ? undefined : graphKey({ name }, "proxy-client");
}

/** The key of a brick's volfile. */
export function brickKey(
  { name }: Pick<VolumeRecord, "name">,
  { host, path }: Pick<BrickRecord, "host" | "path">,
): string {
  return `${name}.${host}.${dashed(path)}`;
}

/** Whether a key is that of one of the volume's bricks. */
export function isBrickKey(volume: VolumeRecord, key: string): boolean {
  return volume.bricks.some((brick) => brickKey(volume, brick) === key);
}

function brickClientKey({ name }: VolumeRecord, { host, path }: BrickRecord): string {
  return `client_per_brick/${name}.client.${host}.${dashed(path)}.vol`;
}

/** Keys of all volfiles of a volume. */
export function volfileKeys(volume: VolumeRecord): string[] {
  return [...makers(volume).keys()];
}

type Maker = (input: VolgenInput, asker: Asker) => VolumeBlock[] | undefined;

/** Graphs that a stranger may have: what they hold is nothing that only our nodes may know. */
const PUBLIC: readonly GraphName[] = ["client", "own", "proxy-client"];

// Nothing is made before it is asked for.
function makers(volume: VolumeRecord): ReadonlyMap<string, Maker> {
  const named: Record<GraphName, Maker | undefined> = {
    // GlusterFS has no striping any more: its clients need a proxy.
    client: volume.stripeCount > 1 ? undefined : (input, asker) => clientGraph(input, { asker }),
    own: ownGraph,
    heal: setSize(volume) > 1 ? healGraph : undefined,
    rebalance: volume.bricks.length > setSize(volume) * volume.stripeCount
      ? rebalanceGraph
      : undefined,
    proxy: proxyGraph,
    "proxy-client": proxyClientGraph,
  };
  const found = new Map<string, Maker>();
  for (const name of GRAPHS) {
    const make = named[name];
    if (!make) continue;
    found.set(graphKey(volume, name), PUBLIC.includes(name) ? make : forTrusted(make));
  }
  volume.bricks.forEach((brick, index) => {
    found.set(brickKey(volume, brick), forTrusted((input) => brickGraph(input, index)));
    found.set(brickClientKey(volume, brick), forTrusted((input) => brickClientGraph(input, index)));
  });
  return found;
}

function forTrusted(make: Maker): Maker {
  return (input, asker) => asker === "trusted" ? make(input, asker) : undefined;
}

/**
 * The blocks of the volfile of `key`, with or without a slash before it; undefined if there is none.
 * `trusted`: for one of our own nodes, with the volume's login; strangers get clients' volfiles only.
 */
export function volfileBlocks(
  input: VolgenInput,
  key: string,
  trusted: boolean,
): VolumeBlock[] | undefined {
  const all = makers(input.volume);
  const plain = key.startsWith("/") ? key.slice(1) : key;
  // "mount -o transport=tcp" appends that to the volume's name.
  const make = all.get(plain) ?? all.get(plain.replace(/\.tcp$/, ""));
  return make?.(input, trusted ? "trusted" : "other");
}

/** The same as text. */
export function volfileText(
  input: VolgenInput,
  key: string,
  trusted: boolean,
): string | undefined {
  const made = volfileBlocks(input, key, trusted);
  return made && printVolfile(made);
}

/** The volfiles that GlusterFS's daemon keeps in a volume's state directory: texts by file name. */
export function stateVolfiles(input: VolgenInput): Map<string, string> {
  const { volume } = input, { name } = volume;
  const files = new Map<string, string>();
  const add = (file: string, key: string, trusted = true) => {
    const text = volfileText({ ...input, plain: true }, key, trusted);
    if (text !== undefined) files.set(file, text);
  };
  add(`trusted-${name}.tcp-fuse.vol`, graphKey(volume, "client"));
  add(`${name}.tcp-fuse.vol`, graphKey(volume, "client"), false);
  add(`${name}-shd.vol`, graphKey(volume, "heal"));
  add(`${name}-rebalance.vol`, graphKey(volume, "rebalance"));
  for (const brick of volume.bricks) {
    const key = brickKey(volume, brick);
    add(`${key}.vol`, key);
  }
  return files;
}
