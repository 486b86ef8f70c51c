/**
 * Locks for changes of names. A single change locks its names and gives them up behind its answer. A
 * burst of them in one directory locks all of its names at once, and keeps that lock until nobody here
 * changed a name there for a while, another client or a healer wants one of them, a copy came or went, or
 * ten seconds are over: then a change costs one round trip, the change itself.
 *
 * Only a lock that nobody stands in the way of is kept, and no change waits for one while it uses a lock
 * that is kept, so that no two clients can wait for each other. Whoever meets somebody else in a directory
 * locks single names there for a while: two clients that work in one directory do not take it from each
 * other all the time.
 *
 * A lock is kept only if the bricks of all copies tell who holds it that somebody waits.
 */

import type { Call } from "core/call.ts";
import type { EntrylkContention } from "core/events.ts";
import { type Inode, PerInode } from "core/inode.ts";
import type { Copies } from "xlators/cluster/replicate/copies.ts";
import { ALL_NAMES, EntryHold } from "xlators/cluster/replicate/entry_hold.ts";
import {
  type Held,
  lockAll,
  type Lockee,
  nameLockee,
  tryAll,
} from "xlators/cluster/replicate/locking.ts";
import { Notices } from "xlators/cluster/replicate/lock_notices.ts";
import { isOnWord } from "xlators/cluster/replicate/options.ts";

/** Directories whose lock is kept at once. */
const HELD_MAX = 16;
/** Milliseconds that single names are locked where others were met. */
const SHY_MS = 10_000;

/** A name; `ALL_NAMES` stands for all of a directory. */
export interface Name {
  readonly inode: Inode;
  readonly name: string;
}

/** What is known of one directory. */
interface Directory {
  hold?: EntryHold | undefined;
  taking?: Promise<void> | undefined;
  /** Changes under single locks, until they are given up. */
  single: number;
  /** Such locks that are being given up. */
  leaving?: Promise<unknown> | undefined;
  /** Of the last change, in monotonic milliseconds. */
  changedAt: number;
  /** No lock is kept before that. */
  shyUntil: number;
}

/** See the head of this file. */
export class EntryLocks {
  readonly #copies: Copies;
  readonly #directories = new PerInode<Directory>();
  /** Locks that are kept, the one that was used last at the end. */
  readonly #holds = new Set<EntryHold>();
  readonly #notices: Notices;

  constructor(copies: Copies) {
    this.#copies = copies;
    this.#notices = new Notices(copies);
  }

  /** Directories whose lock is kept. */
  get size(): number {
    return this.#holds.size;
  }

  /**
   * Locks `names`, and of the directories `wholly` all names, on all copies that are up. Throws if there
   * are too few.
   */
  async lock(
    locker: Call,
    names: readonly Name[],
    wholly: readonly Inode[],
  ): Promise<Held> {
    const [{ inode }] = names as [Name];
    const together = names.every((each) => each.inode === inode);
    const held = together && !wholly.includes(inode)
      ? await this.#kept(locker, inode, names.map(({ name }) => name), wholly)
      : undefined;
    return held ?? await this.#single(locker, names, wholly);
  }

  /** Gives up all locks that are kept. */
  yield(): void {
    for (const hold of this.#holds) hold.end();
  }

  /** Hears who waits for what; false if it is no lock of this layer. */
  heard(event: EntrylkContention): boolean {
    if (this.#notices.heard(event)) return true;
    const { domain, gfid } = event;
    if (domain !== this.#copies.name) return false;
    this.#meet(this.#of(this.#copies.inodes.of(gfid)));
    return true;
  }

  #of(inode: Inode): Directory {
    let directory = this.#directories.get(inode);
    if (!directory) {
      directory = { single: 0, changedAt: -Infinity, shyUntil: -Infinity };
      this.#directories.set(inode, directory);
    }
    return directory;
  }

  #now(): number {
    return this.#copies.env.clock.monotonic();
  }

  // Somebody else works here.
  #meet(directory: Directory): void {
    directory.shyUntil = this.#now() + SHY_MS;
    directory.hold?.end();
  }

  // Under the lock of the directory, if it is or can be kept.
  async #kept(
    locker: Call,
    inode: Inode,
    names: readonly string[],
    wholly: readonly Inode[],
  ): Promise<Held | undefined> {
    const hold = await this.#holdOf(locker, inode);
    if (!hold) return undefined;
    const here = await hold.use(names);
    if (!here || !wholly.length) return here;
    const inside = await this.#insideOf(locker, wholly);
    if (!inside) {
      // Waiting for those while this one is held could be for ever.
      await here.release();
      return undefined;
    }
    const release = async () => {
      await inside.release();
      await here.release();
    };
    return { on: here.on, release };
  }

  // All names of other directories, unless somebody has one of them.
  async #insideOf(locker: Call, wholly: readonly Inode[]): Promise<Held | undefined> {
    const [inode] = wholly as [Inode];
    const directory = this.#of(inode);
    await directory.taking;
    const own = directory.hold;
    if (own && !own.ending && !own.stale) return await own.use([ALL_NAMES]);
    own?.end();
    await own?.over;
    if (directory.single) return undefined;
    await directory.leaving;
    const locks = await tryAll(this.#copies, nameLockee(this.#copies, locker, inode, ALL_NAMES));
    return locks && !locks.on.includes(false) ? locks : undefined;
  }

  async #holdOf(locker: Call, inode: Inode): Promise<EntryHold | undefined> {
    const directory = this.#of(inode);
    await directory.taking;
    const before = directory.hold;
    if (before && !before.stale && !before.ending) {
      this.#holds.delete(before);
      this.#holds.add(before);
      return before;
    }
    before?.end();
    await before?.over;
    if (!this.#mayKeep(directory)) return undefined;
    directory.taking ??= this.#take(locker, inode, directory)
      .finally(() => directory.taking = undefined);
    await directory.taking;
    return directory.hold;
  }

  #mayKeep(directory: Directory): boolean {
    const { up, values } = this.#copies, now = this.#now();
    if (!isOnWord(values["eager-lock"]) || now < directory.shyUntil || directory.single) {
      return false;
    }
    if (now - directory.changedAt >= this.#idleMs || up.includes(false)) return false;
    return this.#notices.everywhere;
  }

  get #idleMs(): number {
    return this.#copies.values["post-op-delay-secs"] * 1000;
  }

  async #take(locker: Call, inode: Inode, directory: Directory): Promise<void> {
    const copies = this.#copies, { generation } = copies;
    await directory.leaving;
    const { shyUntil } = directory;
    const locks = await tryAll(copies, nameLockee(copies, locker, inode, ALL_NAMES));
    if (!locks) return this.#meet(directory);
    const hold = directory.hold = new EntryHold(copies, locks, generation, this.#idleMs);
    this.#holds.add(hold);
    hold.over.then(() => {
      this.#holds.delete(hold);
      if (directory.hold === hold) directory.hold = undefined;
    });
    if (this.#holds.size > HELD_MAX) this.#oldest()?.end();
    // Somebody came while it was being taken, or a copy is not among those that are locked.
    if (directory.shyUntil !== shyUntil || locks.on.includes(false)) hold.end();
  }

  #oldest(): EntryHold | undefined {
    for (const hold of this.#holds) if (!hold.ending) return hold;
    return undefined;
  }

  // As ever: in the order that all clients keep, waiting for others.
  async #single(locker: Call, names: readonly Name[], wholly: readonly Inode[]): Promise<Held> {
    const copies = this.#copies;
    const all = [...names, ...wholly.map((inode) => ({ inode, name: ALL_NAMES }))];
    const directories = [...new Set(all.map(({ inode }) => inode))].map((inode) => this.#of(inode));
    for (const each of directories) each.single++;
    const over = () => {
      for (const each of directories) {
        each.single--;
        each.changedAt = this.#now();
      }
    };
    try {
      for (const each of directories) {
        await each.taking;
        each.hold?.end();
        await each.hold?.over;
      }
      const held = await lockAll(copies, lockeesOf(copies, locker, all), () => {
        for (const each of directories) this.#meet(each);
      });
      const release = () => {
        over();
        const leaving = held.release();
        for (const each of directories) each.leaving = leaving;
        return leaving;
      };
      return { on: held.on, release };
    } catch (error) {
      over();
      throw error;
    }
  }
}

function lockeesOf(copies: Copies, locker: Call, names: readonly Name[]): Lockee[] {
  const keyOf = ({ inode, name }: Name) => `${inode.gfid} ${name}`;
  const byKey = new Map(names.map((each) => [keyOf(each), each]));
  return [...byKey].sort(([a], [b]) => compare(a, b))
    .map(([, { inode, name }]) => nameLockee(copies, locker, inode, name));
}

const TEXT = new TextEncoder();
// Byte by byte, as GlusterFS's clients sort.
function compare(a: string, b: string): number {
  const left = TEXT.encode(a), right = TEXT.encode(b);
  for (let i = 0; i < left.length && i < right.length; i++) {
    if (left[i] !== right[i]) return left[i]! - right[i]!;
  }
  return left.length - right.length;
}
