/**
 * What small files hold, as lookups bring it along (`glusterfs.content`). A kernel looks a name up and
 * opens what it stands for right after: the open then needs no request at all. Every copy sends it,
 * though, so it is only asked for while files that are looked up are opened, too.
 */

import { type Call, isInternal } from "core/call.ts";
import { Derived } from "core/derived.ts";
import type { Args, Reply } from "core/fops.ts";
import { isRegular } from "core/iatt.ts";
import type { Inode, InodeTable } from "core/inode.ts";
import { withKey, type Xdata } from "core/xdata.ts";
import { CONTENT, CONTENT_LIMIT } from "core/xdata_keys.ts";
import type { Content, Contents } from "xlators/performance/quick-read/contents.ts";

/** Lookups that an open makes bring contents along, and how many they can be. */
const ASKED_PER_OPEN = 2, ASKED_MAX = 8;
/**
 * How long after it was asked for a content is as good as opened now, in milliseconds: a system call
 * that looks up and opens takes less, another client that writes, closes and tells us takes longer.
 */
const FRESH_MS = 20;
/** Contents that are kept without being open. */
const LAST_MAX = 16;

/** See the head of this file. */
export class Carried {
  readonly #contents: Contents;
  readonly #inodes: InodeTable;
  readonly #isOpen: (inode: Inode) => boolean;
  /** Those that came last; undefined once an open took it. */
  readonly #last = new Map<Inode, Content | undefined>();
  #appetite = 0;
  #most = 0;
  #asking = limitedTo(0);

  /** `isOpen`: whether somebody has opened an inode whose content is kept. */
  constructor(contents: Contents, inodes: InodeTable, isOpen: (inode: Inode) => boolean) {
    this.#contents = contents;
    this.#inodes = inodes;
    this.#isOpen = isOpen;
  }

  /** True if this lookup shall bring the content along. */
  wanted(call: Call, { name, xdata }: Args<"lookup">): boolean {
    return this.#appetite > 0 && !!name && !isInternal(call) && !xdata?.has(CONTENT);
  }

  /** What `lookup` answers that is asked for contents of at most `most` bytes, too. */
  async lookup(
    args: Args<"lookup">,
    most: number,
    lookup: (args: Args<"lookup">) => Promise<Reply<"lookup">>,
  ): Promise<Reply<"lookup">> {
    this.#appetite--;
    const asked = this.#contents.ask();
    if (most !== this.#most) this.#asking = limitedTo(this.#most = most);
    const reply = await lookup({ ...args, xdata: this.#asking.of(args.xdata) });
    const { stat, xdata } = reply, data = xdata?.get(CONTENT);
    const inode = this.#inodes.of(stat.gfid);
    if (!data) {
      this.#contents.saw(inode, stat);
      return reply;
    }
    const isWhole = isRegular(stat) && data.length === stat.size;
    // The message that it lies in is larger, and not ours.
    if (!isWhole) this.#contents.saw(inode, stat);
    else if (this.#contents.keep(inode, data.slice(), stat, asked)) this.#keep(inode);
    return { ...reply, xdata: xdata!.without(CONTENT) };
  }

  #keep(inode: Inode): void {
    this.#last.delete(inode);
    this.#last.set(inode, this.#contents.held(inode)!);
    if (this.#last.size <= LAST_MAX) return;
    for (const oldest of this.#last.keys()) return this.#let(oldest);
  }

  #let(inode: Inode): void {
    this.#last.delete(inode);
    if (!this.#isOpen(inode)) this.#contents.release(inode);
  }

  /** A small file is opened: answers what the lookup right before brought along; one open takes it. */
  open(inode: Inode): Content | undefined {
    this.#appetite = Math.min(this.#appetite + ASKED_PER_OPEN, ASKED_MAX);
    const came = this.#last.get(inode);
    if (came) this.#last.set(inode, undefined);
    // Attributes that were answered meanwhile may have taken it away.
    return came && came === this.#contents.fresh(inode, FRESH_MS) ? came : undefined;
  }

  /** Names go: what nobody opened counts no more. */
  drop(): void {
    for (const inode of this.#last.keys()) this.#let(inode);
  }
}

function limitedTo(most: number): Derived<Xdata> {
  return new Derived((given) => withKey(given, CONTENT_LIMIT, most));
}
