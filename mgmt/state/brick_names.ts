/**
 * Names of files that are made of a brick's path, with dashes for its slashes: what can be one, and
 * when two bricks of a volume would have the same one.
 */

import { dashed } from "mgmt/home.ts";
import { brickText } from "mgmt/records.ts";
import { brickKey } from "mgmt/state/volume_info.ts";

/** What a file system takes, in bytes. */
const NAME_MAX = 255;

/**
 * Throws RangeError, a line for people, if a volume's bricks cannot have files of their own: a name
 * too long for a file, or two paths such as "/a/b-c" and "/a-b/c" that are the same with dashes. Their
 * volfiles, pid files and state files would be one another's.
 */
export function checkBrickNames(
  volume: string,
  bricks: readonly { readonly host: string; readonly path: string }[],
): void {
  const known = new Map<string, string>();
  for (const brick of bricks) {
    const key = brickKey(brick), text = brickText(brick);
    const other = known.get(key);
    if (other !== undefined) {
      throw new RangeError(
        `Cannot use ${other} and ${text} in one volume: with dashes for slashes, as in names of ` +
          "their files, both are the same; choose another directory",
      );
    }
    known.set(key, text);
    // The longest: a volfile while it is being replaced.
    const spare = NAME_MAX - bytes(`${volume}.${brick.host}.${dashed(brick.path)}.vol.new`);
    if (spare >= 0) continue;
    throw new RangeError(
      `Cannot use ${text} in volume ${volume}: the name of its volfile, made of volume, host and ` +
        `path, would be ${-spare} bytes too long; choose a shorter path`,
    );
  }
}

function bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}
