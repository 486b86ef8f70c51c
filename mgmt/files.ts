/** Files that come and go. */

/** The number in a pid file; undefined if there is none. */
export async function pidIn(path: string): Promise<number | undefined> {
  const text = await Deno.readTextFile(path).catch(() => "");
  return /^\d{1,9}\s*$/.test(text) ? Number(text) : undefined;
}

/** Removes a file, whoever else may have done so. */
export async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Removes a directory unless something is in it. */
export async function removeIfEmpty(path: string): Promise<void> {
  if ((await entriesOf(path)).length === 0) await removeIfThere(path);
}

/** What is in a directory; nothing if there is none. */
export async function entriesOf(path: string): Promise<Deno.DirEntry[]> {
  try {
    return await Array.fromAsync(Deno.readDir(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
