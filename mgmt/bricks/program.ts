/** How this program starts itself. */

import type { CommandLine } from "mgmt/bricks/runner.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/**
 * This program from its sources in a role, which is "brick". It reads and writes brick directories, listens,
 * and makes system calls; it starts no program and sees no more of the environment than it needs.
 */
export function program(role: string): CommandLine {
  return {
    command: Deno.execPath(),
    args: [
      ...["run", "--quiet", "--no-prompt", "--config", `${ROOT}deno.json`],
      ...["--allow-read", "--allow-write", "--allow-net", "--allow-ffi"],
      ...["--allow-env=NOTIFY_SOCKET", "--allow-sys=hostname,networkInterfaces,uid"],
      ...[`${ROOT}main.ts`, role],
    ],
  };
}
