/**
 * Directories put in order when they are looked up: copies that are missing are made, a layout with
 * holes or overlaps is dealt out anew under the layout's lock, attributes follow the copy that
 * decides. Nothing is touched while a subvolume is away: what it has is not known.
 */

import type { Call } from "core/call.ts";
import { EEXIST, ENOTCONN, FopError } from "core/errno.ts";
import type { AttrChanges } from "core/fops.ts";
import { type Iatt, isDirectory } from "core/iatt.ts";
import { type Entry, type Inode, ROOT_GFID } from "core/inode.ts";
import { ptr, Xdata } from "core/xdata.ts";
import { GFID_REQ, INTERNAL_FOP } from "core/xdata_keys.ts";
import { settle } from "core/xlator.ts";
import {
  COMMIT_REPAIRED,
  type Layout,
  newLayout,
  NO_SHARE,
  printShare,
} from "xlators/cluster/distribute/layout.ts";
import { withLayout, withNames } from "xlators/cluster/distribute/locking.ts";
import type { Space } from "xlators/cluster/distribute/space.ts";
import {
  answered,
  asking,
  asRoot,
  isUnfinished,
  layoutOf,
  SHARE,
  type Subvolumes,
} from "xlators/cluster/distribute/subvolumes.ts";

const PERMISSIONS = 0o7777;

/** A directory as its subvolumes have it. */
export interface Copies {
  readonly inode: Inode;
  /** Where it was looked up; undefined if by its gfid. */
  readonly entry: Entry | undefined;
  readonly path: string | undefined;
  /** Attributes by subvolume; undefined where there is no answer. */
  readonly stats: readonly (Iatt | undefined)[];
  /** By subvolume: true if it is there and has no such directory. */
  readonly missing: readonly boolean[];
  readonly layout: Layout;
  /** The subvolume whose attributes are right. */
  readonly mds: number | undefined;
}

/** See the head of this file. */
export class DirectoryHeal {
  readonly #subvolumes: Subvolumes;
  readonly #space: Space;

  constructor(subvolumes: Subvolumes, space: Space) {
    this.#subvolumes = subvolumes;
    this.#space = space;
  }

  /** Puts a directory in order, as far as can be, and answers what it is then. */
  async run(call: Call, copies: Copies): Promise<Copies> {
    if (copies.layout.shares.includes(undefined)) return copies;
    const differ = this.#differing(copies);
    const missing = copies.missing.includes(true);
    if (!missing && !differ.length && copies.layout.whole) return copies;
    const root = asRoot(call);
    try {
      await this.#follow(root, copies, differ);
      const whole = missing ? await this.#make(root, copies) : copies;
      if (whole.missing.includes(true) || whole.layout.whole) return whole;
      return { ...whole, layout: await this.layOut(root, whole.inode, whole.path, true) };
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      this.#subvolumes.env.log.warn("directory not put in order", {
        gfid: copies.inode.gfid,
        name: copies.entry?.name,
        why: error.code,
      });
      return copies;
    }
  }

  /**
   * Waits until nobody makes the directory any more that would be `entry`, whose name belongs on
   * `index`. Copies that a crash left without a gfid then get that of the others.
   */
  async finish(call: Call, { parent, name }: Entry, index: number): Promise<void> {
    const root = asRoot(call);
    await withNames(this.#subvolumes, root, [{ index, parent, name }], async () => {
      const ask = { parent, name, xdata: asking(undefined) };
      const answers = await settle(this.#subvolumes.all.map((to) => to.lookup(root, ask)));
      const whole = answered(answers).find(({ stat }) => isDirectory(stat));
      if (!whole) return;
      const propose = { ...ask, xdata: ask.xdata.with(GFID_REQ, whole.stat.gfid) };
      const lacking = this.#subvolumes.all.filter((_, at) => isUnfinished(answers[at]!));
      await settle(lacking.map((to) => to.lookup(root, propose)));
    });
  }

  // Copies whose owner or permissions are not those of the copy that decides.
  #differing({ stats, mds }: Copies): number[] {
    const right = mds === undefined ? undefined : stats[mds];
    if (!right) return [];
    return [...stats.keys()].filter((index) => {
      const stat = stats[index];
      return stat && (stat.mode !== right.mode || stat.uid !== right.uid || stat.gid !== right.gid);
    });
  }

  async #follow(root: Call, { inode, stats, mds }: Copies, differ: readonly number[]) {
    if (!differ.length) return;
    const changes = attributesOf(stats[mds!]!);
    await settle(differ.map((at) => this.#subvolumes.all[at]!.setattr(root, { inode, changes })));
  }

  async #make(root: Call, copies: Copies): Promise<Copies> {
    const { inode, entry, mds, missing } = copies;
    const model = copies.stats[mds ?? -1] ?? copies.stats.find((stat) => stat !== undefined);
    if (!entry || !model || inode.gfid === ROOT_GFID) return copies;
    const index = copies.stats.findIndex((stat) => stat !== undefined);
    return await withNames(this.#subvolumes, root, [{ index, ...entry }], async () => {
      // Whoever removed it meanwhile wins.
      await this.#subvolumes.all[index]!.lookup(root, { ...entry, inode });
      const made = await settle(
        missing.map((isMissing, at) =>
          isMissing ? this.#makeOne(root, at, entry, model) : Promise.resolve(undefined)
        ),
      );
      return {
        ...copies,
        missing: made.map(({ ok }, at) => missing[at]! && !ok),
      };
    });
  }

  async #makeOne(root: Call, at: number, entry: Entry, model: Iatt): Promise<void> {
    const xdata = new Xdata(new Map([[SHARE.name, ptr(printShare(NO_SHARE))]]))
      .with(GFID_REQ, model.gfid)
      .with(INTERNAL_FOP, true);
    const to = this.#subvolumes.all[at]!;
    const args = { ...entry, mode: model.mode & PERMISSIONS, umask: 0, xdata };
    await to.mkdir(root, args).catch((error) => {
      if (!EEXIST.matches(error)) throw error;
    });
    const inode = this.#subvolumes.inodes.of(model.gfid);
    await to.setattr(root, { inode, changes: attributesOf(model) });
  }

  /**
   * Deals out a directory's hashes, under its lock, unless somebody else has done so, and answers the
   * layout. `repaired`: names may already be where they do not belong.
   */
  async layOut(
    call: Call,
    inode: Inode,
    path: string | undefined,
    repaired: boolean,
  ): Promise<Layout> {
    await this.#space.refresh(call);
    return await withLayout(this.#subvolumes, call, inode, async () => {
      const ask = { inode, name: "", xdata: asking(undefined) };
      const now = await settle(this.#subvolumes.all.map((to) => to.lookup(call, ask)));
      const there = layoutOf(now);
      if (there.whole) return there;
      const weights = this.#space.weights().map((weight, at) => now[at]!.ok ? weight : 0);
      // All went away since the directory was made.
      if (!now.some(({ ok }) => ok)) throw ENOTCONN;
      const { names, values } = this.#subvolumes;
      const byGfid = values["randomize-hash-range-by-gfid"] || path === undefined;
      const seed = this.#subvolumes.hash(byGfid ? inode.gfid : path);
      const commit = repaired ? COMMIT_REPAIRED : 0;
      const layout = newLayout({ names, weights, seed, commit });
      await this.#write(call, inode, layout, now.map(({ ok }) => ok));
      return layout;
    });
  }

  async #write(call: Call, inode: Inode, layout: Layout, to: readonly boolean[]): Promise<void> {
    const written = await settle(this.#subvolumes.all.map(async (brick, at) => {
      if (!to[at]) return;
      const xattrs = Xdata.of([[SHARE.name, ptr(printShare(layout.shares[at]!))]]);
      await brick.setxattr(call, { inode, xattrs, flags: 0 });
    }));
    for (const answer of written) if (!answer.ok) throw answer.error;
  }
}

function attributesOf({ mode, uid, gid }: Iatt): AttrChanges {
  return { mode: mode & PERMISSIONS, uid, gid };
}
