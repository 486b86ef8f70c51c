/** How marks get to a copy. See `blame.ts` for what they are. */

import type { Call } from "core/call.ts";
import type { XattrReply } from "core/fops.ts";
import { textKey, withKey, type Xdata } from "core/xdata.ts";
import type { Copies, Target } from "xlators/cluster/replicate/copies.ts";

/** Name that begins to differ between copies, sent with the mark of its directory. */
export const NAME_DIFFERS = textKey("glusterfs.xattrop-entry-create");
/** Name that is alike everywhere again. */
export const NAME_AGREES = textKey("glusterfs.xattrop-entry-delete");

/** Where marks go: a file, or a directory and the name in it that changes. */
export interface MarkTarget extends Target {
  readonly name?: string;
}

/** Adds `marks` on one copy of a file. */
export function sendMarks(
  copies: Copies,
  call: Call,
  { inode, fds }: Target,
  index: number,
  marks: Xdata,
  xdata?: Xdata,
): Promise<XattrReply> {
  const to = copies.all[index]!, fd = fds?.[index];
  return fd
    ? to.fxattrop(call, { fd, op: "add32", xattrs: marks, xdata })
    : to.xattrop(call, { inode, op: "add32", xattrs: marks, xdata });
}

/** What goes with marks of a directory: which name they are about, where names are noted. */
export function namedIn(
  { values }: Copies,
  { name }: MarkTarget,
  key: typeof NAME_DIFFERS | undefined,
): Xdata | undefined {
  if (!key || name === undefined) return undefined;
  return values["granular-entry-heal"] ? withKey(undefined, key, name) : undefined;
}
