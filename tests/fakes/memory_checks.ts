/** What the memory brick refuses before it looks at its inodes. */

import { EFBIG, EINVAL, ENAMETOOLONG, EPERM } from "core/errno.ts";
import { type Inode, ROOT_GFID } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";

/** Longest name in bytes. */
export const NAME_BYTES_MAX = 255;

// The name of a brick's own directory in its root.
const PRIVATE = ".glusterfs";

/** Throws for names that no entry can have, and for the brick's own directory in the root. */
export function checkName(name: string, parent: Inode): void {
  if (name === PRIVATE && parent.gfid === ROOT_GFID) throw EPERM;
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) throw EINVAL;
  // No character takes more than three bytes.
  if (name.length * 3 > NAME_BYTES_MAX && encodeName(name).length > NAME_BYTES_MAX) {
    throw ENAMETOOLONG;
  }
}

/** Throws EINVAL or EFBIG for ranges that no file can have. */
export function checkRange(offset: number, size: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0 || size < 0) throw EINVAL;
  if (!Number.isSafeInteger(offset + size)) throw EFBIG;
}
