/**
 * Who blames whom: every copy of a file keeps, for each other copy, how many changes that one missed
 * (`trusted.afr.<client>`), and how many changes of its own are under way (`trusted.afr.dirty`).
 * Each is three 32-bit counts, big-endian: data, metadata, entry.
 */

import { type Iatt, isDirectory } from "core/iatt.ts";
import { ptr, valueBytes, Xdata } from "core/xdata.ts";

/** What of a file changed; the position of its count. */
export type Part = "data" | "metadata" | "entry";
export const PARTS = ["data", "metadata", "entry"] as const satisfies readonly Part[];
const BYTES = 12;

/** Changes missed, or under way, by part. */
export type Counts = Readonly<Record<Part, number>>;
export const NO_COUNTS: Counts = Object.freeze({ data: 0, metadata: 0, entry: 0 });

/** The counts in an attribute; what is missing or cut off counts as 0. */
export function parseCounts(bytes: Uint8Array | undefined): Counts {
  if (!bytes || bytes.every((byte) => byte === 0)) return NO_COUNTS;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = (index: number) => bytes.length >= index * 4 + 4 ? view.getInt32(index * 4) : 0;
  return { data: at(0), metadata: at(1), entry: at(2) };
}

/** An attribute's bytes. */
export function countsBytes(counts: Partial<Counts>): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  const view = new DataView(bytes.buffer);
  PARTS.forEach((part, index) => view.setInt32(index * 4, counts[part] ?? 0));
  return bytes;
}

/** Names of the attributes: one per copy, and the one for changes under way. */
export interface MarkKeys {
  readonly pending: readonly string[];
  readonly dirty: string;
}

/** What one copy of a file tells. */
export interface Marks {
  /** By number of the blamed copy. */
  readonly blames: readonly Counts[];
  readonly dirty: Counts;
}

/** The marks in an answer's extra data or xattrs. */
export function marksIn(xdata: Xdata | undefined, { pending, dirty }: MarkKeys): Marks {
  const counts = (name: string) => {
    const value = xdata?.raw(name);
    return parseCounts(value && valueBytes(value));
  };
  return { blames: pending.map(counts), dirty: counts(dirty) };
}

/** Attributes for an xattrop that adds `blames` and `dirty`; a copy that is not blamed is asked with 0. */
export function marksToAdd(
  { pending, dirty }: MarkKeys,
  blames: readonly (Partial<Counts> | undefined)[],
  own?: Partial<Counts>,
): Xdata {
  const values = pending.map((name, index) =>
    [name, ptr(countsBytes(blames[index] ?? {}))] as const
  );
  return Xdata.of(own ? [...values, [dirty, ptr(countsBytes(own))]] : values);
}

/** True for each copy that some copy blames for having missed a change of `part`. */
export function blamedCopies(told: readonly (Marks | undefined)[], part: Part): boolean[] {
  return told.map((_, index) => told.some((marks) => (marks?.blames[index]?.[part] ?? 0) !== 0));
}

/** The part that holds what a file is for: names of a directory, data of everything else. */
export function contentPart(stat: Iatt): Part {
  return isDirectory(stat) ? "entry" : "data";
}

/** One copy's answer about a file. */
export interface Witness {
  readonly stat: Iatt;
  readonly marks: Marks;
  /** The brick found the copy damaged. */
  readonly bad?: boolean;
}

/** Which copies may be read. A copy that did not answer may not. */
export interface Judgement {
  /** Data of a file, names of a directory. */
  readonly content: readonly boolean[];
  /** Nobody blames its content: as `content`, with the arbiter and without copies that wait to be merged. */
  readonly sound: readonly boolean[];
  readonly metadata: readonly boolean[];
  /** True if a copy that answered may not be read, but for the arbiter. */
  readonly needsHeal: boolean;
}

/** True if both say the same of as many copies. */
export function tellSame(one: Judgement, other: Judgement): boolean {
  const agree = (part: "content" | "sound" | "metadata") =>
    one[part].every((may, index) => may === other[part][index]);
  return one.needsHeal === other.needsHeal && agree("content") && agree("sound") &&
    agree("metadata");
}

/**
 * What follows from the copies' answers. Nobody reads the arbiter. `busy`: somebody is writing now, so
 * that sizes may differ without anybody having missed a write.
 */
export function judge(
  witnesses: readonly (Witness | undefined)[],
  { arbiter, busy }: { arbiter?: number | undefined; busy: boolean },
): Judgement {
  const told = witnesses.map((witness) => witness?.marks);
  const first = witnesses.find((witness) => witness !== undefined);
  const part = first ? contentPart(first.stat) : "data";
  const content = blamedCopies(told, part), metadata = blamedCopies(told, "metadata");
  if (part === "data" && !busy) blameShorter(witnesses, content, arbiter);
  const soundBut = (blamed: readonly boolean[]) =>
    witnesses.map((witness, index) => witness !== undefined && !witness.bad && !blamed[index]);
  const mayRead = (blamed: readonly boolean[]) =>
    soundBut(blamed).map((has, index) => has && index !== arbiter);
  const needsHeal = witnesses.some((witness, index) =>
    witness !== undefined && (content[index] || metadata[index])
  );
  // Names of a directory are merged when it is healed: until then any copy's are better than none.
  const merges = part === "entry" &&
    witnesses.every((witness, index) => !witness || content[index]);
  const hidden = merges ? content.map(() => false) : content;
  return {
    content: mayRead(hidden),
    sound: soundBut(content),
    metadata: mayRead(metadata),
    needsHeal,
  };
}

// Appends are not synced before their marks are taken off: a copy that lost one is shorter.
function blameShorter(
  witnesses: readonly (Witness | undefined)[],
  blamed: boolean[],
  arbiter: number | undefined,
): void {
  let size = 0;
  witnesses.forEach((witness, index) => {
    if (witness && !witness.bad && !blamed[index]) size = Math.max(size, witness.stat.size);
  });
  witnesses.forEach((witness, index) => {
    if (witness && index !== arbiter && witness.stat.size < size) blamed[index] = true;
  });
}

/** True if copies answered and each is blamed: nobody can tell which is right. */
export function isSplitBrain(told: readonly (Marks | undefined)[], part: Part): boolean {
  const blamed = blamedCopies(told, part);
  const answered = told.flatMap((marks, index) => marks ? [index] : []);
  return answered.length > 0 && answered.every((index) => blamed[index]);
}

/** How many of `which` are true. */
export function countOf(which: readonly boolean[]): number {
  let count = 0;
  for (const each of which) if (each) count++;
  return count;
}
