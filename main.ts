/** The one executable: `mortar COMMAND` runs the role of that name. */

import {
  type Command,
  CommandError,
  helpOn,
  helpOnAll,
  readCommandLine,
} from "mgmt/cli/command.ts";
import { brick } from "mgmt/commands/brick.ts";
import { file } from "mgmt/commands/file.ts";
import { mgmt } from "mgmt/commands/mgmt.ts";
import { VERSION } from "mgmt/version.ts";
import { TYPES } from "xlators/mod.ts";

const COMMANDS: readonly Command[] = [brick(TYPES), mgmt, ...file(TYPES)];

async function main(argv: readonly string[]): Promise<number> {
  const request = readCommandLine(COMMANDS, argv);
  switch (request.ask) {
    case "version":
      print(`mortar ${VERSION}\n`);
      return 0;
    case "help":
      print(
        "command" in request && request.command
          ? helpOn(request.command)
          : helpOnAll(COMMANDS, VERSION, "group" in request ? request.group : undefined),
      );
      return 0;
    case "run":
      return await request.command.run(request.values, request.operands);
  }
}

function print(text: string, to: typeof Deno.stdout | typeof Deno.stderr = Deno.stdout): void {
  to.writeSync(new TextEncoder().encode(text));
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    print(`${error.message}\n`, Deno.stderr);
    Deno.exit(error.exitCode);
  }
}
