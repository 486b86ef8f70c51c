/**
 * What a history says that changed between two of its readers, or since one, against naive copies:
 * all that differs is told, and nothing that nobody touched.
 */

import type { ChangedInode, ChangedName } from "core/history_orders.ts";
import type { Gfid } from "core/inode.ts";
import { changesPage } from "snapshot/engine/changes.ts";
import { rangesPage, type Sides } from "snapshot/engine/diff.ts";

const UNIT = 4096;

/** Somebody changed something of an inode; bytes from `start` to before `end`, if that is data. */
export interface Touch {
  readonly gfid: Gfid;
  readonly start: number;
  readonly end: number;
}

/** All pages: inodes by gfid, and names. `count`: of one page. */
export async function allChanges(
  sides: Sides,
  count: number,
): Promise<{ inodes: Map<Gfid, ChangedInode>; names: ChangedName[] }> {
  const inodes = new Map<Gfid, ChangedInode>(), names: ChangedName[] = [];
  for (let after: string | undefined = ""; after !== undefined;) {
    const page: Awaited<ReturnType<typeof changesPage>> = await changesPage(sides, after, count);
    for (const inode of page.inodes) {
      if (inodes.has(inode.gfid)) throw new Error(`${inode.gfid} is told twice`);
      inodes.set(inode.gfid, inode);
    }
    names.push(...page.names);
    after = page.next;
  }
  return { inodes, names };
}

/** Compares what is told of one file's data; undefined: a side does not have it. Throws Error. */
export async function checkData(
  sides: Sides,
  told: ChangedInode | undefined,
  gfid: Gfid,
  was: Uint8Array | undefined,
  is: Uint8Array | undefined,
  touches: readonly Touch[],
): Promise<void> {
  const differs = was && is &&
    (was.length !== is.length || was.some((byte, at) => byte !== is[at]));
  if ((!was !== !is || differs) && !told) throw new Error(`${gfid} is not told`);
  if (!told) return;
  if (told.old?.size !== was?.length || told.now?.size !== is?.length) {
    throw new Error(`${gfid} is told with ${told.old?.size} and ${told.now?.size} bytes`);
  }
  if (differs && !told.data) throw new Error(`${gfid}: data that changed is not told`);
  const size = is?.length ?? 0, changed = new Uint8Array(size);
  for (let from: number | undefined = 0, last = 0; from !== undefined;) {
    const page: Awaited<ReturnType<typeof rangesPage>> = await rangesPage(sides, gfid, from, 2);
    for (const { offset, length } of page.ranges) {
      if (offset < last || length <= 0) throw new Error(`${gfid}: ranges are in no order`);
      last = offset + length;
      if (last > size) throw new Error(`${gfid}: bytes are told beyond its end`);
      changed.fill(1, offset, last);
    }
    from = page.next;
  }
  const missed = is?.findIndex((byte, at) => byte !== was?.[at] && !changed[at]) ?? -1;
  if (missed >= 0) throw new Error(`byte ${missed} of ${gfid} is missed`);
  if (!was || !is) return;
  if (changed.includes(1) && !told.data) throw new Error(`${gfid}: ranges, but no data`);
  const untouched = new Uint8Array(size).fill(1);
  for (const { gfid: of, start, end } of touches) {
    if (of !== gfid || start === end) continue;
    untouched.fill(
      0,
      Math.floor(start / UNIT) * UNIT,
      Math.ceil(Math.min(end, size) / UNIT) * UNIT,
    );
  }
  const wrong = changed.findIndex((told, at) => told === 1 && untouched[at] === 1);
  if (wrong >= 0) throw new Error(`byte ${wrong} of ${gfid} is told, and nobody touched it`);
}
