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
