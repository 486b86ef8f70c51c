/** Names as they come from peers and as they go to the kernel. */

import { EINVAL, ENAMETOOLONG, EPERM } from "core/errno.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";
import { xxh64 } from "core/lib/xxh64.ts";
import { cstring } from "core/sys/calls.ts";

/** The brick's own directory in the root. Clients neither see nor reach it. */
export const HIDDEN = ".glusterfs";

const NAME_MAX = 255;

/**
 * A name in a directory as bytes with a NUL. Throws EINVAL for what is no name (empty, `.`, `..`,
 * with `/` or NUL), ENAMETOOLONG past 255 bytes, EPERM for the brick's own directory.
 */
export function entryName(parent: Gfid, name: string): Uint8Array<ArrayBuffer> {
  if (name === "" || name === "." || name === ".." || name.includes("/") || name.includes("\0")) {
    throw EINVAL;
  }
  if (name === HIDDEN && parent === ROOT_GFID) throw EPERM;
  const bytes = cstring(name);
  if (bytes.length > NAME_MAX + 1) throw ENAMETOOLONG;
  return bytes;
}

/** Prefix of the attributes that say which names a file has. */
export const GFID2PATH = "trusted.gfid2path.";

/** The attribute of one name: its key, and its value "<parent gfid>/<name>" as bytes. */
export function gfid2path(parent: Gfid, name: string): { key: string; value: Uint8Array } {
  const value = encodeName(`${parent}/${name}`);
  return { key: GFID2PATH + xxh64(value), value };
}
