/** Statedumps: what a running daemon looks like inside, as a file for people who debug. */

import type { Env } from "core/env.ts";
import type { Json } from "core/xlator.ts";
import { VERSION } from "mgmt/version.ts";

/** Where GlusterFS's tools look for them. */
export const DUMP_DIRECTORY = "/var/run/gluster";

/**
 * Writes `state` to a new file in `directory`, readable by its owner only; answers its path. Throws
 * what Deno throws.
 */
export function writeStatedump(
  env: Env,
  directory: string,
  name: string,
  state: { readonly [key: string]: Json },
): string {
  const now = env.clock.now();
  const path = `${directory}/${name}.${Deno.pid}.dump.${Math.floor(now)}`;
  const dump = { version: VERSION, pid: Deno.pid, time: new Date(now).toISOString(), ...state };
  Deno.writeTextFileSync(path, JSON.stringify(dump, null, 2) + "\n", {
    createNew: true,
    mode: 0o600,
  });
  return path;
}

/** As `writeStatedump`, telling the log how it went. */
export function dumpState(
  env: Env,
  directory: string,
  name: string,
  state: { readonly [key: string]: Json },
): void {
  try {
    env.log.info("statedump written", { file: writeStatedump(env, directory, name, state) });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    env.log.error("statedump cannot be written", { directory, why });
  }
}
