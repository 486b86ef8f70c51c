/**
 * `.glusterfs/landfill`: what was removed as a whole, or is large, waits there to be removed for
 * good. One walk at a time, on other threads, a directory at a time; what a crash left is found by the
 * walk that every start does. `.glusterfs/unlink` is emptied at start too: nothing is open then.
 */

import { FopError } from "core/errno.ts";
import type { Gfid } from "core/inode.ts";
import {
  AT_REMOVEDIR,
  cstring,
  LOCAL_O_DIRECTORY,
  LOCAL_O_NOFOLLOW,
  O_CLOEXEC,
  sys,
} from "core/sys/calls.ts";
import { type Brick, isDirMode } from "xlators/storage/posix/brick.ts";
import { DirStream } from "xlators/storage/posix/dir_stream.ts";
import { handleName } from "xlators/storage/posix/handle.ts";
import { statAt, statIno, statMode, statNlink } from "xlators/storage/posix/stat.ts";

const walking = new WeakMap<Brick, { again: boolean; done: Promise<void> }>();
const DEPTH_MAX = 4096;

/** Starts to remove all that is in landfill, or lets the walk that is under way look once more. */
export function purgeLandfill(brick: Brick): void {
  if (brick.options["disable-landfill-purge"]) return;
  const running = walking.get(brick);
  if (running) {
    running.again = true;
    return;
  }
  const state = { again: true, done: Promise.resolve() };
  walking.set(brick, state);
  state.done = (async () => {
    while (state.again && !brick.closing) {
      state.again = false;
      await emptyDirectory(brick, "landfill");
    }
    walking.delete(brick);
  })();
}

/** Resolves when no walk is under way. */
export async function landfillQuiet(brick: Brick): Promise<void> {
  await walking.get(brick)?.done;
}

/** Removes what a crash left behind. */
export async function purgeLeftovers(brick: Brick): Promise<void> {
  await emptyDirectory(brick, "unlink");
  purgeLandfill(brick);
}

async function emptyDirectory(brick: Brick, name: string): Promise<void> {
  const flags = LOCAL_O_DIRECTORY | LOCAL_O_NOFOLLOW | O_CLOEXEC;
  const fd = sys.openat(brick.hidden, cstring(name), flags, 0);
  if (fd < 0) return;
  try {
    await empty(brick, fd, 0);
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    brick.env.log.warn("cannot remove what was left", { in: name, error: error.code });
  } finally {
    sys.close(fd);
  }
}

// Everything in an open directory. Failures are left for the next walk.
async function empty(brick: Brick, fd: number, depth: number): Promise<void> {
  if (depth > DEPTH_MAX) return;
  // Names first: a stream over a directory that shrinks may skip some.
  const names: Uint8Array<ArrayBuffer>[] = [];
  const stream = new DirStream(fd);
  for (let entry = stream.next(); entry; entry = stream.next()) {
    if (entry.name !== "." && entry.name !== "..") names.push(cstring(entry.name));
  }
  for (const name of names) {
    if (brick.closing) return;
    if (statAt(fd, name) < 0) continue;
    const directory = isDirMode(statMode());
    dropHandleOf(brick, fd, name, directory, statNlink(), statIno());
    if (!directory) {
      await sys.unlinkatAsync(fd, name, 0);
      continue;
    }
    const flags = LOCAL_O_DIRECTORY | LOCAL_O_NOFOLLOW | O_CLOEXEC;
    const inner = sys.openat(fd, name, flags, 0);
    if (inner < 0) continue;
    try {
      await empty(brick, inner, depth + 1);
    } finally {
      sys.close(inner);
    }
    await sys.unlinkatAsync(fd, name, AT_REMOVEDIR);
  }
}

// A removed tree's files lose their handles with their last names.
function dropHandleOf(
  brick: Brick,
  fd: number,
  name: Uint8Array<ArrayBuffer>,
  directory: boolean,
  nlink: number,
  ino: number,
): void {
  const gfid = brick.handles.gfidOf({ fd, name });
  if (!gfid) return;
  if (directory) {
    if (leadsElsewhere(brick, gfid, ino)) return;
    if (brick.handles.readLink(gfid)) brick.handles.unlink(gfid);
    brick.handles.drop(gfid);
  } else if (nlink === 2 && statAt(brick.hidden, handleName(gfid)) === 0 && statIno() === ino) {
    brick.handles.unlink(gfid);
    brick.xattrs.dropShadow(ino);
  }
}

// Healers make a moved directory's new place before they remove the old one: the handle is the new one's.
function leadsElsewhere(brick: Brick, gfid: Gfid, ino: number): boolean {
  const link = brick.handles.readLink(gfid);
  if (!link) return false;
  try {
    const parent = brick.handles.dir(link.parent);
    return statAt(parent.fd, cstring(link.name)) === 0 && statIno() !== ino;
  } catch (error) {
    if (error instanceof FopError) return false;
    throw error;
  }
}
