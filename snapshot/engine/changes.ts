/**
 * Which inodes and names changed between two readers, or since one, a page at a time: from the index
 * alone. What changes has its inode's old state, or its name's, in the index first, so rows of the
 * epochs in between name all that may differ (`diff.ts` says which those are); both sides say whether
 * it does. Of several rows of one thing the first counts.
 */

import { EINVAL, ENOENT } from "core/errno.ts";
import type {
  ChangedInode,
  ChangedName,
  ChangesPage,
  FoundInode,
  InodeFacts,
  NameIn,
} from "core/history_orders.ts";
import { isRegular } from "core/iatt.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { equalBytes } from "core/lib/bytes.ts";
import { isWritten, type Sides, stateIn } from "snapshot/engine/diff.ts";
import type { InodeState, Live } from "snapshot/engine/live.ts";
import type { EntryKey, VersionKey } from "snapshot/engine/store.ts";
import type { View } from "snapshot/engine/view.ts";

/** Rows that are looked at for one page. */
const ROWS_MAX = 1024;

/** Attributes that a brick, replication or the times of files have for themselves; of other layers. */
const OF_THE_BRICK = /^trusted\.(afr\.|gfid|glusterfs\.mdata$|pgfid\.)/;
const OF_GLUSTERFS = /^trusted\.(glusterfs|ec|bit-rot)\./;
const LINKTO = "trusted.glusterfs.dht.linkto", STICKY = 0o1000;

/** See `HistoryOrders.changes`; `after`: "", or where the page before ended. EINVAL: neither. */
export async function changesPage(
  sides: Sides,
  after: string,
  count: number,
): Promise<ChangesPage> {
  const rows = Math.max(1, Math.min(count, ROWS_MAX));
  if (sides.file !== undefined) {
    return { inodes: [await changeOf(sides, sides.file)], names: [], next: undefined };
  }
  const at = after === "" ? undefined : cursorOf(after);
  if (at && "name" in at) return await namesPage(sides, at, rows);
  return await inodesPage(sides, at, rows);
}

async function inodesPage(
  sides: Sides,
  after: VersionKey | undefined,
  count: number,
): Promise<ChangesPage> {
  const { store, from, until } = sides;
  const keys = store.versionsOfEpochs(from, until, after, count);
  const inodes: ChangedInode[] = [];
  for (const { inode, epoch } of keys) {
    if (store.version(inode, from)?.epoch !== epoch) continue;
    inodes.push(await changeOf(sides, store.gfidOf(inode)));
  }
  const last = keys.length < count ? FIRST_NAME : keys.at(-1)!;
  return { inodes, names: [], next: textOf(last) };
}

/** Before all names. */
const FIRST_NAME: Position = { epoch: -1, parent: -1, name: "" };

async function namesPage(sides: Sides, after: Position, count: number): Promise<ChangesPage> {
  const { store, before, after: side, from, until } = sides;
  const begin = after.epoch < from ? undefined : { ...after, gfid: undefined, type: 0 };
  const keys: EntryKey[] = store.entriesOfEpochs(from, until, begin, count);
  const names: ChangedName[] = [];
  for (const { parent, name, epoch } of keys) {
    if (store.entry(parent, name, from)?.epoch !== epoch) continue;
    const directory = store.gfidOf(parent);
    const [was, is] = [await before.entry(directory, name), await side.entry(directory, name)];
    if (was?.gfid === is?.gfid) continue;
    names.push({ parent: directory, name, old: was?.gfid, now: is?.gfid });
  }
  const next = keys.length < count ? undefined : textOf(keys.at(-1)!);
  return { inodes: [], names, next };
}

async function changeOf(sides: Sides, gfid: Gfid): Promise<ChangedInode> {
  const [was, is] = [await stateIn(sides.before, gfid), await stateIn(sides.after, gfid)];
  const both = was && is;
  return {
    gfid,
    old: was && factsOf(was),
    now: is && factsOf(is),
    data: both !== undefined && hasOtherData(sides, gfid, was!, is!),
    attributes: both !== undefined && hasOtherAttributes(was!, is!),
    internals: both !== undefined && hasOthers(was!, is!, (name) => OF_GLUSTERFS.test(name)),
    times: both !== undefined &&
      (was!.iatt.mtime !== is!.iatt.mtime || was!.iatt.mtimeNsec !== is!.iatt.mtimeNsec),
  };
}

function factsOf(state: InodeState): InodeFacts {
  const { mode, nlink, size } = state.iatt;
  return { mode, nlink, size, isLinkFile: isLinkFile(state) };
}

/** Whether it is a pointer of distribution: the file itself, which has the same gfid, is at another brick. */
export function isLinkFile({ iatt, xattrs }: InodeState): boolean {
  return isRegular(iatt) && (iatt.mode & 0o7777) === STICKY && xattrs.has(LINKTO);
}

function hasOtherData(sides: Sides, gfid: Gfid, was: InodeState, is: InodeState): boolean {
  if (!isRegular(was.iatt) || !isRegular(is.iatt)) return false;
  const { size } = is.iatt;
  return size !== was.iatt.size || isWritten(sides, gfid, size);
}

function hasOtherAttributes(was: InodeState, is: InodeState): boolean {
  const { mode, uid, gid, rdev } = was.iatt, now = is.iatt;
  return mode !== now.mode || uid !== now.uid || gid !== now.gid || rdev !== now.rdev ||
    was.target !== is.target || hasOthers(was, is, (name) => !OF_GLUSTERFS.test(name));
}

function hasOthers(was: InodeState, is: InodeState, counts: (name: string) => boolean): boolean {
  const names = new Set([...was.xattrs.keys(), ...is.xattrs.keys()]);
  return [...names].some((name) => {
    if (OF_THE_BRICK.test(name) || !counts(name)) return false;
    const [old, now] = [was.xattrs.get(name), is.xattrs.get(name)];
    return !old || !now || !equalBytes(old, now);
  });
}

/** What is behind a path, by its names from the root on. ENOENT: nothing. */
export async function lookUpIn(side: View | Live, names: readonly string[]): Promise<FoundInode> {
  let gfid: Gfid = ROOT_GFID;
  for (const name of names) {
    const entry = await side.entry(gfid, name);
    if (!entry) throw ENOENT;
    gfid = entry.gfid;
  }
  const state = await stateIn(side, gfid);
  if (!state) throw ENOENT;
  return { gfid, ...factsOf(state) };
}

/** The names under which a side has each of the inodes. */
export async function namesIn(
  side: View | Live,
  gfids: readonly Gfid[],
): Promise<(readonly NameIn[])[]> {
  const all: (readonly NameIn[])[] = [];
  for (const gfid of gfids) all.push(await side.names(gfid));
  return all;
}

/** A name's place in the order of rows. */
interface Position {
  readonly epoch: number;
  readonly parent: number;
  readonly name: string;
}

function textOf(key: VersionKey | Position): string {
  return "name" in key
    ? JSON.stringify([key.epoch, key.parent, key.name])
    : JSON.stringify([key.epoch, key.inode]);
}

function cursorOf(text: string): VersionKey | Position {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    throw EINVAL;
  }
  const [epoch, inode, name] = Array.isArray(values) ? values : [];
  if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(inode)) throw EINVAL;
  if (name === undefined) return { epoch, inode };
  if (typeof name !== "string") throw EINVAL;
  return { epoch, parent: inode, name };
}
