/** A state directory of GlusterFS 10.3; `commands` of the golden file say how it came to be. */

import golden from "tests/interop/glusterd_state.json" with { type: "json" };

/** Names of files and directories right below `vols/VOLUME`, by volume. */
export const STATE_NAMES: Readonly<Record<string, readonly string[]>> = golden.names;

/** Text of each file that was kept, by its path from the state directory. */
export const STATE_FILES: Readonly<Record<string, string>> = golden.files;

/** Writes those files below `directory`. */
export async function unpackState(directory: string): Promise<void> {
  for (const [path, text] of Object.entries(STATE_FILES)) {
    const file = `${directory}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(file, text);
  }
}
