/**
 * Where `get-state` writes: a file of a given or made-up name in a directory that is there. The
 * daemon may be root, and the directory /tmp: the file is written under a name that nobody can
 * have made before, then takes the place of what had its name, so that no link is followed and no
 * reader sees half a file.
 */

import type { Env } from "core/env.ts";
import { Refusal } from "mgmt/cli/managed.ts";

const NAME_BYTES_MAX = 255;

/** "glusterd_state_20261122_144107", in local time. */
export function stateFileName(now: number): string {
  const at = new Date(now);
  const two = (value: number) => `${value}`.padStart(2, "0");
  const day = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}`;
  const time = `${two(at.getHours())}${two(at.getMinutes())}${two(at.getSeconds())}`;
  return `glusterd_state_${day}_${time}`;
}

/** Checks where to write; answers the path. Throws Refusal. */
export async function statePath(folder: string, name: string): Promise<string> {
  if (!folder.startsWith("/") || folder.includes("\0")) {
    throw new Refusal(`Output directory ${folder} is not absolute; give one that begins with "/"`);
  }
  if (
    name === "" || name === "." || name === ".." || /[\0\/]/.test(name) ||
    new TextEncoder().encode(name).length > NAME_BYTES_MAX
  ) {
    throw new Refusal(
      `Cannot write a file named "${name}": expected a name without slashes; its directory goes ` +
        "behind odir",
    );
  }
  const path = `${folder}${folder.endsWith("/") ? "" : "/"}${name}`;
  const info = await Deno.stat(folder).catch((error) => {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      throw new Refusal(`Output directory ${folder} does not exist.`);
    }
    throw new Refusal(`Failed to open file at ${path}: ${error.message}`);
  });
  if (!info.isDirectory) {
    throw new Refusal(`Output directory does not exist. ${folder} points to a file.`);
  }
  return path;
}

/** Writes the text in the place of what is there, if that is no directory. Throws Refusal. */
export async function writeState(env: Env, path: string, text: string): Promise<void> {
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const hidden = `${folder}.${env.random.uuid()}`;
  try {
    await Deno.writeTextFile(hidden, text, { createNew: true, mode: 0o644 });
    await Deno.rename(hidden, path);
  } catch (error) {
    await Deno.remove(hidden).catch(() => {});
    throw new Refusal(
      `Failed to open file at ${path}: ${error instanceof Error ? error.message : error}`,
    );
  }
}
