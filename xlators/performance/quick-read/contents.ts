/**
 * What small files hold, as long as it may be answered.
 *
 * Nothing is kept that could be older than what was answered before. Moments are counted: what is
 * read is kept only if the inode did not change after it was asked for, by us or by others, is not
 * changing, and nobody was answered other attributes meanwhile. Attributes that differ from those
 * that came with a content take it away.
 */

import type { Clock } from "core/env.ts";
import { type Iatt, isRegular } from "core/iatt.ts";
import { type Inode, PerInode } from "core/inode.ts";

/** The whole of a file, as it was when `stat` was. */
export interface Content {
  readonly data: Uint8Array;
  readonly stat: Iatt;
  /** Monotonic milliseconds at which it was asked for. */
  readonly at: number;
}

/** When a content was asked for. */
export interface Asked {
  readonly moment: number;
  readonly at: number;
}

interface Known {
  /** The attributes that were answered last; undefined if they changed since. */
  stat: Iatt | undefined;
  statAt: number;
  /** Changes of ours that are under way. */
  changing: number;
  changedAt: number;
  content: Content | undefined;
}

/** See the head of this file. */
export class Contents {
  /** How long contents may be answered, in milliseconds. */
  timeoutMs = 0;
  /** Most bytes that are kept; the oldest go first. */
  bytesMax = 0;
  readonly #clock: Clock;
  readonly #known = new PerInode<Known>();
  /** Those with a content, the oldest first. */
  readonly #kept = new Set<Known>();
  #bytes = 0;
  #moment = 0;
  #forgottenAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get files(): number {
    return this.#kept.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A content is asked for now. */
  ask(): Asked {
    return { moment: this.#moment, at: this.#clock.monotonic() };
  }

  /** A file's size as far as it is known; undefined if it is not a regular file, or not known. */
  size(inode: Inode): number | undefined {
    return this.#known.get(inode)?.stat?.size;
  }

  /** A content that may be answered: it was asked for less than `ageMs` ago. */
  fresh(inode: Inode, ageMs: number = this.timeoutMs): Content | undefined {
    const content = this.held(inode);
    return content && this.#clock.monotonic() - content.at < ageMs ? content : undefined;
  }

  /** A content that nothing tells to be old, whenever it was asked for. */
  held(inode: Inode): Content | undefined {
    return this.#known.get(inode)?.content;
  }

  /** Attributes that were answered. */
  saw(inode: Inode, stat: Iatt): void {
    if (!isRegular(stat)) return;
    const known = this.#of(inode);
    if (known.content && !isSame(known.content.stat, stat)) this.#drop(known);
    known.stat = stat;
    known.statAt = ++this.#moment;
  }

  /** Keeps a content that was read; false if it may be older than what was answered meanwhile. */
  keep(inode: Inode, data: Uint8Array, stat: Iatt, { moment, at }: Asked): boolean {
    const known = this.#of(inode), before = known.stat;
    const isNewest = known.statAt <= moment || before !== undefined && isSame(before, stat);
    this.saw(inode, stat);
    const isQuiet = known.changing === 0 && Math.max(known.changedAt, this.#forgottenAt) <= moment;
    if (!isQuiet || !isNewest || data.length > this.bytesMax) return false;
    this.#drop(known);
    known.content = { data, stat, at };
    this.#kept.add(known);
    this.#bytes += data.length;
    for (const oldest of this.#kept) {
      if (this.#bytes <= this.bytesMax) break;
      this.#drop(oldest);
    }
    return true;
  }

  /** A change of ours begins: nothing is kept until `changed`. */
  change(inode: Inode): void {
    const known = this.#of(inode);
    known.changing++;
    this.#doubt(known, undefined);
  }

  /** It ended, well or not; `post`: attributes right after it. */
  changed(inode: Inode, post?: Iatt): void {
    const known = this.#of(inode);
    known.changing--;
    this.#doubt(known, post && isRegular(post) ? post : undefined);
  }

  /** It changed, or may have. Its size is still believed: that only tells how much to ask for. */
  invalidate(inode: Inode): void {
    const known = this.#of(inode);
    this.#doubt(known, known.stat);
  }

  /** Nobody needs the content any more. */
  release(inode: Inode): void {
    const known = this.#known.get(inode);
    if (known) this.#drop(known);
  }

  /** Anything may have changed. */
  forgetAll(): void {
    this.#forgottenAt = ++this.#moment;
    for (const known of this.#kept) this.#drop(known);
  }

  #doubt(known: Known, stat: Iatt | undefined): void {
    this.#drop(known);
    known.stat = stat;
    known.changedAt = ++this.#moment;
  }

  #drop(known: Known): void {
    if (!known.content) return;
    this.#bytes -= known.content.data.length;
    known.content = undefined;
    this.#kept.delete(known);
  }

  #of(inode: Inode): Known {
    let known = this.#known.get(inode);
    if (!known) {
      known = { stat: undefined, statAt: 0, changing: 0, changedAt: 0, content: undefined };
      this.#known.set(inode, known);
    }
    return known;
  }
}

function isSame(a: Iatt, b: Iatt): boolean {
  return a.size === b.size && a.mtime === b.mtime && a.mtimeNsec === b.mtimeNsec &&
    a.ctime === b.ctime && a.ctimeNsec === b.ctimeNsec;
}
