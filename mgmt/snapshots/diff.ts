/**
 * What differs between two snapshots of a volume, or since one, by paths. Bricks tell what was touched
 * (`HistoryOrders.changes`); here that becomes one answer: a directory, and what several copies tell,
 * once, pointers of distribute left out, names of one inode together. The cost is of what was touched.
 */

import type { ChangedInode, ChangedName, NameIn } from "core/history_orders.ts";
import { isDirectory, isRegular, S_IFMT } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import { Refusal } from "mgmt/cli/managed.ts";
import type { Compared } from "mgmt/snapshots/compared.ts";
import type { HistoryBrick } from "mgmt/snapshots/history_brick.ts";
import { Paths } from "mgmt/snapshots/paths.ts";

/** A path that is not what it was. */
export type PathChange = {
  /** Where it is now; of what was removed, where it was. */
  readonly path: string;
  /** `added`, `removed`: also one more, or one less, name of a file that stays. */
  readonly kind: "added" | "removed" | "renamed" | "changed";
  /** As `S_IFMT`. */
  readonly type: number;
  /** Where it was before it was renamed, else null. */
  readonly from: string | null;
  /** What it holds was written, or it has another size; of what was changed or renamed. */
  readonly data: boolean;
  /** Owner, mode, times, extended attributes. */
  readonly attributes: boolean;
};

/** What bricks are asked here. */
export type Telling = Pick<HistoryBrick, "changes" | "names">;

/** Rows of one question, and most paths that are told at once. */
const PAGE = 1024, PATHS_MAX = 250_000;

/** What bricks together say of one inode. */
interface Merged {
  readonly gfid: Gfid;
  readonly mode: number;
  old: boolean;
  now: boolean;
  /** A brick has it in both states. */
  both: boolean;
  data: boolean;
  attributes: boolean;
  /** A directory has another time of its last change. */
  touched: boolean;
  /** Who knows its names now. */
  brick: Telling;
}

interface MergedName extends NameIn {
  readonly old: Gfid | undefined;
  readonly now: Gfid | undefined;
}

/** All that differs, sorted by path. Throws Refusal: it is too much to be told at once; OrderFailed. */
export async function diffOf(
  { old, now, sets }: Pick<Compared, "old" | "now"> & {
    readonly sets: readonly (readonly Telling[])[];
  },
): Promise<PathChange[]> {
  const bricks = sets.flat();
  const gathered = new Gathered();
  for (const brick of bricks) await gathered.add(brick, old.id, now?.id);
  const sides = { old: new Paths(bricks, old.id), now: new Paths(bricks, now?.id) };
  return await new Told(gathered, sides).all();
}

/** What all bricks say, as one. */
class Gathered {
  readonly inodes = new Map<Gfid, Merged>();
  #names = new Map<string, MergedName>();

  async add(brick: Telling, old: string, now: string | undefined): Promise<void> {
    const inodes = new Map<Gfid, ChangedInode>(), names: ChangedName[] = [];
    for (let after: string | undefined = ""; after !== undefined;) {
      const page: Awaited<ReturnType<Telling["changes"]>> = await brick.changes(
        ...[old, now, after, PAGE] as const,
      );
      for (const inode of page.inodes) inodes.set(inode.gfid, inode);
      names.push(...page.names);
      if (inodes.size + names.length > 4 * PATHS_MAX) throw tooMuch();
      after = page.next;
    }
    for (const inode of inodes.values()) this.#inode(inode, brick);
    const real = (gfid: Gfid | undefined, side: "old" | "now") =>
      gfid === undefined || inodes.get(gfid)?.[side]?.isLinkFile ? undefined : gfid;
    for (const { parent, name, old, now } of names) {
      this.#name({ parent, name, old: real(old, "old"), now: real(now, "now") });
    }
    await this.#moved([...inodes.values()], brick, old, now);
  }

  #inode({ gfid, old, now, ...flags }: ChangedInode, brick: Telling): void {
    const was = old && !old.isLinkFile ? old : undefined;
    const is = now && !now.isLinkFile ? now : undefined;
    const { mode } = is ?? was ?? {};
    if (mode === undefined) return;
    let merged = this.inodes.get(gfid);
    if (!merged) {
      const none = { old: false, now: false, both: false, data: false, attributes: false };
      this.inodes.set(gfid, merged = { gfid, mode, ...none, touched: false, brick });
    }
    if (was) merged.old = true;
    if (is) Object.assign(merged, { now: true, brick });
    if (!was || !is) return;
    merged.both = true;
    merged.data ||= flags.data;
    // What was written has another time, too.
    merged.attributes ||= flags.attributes || (flags.times && !flags.data && !isDirectory(is));
    merged.touched ||= flags.times && isDirectory(is);
  }

  #name({ parent, name, old, now }: MergedName): void {
    const key = `${parent}/${name}`, known = this.#names.get(key);
    this.#names.set(key, { parent, name, old: known?.old ?? old, now: known?.now ?? now });
  }

  // A file that became a pointer to where it is now, or the other way round, kept its name.
  async #moved(
    inodes: readonly ChangedInode[],
    brick: Telling,
    old: string,
    now: string | undefined,
  ): Promise<void> {
    const moved = inodes.filter(({ old, now }) => old && now && old.isLinkFile !== now.isLinkFile);
    for (const [side, reader] of [["old", old], ["now", now]] as const) {
      const real = moved.filter((inode) => !inode[side]!.isLinkFile).map(({ gfid }) => gfid);
      for (const [gfid, names] of await new Paths([brick], reader).names(brick, real)) {
        const none = { old: undefined, now: undefined };
        for (const name of names) this.#name({ ...name, ...none, [side]: gfid });
      }
    }
  }

  /** Names that lead elsewhere. */
  names(): MergedName[] {
    return [...this.#names.values()].filter(({ old, now }) => old !== now);
  }
}

type Sides = { readonly old: Paths; readonly now: Paths };

/** Makes changes of paths out of what was gathered. */
class Told {
  readonly #inodes: ReadonlyMap<Gfid, Merged>;
  readonly #names: readonly MergedName[];
  readonly #sides: Sides;

  constructor(gathered: Gathered, sides: Sides) {
    this.#inodes = gathered.inodes;
    this.#names = gathered.names();
    // A directory in which names changed has another time because of that.
    const parents = new Set(this.#names.map(({ parent }) => parent));
    for (const inode of this.#inodes.values()) {
      inode.attributes ||= inode.touched && !parents.has(inode.gfid);
    }
    this.#sides = sides;
  }

  async all(): Promise<PathChange[]> {
    const { old, now } = this.#sides;
    const lost = Map.groupBy(this.#names.filter((name) => name.old), (name) => name.old!);
    const got = Map.groupBy(this.#names.filter((name) => name.now), (name) => name.now!);
    const changed = await this.#changed(got);
    await old.learn([...lost.values()].flat().map(({ parent }) => parent));
    await now.learn([...got.values(), ...changed.values()].flat().map(({ parent }) => parent));
    const told: PathChange[] = [];
    for (const gfid of new Set([...lost.keys(), ...got.keys(), ...changed.keys()])) {
      told.push(...this.#of(gfid, lost.get(gfid), got.get(gfid), changed.get(gfid)));
      if (told.length > PATHS_MAX) throw tooMuch();
    }
    return told.sort((a, b) => a.path < b.path ? -1 : a.path > b.path ? 1 : 0);
  }

  /** The names, beside new ones, of what is in both states and is not as it was. */
  async #changed(got: ReadonlyMap<Gfid, readonly NameIn[]>): Promise<Map<Gfid, NameIn[]>> {
    const found = new Map<Gfid, NameIn[]>();
    const changed = [...this.#inodes.values()].filter((inode) =>
      inode.old && inode.now && (isOtherwise(inode).data || inode.attributes)
    );
    for (const [brick, some] of Map.groupBy(changed, ({ brick }) => brick)) {
      const names = await this.#sides.now.names(brick, some.map(({ gfid }) => gfid));
      for (const [gfid, all] of names) {
        const fresh = new Set(got.get(gfid)?.map(({ parent, name }) => `${parent}/${name}`));
        const same = all.filter(({ parent, name }) => !fresh.has(`${parent}/${name}`));
        // Nobody may know its name: then its gfid has to do.
        const unknown = all.length ? [] : [{ parent: gfid, name: "" }];
        found.set(gfid, [...same, ...unknown]);
      }
    }
    return found;
  }

  #of(
    gfid: Gfid,
    lost: readonly NameIn[] = [],
    got: readonly NameIn[] = [],
    changed: readonly NameIn[] = [],
  ): PathChange[] {
    const { old, now } = this.#sides;
    const inode = this.#inodes.get(gfid);
    const stays = inode !== undefined && inode.old && inode.now;
    const type = (inode?.mode ?? 0) & S_IFMT;
    const same = { type, from: null, data: false, attributes: false };
    const flags = stays ? isOtherwise(inode) : same;
    const before = lost.map((name) => old.of(name)).sort();
    const after = got.map((name) => now.of(name)).sort();
    const renamed = stays ? Math.min(before.length, after.length) : 0;
    return [
      ...after.slice(0, renamed).map((path, index): PathChange => ({
        ...{ path, kind: "renamed", type, from: before[index]! },
        ...{ data: flags.data, attributes: flags.attributes },
      })),
      ...after.slice(renamed).map((path): PathChange => ({ path, kind: "added", ...same })),
      ...before.slice(renamed).map((path): PathChange => ({ path, kind: "removed", ...same })),
      ...changed.map((name): PathChange => ({
        ...{ path: now.of(name).replace(/(.)\/$/, "$1"), kind: "changed", type, from: null },
        ...{ data: flags.data, attributes: flags.attributes },
      })),
    ];
  }
}

// Of a file that no brick has in both states, all may be other data.
function isOtherwise({ mode, both, data, attributes }: Merged) {
  return { data: data || (!both && isRegular({ mode })), attributes };
}

function tooMuch(): Refusal {
  return new Refusal(
    `Cannot list: more than ${PATHS_MAX} paths changed; compare snapshots that are nearer to each other`,
  );
}
