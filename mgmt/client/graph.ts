/** The blocks of a volfile that a mount is made of. */

import { volumeProblem } from "core/graph.ts";
import type { XlatorTypes } from "core/registry.ts";
import type { VolumeBlock } from "core/volfile.ts";
import { CommandError } from "mgmt/cli/command.ts";
import { MANAGEMENT_PORT } from "mgmt/endpoints.ts";
import { cause } from "mgmt/plain.ts";

/** Layers that a volume is the same without: they make it faster, count, show or hold it up. */
const OPTIONAL = /^(performance|debug|meta|mount)(\/|$)|^features\/quiesce$/;
const REPLICATE = ["cluster/replicate", "cluster/afr"];
const SERVER = "protocol/server";
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
  /** What a person who wrote the volfile may not have meant, a sentence each. */
  readonly notes: readonly string[];
}

/** What a client adds to its volfile. */
export interface GraphChanges {
  /** The volfile, for what is said of it: `volfile "/etc/graph.vol"`. */
  readonly where: string;
  /** Port of the management daemon, which knows those of the bricks. */
  readonly port: number;
  /** Directory of the volume to show as its root. */
  readonly subdirectory: string | undefined;
  /** The volume to show; the last one if absent. */
  readonly topVolume?: string | undefined;
  /** Whether what is there may not be changed; it may if absent. */
  readonly worm?: boolean;
  /** Whether the graph is served, by a layer on its top; it is mounted if absent. */
  readonly served?: boolean;
}

/**
 * The graph of a volfile's blocks. Layers that this program has not and that only make things faster
 * are left out, and `tell` hears of them. Throws CommandError for others: without them, data would
 * be read and written wrong.
 */
export function clientGraph(
  blocks: readonly VolumeBlock[],
  types: XlatorTypes,
  { where, port, subdirectory, topVolume, worm = false, served = false }: GraphChanges,
  tell: (left: { type: string; volume: string }) => void,
): ClientGraph {
  const refused = (block: VolumeBlock, what: string) =>
    new CommandError(`Cannot use ${where}: ${cause(volumeProblem(block, what).message)}`);
  const wanted = topVolume === undefined ? blocks : below(blocks, topVolume);
  const stands = new Map<string, string>();
  const used: VolumeBlock[] = [];
  let mountOptions: ReadonlyMap<string, string> = new Map();
  for (const block of wanted) {
    const { name, type } = block;
    const subvolumes = block.subvolumes.map((each) => stands.get(each) ?? each);
    if (type === SERVER && !served) {
      throw refused(block, `type "${type}" serves a brick; "mortar brick" runs such volfiles`);
    }
    if (type !== MOUNT && types.has(type)) {
      used.push({ ...block, subvolumes, options: optionsOf(block, port, subdirectory) });
      continue;
    }
    const [only, ...more] = subvolumes;
    if (!OPTIONAL.test(type) || only === undefined || more.length) {
      throw refused(
        block,
        `type "${type}" is none that this version has; without it files would be read and written wrong`,
      );
    }
    if (!used.some((each) => each.name === only)) {
      throw refused(block, `subvolume "${block.subvolumes[0]}" is not defined above it`);
    }
    if (type === MOUNT) mountOptions = block.options;
    else tell({ type, volume: name });
    stands.set(name, only);
  }
  const top = used.at(-1);
  if (worm && top) used.push({ ...WORM, subvolumes: [top.name] });
  return { blocks: used, mountOptions, notes: notesOn(wanted) };
}

function notesOn(blocks: readonly VolumeBlock[]): string[] {
  const named = new Set(blocks.flatMap(({ subvolumes }) => subvolumes));
  const aside = blocks.slice(0, -1).filter(({ name }) => !named.has(name)).map(({ name, line }) =>
    `volume "${name}" (line ${line}) is not mounted: no volume has it as a subvolume, and the last ` +
    `one is mounted; -o volume-name=${name} mounts it instead`
  );
  const alone = blocks.filter(({ type, subvolumes }) =>
    REPLICATE.includes(type) && subvolumes.length === 1
  ).map(({ name, line, type }) =>
    `volume "${name}" (line ${line}) of type ${type} has one subvolume: there is one copy of each file`
  );
  return [...aside, ...alone];
}

// A volume, and all that it stands on.
function below(blocks: readonly VolumeBlock[], top: string): VolumeBlock[] {
  const wanted = new Set([top]);
  const found = blocks.toReversed().filter(({ name, subvolumes }) => {
    if (!wanted.has(name)) return false;
    for (const each of subvolumes) wanted.add(each);
    return true;
  });
  if (found[0]?.name === top) return found.reverse();
  throw new CommandError(`Cannot mount volume "${top}": the volfile has none of that name`);
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
