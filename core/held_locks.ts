/**
 * POSIX locks (fcntl, and flock as a lock of the whole file) that the brick granted, so that they can
 * be taken again on the next connection. The brick forgets a connection's locks when it ends.
 *
 * As fcntl(2) says, locks of an owner are the inode's, whichever fd they were taken through: a new
 * one replaces what it covers, an unlock takes away what it covers.
 */

import type { Call, LkOwner } from "core/call.ts";
import type { Flock } from "core/fops.ts";
import { type Fd, type Inode, PerInode } from "core/inode.ts";
import type { Xdata } from "core/xdata.ts";
import {
  join,
  LAST,
  overlaps,
  type Range,
  signedRangeOf,
  touches,
  WHOLE,
  without,
} from "core/lib/ranges.ts";

/** A granted lock. */
export interface HeldLock {
  /** The file it was taken through: closed, the lock goes. */
  readonly fd: Fd;
  readonly owner: LkOwner;
  readonly pid: number;
  readonly type: "read" | "write";
  readonly range: Range;
  /** As the lock itself spells the process. */
  readonly flockPid: number;
  /** What came with the request: whether it is mandatory. */
  readonly xdata: Xdata | undefined;
  /** False if the range depends on the file's size: it cannot be asked for again. */
  readonly fixed: boolean;
}

/** See the head of this file. */
export class HeldLocks {
  #byInode = new Map<Inode, readonly HeldLock[]>();
  #asked = new PerInode<true>();

  /** Inodes with locks. */
  get size(): number {
    return this.#byInode.size;
  }

  /** Locks of `inode` are about to be asked for: whatever comes of that, the brick may have some. */
  asks(inode: Inode): void {
    this.#asked.set(inode, true);
  }

  /** True if the brick may have locks of ours on `inode`. */
  mayHave(inode: Inode): boolean {
    return this.#asked.get(inode) ?? false;
  }

  /** All locks. */
  get all(): readonly HeldLock[] {
    return [...this.#byInode.values()].flat();
  }

  /** Locks taken through `fd`, in the order of granting. */
  of(fd: Fd): readonly HeldLock[] {
    return this.#byInode.get(fd.inode)?.filter((each) => each.fd === fd) ?? [];
  }

  /** What the owner of `call` has in the range of `lock`. */
  inRange(call: Call, fd: Fd, lock: Flock): readonly HeldLock[] {
    const locks = this.#byInode.get(fd.inode);
    if (!locks || lock.whence !== 0) return [];
    const range = signedRangeOf(lock.start, lock.size);
    return locks.filter((each) => each.owner === call.lkOwner && overlaps(each.range, range));
  }

  /** True if `lock` is still held as it was. */
  has(lock: HeldLock): boolean {
    return this.#byInode.get(lock.fd.inode)?.includes(lock) ?? false;
  }

  /** The brick granted `lock`, which is no unlock. */
  took(call: Call, fd: Fd, lock: Flock, xdata: Xdata | undefined): void {
    const { type } = lock;
    if (type === "unlock") return;
    const fixed = lock.whence === 0;
    const range = fixed ? signedRangeOf(lock.start, lock.size) : WHOLE;
    // What a range relative to the file's end replaces is not known: the older lock is kept, too.
    if (fixed) this.#cut(fd.inode, call.lkOwner, range);
    this.#add({
      fd,
      owner: call.lkOwner,
      pid: call.pid,
      type,
      range,
      flockPid: lock.pid,
      xdata,
      fixed,
    });
  }

  // Neighbours of one kind are one lock, as at the brick: a file locked byte by byte is no long list.
  #add(lock: HeldLock): void {
    const { inode } = lock.fd;
    let { range } = lock;
    const others = this.#byInode.get(inode)?.filter((each) => {
      if (!sameKind(each, lock) || !touches(each.range, range)) return true;
      range = join(each.range, range);
      return false;
    });
    this.#set(inode, [...others ?? [], { ...lock, range }]);
  }

  /** The owner of `call` wants `lock`'s range unlocked: whatever becomes of that, it is not wanted again. */
  gaveUp(call: Call, fd: Fd, lock: Flock): void {
    if (!this.#byInode.has(fd.inode) || lock.whence !== 0) return;
    this.#cut(fd.inode, call.lkOwner, signedRangeOf(lock.start, lock.size));
  }

  /** The owner of `call` closed a descriptor of the file: all its locks go; without an owner, the fd's. */
  flushed(call: Call, fd: Fd): void {
    const locks = this.#byInode.get(fd.inode);
    if (!locks) return;
    const { lkOwner } = call;
    this.#set(
      fd.inode,
      locks.filter((each) => lkOwner === "" ? each.fd !== fd : each.owner !== lkOwner),
    );
  }

  /** `fd` is closed. */
  closed(fd: Fd): void {
    const locks = this.#byInode.get(fd.inode);
    if (locks) this.#set(fd.inode, locks.filter((each) => each.fd !== fd));
  }

  #cut(inode: Inode, owner: LkOwner, range: Range): void {
    const locks = this.#byInode.get(inode);
    if (!locks) return;
    const everything = range.start === 0n && range.end === LAST;
    this.#set(
      inode,
      locks.flatMap((each) => {
        if (each.owner !== owner) return [each];
        if (!each.fixed) return everything ? [] : [each];
        const left = without(each.range, range);
        // What is untouched stays the same object: `has` knows it.
        if (left.length === 1 && left[0] === each.range) return [each];
        return left.map((part) => ({ ...each, range: part }));
      }),
    );
  }

  #set(inode: Inode, locks: readonly HeldLock[]): void {
    if (locks.length) this.#byInode.set(inode, locks);
    else this.#byInode.delete(inode);
  }
}

function sameKind(a: HeldLock, b: HeldLock): boolean {
  return a.fixed && b.fixed && a.fd === b.fd && a.owner === b.owner && a.type === b.type &&
    a.pid === b.pid && a.xdata === b.xdata;
}
