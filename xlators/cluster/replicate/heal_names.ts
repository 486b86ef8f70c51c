/**
 * Heals one name in a directory: what sources have, sinks get; what no source has, sinks lose. A file
 * that a sink has under another name already gets one more name there, a directory is moved; nothing
 * that lives on elsewhere is ever removed with its last name.
 */

import { ENOENT, ENOTEMPTY } from "core/errno.ts";
import { type Iatt, isDirectory, isRegular, isSymlink, S_IFMT } from "core/iatt.ts";
import type { Entry, Gfid, Inode } from "core/inode.ts";
import { kernelDevice } from "core/lib/device.ts";
import { withKey } from "core/xdata.ts";
import { GFID_REQ } from "core/xdata_keys.ts";
import { marksToAdd } from "xlators/cluster/replicate/blame.ts";
import { asideOf, isMissingOn, moveAside } from "xlators/cluster/replicate/heal_anonymous.ts";
import type { Choice } from "xlators/cluster/replicate/heal_data.ts";
import { directionOf } from "xlators/cluster/replicate/heal_direction.ts";
import { inspect, isMissing } from "xlators/cluster/replicate/heal_inspect.ts";
import { lockLinks, lockName } from "xlators/cluster/replicate/heal_locks.ts";
import { copyAttributes } from "xlators/cluster/replicate/heal_metadata.ts";
import { rightName } from "xlators/cluster/replicate/heal_name_choice.ts";
import { pathOn, placeOf } from "xlators/cluster/replicate/heal_paths.ts";
import { type HealSet, succeeded } from "xlators/cluster/replicate/heal_set.ts";

/** A directory whose names are healed. */
export interface DirectoryHeal {
  readonly set: HealSet;
  readonly parent: Inode;
  /** Copies whose names count: a name that one of them has is right. */
  readonly sources: readonly number[];
  /** A change of the sources did not end: that they differ is no split-brain. */
  readonly unfinished: boolean;
  /** Every copy missed something, none a change that counts and most others missed: see `votedFor`. */
  readonly votes: boolean;
  /** True if copy `index` noted that it changed `name` while another copy did not. */
  noted(index: number, name: string): Promise<boolean>;
  readonly here: readonly number[];
  /** False if a source missed a change since the heal began. */
  isStillRight(): Promise<boolean>;
  /** Files that were made, or may differ: to be healed next. */
  readonly found: Set<Gfid>;
  /** True: a name that waits for another directory's heal is done now, at any price. */
  readonly last: boolean;
  /** Which of files that conflict is right, by a person's word; else the volume's policy tells. */
  readonly choice?: Choice | undefined;
}

/** "alike": nothing to do; "later": another directory is to be healed first. */
export type NameOutcome = "alike" | "healed" | "left" | "later" | "split-brain";

/** Heals `name`. What cannot be asked or changed leaves it as it is. */
export async function healName(heal: DirectoryHeal, name: string): Promise<NameOutcome> {
  const { set, parent, here } = heal;
  await using locked = await lockName(set, set.name, parent, name).wait();
  if (here.some((index) => !locked.on.includes(index))) return "left";
  const answers = await set.ask(here, (copy) => copy.lookup(set.call, { parent, name }));
  const has = new Map<number, Iatt>();
  for (const index of here) {
    const answer = answers[index]!;
    if (answer.ok) has.set(index, answer.value.stat);
    else if (!ENOENT.matches(answer.error)) return "left";
  }
  const differ = here.some((index) => !isSame(has.get(index), has.get(here[0]!)));
  if (!differ) return "alike";
  // What two of three have, the third may know to be old.
  if (heal.votes && here.length < set.count) return "left";
  const found = await votedFor(heal, name, has) ?? rightOf(heal, name, has);
  if (found === "split-brain") return found;
  const right = await isShell(heal, has) ? "nothing" : found;
  const stat = right === "nothing" ? undefined : has.get(right)!;
  const wrong = here.filter((index) => has.has(index) && !isSame(has.get(index)!, stat));
  const without = here.filter((index) => !has.has(index) || wrong.includes(index));
  if (!(stat ? without : wrong).length) return "alike";
  if (!await heal.isStillRight()) return "left";
  if (right === "nothing" || !stat) return await removeFrom(heal, name, has);
  const conflicts = new Map(wrong.map((index) => [index, has.get(index)!]));
  const removed = await removeFrom(heal, name, conflicts);
  if (removed === "left" || removed === "later") return removed;
  return await make(heal, name, right, stat, without);
}

/** The copy whose file belongs under the name, or that no file does. */
type Right = number | "nothing";

/**
 * What most copies have, where all are blamed: no change counts that most copies do not have, so the
 * last one of a name is on most of them. That a name is gone must be noted by one of those that
 * lack it: a new copy in the place of a broken one lacks everything.
 */
async function votedFor(
  { votes, choice, set, here, noted }: DirectoryHeal,
  name: string,
  has: ReadonlyMap<number, Iatt>,
): Promise<Right | undefined> {
  if (!votes || choice !== undefined) return undefined;
  for (const index of here) {
    const alike = here.filter((other) => isSame(has.get(index), has.get(other)));
    if (alike.length * 2 <= set.count) continue;
    if (has.has(index)) return index;
    for (const other of alike) if (await noted(other, name)) return "nothing";
  }
  return undefined;
}

function rightOf(
  heal: DirectoryHeal,
  name: string,
  has: ReadonlyMap<number, Iatt>,
): Right | "split-brain" {
  const there = heal.sources.filter((index) => has.has(index));
  if (!there.length) return "nothing";
  const votes = (index: number) =>
    there.filter((other) => isSame(has.get(other)!, has.get(index)!)).length;
  if (there.every((index) => votes(index) === there.length)) return there[0]!;
  const decision = decided(heal, name, has);
  if (decision !== undefined) return decision;
  if (!heal.unfinished) return "split-brain";
  // Nobody was told that the change was made: whichever file is there is as good.
  const most = Math.max(...there.map(votes));
  return there.find((index) => votes(index) === most)!;
}

// With all copies there: one that is away may have the right one.
function decided(
  { set, here, choice }: DirectoryHeal,
  name: string,
  has: ReadonlyMap<number, Iatt>,
): number | undefined {
  const by = choice ?? set.favorite;
  const right = here.length === set.count ? rightName(has, by, set.count) : undefined;
  if (right !== undefined) {
    const { gfid } = has.get(right)!;
    const copy = set.copyNames[right];
    set.env.log.warn("files of one name: one is decided for", { name, gfid, copy, by });
  }
  return right;
}

function isSame(one: Iatt | undefined, other: Iatt | undefined): boolean {
  if (!one || !other) return one === other;
  return one.gfid === other.gfid && (one.mode & S_IFMT) === (other.mode & S_IFMT);
}

/**
 * True if only the arbiter has a name, of a file that no copy has any data of though one that is right
 * lacks the name: of a removal that it did not hear of, or of a file that was not made. Given to all
 * copies it would be there again, and empty.
 */
async function isShell(
  { set, here, sources, choice }: DirectoryHeal,
  has: ReadonlyMap<number, Iatt>,
): Promise<boolean> {
  const { arbiter } = set;
  const stat = arbiter === undefined ? undefined : has.get(arbiter);
  if (!stat || !isRegular(stat) || has.size > 1 || choice !== undefined) return false;
  const others = sources.filter((index) => index !== arbiter);
  if (!others.length || here.length < set.count) return false;
  const inode = set.inodes.of(stat.gfid);
  const looked = await set.ask(set.all, (copy) => copy.lookup(set.call, { inode, name: "" }));
  return set.all.every((index) => index === arbiter || isMissingOn(looked[index]!));
}

async function removeFrom(
  heal: DirectoryHeal,
  name: string,
  has: ReadonlyMap<number, Iatt>,
): Promise<NameOutcome> {
  if (!has.size) return "alike";
  for (const [index, stat] of has) {
    const removed = await removeOn(heal, index, name, stat);
    if (removed !== "healed") return removed;
  }
  return "healed";
}

async function removeOn(
  heal: DirectoryHeal,
  index: number,
  name: string,
  stat: Iatt,
): Promise<NameOutcome> {
  const { set, parent } = heal;
  if (isDirectory(stat) || stat.nlink === 1) return await removeAlone(heal, index, name, stat);
  // Other names of it may be wrong, too, here or in another directory: who takes away one of two has to
  // see that it is not the last one.
  await using locked = await lockLinks(set, index, set.inodes.of(stat.gfid));
  if (!locked) return "left";
  const [now] = (await set.ask([index], (copy) => copy.lookup(set.call, { parent, name })))
    .slice(index);
  if (!now!.ok) return ENOENT.matches(now!.error) ? "healed" : "left";
  return isSame(now!.value.stat, stat)
    ? await removeAlone(heal, index, name, now!.value.stat)
    : "left";
}

async function removeAlone(
  heal: DirectoryHeal,
  index: number,
  name: string,
  stat: Iatt,
): Promise<NameOutcome> {
  const { set, parent } = heal;
  const keeps = set.anonymous
    ? await moveAside(set, { index, parent, name, stat })
    : heal.last
    ? "no"
    : await livesElsewhere(heal, index, name, stat);
  if (keeps === "later" || keeps === "left") return keeps;
  if (keeps === "moved") return "healed";
  const entry = { parent, name };
  const [answer] = (await set.ask(
    [index],
    (copy): Promise<unknown> =>
      isDirectory(stat)
        ? copy.rmdir(set.call, { ...entry, flags: 1 })
        : copy.unlink(set.call, { ...entry, flags: 0 }),
  )).slice(index);
  if (answer!.ok || ENOENT.matches(answer!.error)) return "healed";
  const { message: error } = answer!.error;
  set.env.log.warn("name cannot be removed", { copy: set.copyNames[index], name, error });
  return ENOTEMPTY.matches(answer!.error) ? "later" : "left";
}

/**
 * Whether the file is still there under other names on other copies, and this is the only one on copy
 * `index`: then it is moved to where it belongs, or has to wait until that place is there. "left": that
 * cannot be told.
 */
async function livesElsewhere(
  { set, here, parent, sources }: DirectoryHeal,
  index: number,
  name: string,
  { gfid, nlink, mode }: Iatt,
): Promise<"no" | "moved" | "later" | "left"> {
  const directory = isDirectory({ mode } as Iatt);
  if (!directory && nlink > 1) return "no";
  const inode = set.inodes.of(gfid);
  const others = here.filter((other) => other !== index);
  const found = await set.ask(others, (copy) => copy.lookup(set.call, { inode, name: "" }));
  const owners = succeeded(found);
  const owner = owners.find((other) => sources.includes(other)) ?? owners[0];
  if (owner === undefined) {
    const gone = others.every((other) => isMissingOn(found[other]!));
    return gone ? "no" : "left";
  }
  const path = await pathOn(set, owner, inode);
  if (path === undefined) return "later";
  const there = await placeOf(set, owner, path);
  if (!there || (there.parent === parent && there.name === name)) return "no";
  // Tried only: who waits with a lock in hand may wait for ever.
  await using locked = await lockName(set, set.name, there.parent, there.name).tryAll();
  if (!locked?.on.includes(index)) return "later";
  const [taken] = (await set.ask([index], (copy) => copy.lookup(set.call, there))).slice(index);
  // What is in its way is wrong there, too: that directory's own heal comes first.
  if (taken!.ok || !ENOENT.matches(taken!.error)) return "later";
  const moved = await set.ask([index], (copy) =>
    copy.rename(set.call, {
      oldParent: parent,
      oldName: name,
      newParent: there.parent,
      newName: there.name,
    }));
  return moved[index]!.ok ? "moved" : "later";
}

async function make(
  heal: DirectoryHeal,
  name: string,
  source: number,
  stat: Iatt,
  without: readonly number[],
): Promise<NameOutcome> {
  const { set, parent, found, here } = heal;
  const inode = set.inodes.of(stat.gfid);
  const looked = await set.ask(without, (copy) => copy.lookup(set.call, { inode, name: "" }));
  // Who cannot tell may have the file, and be right about it: it is not to be blamed as an empty one.
  if (without.some((index) => !looked[index]!.ok && !isMissingOn(looked[index]!))) return "left";
  const known = succeeded(looked);
  const fresh = without.filter((index) => !known.includes(index));
  // Before it is there: a crash must not leave an empty copy that nobody blames.
  if (fresh.length && !isSymlink(stat)) {
    const part = isDirectory(stat) ? "entry" : isRegular(stat) ? "data" : undefined;
    // Of a directory, data says that all names are to be looked at.
    const whole = isDirectory(stat) && set.granular ? { data: 1 } : {};
    const counts = { metadata: 1, ...(part ? { [part]: 1 } : {}), ...whole };
    const blames = set.all.map((index) => fresh.includes(index) ? counts : undefined);
    const xattrs = marksToAdd(set.keys, blames);
    const owners = here.filter((index) => !without.includes(index));
    const marked = await set.ask(
      owners,
      (copy) => copy.xattrop(set.call, { inode, op: "add32", xattrs }),
    );
    if (owners.some((index) => !marked[index]!.ok)) return "left";
  }
  const target = isSymlink(stat)
    ? (await set.copies[source]!.readlink(set.call, { inode, size: 4096 })).target
    : "";
  let outcome: NameOutcome = "healed";
  for (const index of without) {
    const did = known.includes(index)
      ? await giveName(heal, name, index, source, stat)
      : await makeNew(heal, { parent, name }, index, stat, target);
    if (did !== "healed") outcome = did;
  }
  const made = fresh.length && outcome === "healed";
  if (made && (await copyAttributes(set, inode, source, fresh, stat)).length) return "left";
  if (!isSymlink(stat)) found.add(stat.gfid);
  return outcome;
}

async function giveName(
  heal: DirectoryHeal,
  name: string,
  index: number,
  source: number,
  stat: Iatt,
): Promise<NameOutcome> {
  const { set, parent, last } = heal;
  const inode = set.inodes.of(stat.gfid);
  if (!isDirectory(stat)) {
    const linked = await set.ask([index], (copy) => copy.link(set.call, { inode, parent, name }));
    return linked[index]!.ok ? "healed" : "left";
  }
  const path = await pathOn(set, index, inode);
  const from = await asideOf(set, index, stat.gfid) ??
    (path === undefined ? undefined : await placeOf(set, index, path));
  if (!from) return last ? "left" : "later";
  if (!last && await isRightPlace(heal, from, index, source)) return "later";
  await using locked = await lockName(set, set.name, from.parent, from.name).tryAll();
  if (!locked?.on.includes(index)) return "later";
  const moved = await set.ask([index], (copy) =>
    copy.rename(set.call, {
      oldParent: from.parent,
      oldName: from.name,
      newParent: parent,
      newName: name,
    }));
  return moved[index]!.ok ? "healed" : "later";
}

// A directory has one place. Where the copy that has it here missed a change in the directory that it is
// in on copy `index`, and that one did not, a move that failed brought it here: the other is healed first.
async function isRightPlace(
  { set, here }: DirectoryHeal,
  { parent }: Entry,
  index: number,
  source: number,
): Promise<boolean> {
  const { told } = await inspect(set, parent, here);
  const { arbiter } = set;
  const { accused } = directionOf(told, "entry", { arbiter, differ: () => false });
  return accused.includes(source) && !accused.includes(index);
}

async function makeNew(
  { set }: DirectoryHeal,
  entry: { readonly parent: Inode; readonly name: string },
  index: number,
  stat: Iatt,
  target: string,
): Promise<NameOutcome> {
  const call = { ...set.call, uid: stat.uid, gid: stat.gid };
  const args = { ...entry, umask: 0, xdata: withKey(undefined, GFID_REQ, stat.gfid) };
  const made = await set.ask<unknown>([index], (copy) => {
    if (isSymlink(stat)) return copy.symlink(call, { ...args, target });
    if (isDirectory(stat)) return copy.mkdir(call, { ...args, mode: stat.mode });
    return copy.mknod(call, { ...args, mode: stat.mode, rdev: kernelDevice(stat.rdev) });
  });
  const answer = made[index]!;
  if (answer.ok) return "healed";
  const { message: error } = answer.error;
  set.env.log.warn("name cannot be made", { copy: set.copyNames[index], name: entry.name, error });
  return isMissing(answer.error) ? "later" : "left";
}
