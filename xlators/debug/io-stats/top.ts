/** Which files are used most, as `volume top` asks. */

import type { Gfid } from "core/inode.ts";
import { TOP_KINDS, type TopFile, type TopKind } from "core/reports.ts";
import type { Json } from "core/xlator.ts";

/** How many files a list names. */
export const LIST_MAX = 100;
/** Most files that are counted; beyond it the less used half is forgotten. */
export const FILES_MAX = 8192;

type Counts = Record<TopKind, number>;
type Throughput = "read-throughput" | "write-throughput";

/** Uses and throughputs of files, bounded in number. */
export class TopFiles {
  readonly #files = new Map<Gfid, Counts>();
  // When a file's best throughput was seen.
  readonly #seen: Record<Throughput, Map<Gfid, number>> = {
    "read-throughput": new Map(),
    "write-throughput": new Map(),
  };

  /** How many files are counted. */
  get size(): number {
    return this.#files.size;
  }

  /** One more use of a file. */
  used(kind: TopKind, gfid: Gfid): void {
    this.#of(gfid)[kind]++;
  }

  /** A transfer of `size` bytes took `ms`; it ended at `at`, in milliseconds since 1970. */
  moved(kind: Throughput, gfid: Gfid, size: number, ms: number, at: number): void {
    if (ms <= 0) return;
    const counts = this.#of(gfid), now = Math.round(size * 1000 / ms);
    if (now <= counts[kind]) return;
    counts[kind] = now;
    this.#seen[kind].set(gfid, at);
  }

  /** The files with the highest figure of that kind, highest first. */
  list(kind: TopKind, count: number): TopFile[] {
    const seen = this.#seen[kind as Throughput] as Map<Gfid, number> | undefined;
    return [...this.#files]
      .filter(([, counts]) => counts[kind] > 0)
      .sort(([, a], [, b]) => b[kind] - a[kind])
      .slice(0, count)
      .map(([gfid, counts]) => ({ gfid, value: counts[kind], at: seen?.get(gfid) ?? 0 }));
  }

  /** The files with the highest figure of each kind, highest first. */
  toJson(): Json {
    const lists: Record<string, Json> = {};
    for (const kind of TOP_KINDS) {
      lists[kind] = this.list(kind, LIST_MAX).map(({ gfid, value }) => ({ gfid, value }));
    }
    return lists;
  }

  #of(gfid: Gfid): Counts {
    let counts = this.#files.get(gfid);
    if (!counts) {
      if (this.#files.size >= FILES_MAX) this.#forgetLessUsed();
      counts = {
        open: 0,
        read: 0,
        write: 0,
        opendir: 0,
        readdirp: 0,
        "read-throughput": 0,
        "write-throughput": 0,
      };
      this.#files.set(gfid, counts);
    }
    return counts;
  }

  #forgetLessUsed(): void {
    const uses = ({ open, read, write, opendir, readdirp }: Counts) =>
      open + read + write + opendir + readdirp;
    const byUse = [...this.#files].sort(([, a], [, b]) => uses(a) - uses(b));
    for (const [gfid] of byUse.slice(0, FILES_MAX / 2)) this.#forget(gfid);
  }

  #forget(gfid: Gfid): void {
    this.#files.delete(gfid);
    for (const seen of Object.values(this.#seen)) seen.delete(gfid);
  }
}
