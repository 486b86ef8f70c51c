/** Which files are used most, as `volume top` asks. */

import type { Gfid } from "core/inode.ts";
import type { Json } from "core/xlator.ts";

/** What is counted for a file. Throughputs are the best seen, in bytes a second. */
export const TOP_KINDS = [
  "open",
  "read",
  "write",
  "opendir",
  "readdirp",
  "read-throughput",
  "write-throughput",
] as const;
export type TopKind = typeof TOP_KINDS[number];

/** How many files a list names. */
export const LIST_MAX = 100;
/** Most files that are counted; beyond it the less used half is forgotten. */
export const FILES_MAX = 8192;

type Counts = Record<TopKind, number>;

/** Uses and throughputs of files, bounded in number. */
export class TopFiles {
  readonly #files = new Map<Gfid, Counts>();

  /** How many files are counted. */
  get size(): number {
    return this.#files.size;
  }

  /** One more use of a file. */
  used(kind: TopKind, gfid: Gfid): void {
    this.#of(gfid)[kind]++;
  }

  /** A transfer of `size` bytes took `ms`. */
  moved(kind: "read-throughput" | "write-throughput", gfid: Gfid, size: number, ms: number): void {
    if (ms <= 0) return;
    const counts = this.#of(gfid), now = Math.round(size * 1000 / ms);
    if (now > counts[kind]) counts[kind] = now;
  }

  /** The files with the highest figure of each kind, highest first. */
  toJson(): Json {
    const lists: Record<string, Json> = {};
    for (const kind of TOP_KINDS) {
      lists[kind] = [...this.#files]
        .filter(([, counts]) => counts[kind] > 0)
        .sort(([, a], [, b]) => b[kind] - a[kind])
        .slice(0, LIST_MAX)
        .map(([gfid, counts]) => ({ gfid, value: counts[kind] }));
    }
    return lists;
  }

  #of(gfid: Gfid): Counts {
    let counts = this.#files.get(gfid);
    if (!counts) {
      if (this.#files.size >= FILES_MAX) this.#forgetLessUsed();
      counts = Object.fromEntries(TOP_KINDS.map((kind) => [kind, 0])) as Counts;
      this.#files.set(gfid, counts);
    }
    return counts;
  }

  #forgetLessUsed(): void {
    const uses = ({ open, read, write, opendir, readdirp }: Counts) =>
      open + read + write + opendir + readdirp;
    const byUse = [...this.#files].sort(([, a], [, b]) => uses(a) - uses(b));
    for (const [gfid] of byUse.slice(0, FILES_MAX / 2)) this.#files.delete(gfid);
  }
}
