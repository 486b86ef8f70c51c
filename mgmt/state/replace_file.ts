/** Small files that are there wholly, in the old form or the new one. */

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
  if (hasText(path, text)) return;
  const beside = `${path}.new`;
  try {
    // A file that a crash left may have other rights.
    removeIfThereSync(beside);
    // On this thread: a volume has a dozen such files, and going to others and back takes longer.
    const file = Deno.openSync(beside, { write: true, createNew: true, mode: 0o600 });
    try {
      writeAll(file, new TextEncoder().encode(text));
      if (sync) await file.syncData();
    } finally {
      file.close();
    }
    Deno.renameSync(beside, path);
  } catch (error) {
    removeIfThereSync(beside);
    throw error;
  }
}

function hasText(path: string, text: string): boolean {
  try {
    return Deno.readTextFileSync(path) === text;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

function removeIfThereSync(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
