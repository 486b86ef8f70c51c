/** What a healer of one set of copies can do, for whoever runs healers. */

import type { Env } from "core/env.ts";
import type { Gfid, InodeTable } from "core/inode.ts";
import type { Xlator } from "core/xlator.ts";

/** What a set is, as a volfile describes it. */
export interface HealedSet {
  /** Of its layer in clients' graphs: locks are named after it. */
  readonly name: string;
  /** The copies, in order. */
  readonly copies: readonly Xlator[];
  /** Options of that layer. */
  readonly options: ReadonlyMap<string, string>;
  readonly env: Env;
  readonly inodes: InodeTable;
}

/** What a crawl did: files. */
export interface HealCounts {
  readonly healed: number;
  readonly splitBrain: number;
  /** To be healed, and not possible now. */
  readonly failed: number;
}

/** A file that a copy lists as to be healed. */
export interface HealEntry {
  readonly gfid: Gfid;
  /** From the volume's root, with a slash before it; undefined if no copy tells. */
  readonly path: string | undefined;
  readonly state: "pending" | "healing" | "split-brain";
}

/** Which copy of a file in split-brain is right: its number, the bigger one, or the newer one. */
export type RightCopy = number | "size" | "mtime";

/**
 * What became of a file that somebody decided about. "name healed": copies had different files of that
 * name, now all have the right one. The rest says why nothing was done: "copies away", not all copies
 * could be asked; "not there", the right copy does not have it; "directory", which has no size to go by; "only attributes" differ, and those say nothing of size or
 * time; "names differ", a name in it stands for different
 * files.
 */
export type Decision =
  | "healed"
  | "name healed"
  | "not split-brain"
  | "not found"
  | "copies away"
  | "no bigger file"
  | "same mtime"
  | "only attributes"
  | "directory"
  | "names differ"
  | "not there"
  | "not possible";

/** Heals one set of copies. Nothing of it throws because a copy is away. */
export interface Healer {
  readonly name: string;
  /** Names of the copies' layers. */
  readonly copies: readonly string[];
  /** Heals what copies list. `signal` ends it early. */
  healIndex(signal: AbortSignal): Promise<HealCounts>;
  /** Looks at every file there is. */
  healAll(signal: AbortSignal): Promise<HealCounts>;
  /** Files that copy number `copy` lists and that need something. Throws if it cannot be asked. */
  entries(copy: number): AsyncGenerator<HealEntry>;
  /** How many files it lists, from its own count. Throws if it cannot be asked. */
  count(copy: number): Promise<number>;
  /** Ends a split-brain. `file`: a path from the root, or "gfid:" and a gfid. */
  decide(file: string, right: RightCopy): Promise<Decision>;
  /** Takes over options that may change while it runs. */
  reconfigure(options: ReadonlyMap<string, string>): void;
}

/** Makes the healer of a set. */
export type MakeHealer = (set: HealedSet) => Healer;

/**
 * Copies as `.meta` and statedumps tell of them: scripts written for GlusterFS look for a copy's key of
 * marks, and on the line before it for whether it is up.
 */
export function copyStates(
  keys: readonly string[],
  up: readonly boolean[],
): { [name: string]: string | number } {
  return Object.fromEntries(
    keys.flatMap((key, index) => [
      [`child_up[${index}]`, Number(up[index])],
      [`pending_key[${index}]`, key],
    ]),
  );
}
