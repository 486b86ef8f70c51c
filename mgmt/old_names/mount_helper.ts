/** Called by mount(8) as `mount.glusterfs` or `mount.mortar`: SOURCE DIR [-sfnv] [-o OPTIONS] [-t TYPE]. */

import { readCommandLine } from "mgmt/cli/command.ts";
import { CommandError } from "mgmt/cli/command_error.ts";
import { client, type ClientValues, runClient } from "mgmt/commands/client.ts";
import { OldArguments } from "mgmt/old_names/arguments.ts";
import { TYPES } from "xlators/mod.ts";

/** Letters of mount(8) that a word follows. */
const VALUED = "oNt";

/**
 * The words of `mortar client` for what mount(8) hands on; undefined if it only asks what would be done
 * (`mount -f`). Throws CommandError.
 */
export function helperWords(argv: readonly string[]): string[] | undefined {
  const places: string[] = [], options: string[] = [];
  let pretend = false;
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (!/^-./.test(word)) {
      places.push(word);
      continue;
    }
    for (let i = 1; i < word.length; i++) {
      const letter = word[i]!;
      if (letter === "f") pretend = true;
      if (!VALUED.includes(letter)) continue;
      const value = word.slice(i + 1) || argv[++at];
      if (value === undefined) {
        throw new CommandError(`Cannot mount: -${letter} wants a word behind it`);
      }
      if (letter === "o") options.push("-o", value);
      break;
    }
  }
  const [source, directory, ...more] = places;
  if (source === undefined || directory === undefined || more.length) {
    throw new CommandError("Cannot mount: give HOST:/VOLUME and a directory");
  }
  if (pretend) return undefined;
  // A file in the place of HOST:/VOLUME is a volfile, as in mount.glusterfs.
  const from = /^[^:]*\/[^:]*$/.test(source) ? [`--volfile=${source}`] : [bracketed(source)];
  return ["client", ...options, ...from, directory];
}

// An IPv6 address needs no brackets there.
function bracketed(source: string): string {
  return source.replace(/^([\da-f]*:[\da-f]*:[\da-f:.]*(?:%[^:/]+)?):(?=\/)/i, "[$1]:");
}

/** What mount(8) hands on, and that lists of mounts show "fuse.TYPE". */
export function typed(argv: readonly string[], type: string): string[] {
  return [...argv, "-o", `subtype=${type}`];
}

/**
 * Mounts, shown as "fuse.TYPE" where `type` is given; answers the exit code. Throws CommandError.
 */
export async function mountHelper(argv: readonly string[], type?: string): Promise<number> {
  if (argv.includes("-V")) {
    const { printed } = new OldArguments("glusterfs", ["--version"]);
    Deno.stdout.writeSync(new TextEncoder().encode(printed));
    return 0;
  }
  const words = helperWords(type === undefined ? argv : typed(argv, type));
  if (!words) return 0;
  const request = readCommandLine([client(TYPES)], words);
  if (request.ask !== "run") throw new CommandError("Cannot mount: no mount is asked for");
  const values = request.values as unknown as ClientValues;
  return await runClient(TYPES, values, request.operands, { argv: words });
}
