/** The history of commands that changed something: cmd_history.log, a line each, as GlusterFS writes it. */

import type { Env } from "core/env.ts";
import { plain } from "mgmt/plain.ts";

/** Characters of one line's command or reason. */
const TEXT_MAX = 4096;

/** See the head of this file. */
export class CommandHistory {
  readonly #env: Env;
  readonly #path: string;

  /** `logs`: the directory of logs. */
  constructor(env: Env, logs: string) {
    this.#env = env;
    this.#path = `${logs}/cmd_history.log`;
  }

  /** Adds a command that succeeded, or failed with `why`. A history that cannot be written is no reason to fail. */
  add(line: string, why?: string): void {
    const time = new Date(this.#env.clock.now()).toISOString().replace("T", " ")
      .replace("Z", "000 +0000");
    const end = why === undefined ? "SUCCESS" : `FAILED : ${oneLine(why)}`;
    try {
      Deno.writeTextFileSync(this.#path, `[${time}]  : ${this.shown(line)} : ${end}\n`, {
        append: true,
        mode: 0o600,
      });
    } catch (error) {
      this.#env.log.warn("command is not in the history", { path: this.#path, why: plain(error) });
    }
  }

  /** A command line without secrets, on one line. */
  shown(line: string): string {
    return oneLine(line.replace(/(\S*(?:password|secret|token)\S*) \S+/gi, "$1 ****"));
  }
}

function oneLine(text: string): string {
  const cut = text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
  // What would forge a line, or act on a terminal.
  return cut.replace(
    /\p{Cc}/gu,
    (each) => each === "\n" ? "\\n" : `\\x${each.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
