/** The graph of a brick, as our brick processes load it: GlusterFS's order, the layers that we have. */

import type { VolumeBlock } from "core/volfile.ts";
import { type BrickRecord, isArbiter, setSize, type VolumeRecord } from "mgmt/records.ts";
import { debugLayers } from "mgmt/volgen/debug_layers.ts";
import { blocks, forOurs, type Layer, layer, layerOf, stacked } from "mgmt/volgen/layers.ts";
import { applyPath, applyRole, applySettings, isOn } from "mgmt/volgen/settings.ts";
import type { VolgenInput } from "mgmt/volgen/volgen.ts";

/** The graph of brick number `index`. Throws RangeError if there is no such brick. */
export function brickGraph(input: VolgenInput, index: number): VolumeBlock[] {
  const { volume } = input;
  const brick = volume.bricks[index];
  if (!brick) throw new RangeError(`Cannot make a brick's volfile: ${volume.name} has no ${index}`);
  const server = serverLayer(volume, brick.path, input.bindToHost ? brick.host : undefined);
  const layers = stacked([...storageLayers(input, brick, index), server]);
  applyPath(server, volume.options, brick.path);
  applyRole(layers, volume.options, "brick");
  applySettings(layers, volume.options);
  return blocks(forOurs(layers));
}

function storageLayers(input: VolgenInput, brick: BrickRecord, index: number): Layer[] {
  const { volume } = input, { name, options } = volume;
  const own = (type: string, given = {}) => layerOf(name, type, given);
  const layers = [
    own("storage/posix", {
      directory: brick.path,
      "volume-id": volume.id,
      "fips-mode-rchecksum": "on",
      "shared-brick-count": String(input.sharing?.(brick) ?? 1),
    }),
    ...(input.plain ? [] : [own("features/snapshot", { directory: brick.path })]),
    ...(isArbiter(volume, index) ? [own("features/arbiter")] : []),
    ...(isOn(options, "features.acl", true) ? [own("features/access-control")] : []),
    own("features/locks"),
    own("features/worm"),
    own("features/read-only", { "read-only": "off" }),
    own("features/upcall"),
    own("performance/io-threads"),
    own("features/barrier"),
    ...(input.plain ? [] : rangesLayer(volume, brick)),
    own("features/index", indexOptions(volume, brick)),
    layer(brick.path, "debug/io-stats", { "unique-id": brick.path, "volume-id": volume.id }),
  ];
  return layers.flatMap((each) => [each, ...debugLayers(volume, each.type)]);
}

function rangesLayer(volume: VolumeRecord, { path }: BrickRecord): Layer[] {
  if (setSize(volume) < 2 || volume.kind === "disperse") return [];
  const options = { "index-base": `${path}/.glusterfs/indices` };
  return [layerOf(volume.name, "features/changed-ranges", options)];
}

/** protocol/server, for what clients know as `path`. */
export function serverLayer(volume: VolumeRecord, path: string, host: string | undefined): Layer {
  const { name, username, password, options } = volume;
  return layerOf(name, "protocol/server", {
    "transport-type": "tcp",
    "transport.socket.bind-address": host,
    "transport.address-family": options["transport.address-family"],
    [`auth.login.${path}.allow`]: username,
    [`auth.login.${username}.password`]: password,
    "auth-path": path,
  });
}

function indexOptions({ name, kind }: VolumeRecord, { path }: BrickRecord) {
  const dispersed = kind === "disperse";
  return {
    "index-base": `${path}/.glusterfs/indices`,
    "xattrop64-watchlist": dispersed ? "trusted.ec.dirty" : undefined,
    "xattrop-dirty-watchlist": dispersed ? undefined : "trusted.afr.dirty",
    "xattrop-pending-watchlist": dispersed ? undefined : `trusted.afr.${name}-`,
  };
}
