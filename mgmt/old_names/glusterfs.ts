/** Called as `glusterfs`: a brick or a mount, whichever is asked for. */

import { CommandError } from "mgmt/cli/command_error.ts";
import { OldArguments } from "mgmt/old_names/arguments.ts";

/** Runs it; answers the exit code. Throws CommandError. */
export async function glusterfs(argv: readonly string[]): Promise<number> {
  const given = new OldArguments("glusterfs", argv);
  const { printed } = given;
  if (printed !== undefined) {
    Deno.stdout.writeSync(new TextEncoder().encode(printed));
    return 0;
  }
  if (given.has("brick-name")) {
    return await (await import("mgmt/old_names/glusterfsd.ts")).brickAs("glusterfs", argv);
  }
  if (given.operands[0] !== undefined) {
    return await (await import("mgmt/old_names/mount.ts")).mountAs(given, argv);
  }
  throw new CommandError(
    `Cannot run as ${
      given.last("process-name") ?? "a client"
    }: this "glusterfs" serves bricks and mounts`,
  );
}
