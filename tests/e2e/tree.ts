/** Trees of files compared entry by entry: a copy with its source, a brick with its replica. */

import { must } from "tests/e2e/process.ts";

const DUMP = new URL("./tree_dump.py", import.meta.url).pathname;
const DIFFERENCES_SHOWN = 12;

/** One entry as `tree_dump.py` tells it. */
export interface Entry {
  readonly path: string;
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly rdev: number;
  readonly blocks: number;
  readonly xattrs: Readonly<Record<string, string>>;
  readonly nlink?: number;
  readonly size?: number;
  readonly sha256?: string;
  readonly target?: string;
}

/** All entries below `directory`, itself included under the path "". */
export async function readTree(directory: string): Promise<Map<string, Entry>> {
  const text = await must(["python3", DUMP, directory], { timeoutMs: 900_000 });
  const entries = text.trim().split("\n").map((line) => JSON.parse(line) as Entry);
  return new Map(entries.map((each) => [each.path, each]));
}

/** Throws, listing the first differences, unless both trees are the same but for `changed` entries. */
export function expectSameTree(
  want: ReadonlyMap<string, Entry>,
  got: ReadonlyMap<string, Entry>,
  changed: (want: Entry, got: Entry) => string[],
): void {
  const differences: string[] = [];
  for (const [path, entry] of want) {
    const other = got.get(path);
    if (other) differences.push(...changed(entry, other).map((each) => `"${path}": ${each}`));
    else differences.push(`"${path}" is missing`);
  }
  for (const path of got.keys()) {
    if (!want.has(path)) differences.push(`"${path}" should not exist`);
  }
  if (differences.length === 0) return;
  const shown = differences.slice(0, DIFFERENCES_SHOWN).join("\n");
  throw new Error(`${differences.length} differences in ${want.size} entries:\n${shown}`);
}

function unequal(a: Entry, b: Entry, fields: readonly (keyof Entry)[]): string[] {
  return fields.filter((field) => a[field] !== b[field])
    .map((field) => `${field} ${String(a[field])} became ${String(b[field])}`);
}

function unequalXattrs(
  a: Readonly<Record<string, string>>,
  b: Readonly<Record<string, string>>,
): string[] {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].filter((name) => a[name] !== b[name])
    .map((name) => `${name} ${a[name] ?? "(absent)"} became ${b[name] ?? "(absent)"}`);
}

/** A copy made by `cp -a`: all that a program can see, times and ACLs included. */
export function copyDiffers(source: Entry, copy: Entry): string[] {
  const fields = ["mode", "uid", "gid", "rdev", "nlink", "size", "sha256", "target"] as const;
  const differences = unequal(source, copy, fields);
  // A symbolic link's own time and a directory that was written into later are cp's affair, not ours.
  if (source.mtime !== copy.mtime) differences.push(`mtime ${source.mtime} became ${copy.mtime}`);
  return [...differences, ...unequalXattrs(source.xattrs, copy.xattrs)];
}

// A counter that is all zero says what its absence says.
function settled(xattrs: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(xattrs).filter(([name, value]) =>
      !(name.startsWith("trusted.afr.") && /^0*$/.test(value))
    ),
  );
}

/**
 * Two bricks of a replica: what is stored, its gfids and handles. Times on disk are not compared:
 * each brick has its own clock, what clients see is in `trusted.glusterfs.mdata`, which is compared.
 */
export function replicaDiffers(one: Entry, other: Entry): string[] {
  const fields = ["mode", "uid", "gid", "rdev", "nlink", "size", "sha256", "target"] as const;
  return [
    ...unequal(one, other, fields),
    ...unequalXattrs(settled(one.xattrs), settled(other.xattrs)),
  ];
}

/**
 * Two bricks after a heal. GlusterFS's healer leaves two things behind that no client sees: handles of
 * directories that were removed, and the time of last change of entries that got another name.
 */
export function healedDiffers(one: Entry, other: Entry): string[] {
  const withoutChangeTime = ({ xattrs, ...rest }: Entry): Entry => {
    const { "trusted.glusterfs.mdata": mdata, ...others } = xattrs;
    // One byte of version, 8 of flags, then 16 each for change, modification and access.
    const modified = mdata?.slice(2 * 25, 2 * 41);
    return { ...rest, xattrs: modified === undefined ? others : { ...others, modified } };
  };
  return replicaDiffers(withoutChangeTime(one), withoutChangeTime(other));
}

/** What of a brick's tree clients can reach. */
export function visible(tree: ReadonlyMap<string, Entry>): Map<string, Entry> {
  return new Map([...tree].filter(([path]) => !path.startsWith(".glusterfs")));
}
