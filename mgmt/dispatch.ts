/**
 * Where commands are carried out, whoever asks: the command line, GlusterFS's own `gluster`, REST.
 * A command that changes something takes the lock of what it changes, is checked, then applied to its
 * end even if who asked has gone, and gets a line in the history.
 */

import type { Env } from "core/env.ts";
import type { Json } from "core/xlator.ts";
import { CommandError } from "mgmt/cli/command.ts";
import {
  type Arguments,
  type ArgumentTable,
  type ManagedCommand,
  OP_ERRNO,
  Refusal,
} from "mgmt/cli/managed.ts";
import { printAnswer, printFailure, printWrongWords } from "mgmt/cli/printed.ts";
import { findCommand, readArguments, UnknownCommand, WrongArguments } from "mgmt/cli/words.ts";
import { CommandHistory } from "mgmt/command_history.ts";
import { CommandLocks } from "mgmt/command_locks.ts";
import type { Cluster } from "mgmt/cluster/cluster.ts";
import { StoreError } from "mgmt/store/store.ts";
import { ALL } from "mgmt/volume_options/settings.ts";
import type { Answer, Asked } from "rpc/programs/commands.ts";

/** Where a command comes from. */
export interface Origin {
  /** From another machine, over a way that anybody may use: only for looking at what is no secret. */
  readonly remote: boolean;
  /** For refusals: an address. */
  readonly text: string;
}

/** The way in that only this machine's owner of the daemon has. */
export const LOCAL: Origin = { remote: false, text: "this machine" };

/** See the head of this file. */
export class Dispatcher {
  readonly #cluster: Cluster;
  readonly #env: Env;
  readonly #locks: CommandLocks;
  readonly #history: CommandHistory;
  /** Errors that nobody foresaw: the history and who asked are told of the same. */
  readonly #logged = new WeakSet<Error>();

  /** `commands`: the table, `MANAGED` of mgmt/commands/mod.ts. */
  constructor(
    cluster: Cluster,
    readonly commands: readonly ManagedCommand[],
    locks: CommandLocks = new CommandLocks(cluster.env.clock),
  ) {
    this.#cluster = cluster;
    this.#env = cluster.env;
    this.#locks = locks;
    this.#history = new CommandHistory(cluster.env, cluster.places.logs);
  }

  /** Carries out a command line. Never throws: failures are answers. */
  async run(asked: Asked, origin: Origin = LOCAL): Promise<Answer> {
    let command: ManagedCommand | undefined;
    let args: Arguments<ArgumentTable> = {};
    try {
      const found = findCommand(this.commands, asked.words);
      command = found.command;
      args = readArguments(command, found.rest);
      const asks = asked.confirmed ? undefined : command.question?.(args, this.#cluster);
      const question = asks instanceof Promise ? await asks : asks;
      if (question !== undefined) return { stdout: "", stderr: "", exitCode: 0, question };
      const line = [command.path, ...found.rest].join(" ");
      const value = await this.perform(command, args, line, origin);
      return printAnswer(command, args, value, asked);
    } catch (error) {
      if (error instanceof UnknownCommand || error instanceof WrongArguments) {
        return printWrongWords(error, asked);
      }
      if (!command) throw error;
      return printFailure(command, args, this.refusal(error, command.path), asked);
    }
  }

  /**
   * Carries out a command whose arguments are values already. `line` is for the history and for
   * others who have to wait. Throws Refusal, and what goes wrong unforeseen (see `refusal`).
   */
  async perform(
    command: ManagedCommand,
    args: Arguments<ArgumentTable>,
    line: string,
    origin: Origin = LOCAL,
  ): Promise<Json> {
    if (command.scope === "nothing") {
      if (command.localOnly) refuseRemote(command, origin);
      await command.check?.(this.#cluster, args);
      return await command.apply(this.#cluster, args);
    }
    try {
      refuseRemote(command, origin);
      const name = command.scope === "volume" ? String(args["volume"]) : ALL;
      const volume = name === ALL ? undefined : name;
      using _held = await this.#locks.take(volume, this.#history.shown(line));
      await command.check?.(this.#cluster, args);
      const value = await command.apply(this.#cluster, args);
      this.#history.add(line);
      return value;
    } catch (error) {
      this.#history.add(line, this.refusal(error, command.path).message);
      throw error;
    }
  }

  /** The command at `path`. Throws Error if the table has none: a mistake of the caller's. */
  command(path: string): ManagedCommand {
    const command = this.commands.find((each) => each.path === path);
    if (!command) throw new Error(`Cannot find command "${path}"`);
    return command;
  }

  /** What to tell of an error. What nobody foresaw is logged, and told without its inside. */
  refusal(error: unknown, path: string): Refusal {
    if (error instanceof Refusal) return error;
    if (error instanceof CommandError || error instanceof StoreError) {
      return new Refusal(error.message);
    }
    if (!(error instanceof Error && this.#logged.has(error))) {
      this.#env.log.error("command failed in a way that was not foreseen", {
        command: path,
        error: error instanceof Error ? error.stack ?? error.message : String(error),
      });
    }
    if (error instanceof Error) this.#logged.add(error);
    return new Refusal(
      `Cannot finish "${path}": something went wrong inside the management daemon; ` +
        "its log has the details",
      OP_ERRNO.internal,
    );
  }
}

function refuseRemote(command: ManagedCommand, origin: Origin): void {
  if (!origin.remote) return;
  throw new Refusal(
    `Cannot run "${command.path}" for ${origin.text}: over the network one may only look; ` +
      "run it on the server itself",
  );
}
