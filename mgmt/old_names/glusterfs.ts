/** Called as `glusterfs`: a brick if that is what is asked for; mounts are GlusterFS's own client's. */

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
  const what = given.operands[0] !== undefined
    ? `mount on "${given.operands[0]}"`
    : `run as ${given.last("process-name") ?? "a client"}`;
  throw new CommandError(
    `Cannot ${what}: this "glusterfs" serves bricks only; use GlusterFS's own client, which works with our bricks`,
  );
}
