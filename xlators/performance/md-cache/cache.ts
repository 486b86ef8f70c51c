/**
 * What is known of inodes: attributes, xattrs, and what names in directories stand for.
 *
 * Nothing is kept that could be older than what was answered before. Moments are counted: a fop
 * takes the number of the moment when it goes down (`ask`), and its answer is kept only if the inode
 * did not change after that, by us or by others, and is not changing. Two answers that were under
 * way at the same time and differ may have been made in either order: neither is kept.
 *
 * Known inodes and known names are bounded, the oldest go first. What goes takes its moments along,
 * so an inode that comes anew counts as changed when the last one went.
 */

import type { Clock } from "core/env.ts";
import type { Iatt } from "core/iatt.ts";
import type { Inode } from "core/inode.ts";
import type { DictValue, Xdata } from "core/xdata.ts";

/** When a fop went down. */
export interface Asked {
  readonly moment: number;
  /** Monotonic milliseconds. */
  readonly at: number;
}

/** What a name stands for: `inode`, undefined if there is nothing of that name. */
export interface KnownName {
  readonly parent: Inode;
  readonly name: string;
  readonly inode: Inode | undefined;
  readonly uid: number;
  readonly gid: number;
  readonly asked: Asked;
  readonly kept: number;
}

interface Known {
  stat: Iatt | undefined;
  statAsked: Asked;
  statKept: number;
  /** By name; null: there is none. */
  xattrs: Map<string, DictValue | null> | undefined;
  xattrsAsked: Asked;
  xattrsKept: number;
  names: Map<string, KnownName> | undefined;
  /** Changes of ours that are under way. */
  changing: number;
  changedAt: number;
}

/** A change that is under way, of one inode. */
export interface Change {
  readonly known: Known;
  readonly asked: Asked;
}

const NEVER: Asked = { moment: -1, at: -Infinity };

/** See the head of this file. */
export class Cache {
  /** How long answers may be relied on, in milliseconds. */
  timeoutMs = 0;
  readonly #clock: Clock;
  readonly #evicted: (names: readonly KnownName[]) => void;
  readonly #max: () => number;
  readonly #known = new Map<Inode, Known>();
  readonly #names = new Set<KnownName>();
  #moment = 0;
  #evictedAt = 0;
  /** What was kept before does not count any more. */
  #floor = 0;
  /** The same for attributes alone. */
  #statFloor = 0;

  /** Knows `max` inodes, and as many names, at most; `evicted` hears of names that make room. */
  constructor(
    clock: Clock,
    evicted: (names: readonly KnownName[]) => void = () => {},
    max: () => number = () => Infinity,
  ) {
    this.#clock = clock;
    this.#evicted = evicted;
    this.#max = max;
  }

  get inodes(): number {
    return this.#known.size;
  }

  get names(): number {
    return this.#names.size;
  }

  /** A fop goes down now. */
  ask(): Asked {
    return { moment: this.#moment, at: this.#clock.monotonic() };
  }

  /** Attributes that may be answered. */
  stat(inode: Inode): Iatt | undefined {
    const known = this.#known.get(inode);
    if (!known?.stat || known.statKept <= this.#statFloor) return undefined;
    return this.#isFresh(known.statAsked, known.statKept) ? known.stat : undefined;
  }

  /** Keeps attributes that were answered. */
  keepStat(inode: Inode, stat: Iatt, asked: Asked): void {
    const known = this.#of(inode);
    if (!this.#mayKeep(known, asked) || asked.moment < this.#statFloor) return;
    if (known.stat && asked.moment < known.statKept && !isSame(known.stat, stat)) {
      known.stat = undefined;
      known.changedAt = ++this.#moment;
      return;
    }
    this.#setStat(known, stat, asked);
  }

  /** The value of an xattr; null: there is none; undefined: not known. */
  xattr(inode: Inode, name: string): DictValue | null | undefined {
    const known = this.#known.get(inode);
    if (!known?.xattrs || !this.#isFresh(known.xattrsAsked, known.xattrsKept)) return undefined;
    return known.xattrs.get(name);
  }

  /** Keeps what was answered for those names. */
  keepXattrs(
    inode: Inode,
    names: Iterable<string>,
    values: Xdata | undefined,
    asked: Asked,
  ): void {
    const known = this.#of(inode);
    if (!this.#mayKeep(known, asked)) return;
    const fresh = known.xattrs !== undefined && this.#isFresh(known.xattrsAsked, known.xattrsKept);
    // Answers that were asked for earlier were not asked again: all are as old as the oldest.
    if (!fresh) {
      known.xattrs = new Map();
      known.xattrsAsked = asked;
    }
    for (const name of names) {
      const before = known.xattrs!.get(name);
      if (before !== undefined && asked.moment < known.xattrsKept) {
        known.xattrs = undefined;
        known.changedAt = ++this.#moment;
        return;
      }
      known.xattrs!.set(name, values?.raw(name) ?? null);
    }
    known.xattrsKept = ++this.#moment;
  }

  /** What a name stands for, if that may be relied on. */
  name(parent: Inode, name: string): KnownName | undefined {
    const found = this.#known.get(parent)?.names?.get(name);
    return found && this.#isFresh(found.asked, found.kept) ? found : undefined;
  }

  /** Keeps what a name stands for; who asked for it may know it again. */
  keepName(
    parent: Inode,
    name: string,
    inode: Inode | undefined,
    { uid, gid }: { readonly uid: number; readonly gid: number },
    asked: Asked,
  ): void {
    const known = this.#of(parent);
    if (!this.#mayKeep(known, asked)) return;
    const before = known.names?.get(name);
    if (before) this.#dropName(known, before);
    if (before && asked.moment < before.kept && before.inode !== inode) {
      known.changedAt = ++this.#moment;
      return;
    }
    const kept: KnownName = { parent, name, inode, uid, gid, asked, kept: ++this.#moment };
    (known.names ??= new Map()).set(name, kept);
    this.#names.add(kept);
    if (this.#names.size > this.#max()) this.#evictNames();
  }

  /** What the name stood for is not known any more. */
  forgetName(parent: Inode, name: string): void {
    const known = this.#known.get(parent);
    const found = known?.names?.get(name);
    if (found) this.#dropName(known!, found);
  }

  /** A change of ours begins. Nothing of the inode is known until it ended. */
  change(inode: Inode): Change {
    const known = this.#of(inode);
    known.changing++;
    known.stat = known.xattrs = undefined;
    const asked = { moment: ++this.#moment, at: this.#clock.monotonic() };
    known.changedAt = asked.moment;
    return { known, asked };
  }

  /** It ended, well or not; `post`: attributes right after it. True if nothing else changed it meanwhile. */
  changed({ known, asked }: Change, post?: Iatt): boolean {
    known.changing--;
    const alone = known.changing === 0 && known.changedAt === asked.moment;
    known.stat = known.xattrs = undefined;
    known.changedAt = ++this.#moment;
    if (post && alone && asked.moment >= this.#floor && asked.moment >= this.#statFloor) {
      this.#setStat(known, post, asked);
    }
    return alone;
  }

  /** Its attributes may have changed. */
  invalidateStat(inode: Inode): void {
    const known = this.#known.get(inode);
    if (!known) return;
    known.stat = known.xattrs = undefined;
    known.changedAt = ++this.#moment;
  }

  /** Somebody else changed it. Answers the names in it that were known. */
  invalidate(inode: Inode): readonly KnownName[] {
    const known = this.#of(inode);
    known.stat = known.xattrs = undefined;
    known.changedAt = ++this.#moment;
    const names = [...known.names?.values() ?? []];
    for (const name of names) this.#dropName(known, name);
    return names;
  }

  /** Nothing is known any more. */
  forgetAll(): void {
    this.#floor = ++this.#moment;
  }

  /** No attributes are known any more. */
  forgetStats(): void {
    this.#statFloor = ++this.#moment;
  }

  /** All names that are known. */
  allNames(): Iterable<KnownName> {
    return this.#names;
  }

  #isFresh({ at }: Asked, kept: number): boolean {
    return kept > this.#floor && this.#clock.monotonic() - at < this.timeoutMs;
  }

  #mayKeep(known: Known, { moment }: Asked): boolean {
    return known.changing === 0 && moment >= known.changedAt && moment >= this.#floor;
  }

  #setStat(known: Known, stat: Iatt, asked: Asked): void {
    known.stat = stat;
    known.statAsked = asked;
    known.statKept = ++this.#moment;
  }

  #of(inode: Inode): Known {
    const found = this.#known.get(inode);
    if (found) return found;
    if (this.#known.size >= this.#max()) this.#evictInodes();
    const known: Known = {
      stat: undefined,
      statAsked: NEVER,
      statKept: 0,
      xattrs: undefined,
      xattrsAsked: NEVER,
      xattrsKept: 0,
      names: undefined,
      changing: 0,
      changedAt: this.#evictedAt,
    };
    this.#known.set(inode, known);
    return known;
  }

  #dropName(known: Known, found: KnownName): void {
    known.names!.delete(found.name);
    this.#names.delete(found);
  }

  // How many of so many make room, for one at least: enough that it pays to look for them.
  #room(size: number): number {
    const max = this.#max();
    return Math.max(max >> 3, size + 1 - max);
  }

  #evictInodes(): void {
    let count = this.#room(this.#known.size);
    this.#evictedAt = ++this.#moment;
    for (const [inode, known] of this.#known) {
      if (count-- === 0) return;
      if (known.changing) continue;
      if (known.names?.size) this.#evicted([...known.names.values()]);
      for (const name of known.names?.values() ?? []) this.#names.delete(name);
      this.#known.delete(inode);
    }
  }

  #evictNames(): void {
    const gone: KnownName[] = [];
    let count = this.#room(this.#names.size);
    for (const found of this.#names) {
      if (count-- === 0) break;
      gone.push(found);
    }
    for (const found of gone) this.#dropName(this.#known.get(found.parent)!, found);
    this.#evicted(gone);
  }
}

function isSame(one: Iatt, other: Iatt): boolean {
  return one.size === other.size && one.ctime === other.ctime &&
    one.ctimeNsec === other.ctimeNsec && one.mtime === other.mtime &&
    one.mtimeNsec === other.mtimeNsec && one.mode === other.mode && one.nlink === other.nlink &&
    one.uid === other.uid && one.gid === other.gid;
}
