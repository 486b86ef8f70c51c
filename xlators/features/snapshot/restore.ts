/**
 * Makes a live file what a snapshot has of it, through the layer's own fops: newer snapshots keep what
 * is overwritten. Only what changed since is copied; what was a hole becomes one. A crash in between
 * leaves a file that is partly restored: whoever asked was not answered, and asks again.
 *
 * At every brick that has the file by itself: the views of replicas are equal, or it is refused, and
 * nobody may have the file open for writing, so the files are equal afterwards. That all of them are up
 * is for who asks.
 */

import type { Call } from "core/call.ts";
import type { Clock } from "core/env.ts";
import { EBUSY, EINVAL, ENODATA, ENOENT } from "core/errno.ts";
import { type Fops, O_RDWR } from "core/fops.ts";
import { type Iatt, isRegular } from "core/iatt.ts";
import { Fd, type Gfid, type Inode } from "core/inode.ts";
import { equalBytes } from "core/lib/bytes.ts";
import { ptr, valueBytes, withKey, Xdata } from "core/xdata.ts";
import { OPEN_ACTIVE_FD_COUNT } from "core/xdata_keys.ts";
import { type ByteRange, changedRanges, type Sides } from "snapshot/engine/diff.ts";
import type { History } from "snapshot/engine/history.ts";
import type { InodeState } from "snapshot/engine/live.ts";
import type { View } from "snapshot/engine/view.ts";
import { checkAlike } from "xlators/features/snapshot/alike.ts";

const CHUNK = 1 << 20;
/** How long a file may take to be closed. */
const CLOSING_MS = 2000;
/** What belongs to the brick, to replication, or follows from the rest. */
const NOT_RESTORED = /^trusted\.(afr\.|gfid|glusterfs\.mdata$|pgfid\.)/;

/**
 * ENOENT: no such snapshot, or no such file, there or now; EINVAL: it is no regular file; EBUSY: it is
 * open for writing; EUCLEAN: its copies differed then.
 */
export async function restoreFile(
  history: History,
  layer: Fops,
  call: Call,
  snapshot: string,
  inode: Inode,
  clock: Clock,
): Promise<void> {
  const { gfid } = inode;
  const sides = history.sides(snapshot);
  const was = await sides.before.inode(gfid);
  if (!was) throw ENOENT;
  if (!isRegular(was.iatt)) throw EINVAL;
  checkAlike(was);
  const stat = await closed(layer, call, inode, clock);
  const fd = new Fd(inode, O_RDWR, true);
  await restoreData(sides, layer, call, fd, stat.size, was.iatt.size);
  await restoreAttributes(layer, call, inode, was, NOT_RESTORED);
  await layer.fsync(call, { fd, dataOnly: false });
}

/** Makes a file's data, of which there are `size` bytes now, what the older side has: `oldSize` bytes. */
export async function restoreData(
  sides: Sides,
  layer: Fops,
  call: Call,
  fd: Fd,
  size: number,
  oldSize: number,
): Promise<void> {
  const ranges = (await changedRanges(sides, fd.inode.gfid))
    .map(({ start, end }) => ({ start, end: Math.min(end, oldSize) }));
  if (size < oldSize) ranges.push({ start: size, end: oldSize });
  if (size !== oldSize) await layer.ftruncate(call, { fd, offset: oldSize });
  for (const range of ranges) await restoreRange(sides.before, layer, call, fd, range);
}

// Clients answer close(2) before bricks hear of it, and replicas do not hear of it at the same time.
async function closed(layer: Fops, call: Call, inode: Inode, clock: Clock): Promise<Iatt> {
  const until = clock.monotonic() + CLOSING_MS;
  const asked = withKey(undefined, OPEN_ACTIVE_FD_COUNT, 1);
  for (;;) {
    const { stat, xdata } = await layer.lookup(call, { inode, name: "", xdata: asked });
    if (!xdata?.get(OPEN_ACTIVE_FD_COUNT)) return stat;
    if (clock.monotonic() >= until) throw EBUSY;
    await clock.delay(CLOSING_MS / 50);
  }
}

async function restoreRange(
  view: View,
  layer: Fops,
  call: Call,
  fd: Fd,
  { start, end }: ByteRange,
): Promise<void> {
  const { gfid } = fd.inode;
  for (let offset = start; offset < end;) {
    const until = Math.min(end, offset + CHUNK), size = until - offset;
    const data = await view.nextData(gfid, offset);
    if (data === undefined || data >= until) {
      await layer.discard(call, { fd, offset, size });
    } else {
      const bytes = new Uint8Array(size);
      await view.read(gfid, offset, bytes);
      await layer.writev(call, { fd, offset, data: bytes, flags: 0 });
    }
    offset = until;
  }
}

/** Makes attributes what they were, but for extended ones whose names `except` is right for. */
export async function restoreAttributes(
  layer: Fops,
  call: Call,
  inode: Inode,
  { iatt, xattrs }: InodeState,
  except: RegExp,
): Promise<void> {
  const { stat } = await layer.stat(call, { inode });
  const { mode, uid, gid } = iatt;
  // Owner first: a change of owner takes capabilities away; and a mode is part of an ACL.
  if (stat.uid !== uid || stat.gid !== gid) {
    await layer.setattr(call, { inode, changes: { uid, gid } });
  }
  if (stat.mode !== mode || stat.uid !== uid || stat.gid !== gid) {
    await layer.setattr(call, { inode, changes: { mode } });
  }
  const { xattrs: now } = await layer.getxattr(call, { inode, name: "" });
  for (const name of now?.names() ?? []) {
    if (except.test(name) || xattrs.has(name)) continue;
    await layer.removexattr(call, { inode, name }).catch((error) => {
      if (!ENODATA.matches(error)) throw error;
    });
  }
  const old = [...xattrs].filter(([name, value]) => {
    const is = now?.raw(name), bytes = is && valueBytes(is);
    return !except.test(name) && !(bytes && equalBytes(bytes, value));
  });
  if (old.length) {
    const values = Xdata.of(old.map(([name, value]) => [name, ptr(value)] as const));
    await layer.setxattr(call, { inode, xattrs: values, flags: 0 });
  }
  const atime = { sec: iatt.atime, nsec: iatt.atimeNsec };
  const mtime = { sec: iatt.mtime, nsec: iatt.mtimeNsec };
  await layer.setattr(call, { inode, changes: { atime, mtime } });
}

/** The id of the snapshot that the file has under a name, by the attributes of GlusterFS 3.5. */
export function fileSnapshot(history: History, gfid: Gfid, name: string): string | undefined {
  return history.readers.list().find((reader) =>
    reader.kind === "snapshot" && reader.file === gfid && reader.name === name
  )?.id;
}
