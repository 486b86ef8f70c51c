/** Whether a command line can be told to be wrong without a daemon. */

import type { CommandError } from "mgmt/cli/command_error.ts";
import { findCommand, UnknownCommand } from "mgmt/cli/words.ts";
import { MANAGED } from "mgmt/commands/mod.ts";

/** What is wrong with the words that should name a command; undefined: nothing. */
export function unknownWords(words: readonly string[]): CommandError | undefined {
  try {
    findCommand(MANAGED, words);
    return undefined;
  } catch (error) {
    if (error instanceof UnknownCommand) return error;
    throw error;
  }
}
