/** Paths of inodes, from their handles and `trusted.gfid2path.*`. */

import { FopError } from "core/errno.ts";
import { type Gfid, parseGfid, ROOT_GFID } from "core/inode.ts";
import { decodeName } from "core/lib/bytes.ts";
import { cstring } from "core/sys/calls.ts";
import type { Brick } from "xlators/storage/posix/brick.ts";
import { GFID2PATH } from "xlators/storage/posix/names.ts";
import { statAt, statIno } from "xlators/storage/posix/stat.ts";

/** A name that a file has. */
interface FileName {
  readonly parent: Gfid;
  readonly name: string;
}

// Every name of a file that is true: a crash may leave one that was.
function namesOf(brick: Brick, gfid: Gfid): FileName[] {
  const place = brick.place(gfid);
  if (statAt(place.fd, place.name) < 0) return [];
  const ino = statIno();
  const found: FileName[] = [];
  for (const key of brick.xattrs.list(place.target)) {
    if (!key.startsWith(GFID2PATH)) continue;
    const value = brick.xattrs.get(place.target, key);
    if (typeof value === "number") continue;
    const text = decodeName(value);
    const parent = parseGfid(text.slice(0, 36));
    if (!parent || text[36] !== "/") continue;
    const name = text.slice(37);
    if (isName(brick, parent, name, ino)) found.push({ parent, name });
  }
  return found;
}

function isName(brick: Brick, parent: Gfid, name: string, ino: number): boolean {
  try {
    const directory = brick.handles.dir(parent);
    return statAt(directory.fd, cstring(name)) === 0 && statIno() === ino;
  } catch (error) {
    if (error instanceof FopError) return false;
    throw error;
  }
}

/** Paths of a file under all of its names, from the root: "/a/b". */
export function filePaths(brick: Brick, gfid: Gfid): string[] {
  return namesOf(brick, gfid).map(({ parent, name }) => join(brick.handles.dirPath(parent), name));
}

/** A path of an inode from the root; undefined if none is known. */
export function pathOf(brick: Brick, gfid: Gfid, directory: boolean): string | undefined {
  if (gfid === ROOT_GFID) return "/";
  return directory ? brick.handles.dirPath(gfid) : filePaths(brick, gfid)[0];
}

function join(directory: string, name: string): string {
  return directory === "/" ? `/${name}` : `${directory}/${name}`;
}
