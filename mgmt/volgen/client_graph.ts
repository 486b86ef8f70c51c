/**
 * The graph of a volume's clients: what GlusterFS 10's daemon writes, so that its clients find what they
 * know. The graphs of the self-heal daemon and of a rebalance are parts of it.
 */

import { size } from "core/options.ts";
import type { VolumeBlock } from "core/volfile.ts";
import { distributeCount, setSize, type VolumeRecord } from "mgmt/records.ts";
import { debugLayers } from "mgmt/volgen/debug_layers.ts";
import { blocks, type Layer, layer, layerOf, stacked } from "mgmt/volgen/layers.ts";
import { applyRole, applySettings, isOn, type Settings } from "mgmt/volgen/settings.ts";
import type { Asker, VolgenInput } from "mgmt/volgen/volgen.ts";

/** Layers that make clients fast, from the bottom up: their switch, and whether it is on by itself. */
const PERFORMANCE: readonly (readonly [key: string, type: string, on: boolean])[] = [
  ["performance.write-behind", "performance/write-behind", true],
  ["performance.read-ahead", "performance/read-ahead", false],
  ["performance.readdir-ahead", "performance/readdir-ahead", false],
  ["performance.io-cache", "performance/io-cache", false],
  ["performance.open-behind", "performance/open-behind", true],
  ["performance.quick-read", "performance/quick-read", true],
  ["performance.nl-cache", "performance/nl-cache", false],
  ["performance.stat-prefetch", "performance/md-cache", true],
  ["performance.client-io-threads", "performance/io-threads", true],
];

const RDA_LIMIT = "performance.rda-cache-limit", RDA_REQUEST = "performance.rda-request-size";
const RDA_LEAST = 4096;
const BYTES = size({ default: 0, help: "" });

/** How a client's graph is to be. */
export interface ClientOptions {
  readonly asker: Asker;
  /** Name of the topmost layer; the volume's if absent. */
  readonly top?: string;
  /** Which layers it has; all if absent. */
  readonly has?: (type: string) => boolean;
  /** How switches are where nobody set them, if not as in GlusterFS. */
  readonly unset?: ReadonlyMap<string, boolean>;
  /** Whether it may show what is in images: GlusterFS's clients have no such layer. */
  readonly inside?: boolean;
}

/** The graph of a client. */
export function clientGraph(input: VolgenInput, given: ClientOptions): VolumeBlock[] {
  return blocks(clientLayers(input, given));
}

/** The same, not yet printed. */
export function clientLayers({ volume, readOnly }: VolgenInput, given: ClientOptions): Layer[] {
  const { asker, top = volume.name, has = () => true, unset, inside = false } = given;
  const settings = clientSettings(volume);
  const bottom = clusterLayers(volume, asker, has);
  const upper = [
    ...(isOn(settings, "features.shard") ? [layerOf(volume.name, "features/shard")] : []),
    ...(isOn(settings, "features.ctime", true) ? [layerOf(volume.name, "features/utime")] : []),
    ...PERFORMANCE.filter(([key, , on]) => isOn(settings, key, unset?.get(key) ?? on))
      .filter(([key]) => !isBelow(settings, key))
      .map(([, type]) => layerOf(volume.name, type)),
    // Above those that write behind and remember: what is read of an image is what this client sees.
    ...(inside && isOn(settings, "features.qcow2") ? [layerOf(volume.name, "features/qcow2")] : []),
    ...(readOnly ? [layerOf(volume.name, "features/read-only", { "read-only": "on" })] : []),
    ...debugLayers(volume, "client"),
  ].filter(({ type }) => has(type));
  const layers = stacked([...upper, layer(top, "debug/io-stats")], bottom.at(-1));
  return settled([...bottom, ...layers], settings);
}

/** The graph of what moves files when bricks were added; undefined if the volume has one subvolume only. */
export function rebalanceGraph({ volume }: VolgenInput): VolumeBlock[] | undefined {
  if (distributeCount(volume) < 2) return undefined;
  const bottom = clusterLayers(volume, "trusted", () => true);
  const top = stacked([layer(volume.name, "debug/io-stats")], bottom.at(-1));
  return blocks(settled([...bottom, ...top], volume.options));
}

/** What the self-heal daemon does if not told otherwise, and what it does whatever clients were told. */
const HEALER_ON: Settings = {
  "cluster.self-heal-daemon": "enable",
  "cluster.disperse-self-heal-daemon": "enable",
};
const HEALER: Settings = {
  "cluster.background-self-heal-count": "0",
  "cluster.metadata-self-heal": "on",
  "cluster.data-self-heal": "on",
  "cluster.entry-self-heal": "on",
};

/** The graph of the self-heal daemon; undefined if there is nothing to heal from. */
export function healGraph({ volume }: VolgenInput): VolumeBlock[] | undefined {
  if (setSize(volume) < 2) return undefined;
  const clients = brickClients(volume, "trusted"), sets = setLayers(volume);
  const settings = { ...HEALER_ON, ...volume.options, ...HEALER };
  applyRole(sets, settings, "heal");
  applySettings([...clients, ...sets], settings);
  for (const { options } of sets) options.set("iam-self-heal-daemon", "yes");
  const top = layer(volume.name, "debug/io-stats", {}, sets.map(({ name }) => name));
  applyRole([top], volume.options, "client");
  return blocks([...clients, ...sets, top]);
}

/** A client of one brick alone, for who looks at bricks one by one. */
export function brickClientGraph({ volume }: VolgenInput, index: number): VolumeBlock[] {
  return blocks([brickClients(volume, "trusted")[index]!]);
}

function settled(layers: Layer[], settings: Settings): Layer[] {
  applyRole(layers, settings, "client");
  applySettings(layers, settings);
  return layers;
}

function clusterLayers(
  volume: VolumeRecord,
  asker: Asker,
  has: (type: string) => boolean,
): Layer[] {
  const clients = brickClients(volume, asker), sets = setLayers(volume);
  const sources = sets.length ? sets : clients;
  const striped = grouped(volume, "cluster/stripe", sources, volume.stripeCount);
  const spread = striped.length ? striped : sources;
  const ahead = isOn(volume.options, "performance.parallel-readdir") &&
      has("performance/readdir-ahead")
    ? grouped(volume, "performance/readdir-ahead", spread, 1)
    : [];
  for (const { options } of ahead) options.set("performance.readdir-ahead", "on");
  const names = (ahead.length ? ahead : spread).map(({ name }) => name);
  const wanted = distributeType(volume);
  const type = has(wanted) ? wanted : "cluster/distribute";
  const all = layer(`${volume.name}-dht`, type, {}, names);
  return [...clients, ...sets, ...striped, ...ahead, all];
}

function distributeType({ options }: VolumeRecord): string {
  if (isOn(options, "cluster.nufa")) return "cluster/nufa";
  return isOn(options, "cluster.switch") ? "cluster/switch" : "cluster/distribute";
}

/** The layer of every brick's connection, named as its record says. */
function brickClients(volume: VolumeRecord, asker: Asker): Layer[] {
  const login = asker === "trusted" ? { username: volume.username, password: volume.password } : {};
  return volume.bricks.map(({ clientName, host, path }) =>
    layer(clientName, "protocol/client", {
      "ping-timeout": "42",
      "remote-host": host,
      "remote-subvolume": path,
      "transport-type": "tcp",
      "transport.address-family": volume.options["transport.address-family"],
      ...login,
    })
  );
}

/** The layers that keep copies, or fragments; none if files are on one brick each. */
function setLayers(volume: VolumeRecord): Layer[] {
  const { kind, id, arbiterCount, redundancyCount } = volume;
  const bricks = volume.bricks.map(({ clientName }) => ({ name: clientName }));
  if (kind === "disperse") {
    const sets = grouped(volume, "cluster/disperse", bricks, setSize(volume));
    for (const { options } of sets) options.set("redundancy", String(redundancyCount));
    return sets;
  }
  if (setSize(volume) < 2) return [];
  const sets = grouped(volume, "cluster/replicate", bricks, setSize(volume));
  for (const { options, below } of sets) {
    options.set("afr-pending-xattr", below.join(","));
    options.set("volume-id", id);
    if (arbiterCount) options.set("arbiter-count", String(arbiterCount));
  }
  return sets;
}

/** Layers of `type`, each above `count` of `below`, in order; none for stripes of one. */
function grouped(
  { name }: VolumeRecord,
  type: string,
  below: readonly Pick<Layer, "name">[],
  count: number,
): Layer[] {
  if (type === "cluster/stripe" && count < 2) return [];
  const names = below.map((each) => each.name);
  return Array.from({ length: names.length / count }, (_, index) => {
    const { name: prefix } = layerOf(name, type);
    return layer(`${prefix}-${index}`, type, {}, names.slice(index * count, (index + 1) * count));
  });
}

// With parallel-readdir, readdir-ahead is below distribute, once for each subvolume.
function isBelow(settings: Settings, key: string): boolean {
  return key === "performance.readdir-ahead" && isOn(settings, "performance.parallel-readdir");
}

/** What was set, and what follows from it for clients. */
function clientSettings(volume: VolumeRecord): Settings {
  const settings: Record<string, string> = { ...volume.options };
  // A squashed root could read, through open-behind, what it may not open.
  if (isOn(settings, "server.root-squash")) settings["performance.read-after-open"] = "yes";
  settings["client.send-gids"] = String(!isOn(settings, "server.manage-gids"));
  const parallel = isOn(settings, "performance.parallel-readdir") &&
    isOn(settings, "performance.readdir-ahead");
  return parallel ? { ...settings, ...sharedAhead(volume) } : settings;
}

/** Memory for reading directories ahead, divided among the subvolumes that are read at once. */
function sharedAhead(volume: VolumeRecord): Settings {
  const count = distributeCount(volume);
  if (count < 2) return {};
  const request = BYTES.parse(volume.options[RDA_REQUEST] ?? "131072");
  const each = Math.floor(BYTES.parse(volume.options[RDA_LIMIT] ?? "10MB") / count);
  if (each >= request) return { [RDA_LIMIT]: `${each}B` };
  const both = `${Math.max(each, RDA_LEAST)}B`;
  return { [RDA_LIMIT]: both, [RDA_REQUEST]: both };
}
