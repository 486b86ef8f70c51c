/** Heals attributes: mode, owner, times and extended attributes of sinks become the source's. */

import { type AttrChanges } from "core/fops.ts";
import { type Iatt, isSymlink } from "core/iatt.ts";
import type { Inode } from "core/inode.ts";
import { equalBytes } from "core/lib/bytes.ts";
import { type DictValue, valueBytes, Xdata } from "core/xdata.ts";
import {
  directionOf,
  favoriteOf,
  type Testimonies,
} from "xlators/cluster/replicate/heal_direction.ts";
import type { Choice, Outcome } from "xlators/cluster/replicate/heal_data.ts";
import { inspect, unmark } from "xlators/cluster/replicate/heal_inspect.ts";
import { ATTRIBUTES, lockRange } from "xlators/cluster/replicate/heal_locks.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";

/** Attributes that are each brick's own. */
const OWN = /^(trusted\.afr\.|trusted\.glusterfs\.s?quota|security\.selinux$)/;
const PERMISSIONS = 0o7777;

/** True if clients would see other attributes. */
export function metadataDiffers(one: Iatt, other: Iatt): boolean {
  return one.mode !== other.mode || one.uid !== other.uid || one.gid !== other.gid;
}

/** True if copies, of which none may be told of, have other extended attributes. */
export async function xattrsDiffer(
  set: HealSet,
  inode: Inode,
  told: Testimonies,
): Promise<boolean> {
  const here = set.all.filter((index) => told[index]);
  const answers = await set.ask(here, (copy) => copy.getxattr(set.call, { inode, name: "" }));
  const found = here.flatMap((index) => {
    const answer = answers[index]!;
    return answer.ok ? [new Map(shared(answer.value.xattrs))] : [];
  });
  const [first, ...others] = found;
  return others.some((other) =>
    other.size !== first!.size ||
    [...other].some(([name, value]) => !alike(first!.get(name), value))
  );
}

function shared(xattrs: Xdata | undefined): (readonly [string, DictValue])[] {
  return [...xattrs ?? []].filter(([name]) => !OWN.test(name));
}

/**
 * Heals the attributes of `inode`; `all`: of copies that nobody blames, too. Throws what the source
 * fails with.
 */
export async function healMetadata(
  set: HealSet,
  inode: Inode,
  choice?: Choice,
  all = false,
): Promise<Outcome> {
  await using locked = await lockRange(set, set.name, inode, ATTRIBUTES).wait();
  const { told } = await inspect(set, inode, locked.on);
  const here = set.all.filter((index) => told[index]);
  if (here.length < 2) return "left";
  const direction = directionOf(told, "metadata", {
    arbiter: set.arbiter,
    differ: metadataDiffers,
    majority: set.majority,
  });
  const { sinks, dirty, accused } = direction;
  const chosen = typeof choice === "number"
    ? choice
    : favoriteOf(told, choice ?? set.favorite, undefined);
  // Of a split-brain a copy that is away may be the right one.
  const source = direction.sources[0] ?? (here.length === set.count ? chosen : undefined);
  if (source === undefined || !told[source]) return "split-brain";
  // Where a change did not end, any copy may have it, and not all of those could be marked.
  const targets = (all || dirty.length ? here : sinks).filter((index) => index !== source);
  if (!targets.length && !dirty.length) return "clean";
  if (!accused.length && dirty.length && here.length < set.count) return "left";
  const failed = await copyAttributes(set, inode, source, targets, told[source]!.stat);
  const healed = here.filter((index) => !failed.includes(index));
  const clean = !failed.length && here.length === set.count;
  const done = await unmark(set, inode, "metadata", told, { healed, clean });
  return done && !failed.length ? "healed" : "left";
}

/** Gives `targets` the attributes of `source`, which are `stat` and its extended ones; answers who failed. */
export async function copyAttributes(
  set: HealSet,
  inode: Inode,
  source: number,
  targets: readonly number[],
  stat: Iatt,
): Promise<number[]> {
  if (!targets.length) return [];
  const { call } = set;
  const { xattrs } = await set.copies[source]!.getxattr(call, { inode, name: "" });
  const wanted = shared(xattrs);
  const answers = await set.ask(targets, async (copy) => {
    const has = (await copy.getxattr(call, { inode, name: "" })).xattrs;
    // A brick that has no room must not lose what clients may still read from it: nothing goes before
    // its successor is there.
    const lacks = wanted.filter(([name, value]) => !alike(has?.raw(name), value));
    if (lacks.length) await copy.setxattr(call, { inode, xattrs: Xdata.of(lacks), flags: 0 });
    const keeps = new Set(wanted.map(([name]) => name));
    const gone = shared(has).filter(([name]) => !keeps.has(name));
    if (gone.length) await copy.removexattr(call, { inode, name: "", xdata: Xdata.of(gone) });
    await copy.setattr(call, { inode, changes: changesTo(stat) });
  });
  return targets.filter((index) => {
    const answer = answers[index]!;
    if (answer.ok) return false;
    const { message: error } = answer.error;
    set.env.log.warn("attributes cannot be healed", {
      copy: set.copyNames[index],
      gfid: inode.gfid,
      error,
    });
    return true;
  });
}

function alike(one: DictValue | undefined, other: DictValue): boolean {
  const left = one && valueBytes(one), right = valueBytes(other);
  return left !== undefined && right !== undefined && equalBytes(left, right);
}

function changesTo(stat: Iatt): AttrChanges {
  const { uid, gid, mode, atime, atimeNsec, mtime, mtimeNsec } = stat;
  const times = {
    atime: { sec: atime, nsec: atimeNsec },
    mtime: { sec: mtime, nsec: mtimeNsec },
  };
  const owned = { uid, gid, ...times };
  // Linux knows no mode of a symbolic link.
  return isSymlink(stat) ? owned : { ...owned, mode: mode & PERMISSIONS };
}
