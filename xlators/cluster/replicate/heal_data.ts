/**
 * Heals the data of a file: sinks become like the source, and only what differs is written.
 *
 * While the whole file is locked, marks are read, sinks get the source's size, and what changed is
 * asked. Then the lock goes, and ranges are locked one after the other while they are copied: clients
 * write meanwhile, to all copies that are up, sinks among them. At the end the data is synced, the file
 * is locked again and the marks that were seen at the beginning are taken off. A healer that ends
 * anywhere before that leaves all marks: it is done again.
 */

import { type ByteRange, CHANGED_PREFIX, OPEN_CHANGES, unpackRanges } from "core/changed_ranges.ts";
import { FopError } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import { Fd, type Inode } from "core/inode.ts";
import { valueBytes } from "core/xdata.ts";
import type { Settled } from "core/xlator.ts";
import { marksToAdd } from "xlators/cluster/replicate/blame.ts";
import {
  blamedSince,
  type Direction,
  directionOf,
  favoriteOf,
  type Testimonies,
} from "xlators/cluster/replicate/heal_direction.ts";
import { copyRanges, type DataCopy } from "xlators/cluster/replicate/heal_copy.ts";
import { inspect, unmark } from "xlators/cluster/replicate/heal_inspect.ts";
import { ALL_DATA, lockRange } from "xlators/cluster/replicate/heal_locks.ts";
import type { HealSet } from "xlators/cluster/replicate/heal_set.ts";

/** What became of a part of a file. */
export type Outcome = "clean" | "healed" | "left" | "busy" | "split-brain";

/** Who is right, by a person's word: a copy's number, or a way to tell. */
export type Choice = number | "size" | "mtime" | undefined;

/** Heals the data of `inode`. Throws what the source fails with. */
export async function healData(set: HealSet, inode: Inode, choice?: Choice): Promise<Outcome> {
  await using alone = await lockRange(set, set.healers, inode, ALL_DATA).tryAll();
  if (!alone) return "busy";
  if (alone.on.length < 2) return "left";
  const plan = await prepare(set, inode, choice);
  if (typeof plan === "string") return plan;
  if (plan.ranges.length) await copyRanges(plan.copy, plan.ranges, plan.known);
  return await finish(set, inode, plan);
}

interface Plan {
  readonly told: Testimonies;
  readonly copy: DataCopy;
  /** What to look at. */
  readonly ranges: readonly ByteRange[];
  /** True: that is what changed; false: it may have, anywhere. */
  readonly known: boolean;
}

async function prepare(set: HealSet, inode: Inode, choice: Choice): Promise<Plan | Outcome> {
  await using locked = await lockRange(set, set.name, inode, ALL_DATA).wait();
  let { told } = await inspect(set, inode, locked.on);
  const direction = dataDirection(set, told, choice);
  if (direction === "split-brain") return direction;
  const here = told.flatMap((each, index) => each ? [index] : []);
  if (here.length < 2) return "left";
  const source = direction.sources.find((index) => index !== set.arbiter);
  if (!direction.sinks.length && !direction.dirty.length) return "clean";
  // Without the copies that are away nobody can tell which unfinished write is the last one.
  if (!direction.accused.length && here.length < set.count) return "left";
  // An arbiter's word is enough only if no copy that is away may have data.
  const empty = here.length === set.count &&
    here.every((index) => told[index]!.stat.size === 0);
  if (source === undefined && !empty) return "left";
  const size = source === undefined ? 0 : told[source]!.stat.size;
  const sinks = direction.sinks.filter((index) => index !== set.arbiter);
  let changed = sinks.length ? await changedRanges(set, inode, told, direction) : [];
  const short = sinks.filter((index) => isUnknownEnd(told, index, size, direction, changed));
  if (short.length) {
    const now = await blame(set, inode, { told, direction, whom: short, on: locked.on });
    if (!now || told.some((each, index) => each && !now[index])) return "left";
    told = now;
    changed = undefined;
  }
  const fd = new Fd(inode, O_RDWR, true);
  const fresh = new Set(sinks.filter((index) => told[index]!.stat.size === 0));
  const resized = sinks.filter((index) => told[index]!.stat.size !== size);
  const cut = await set.ask(
    resized,
    (copy) => copy.truncate(set.call, { inode, offset: size }),
  );
  const failed = new Set(resized.filter((index) => !cut[index]!.ok));
  const ranges = (changed ?? [{ start: 0, end: size }])
    .map(({ start, end }) => ({ start, end: Math.min(end, size) }))
    .filter(({ start, end }) => start < end);
  const from = source ?? here[0]!;
  const isStillRight = async (on: readonly number[]) =>
    !blamedSince(told, (await inspect(set, inode, on)).told, from, "data");
  return {
    told,
    copy: { set, fd, source: from, sinks, fresh, failed, isStillRight },
    ranges: sinks.length ? ranges : [],
    known: changed !== undefined,
  };
}

/**
 * True if a sink ends before the source does, and nobody can tell why: with its machine's power it lost
 * what was appended. When it is as long as the source, nothing shows that any more.
 */
function isUnknownEnd(
  told: Testimonies,
  sink: number,
  size: number,
  direction: Direction,
  changed: readonly ByteRange[] | undefined,
): boolean {
  const end = told[sink]!.stat.size;
  if (end >= size) return false;
  if (changed) return !changed.some((range) => range.start <= end && size <= range.end);
  return isUnmarked(told, sink, direction);
}

// So that whoever heals next compares all of it, should this heal not end: by those that blame the copy
// anyway, as who blames it and who does not decides who is right; by all where nothing else is marked.
// What the copies tell then; undefined: not all could be told.
async function blame(
  set: HealSet,
  inode: Inode,
  { told, direction, whom, on }: {
    readonly told: Testimonies;
    readonly direction: Direction;
    readonly whom: readonly number[];
    readonly on: readonly number[];
  },
): Promise<Testimonies | undefined> {
  const blamed = (source: number) =>
    whom.filter((sink) => blames(told, source, sink) || isUnmarked(told, sink, direction));
  const by = direction.sources.filter((source) => blamed(source).length);
  const answers = await set.ask(by, (copy, source) => {
    const more = blamed(source);
    const counts = set.all.map((index) => more.includes(index) ? { data: 1 } : undefined);
    return copy.xattrop(set.call, { inode, op: "add32", xattrs: marksToAdd(set.keys, counts) });
  });
  if (by.some((index) => !answers[index]!.ok)) return undefined;
  return by.length ? (await inspect(set, inode, on)).told : told;
}

// No mark tells why it has to be healed.
function isUnmarked(told: Testimonies, sink: number, { sources, dirty }: Direction): boolean {
  return !dirty.length && !sources.some((source) => blames(told, source, sink));
}

function blames(told: Testimonies, from: number, whom: number): boolean {
  return (told[from]!.marks.blames[whom]?.data ?? 0) !== 0;
}

/** Who heals whom; a split-brain goes by `choice`, else by the volume's policy. */
export function dataDirection(
  set: HealSet,
  told: Testimonies,
  choice: Choice,
): Direction | "split-brain" {
  const { arbiter, majority } = set;
  const differ = (one: { size: number }, other: { size: number }) => one.size !== other.size;
  const direction = directionOf(told, "data", { arbiter, differ, majority });
  if (direction.sources.length) return direction;
  // A copy that is away may be the right one.
  if (told.includes(undefined)) return "split-brain";
  const source = typeof choice === "number"
    ? choice
    : favoriteOf(told, choice ?? set.favorite, arbiter);
  if (source === undefined || !told[source] || source === arbiter) return "split-brain";
  const sinks = direction.sinks.filter((index) => index !== source);
  return { ...direction, sources: [source], sinks };
}

// What sinks missed; undefined if one copy that has to know does not.
async function changedRanges(
  set: HealSet,
  inode: Inode,
  told: Testimonies,
  { sources, sinks, dirty }: Direction,
): Promise<ByteRange[] | undefined> {
  // What a sink has and a source misses goes, too, and only the sink has recorded it.
  if (sinks.some((sink) => sources.some((source) => blames(told, sink, source)))) return undefined;
  const here = told.flatMap((each, index) => each && index !== set.arbiter ? [index] : []);
  // A client ended in a transaction: any copy may have a write that others have not.
  const open = sources.some((index) => dirty.includes(index));
  const asked = open ? here.map((index) => [index, OPEN_CHANGES] as const) : [];
  const questions: (readonly [copy: number, name: string])[] = [...asked];
  for (const sink of sinks) {
    if (sink === set.arbiter) continue;
    const accusers = here.filter((index) => blames(told, index, sink));
    // Whoever is no source has its own changes, which nobody else has recorded.
    if (accusers.some((index) => !sources.includes(index))) return undefined;
    if (!accusers.length && !open) return undefined;
    questions.push(...accusers.map((index) => [index, set.copyNames[sink]!] as const));
  }
  if (!questions.length) return undefined;
  const answers = await Promise.all(
    questions.map(([index, name]) => changedOn(set, inode, index, name)),
  );
  // Nothing changed since the mark was set: it may say that nobody knows what became of a change before.
  if (open && asked.every((_, at) => answers[at]?.length === 0)) return undefined;
  const known = answers.filter((answer) => answer !== undefined);
  return known.length === answers.length ? merged(known.flat()) : undefined;
}

async function changedOn(
  set: HealSet,
  inode: Inode,
  index: number,
  copy: string,
): Promise<ByteRange[] | undefined> {
  const name = CHANGED_PREFIX + copy;
  try {
    const { xattrs } = await set.copies[index]!.getxattr(set.call, { inode, name });
    const value = xattrs?.raw(name);
    const bytes = value && valueBytes(value);
    return bytes && unpackRanges(bytes);
  } catch (error) {
    if (!(error instanceof FopError)) throw error;
    // ENODATA: unknown. Whatever else a brick says, checksums tell.
    return undefined;
  }
}

function merged(ranges: readonly ByteRange[]): ByteRange[] {
  const result: ByteRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last && range.start <= last.end) {
      result[result.length - 1] = { start: last.start, end: Math.max(last.end, range.end) };
    } else result.push(range);
  }
  return result;
}

async function finish(set: HealSet, inode: Inode, { told, copy }: Plan): Promise<Outcome> {
  const { fd, sinks, failed, source } = copy;
  const sound = () => sinks.filter((index) => !failed.has(index));
  const fail = (answers: readonly Settled<unknown>[]) => {
    for (const index of sound()) if (!answers[index]!.ok) failed.add(index);
  };
  fail(await set.ask(sound(), (each) => each.fsync(set.call, { fd, dataOnly: false })));
  await using locked = await lockRange(set, set.name, inode, ALL_DATA).wait();
  const { told: now } = await inspect(set, inode, locked.on);
  const stat = now[source]?.stat;
  // What the source missed meanwhile, sinks may have had: another heal finds out who is right.
  if (!stat || blamedSince(told, now, source, "data")) return "left";
  // A copy that went away would blame the sinks on, when others do not any more.
  if (told.some((each, index) => each && !now[index])) return "left";
  const changes = {
    atime: { sec: stat.atime, nsec: stat.atimeNsec },
    mtime: { sec: stat.mtime, nsec: stat.mtimeNsec },
  };
  fail(await set.ask(sound(), (each) => each.setattr(set.call, { inode, changes })));
  const all = told.every((each) => each !== undefined) && !failed.size;
  const healed = set.all.filter((index) => told[index] && !failed.has(index));
  const done = await unmark(set, inode, "data", told, { healed, clean: all });
  return done && !failed.size ? "healed" : "left";
}
