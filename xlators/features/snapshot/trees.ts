/**
 * What clients browse: the view of each snapshot, and the directory that has them all. Gfids here are
 * those that clients know (core/view_gfid.ts).
 */

import type { ChangesAsked } from "core/changed_since.ts";
import { EIO, EISDIR, ENOTDIR, ESTALE } from "core/errno.ts";
import { type Iatt, isDirectory, S_IFDIR } from "core/iatt.ts";
import { type Gfid, ROOT_GFID } from "core/inode.ts";
import { SNAPSHOTS_GFID, viewGfid, viewKey, viewRoot } from "core/view_gfid.ts";
import type { Xdata } from "core/xdata.ts";
import type { History } from "snapshot/engine/history.ts";
import type { InodeState, Live } from "snapshot/engine/live.ts";
import type { Reader } from "snapshot/engine/store.ts";
import type { View } from "snapshot/engine/view.ts";
import { changedSince } from "xlators/features/snapshot/changed_since.ts";

/** A name in a directory of a tree. */
export interface Named {
  readonly name: string;
  readonly gfid: Gfid;
  /** `S_IFMT` part of the inode's mode. */
  readonly type: number;
  readonly tree: Tree;
}

/** A name with its place in the listing of its directory, which never changes. */
export interface Listed extends Named {
  /** More than 0, and more than that of the one before. */
  readonly place: number;
}

/** Methods throw FopError. */
export interface Tree {
  /** False while it may not be looked at: nothing of it is there. */
  readonly active: boolean;
  /** Undefined: it has no such inode. */
  state(gfid: Gfid): Promise<InodeState | undefined>;
  /** Undefined: no such name. */
  entry(directory: Gfid, name: string): Promise<Named | undefined>;
  /** All names of a directory. */
  entries(directory: Gfid): Promise<readonly Listed[]>;
  /** Fills `into`; answers how many bytes the file has there. */
  read(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): number | Promise<number>;
  /** Start of the first data, or hole, at or after `offset`; undefined: there is none. */
  seek(gfid: Gfid, offset: number, what: "data" | "hole"): Promise<number | undefined>;
  /** See `changed_since.ts`; absent: nothing here has changes. */
  changedSince?(gfid: Gfid, asked: ChangesAsked): Promise<Xdata>;
}

/** Gfids of live files are random or time-based UUIDs, but for a few small numbers: one in 30 others looks so. */
const USUAL_GFID = /^(.{8}-.{4}-[14].{3}-[89ab]|00000000-0000-0000-0000-0000000000)/;

/** What a snapshot of the volume sees. */
export class ViewTree implements Tree {
  active = false;
  readonly #history: History;
  readonly #id: string;
  readonly #key: Uint8Array;
  readonly root: Gfid;
  #latest: Gfid | undefined;
  #latestInside!: Gfid;

  constructor(history: History, id: string) {
    this.#history = history;
    this.#id = id;
    this.#key = viewKey(id);
    this.root = viewRoot(id);
  }

  get #view(): View {
    const view = this.#history.view(this.#id);
    if (!view) throw ESTALE;
    return view;
  }

  /** The live one's gfid. */
  inside(gfid: Gfid): Gfid {
    // Reads of one file come one after the other.
    if (gfid === this.#latest) return this.#latestInside;
    this.#latest = gfid;
    return this.#latestInside = viewGfid(gfid, this.#key);
  }

  /** Whether it is worth asking for a gfid that may be of any snapshot. */
  mayHave(gfid: Gfid): boolean {
    return USUAL_GFID.test(this.inside(gfid));
  }

  async state(gfid: Gfid): Promise<InodeState | undefined> {
    const state = await this.#view.inode(this.inside(gfid));
    return state && { ...state, iatt: { ...state.iatt, gfid } };
  }

  async entry(directory: Gfid, name: string): Promise<Named | undefined> {
    const found = await this.#view.entry(this.inside(directory), name);
    return found && { ...found, gfid: this.inside(found.gfid), tree: this };
  }

  /** The names of a view never change, so their order is a place for each. */
  async entries(directory: Gfid): Promise<readonly Listed[]> {
    const found = await this.#view.entries(this.inside(directory));
    return found.sort((a, b) => a.name < b.name ? -1 : 1).map((entry, index) => ({
      ...{ ...entry, gfid: this.inside(entry.gfid) },
      ...{ tree: this, place: index + 1 },
    }));
  }

  read(gfid: Gfid, offset: number, into: Uint8Array<ArrayBuffer>): number | Promise<number> {
    return this.#view.read(this.inside(gfid), offset, into);
  }

  async changedSince(gfid: Gfid, asked: ChangesAsked): Promise<Xdata> {
    return await changedSince(this.#history, this.#id, this.inside(gfid), asked);
  }

  async seek(gfid: Gfid, offset: number, what: "data" | "hole"): Promise<number | undefined> {
    const live = this.inside(gfid);
    return await (what === "data"
      ? this.#view.nextData(live, offset)
      : this.#view.nextHole(live, offset));
  }
}

/** A snapshot by its name. */
export interface Snapshot extends Listed {
  readonly tree: ViewTree;
}

/** Snapshots of one epoch have so many places in the listing. */
const PLACES_PER_EPOCH = 16;
const LAYOUT = "trusted.glusterfs.dht";

/** The directory that has the active snapshots by name. */
export class SnapshotsTree implements Tree {
  readonly active = true;
  readonly #history: History;
  readonly #live: Live;
  #version = -1;
  #trees = new Map<string, ViewTree>();
  #names: ReadonlyMap<string, Snapshot> = new Map();
  /** Milliseconds since 1970. */
  #newest = 0;

  constructor(history: History, live: Live) {
    this.#history = history;
    this.#live = live;
  }

  /** Whether there is a snapshot that may be looked at. */
  get any(): boolean {
    return this.names.size > 0;
  }

  /** The active snapshots; looking them up is one comparison while none comes or goes. */
  get names(): ReadonlyMap<string, Snapshot> {
    const { readers } = this.#history;
    if (readers.version !== this.#version) {
      this.#version = readers.version;
      this.#take(readers.list().filter(({ kind, file }) => kind === "snapshot" && !file));
    }
    return this.#names;
  }

  #take(snapshots: readonly Reader[]): void {
    const trees = new Map<string, ViewTree>(), names = new Map<string, Snapshot>();
    let nth = 0, epoch = 0;
    this.#newest = 0;
    for (const { id, name, active, created, epoch: its } of snapshots) {
      nth = its === epoch ? nth + 1 : 0;
      epoch = its;
      // Whoever knows a tree sees it come back.
      const tree = this.#trees.get(id) ?? new ViewTree(this.#history, id);
      trees.set(id, tree);
      tree.active = active;
      if (!active) continue;
      this.#newest = Math.max(this.#newest, created);
      const place = its * PLACES_PER_EPOCH + nth + 1;
      names.set(name, { name, gfid: tree.root, type: S_IFDIR, tree, place });
    }
    for (const [id, tree] of this.#trees) if (!trees.has(id)) tree.active = false;
    this.#trees = trees;
    this.#names = names;
  }

  /** As the volume's root, for reading only, changed when the newest snapshot was made. */
  async state(): Promise<InodeState> {
    const root = await this.#live.inode(ROOT_GFID);
    if (!root) throw EIO;
    void this.names;
    const time = Math.floor(this.#newest / 1000), nsec = (this.#newest % 1000) * 1e6;
    const iatt: Iatt = {
      ...{ ...root.iatt, gfid: SNAPSHOTS_GFID, mode: S_IFDIR | root.iatt.mode & 0o555 },
      ...{ nlink: 2, atime: time, mtime: time, ctime: time },
      ...{ atimeNsec: nsec, mtimeNsec: nsec, ctimeNsec: nsec },
    };
    const layout = root.xattrs.get(LAYOUT);
    return { iatt, xattrs: new Map(layout ? [[LAYOUT, layout]] : []) };
  }

  entry(_directory: Gfid, name: string): Promise<Named | undefined> {
    return Promise.resolve(this.names.get(name));
  }

  entries(): Promise<readonly Listed[]> {
    return Promise.resolve([...this.names.values()]);
  }

  read(): never {
    throw EISDIR;
  }

  seek(): never {
    throw EISDIR;
  }
}

/** The state of a directory. ENOTDIR: it is none. */
export function asDirectory(state: InodeState): InodeState {
  if (!isDirectory(state.iatt)) throw ENOTDIR;
  return state;
}
