/** Paths of inodes in one state of a volume, as users see them: asked of bricks, a level at a time. */

import type { NameIn } from "core/history_orders.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import type { HistoryBrick } from "mgmt/snapshots/history_brick.ts";

/** Gfids of one question. */
const AT_ONCE = 1024;
/** Deepest path that is followed: what bricks say may go round in circles. */
const DEPTH_MAX = 4096;

/** Bricks that are asked what names inodes have in one state. */
export type Named = Pick<HistoryBrick, "names">;

/** See the head of this file. */
export class Paths {
  readonly #bricks: readonly Named[];
  readonly #reader: string | undefined;
  /** Of directories; null: nobody knows. */
  #known = new Map<Gfid, NameIn | null>();

  /** `bricks`: one of each set, all of which have every directory; `reader`: undefined is now. */
  constructor(bricks: readonly Named[], reader: string | undefined) {
    this.#bricks = bricks;
    this.#reader = reader;
  }

  /** The names of files, as that brick has them. */
  async names(brick: Named, gfids: readonly Gfid[]): Promise<Map<Gfid, readonly NameIn[]>> {
    const found = new Map<Gfid, readonly NameIn[]>();
    for (let at = 0; at < gfids.length; at += AT_ONCE) {
      const some = gfids.slice(at, at + AT_ONCE);
      const names = await brick.names(this.#reader, some);
      some.forEach((gfid, index) => found.set(gfid, names[index] ?? []));
    }
    return found;
  }

  /** Finds out where these directories are; then `of` tells. */
  async learn(directories: Iterable<Gfid>): Promise<void> {
    let wanted = this.#unknown(directories);
    for (let depth = 0; wanted.length && depth < DEPTH_MAX; depth++) {
      let left = wanted;
      for (const brick of this.#bricks) {
        for (const [gfid, [name]] of await this.names(brick, left)) {
          if (name) this.#known.set(gfid, name);
        }
        left = this.#unknown(left);
        if (!left.length) break;
      }
      for (const gfid of left) this.#known.set(gfid, null);
      wanted = this.#unknown(wanted.flatMap((gfid) => this.#known.get(gfid)?.parent ?? []));
    }
  }

  #unknown(gfids: Iterable<Gfid>): Gfid[] {
    return [...new Set(gfids)].filter((gfid) => gfid !== ROOT_GFID && !this.#known.has(gfid));
  }

  /** The path of a name in a directory that `learn` was told of. */
  of({ parent, name }: NameIn): string {
    const names = [name];
    for (let at = parent; at !== ROOT_GFID;) {
      const found = this.#known.get(at);
      if (!found || names.length > DEPTH_MAX) return `<gfid:${at}>/${names.reverse().join("/")}`;
      names.push(found.name);
      at = found.parent;
    }
    return `/${names.reverse().join("/")}`;
  }
}
