/** `trusted.pgfid.<parent>`: how many names a file has in a directory (option `update-link-count-parent`). */

import type { Gfid } from "core/inode.ts";
import type { Brick } from "xlators/storage/posix/brick.ts";
import type { Target } from "xlators/storage/posix/xattr_space.ts";

const PGFID = "trusted.pgfid.";

/** Adds to the count of a file's names in `parent`; the attribute goes when none is left. */
export function countNames(brick: Brick, target: Target, parent: Gfid, add: 1 | -1): void {
  if (!brick.options["update-link-count-parent"]) return;
  const key = PGFID + parent;
  const old = brick.xattrs.get(target, key);
  const bytes = typeof old !== "number" && old.length === 4 ? old : new Uint8Array(4);
  const view = new DataView(bytes.buffer);
  const count = Math.max(0, view.getUint32(0) + add);
  view.setUint32(0, count);
  if (count > 0) brick.xattrs.set(target, key, bytes);
  else if (typeof old !== "number") brick.xattrs.remove(target, key);
}
