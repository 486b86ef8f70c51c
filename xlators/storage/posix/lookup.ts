/** Finding files: `lookup`, and the repair of halves that a crash or a person left. */

import type { Call } from "core/call.ts";
import { EINVAL, EIO, ENODATA, ENOENT, EPERM, ESTALE, FopError, fopError } from "core/errno.ts";
import type { LookupArgs, LookupReply } from "core/fops.ts";
import { type Gfid, gfidToBytes, NULL_GFID, ROOT_GFID } from "core/inode.ts";
import { sys } from "core/sys/calls.ts";
import { withKey, type Xdata } from "core/xdata.ts";
import { CONTENT, GFID_REQ, UNLINKED_LOOKUP } from "core/xdata_keys.ts";
import { type Brick, type FoundEntry, isDirMode } from "xlators/storage/posix/brick.ts";
import { readWhole, wholeNow } from "xlators/storage/posix/content.ts";
import { fill, type Subject, wantedContent } from "xlators/storage/posix/fill.ts";
import { type Directory, GFID_XATTR, handleName } from "xlators/storage/posix/handle.ts";
import { entryName, gfid2path, HIDDEN } from "xlators/storage/posix/names.ts";
import { unlinkedName } from "xlators/storage/posix/open_files.ts";
import { iattOf, statAt, statNlink } from "xlators/storage/posix/stat.ts";
import { type Named, XATTR_CREATE } from "xlators/storage/posix/xattr_space.ts";

/** Healers look at files that have no gfid, and leave them without. */
const GFIDLESS_LOOKUP = "gfidless-lookup";
const EEXIST = -17, ENOENT_RESULT = -2, ENODATA_RESULT = -61;

/** `lookup` in all of its forms. */
export function lookup(brick: Brick, call: Call, args: LookupArgs): Promise<LookupReply> {
  const { inode, parent, name, xdata } = args;
  if (parent && name !== "" && name !== ".") {
    return lookupNamed(brick, call, parent.gfid, name, inode?.gfid, xdata);
  }
  const gfid = inode?.gfid ?? parent?.gfid ?? NULL_GFID;
  if (gfid === NULL_GFID) throw EINVAL;
  return lookupNameless(brick, gfid, xdata);
}

function lookupNameless(
  brick: Brick,
  gfid: Gfid,
  xdata: Xdata | undefined,
): Promise<LookupReply> {
  let subject: Subject;
  try {
    const place = brick.place(gfid);
    const stat = brick.stat(place);
    subject = { gfid, target: place.target, stat };
  } catch (error) {
    if (!ESTALE.matches(error)) throw error;
    return lookupUnlinked(brick, gfid, xdata);
  }
  return withContent(brick, subject, xdata, undefined);
}

// Healers ask whether a removed file lives on because it is open.
function lookupUnlinked(
  brick: Brick,
  gfid: Gfid,
  xdata: Xdata | undefined,
): Promise<LookupReply> {
  if (!xdata?.get(UNLINKED_LOOKUP)) throw ENOENT;
  const result = statAt(brick.hidden, brick.files.unlinkedPlace(gfid) ?? unlinkedName(gfid));
  if (result < 0) throw fopError(result);
  return Promise.resolve({ stat: { ...iattOf(gfid), nlink: 0 }, postParent: undefined });
}

function lookupNamed(
  brick: Brick,
  call: Call,
  parent: Gfid,
  name: string,
  expected: Gfid | undefined,
  xdata: Xdata | undefined,
): Promise<LookupReply> {
  // Housekeeping directory: neither seen nor given a gfid.
  if (parent === ROOT_GFID && name === HIDDEN) throw EPERM;
  const bytes = entryName(parent, name);
  const directory = brick.handles.dir(parent);
  let found: FoundEntry;
  try {
    found = brick.statEntry(directory, bytes);
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    throw error.carrying({ postParent: brick.statDir(directory) });
  }
  const { target, nlink } = found;
  let { stat } = found;
  if (stat.gfid === NULL_GFID && xdata?.has(GFIDLESS_LOOKUP) && !xdata.has(GFID_REQ)) {
    return Promise.resolve({ stat, postParent: brick.statDir(directory) });
  }
  if (brick.options["look-only"]) {
    // It is being made.
    if (stat.gfid === NULL_GFID) throw ENOENT.carrying({ postParent: brick.statDir(directory) });
  } else if (stat.gfid === NULL_GFID) {
    const gfid = giveGfid(brick, call, directory, name, bytes, stat.mode, target, xdata);
    stat = brick.stat(brick.entryPlace(gfid, directory, bytes, target));
  } else if (isDirMode(stat.mode) ? !brick.handles.cached(stat.gfid) : nlink === 1) {
    healHandle(brick, directory, name, bytes, stat.gfid, stat.mode);
    if (nlink === 1) stat = brick.stat(brick.entryPlace(stat.gfid, directory, bytes, target));
  }
  const { gfid } = stat;
  const subject = { gfid, target, stat };
  if (expected && expected !== gfid) brick.env.log.debug("name has another gfid", { name, gfid });
  return withContent(brick, subject, xdata, directory);
}

function withContent(
  brick: Brick,
  subject: Subject,
  xdata: Xdata | undefined,
  directory: Directory | undefined,
): Promise<LookupReply> {
  const answers = fill(brick, xdata, subject);
  const postParent = directory && brick.statDir(directory);
  const reply: LookupReply = { stat: subject.stat, postParent, xdata: answers };
  const size = wantedContent(xdata, subject.stat);
  if (size === undefined) return Promise.resolve(reply);
  const told = (content: Uint8Array | undefined) =>
    content ? { ...reply, xdata: withKey(answers, CONTENT, content) } : reply;
  const now = wholeNow(brick, subject.gfid, size);
  return now ? Promise.resolve(told(now)) : readWhole(brick, subject.gfid, size).then(told);
}

/**
 * A file that was put on the brick directly, or whose creation a crash cut short, gets the gfid that
 * the client proposes. Throws ENODATA if it proposes none.
 */
export function giveGfid(
  brick: Brick,
  call: Call,
  directory: Directory,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  mode: number,
  target: Named,
  xdata: Xdata | undefined,
): Gfid {
  const gfid = xdata?.get(GFID_REQ);
  if (!gfid || gfid === NULL_GFID) throw ENODATA;
  if (statAt(brick.hidden, handleName(gfid)) === 0) throw EIO;
  const result = brick.xattrs.set(target, GFID_XATTR, gfidToBytes(gfid), XATTR_CREATE);
  if (result < 0) throw fopError(result);
  brick.env.log.info("gave a file its gfid", { gfid, name, parent: directory.gfid, pid: call.pid });
  if (!isDirMode(mode) && brick.options.gfid2path) {
    const { key, value } = gfid2path(directory.gfid, name);
    brick.xattrs.set(target, key, value);
  }
  makeHandle(brick, directory, name, bytes, gfid, mode);
  return gfid;
}

/** Makes the handle of a name that has a gfid. Throws EEXIST if another file has it. */
export function makeHandle(
  brick: Brick,
  directory: Directory,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  gfid: Gfid,
  mode: number,
): void {
  const result = isDirMode(mode)
    ? brick.handles.linkDir(gfid, directory.gfid, name)
    : linkFile(brick, directory, bytes, gfid);
  if (result < 0) throw fopError(result);
}

function linkFile(
  brick: Brick,
  directory: Directory,
  bytes: Uint8Array<ArrayBuffer>,
  gfid: Gfid,
): number {
  const result = brick.handles.linkFile(gfid, directory, bytes);
  if (result !== EEXIST) return result;
  // A handle alone is what a crash left of a file that was removed: its gfid may live again.
  if (statAt(brick.hidden, handleName(gfid)) < 0 || statNlink() !== 1) return result;
  if (brick.handles.readLink(gfid)) return result;
  brick.handles.unlink(gfid);
  return brick.handles.linkFile(gfid, directory, bytes);
}

// The gfid is there and the handle is not, or says an old place: a crash cut a create or rename short.
function healHandle(
  brick: Brick,
  directory: Directory,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  gfid: Gfid,
  mode: number,
): void {
  if (!isDirMode(mode)) return makeHandle(brick, directory, name, bytes, gfid, mode);
  const link = brick.handles.readLink(gfid);
  if (link && link.parent === directory.gfid && link.name === name) return;
  if (link && leadsToIt(brick, gfid)) return;
  const result = brick.handles.linkDir(gfid, directory.gfid, name);
  if (result < 0) throw fopError(result);
  brick.env.log.warn("directory's handle was repaired", { gfid, name, parent: directory.gfid });
}

// Two directories may share a gfid while healers move one: the handle stays where it leads.
function leadsToIt(brick: Brick, gfid: Gfid): boolean {
  try {
    brick.handles.dir(gfid);
    return true;
  } catch (error) {
    if (error instanceof FopError) return false;
    throw error;
  }
}

/** Removes what a failed creation left: the name, and the handle if it was made. */
export function undoCreate(
  brick: Brick,
  directory: Directory,
  bytes: Uint8Array<ArrayBuffer>,
  flags: number,
  gfid: Gfid | undefined,
): void {
  if (gfid) brick.handles.unlink(gfid);
  const result = sys.unlinkat(directory.fd, bytes, flags);
  if (result < 0 && result !== ENOENT_RESULT && result !== ENODATA_RESULT) {
    brick.env.log.error("cannot remove a half-made file", { errno: -result });
  }
}
