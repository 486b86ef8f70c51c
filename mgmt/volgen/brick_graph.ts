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
  const bottom = brick.origins && !input.plain ? cloneLayers(volume, brick) : [];
  const rest = stacked([...storageLayers(input, brick, index, bottom), server], bottom.at(-1));
  const layers = [...bottom, ...rest];
  applyPath(server, volume.options, brick.path);
  applyRole(layers, volume.options, "brick");
  applySettings(layers, volume.options);
  return blocks(forOurs(layers));
}

function storageLayers(
  input: VolgenInput,
  brick: BrickRecord,
  index: number,
  bottom: readonly Layer[],
): Layer[] {
  const { volume } = input, { name, options } = volume;
  const own = (type: string, given = {}) => layerOf(name, type, given);
  const sharing = String(input.sharing?.(brick) ?? 1);
  for (const { options } of bottom.slice(0, 1)) options.set("shared-brick-count", sharing);
  const layers = [
    ...(bottom.length ? [] : [own("storage/posix", storageOptions(volume, brick, sharing))]),
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

function storageOptions({ id }: VolumeRecord, { path }: BrickRecord, sharing: string) {
  return {
    directory: path,
    "volume-id": id,
    "fips-mode-rchecksum": "on",
    "shared-brick-count": sharing,
  };
}

/** Of a clone's brick: its own storage, and above it features/clone, which looks at the origin's. */
function cloneLayers(volume: VolumeRecord, brick: BrickRecord): Layer[] {
  const { name } = volume, storage = "storage/posix";
  const own = layerOf(name, storage, storageOptions(volume, brick, "1"));
  const origins = brick.origins!;
  // The oldest first: each clone looks at the one before.
  const looks = origins.map(({ path }, at) =>
    layer(`${name}-origin-${at}-posix`, storage, { directory: path, "look-only": "on" })
  );
  const clones: Layer[] = [];
  for (let at = origins.length - 1; at >= 0; at--) {
    const { path: origin, reader } = origins[at]!, isOwn = at === 0;
    const directory = isOwn ? brick.path : origins[at - 1]!.path;
    const lower = clones.at(-1) ?? looks.at(-1)!;
    const upper = isOwn ? own : looks[at - 1]!;
    clones.push(layer(
      isOwn ? `${name}-clone` : `${name}-origin-${at - 1}-clone`,
      "features/clone",
      { directory, origin, reader, ...(isOwn ? {} : { "look-only": "on" }) },
      [upper.name, lower.name],
    ));
  }
  return [own, ...looks, ...clones];
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

function indexOptions({ kind }: VolumeRecord, { path, clientName }: BrickRecord) {
  const dispersed = kind === "disperse";
  return {
    "index-base": `${path}/.glusterfs/indices`,
    "xattrop64-watchlist": dispersed ? "trusted.ec.dirty" : undefined,
    "xattrop-dirty-watchlist": dispersed ? undefined : "trusted.afr.dirty",
    "xattrop-pending-watchlist": dispersed ? undefined : marksOf(clientName),
  };
}

// A clone's copies mark each other as its origin's do.
function marksOf(clientName: string): string {
  return `trusted.afr.${clientName.replace(/client-\d+$/, "")}`;
}
