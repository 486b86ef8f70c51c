/** Small files that are there wholly, in the old form or the new one. */

import { removeIfThere } from "mgmt/files.ts";

/** Makes a directory and those above it; there already: fine. */
export async function makeDirectory(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true, mode: 0o755 });
}

/**
 * Gives a file a text, readable by its owner only: in a file beside it that is then renamed.
 * Nothing happens if it has that text. Throws what the file system throws; then the file is as it
 * was. Without `sync` the file may be empty after a crash of the machine (not of the process).
 */
export async function replaceFile(
  path: string,
  text: string,
  { sync = true }: { readonly sync?: boolean } = {},
): Promise<void> {
  if (await hasText(path, text)) return;
  const beside = `${path}.new`;
  try {
    // A file that a crash left may have other rights.
    await removeIfThere(beside);
    const file = await Deno.open(beside, { write: true, createNew: true, mode: 0o600 });
    try {
      await writeAll(file, new TextEncoder().encode(text));
      if (sync) await file.syncData();
    } finally {
      file.close();
    }
    await Deno.rename(beside, path);
  } catch (error) {
    await removeIfThere(beside);
    throw error;
  }
}

async function hasText(path: string, text: string): Promise<boolean> {
  try {
    return await Deno.readTextFile(path) === text;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}
