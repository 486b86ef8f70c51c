/**
 * Graphs for our own programs: a client of the layers that we have, and a proxy that does a client's work
 * for others. Clients of every version reach any volume through a proxy, striped ones too.
 */

import type { VolumeBlock } from "core/volfile.ts";
import type { VolumeRecord } from "mgmt/records.ts";
import { serverLayer } from "mgmt/volgen/brick_graph.ts";
import { clientLayers } from "mgmt/volgen/client_graph.ts";
import { blocks, forOurs, layer, stacked } from "mgmt/volgen/layers.ts";
import { applyPath, applyRole, applySettings, isOn } from "mgmt/volgen/settings.ts";
import type { Asker, VolgenInput } from "mgmt/volgen/volgen.ts";
import { TYPES } from "xlators/mod.ts";

/** What a proxy's clients connect to, and ask the portmapper for. */
export function proxyName(volume: string): string {
  return `${volume}-proxy`;
}

/** The option that has a volume's proxy run while it is started. */
export const PROXY = "features.proxy";

/** Whether it is on. */
export function hasProxy({ options }: Pick<VolumeRecord, "options">): boolean {
  return isOn(options, PROXY);
}

/** Switches that are otherwise in our clients than in GlusterFS's where nobody set them. */
const UNSET: ReadonlyMap<string, boolean> = new Map([
  // An open costs the bricks the same, only later, and a file that another client replaced meanwhile
  // could not be read, where an open that fails is tried again.
  ["performance.open-behind", false],
  // A brick gathers the next names while the client deals with these: directories are listed a third
  // faster.
  ["performance.readdir-ahead", true],
]);

/** The graph of our own clients. Layers that we do not have are left out if files are the same without. */
export function ownGraph(input: VolgenInput, asker: Asker): VolumeBlock[] {
  return blocks(forOurs(clientLayers(input, { asker, has, unset: UNSET, inside: true })));
}

/** The graph of a proxy: our own client's, served. */
export function proxyGraph(input: VolgenInput): VolumeBlock[] {
  const { volume } = input, name = proxyName(volume.name);
  // Its clients have such layers themselves: two that write behind would tell an application twice,
  // and once too early, that data is safe, and what two keep is stale for twice as long.
  const layers = clientLayers(input, {
    asker: "trusted",
    top: name,
    inside: true,
    has: (type) => has(type) && !type.startsWith("performance/"),
  });
  const host = input.bindToHost ? proxyHost(input) : undefined;
  const [server] = stacked([serverLayer(volume, name, host)], layers.at(-1));
  applyPath(server!, volume.options, name);
  applySettings([server!], volume.options);
  return blocks(forOurs([...layers, server!]));
}

/** The graph of a client, of any version, of that proxy. */
export function proxyClientGraph(input: VolgenInput, asker: Asker): VolumeBlock[] {
  const { name, options, username, password } = input.volume;
  const login = asker === "trusted" ? { username, password } : {};
  const layers = stacked([
    layer(`${name}-proxy-client`, "protocol/client", {
      "ping-timeout": "42",
      // Who is trusted is on the same machine, where a proxy that somebody started listens if nothing
      // else is said; the daemon's own listens where bricks do.
      "remote-host": asker === "trusted" && !hasProxy(input.volume)
        ? "127.0.0.1"
        : proxyHost(input),
      "remote-subvolume": proxyName(name),
      "transport-type": "tcp",
      "transport.address-family": options["transport.address-family"],
      ...login,
    }),
    layer(`${name}-write-behind`, "performance/write-behind"),
    // GlusterFS's client lets the kernel keep what was read of a file; this layer alone, which sees that
    // somebody else changed it, has that forgotten.
    layer(`${name}-md-cache`, "performance/md-cache"),
    layer(name, "debug/io-stats"),
  ]);
  applyRole(layers, options, "client");
  applySettings(layers, options);
  return blocks(layers);
}

// Layers that make things fast, and those that only choose where new files go, may be away.
function has(type: string): boolean {
  return TYPES.has(type) || !/^performance\/|^cluster\/(nufa|switch)$/.test(type);
}

// A proxy runs on the node that made its volfile, which is known by the bricks it has.
function proxyHost({ volume, nodeId }: VolgenInput): string {
  return (ownBrick(volume, nodeId) ?? volume.bricks[0]!).host;
}

function ownBrick(volume: VolumeRecord, node: string) {
  return volume.bricks.find(({ nodeId }) => nodeId === node);
}
