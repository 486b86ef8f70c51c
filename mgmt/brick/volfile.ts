/** What a brick's command line changes in its volfile, and what it reads from it. */

import { parseVolfile, type VolumeBlock } from "core/volfile.ts";
import { CommandError, UsageError } from "mgmt/cli/command.ts";
import { cause } from "mgmt/plain.ts";

const SERVER = "protocol/server";

/** `--xlator-option VOLUME.OPTION=VALUE`; `volume` may hold `*` and `?`. */
export interface Override {
  readonly volume: string;
  readonly option: string;
  readonly value: string;
}

/** Reads one override. Throws UsageError. */
export function parseOverride(text: string): Override {
  const match = /^([^.=]+)\.([^=]+)=(.*)$/s.exec(text);
  if (!match) {
    throw new UsageError(
      `Cannot use --xlator-option "${text}": expected VOLUME.OPTION=VALUE, such as "*-posix.directory=/b"`,
    );
  }
  return { volume: match[1]!, option: match[2]!, value: match[3]! };
}

/** The blocks with the options of every override that names them set. */
export function overridden(
  blocks: readonly VolumeBlock[],
  overrides: readonly Override[],
): VolumeBlock[] {
  return blocks.map((block) => {
    const fitting = overrides.filter(({ volume }) => pattern(volume).test(block.name));
    if (!fitting.length) return block;
    const options = new Map(block.options);
    for (const { option, value } of fitting) options.set(option, value);
    return { ...block, options };
  });
}

function pattern(glob: string): RegExp {
  const source = glob.replace(/[\\^$.+()|[\]{}]/g, "\\$&").replaceAll("*", ".*").replaceAll(
    "?",
    ".",
  );
  return new RegExp(`^${source}$`);
}

/**
 * Layers that GlusterFS puts into every brick, most of them switched off, and that we have not: with
 * the options that would switch them on. `features/selinux` has none: it only matters to clients
 * that keep labels.
 */
const IDLE: Readonly<Record<string, readonly string[]>> = {
  "features/trash": ["trash"],
  "features/changelog": ["changelog"],
  "features/bitrot-stub": ["bitrot"],
  "features/leases": ["leases"],
  "features/selinux": [],
  "features/marker": ["quota", "inode-quota", "xtime", "gsync-force-xtime"],
  "features/quota": ["server-quota"],
  "features/sdfs": ["sdfs"],
  "features/namespace": ["namespace"],
  "features/cloudsync": ["cloudsync"],
};

/**
 * The blocks without layers that are switched off and that `types` has not; what is above one is then
 * above what was below it. A layer that is switched on stays, so that nobody misses it unknowingly.
 */
export function withoutIdle(
  blocks: readonly VolumeBlock[],
  types: { has(type: string): boolean },
): VolumeBlock[] {
  const instead = new Map<string, string>();
  return blocks.flatMap((block): VolumeBlock[] => {
    const subvolumes = block.subvolumes.map((name) => instead.get(name) ?? name);
    const [only, ...more] = subvolumes;
    const isIdle = !types.has(block.type) && Object.hasOwn(IDLE, block.type) &&
      IDLE[block.type]!.every((option) => isOff(block.options.get(option)));
    if (!isIdle || only === undefined || more.length) return [{ ...block, subvolumes }];
    instead.set(block.name, only);
    return [];
  });
}

function isOff(value: string | undefined): boolean {
  return value === undefined || /^(off|no|false|disable|0)$/i.test(value);
}

/** The blocks with every protocol/server that is told no address listening on all. */
export function listeningEverywhere(blocks: readonly VolumeBlock[]): VolumeBlock[] {
  const BIND = ["transport.socket.bind-address", "bind-address", "listen-host"];
  return blocks.map((block) => {
    if (block.type !== SERVER || BIND.some((name) => block.options.has(name))) return block;
    const inet6 = block.options.get("transport.address-family") === "inet6";
    return { ...block, options: new Map(block.options).set(BIND[0]!, inet6 ? "::" : "0.0.0.0") };
  });
}

/** The blocks with every protocol/server listening on `port`. */
export function listeningOn(blocks: readonly VolumeBlock[], port: number): VolumeBlock[] {
  return blocks.map((block) => {
    if (block.type !== SERVER) return block;
    const options = new Map(block.options).set("transport.socket.listen-port", String(port));
    // Its other name would win.
    options.delete("listen-port");
    return { ...block, options };
  });
}

/** What a command line says of a graph that is served. */
export interface Told {
  /** Whether to listen on all addresses unless the volfile names one. */
  readonly everywhere: boolean;
  readonly overrides: readonly Override[];
  /** Absent: what the volfile says. */
  readonly port: number | undefined;
}

/** The blocks as the command line has them. */
export function asTold(
  blocks: readonly VolumeBlock[],
  { everywhere, overrides, port }: Told,
): VolumeBlock[] {
  const changed = overridden(everywhere ? listeningEverywhere(blocks) : blocks, overrides);
  return port === undefined ? changed : listeningOn(changed, port);
}

/**
 * The name clients ask the portmapper for: `given`, or what protocol/server calls itself (auth-path),
 * or the volume below it (which glusterd names by the brick's path). Throws CommandError where there is no protocol/server.
 */
export function brickName(
  blocks: readonly VolumeBlock[],
  given: string | undefined,
  where: string,
): string {
  const server = blocks.findLast(({ type }) => type === SERVER);
  if (!server) {
    throw new CommandError(
      `Cannot serve ${where}: no volume of type ${SERVER} in it, so no client could connect; ` +
        "add one as the last volume",
    );
  }
  return given ?? server.options.get("auth-path") ?? server.subvolumes[0] ?? server.name;
}

/** Blocks of `text`; `where` names it in what CommandError says. */
export function readBlocks(text: string, where: string): VolumeBlock[] {
  try {
    const blocks = parseVolfile(text);
    if (!blocks.length) throw new SyntaxError("Cannot read volfile: it is empty");
    return blocks;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new CommandError(`Cannot use ${where}: ${cause(error.message)}`);
  }
}
