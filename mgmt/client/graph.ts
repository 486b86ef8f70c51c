/** The blocks of a volfile that a mount is made of. */

import type { XlatorTypes } from "core/registry.ts";
import type { VolumeBlock } from "core/volfile.ts";
import { CommandError } from "mgmt/cli/command.ts";
import { MANAGEMENT_PORT } from "mgmt/endpoints.ts";

/** Layers that a volume is the same without: they make it faster, count or show it. */
const OPTIONAL = /^(performance|debug|meta|mount)(\/|$)/;
const MOUNT = "mount/fuse";
/** Named as in GlusterFS's mounts, where it does nothing as long as no volfile says so. */
const WORM = {
  name: "worm-autoload",
  type: "features/worm",
  options: new Map([["worm", "on"]]),
  line: 0,
};

/** A client's graph, and what its volfile says of the mount. */
export interface ClientGraph {
  readonly blocks: readonly VolumeBlock[];
  /** Options of a volume of type mount/fuse, if there is one. */
  readonly mountOptions: ReadonlyMap<string, string>;
}

/** What a client adds to its volfile. */
export interface GraphChanges {
  /** Port of the management daemon, which knows those of the bricks. */
  readonly port: number;
  /** Directory of the volume to show as its root. */
  readonly subdirectory: string | undefined;
  /** Whether what is there may not be changed; it may if absent. */
  readonly worm?: boolean;
}

/**
 * The graph of a volfile's blocks. Layers that this program has not and that only make things faster
 * are left out, and `tell` hears of them. Throws CommandError for others: without them, data would
 * be read and written wrong.
 */
export function clientGraph(
  blocks: readonly VolumeBlock[],
  types: XlatorTypes,
  { port, subdirectory, worm = false }: GraphChanges,
  tell: (left: { type: string; volume: string }) => void,
): ClientGraph {
  const stands = new Map<string, string>();
  const used: VolumeBlock[] = [];
  let mountOptions: ReadonlyMap<string, string> = new Map();
  for (const block of blocks) {
    const { name, type } = block;
    const subvolumes = block.subvolumes.map((each) => stands.get(each) ?? each);
    if (type !== MOUNT && types.has(type)) {
      used.push({ ...block, subvolumes, options: optionsOf(block, port, subdirectory) });
      continue;
    }
    const [only, ...more] = subvolumes;
    if (!OPTIONAL.test(type) || only === undefined || more.length) {
      throw new CommandError(
        `Cannot mount: volume "${name}" is of type "${type}", which this version does not have`,
      );
    }
    if (type === MOUNT) mountOptions = block.options;
    else tell({ type, volume: name });
    stands.set(name, only);
  }
  const top = used.at(-1);
  if (worm && top) used.push({ ...WORM, subvolumes: [top.name] });
  return { blocks: used, mountOptions };
}

function optionsOf(
  { type, options }: VolumeBlock,
  port: number,
  subdirectory: string | undefined,
): ReadonlyMap<string, string> {
  if (type !== "protocol/client") return options;
  const changed = new Map(options);
  if (port !== MANAGEMENT_PORT && !options.has("remote-port")) {
    changed.set("remote-port", String(port));
  }
  if (subdirectory !== undefined) changed.set("subdir-mount", subdirectory);
  return changed;
}
