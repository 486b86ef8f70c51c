/**
 * The management daemon's end of GlusterFS's own command line: its requests become command lines of
 * ours, carried out by the same dispatcher, and the answers become GlusterFS's dictionaries. The
 * program prints them itself, as text or XML.
 */

import { EINVAL } from "core/errno.ts";
import { OP_ERRNO } from "mgmt/cli/managed.ts";
import { findCommand, readArguments } from "mgmt/cli/words.ts";
import { type Dispatcher, LOCAL, type Origin } from "mgmt/dispatch.ts";
import { friends } from "mgmt/legacy/info.ts";
import { dictionary, RequestDict } from "mgmt/legacy/request_dict.ts";
import type { Run } from "mgmt/legacy/run.ts";
import { type LegacyVerb, NOT_YET, VERBS } from "mgmt/legacy/verbs.ts";
import type { Xdata } from "core/xdata.ts";
import type { Connection } from "rpc/connection.ts";
import { type Procedure, procedures, type Program, serve } from "rpc/program.ts";
import {
  cliCall,
  getwd,
  GLUSTER_CLI,
  GLUSTER_CLI_NAME,
  GLUSTER_CLI_PROGRAM,
  listFriends,
} from "rpc/programs/gluster_cli.ts";

/** What GlusterFS answers to `gluster --remote-host`; the rest is answered as not there. */
const REMOTE: ReadonlySet<number> = new Set([
  GLUSTER_CLI.listFriends,
  GLUSTER_CLI.uuidGet,
  GLUSTER_CLI.getVolume,
  GLUSTER_CLI.getwd,
  GLUSTER_CLI.statusVolume,
  GLUSTER_CLI.listVolume,
]);

/** `gf_cli_rsp`. */
interface Reply {
  readonly ret: number;
  readonly errno: number;
  readonly error: string;
  readonly dict: Xdata | undefined;
}

/**
 * The program for one connection. The unix socket is only for the daemon's owner, and may do all;
 * over TCP anybody comes, so that only looking is allowed there. `home`: the daemon's state directory.
 */
export function glusterCliProgram(
  dispatcher: Dispatcher,
  home: string,
  { peer }: Connection,
): Program {
  const remote = peer.kind !== "unix";
  const origin = peer.kind === "unix" ? LOCAL : { remote, text: peer.address };
  const clerk = new Clerk(dispatcher, home, origin);
  const all = clerk.procedures();
  return {
    ...GLUSTER_CLI_PROGRAM,
    name: remote ? `${GLUSTER_CLI_NAME} read-only` : GLUSTER_CLI_NAME,
    procedures: procedures(remote ? all.filter(([number]) => REMOTE.has(number)) : all),
  };
}

class Clerk {
  constructor(
    readonly dispatcher: Dispatcher,
    readonly home: string,
    readonly origin: Origin,
  ) {}

  procedures(): (readonly [number, Procedure])[] {
    return [
      [listFriends.procedure, serve(listFriends, ({ flags }) => this.#friends(flags))],
      [getwd.procedure, serve(getwd, () => ({ ret: 0, errno: 0, wd: this.home }))],
      ...[...VERBS].map(([number, verb]) =>
        [number, serve(cliCall(number), ({ dict }) => this.#answer(verb, dict))] as const
      ),
      ...[...NOT_YET].map(([number, words]) =>
        [number, serve(cliCall(number), ({ dict }) => notYet(words, dict))] as const
      ),
    ];
  }

  async #answer(verb: LegacyVerb, dict: Xdata | undefined): Promise<Reply> {
    const request = new RequestDict(dict);
    try {
      const { entries, errno = 0, note = "" } = await verb.perform(this.#run, request);
      const told = verb.bare ? dictionary(entries) : request.reply(entries);
      return { ret: 0, errno, error: note, dict: told };
    } catch (error) {
      const refusal = this.dispatcher.refusal(error, "gluster");
      const told = verb.failed ?? [];
      return {
        ret: -1,
        errno: verb.errno?.(refusal) ?? OP_ERRNO.internal,
        error: verb.error?.(refusal) ?? refusal.message,
        dict: verb.bare ? dictionary(told) : request.reply(told),
      };
    }
  }

  async #friends(flags: number) {
    try {
      return { ret: 0, errno: 0, friends: dictionary(await friends(this.#run, flags)) };
    } catch (error) {
      this.dispatcher.refusal(error, "peer status");
      return { ret: -1, errno: EINVAL.errno, friends: undefined };
    }
  }

  readonly #run: Run = async (words) => {
    const { command, rest } = findCommand(this.dispatcher.commands, words);
    const args = readArguments(command, rest);
    const line = [command.path, ...rest].join(" ");
    try {
      const value = await this.dispatcher.perform(command, args, line, this.origin);
      return { value, text: () => command.text(value, args) };
    } catch (error) {
      throw this.dispatcher.refusal(error, command.path);
    }
  };
}

function notYet(words: string, dict: Xdata | undefined): Reply {
  return {
    ret: -1,
    errno: OP_ERRNO.internal,
    error: `"${words}" is not supported by mortar yet`,
    dict: new RequestDict(dict).reply([]),
  };
}
