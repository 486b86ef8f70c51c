/** The daemon's end of our own command line: see rpc/programs/commands.ts. */

import { type Dispatcher, LOCAL } from "mgmt/dispatch.ts";
import type { Connection } from "rpc/connection.ts";
import { procedures, type Program, serve } from "rpc/program.ts";
import { COMMANDS_NAME, COMMANDS_PROGRAM, runCommand } from "rpc/programs/commands.ts";

/**
 * The program for one connection. The unix socket is only for the daemon's owner, and may do all;
 * over TCP anybody comes, so that only looking is allowed there, as in GlusterFS.
 */
export function commandProgram(dispatcher: Dispatcher, { peer }: Connection): Program {
  const origin = peer.kind === "unix" ? LOCAL : { remote: true, text: peer.address };
  return {
    ...COMMANDS_PROGRAM,
    name: COMMANDS_NAME,
    procedures: procedures([[
      runCommand.procedure,
      serve(runCommand, (asked) => dispatcher.run(asked, origin)),
    ]]),
  };
}
