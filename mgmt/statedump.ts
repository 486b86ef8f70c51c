/** Statedumps: what a running daemon looks like inside, as a file for people who debug. */

import type { Env } from "core/env.ts";
import type { Json } from "core/xlator.ts";
import { plain } from "mgmt/plain.ts";
import { VERSION } from "mgmt/version.ts";

/** Where GlusterFS's tools look for them. */
export const DUMP_DIRECTORY = "/var/run/gluster";

/**
 * Writes `state` to a new file, readable by its owner only, and tells the log where, or why not.
 * `directory` undefined: where GlusterFS's tools look, or in /tmp where that is not possible.
 */
export function dumpState(
  env: Env,
  directory: string | undefined,
  name: string,
  state: { readonly [key: string]: Json },
): void {
  const now = env.clock.now();
  const head = { version: VERSION, pid: Deno.pid, time: new Date(now).toISOString() };
  const text = JSON.stringify({ ...head, ...state }, null, 2) + "\n";
  let why: unknown;
  for (const place of directory === undefined ? [DUMP_DIRECTORY, "/tmp"] : [directory]) {
    const file = `${place}/${name}.${Deno.pid}.dump.${Math.floor(now)}`;
    try {
      // A new file: nobody can have put a link to another one there.
      Deno.writeTextFileSync(file, text, { createNew: true, mode: 0o600 });
      return env.log.info("statedump written", { file });
    } catch (error) {
      why = error;
    }
  }
  env.log.error("statedump cannot be written", { why: plain(why) });
}

/** Options as a statedump shows them: without passwords. */
export function shownOptions(options: ReadonlyMap<string, string>): { [name: string]: string } {
  return Object.fromEntries(
    [...options].map(([name, value]) => [name, /password/.test(name) ? "********" : value]),
  );
}
