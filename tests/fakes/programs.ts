/** What is installed. */

import { exists } from "tests/e2e/process.ts";

/** Whether a program is found by its name, administrators' included, or what a path names is there. */
export function hasProgram(name: string): boolean {
  if (name.startsWith("/")) return exists(name);
  const path = `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin`;
  return path.split(":").some((folder) => exists(`${folder}/${name}`));
}
