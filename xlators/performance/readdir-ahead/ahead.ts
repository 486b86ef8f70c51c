/**
 * One open directory: what was read ahead of it. Entries are handed out as they came. What changed
 * after it was asked for is not told: of a file its attributes, of the directory itself all that was
 * read ahead, which is read again from where the caller is.
 */

import type { Call } from "core/call.ts";
import type { Clock } from "core/env.ts";
import { FopError } from "core/errno.ts";
import type { Args, DirentPlus, Reply } from "core/fops.ts";
import type { Fd, Gfid } from "core/inode.ts";
import type { Xdata } from "core/xdata.ts";
import type { Xlator } from "core/xlator.ts";

/** What all directories share, changed in place; sizes in bytes. */
export interface Shared {
  /** Inodes with changes under way, and how many of them. */
  readonly changing: Map<Gfid, number>;
  /** How many changes of names are under way. */
  naming: number;
  /** What all directories have together. */
  used: number;
  limit: number;
  /** Size of one listing. */
  request: number;
  low: number;
  high: number;
}

/** How long entries may wait for their reader: others may change them meanwhile, and nobody tell. */
const AGE_MS = 1000;
/** Room that an entry takes beside its name, about as on the wire. */
const ENTRY_BYTES = 200;

type Listing = Reply<"readdirp">;

/** See the head of this file. */
export class Ahead {
  readonly #child: Xlator;
  readonly #clock: Clock;
  readonly #call: Call;
  readonly #fd: Fd;
  readonly #shared: Shared;
  /** What is asked for each entry. */
  #asked: Xdata | undefined;
  #entries: DirentPlus[] = [];
  #bytes = 0;
  /** Where the caller is, and where what was read ahead ends. */
  #position = 0n;
  #end = 0n;
  #eof = false;
  #closed = false;
  #filling: Promise<Listing> | undefined;
  /** Number of what is read ahead: what was asked for before is dropped. */
  #round = 0;
  readonly #doubted = new Set<Gfid>();
  #allDoubted = false;
  /** When the oldest of them were asked for, in monotonic milliseconds. */
  #at = 0;

  /** `asked`: what the caller will most likely ask for each entry. */
  constructor(
    child: Xlator,
    clock: Clock,
    call: Call,
    fd: Fd,
    asked: Xdata | undefined,
    shared: Shared,
  ) {
    this.#child = child;
    this.#clock = clock;
    this.#call = call;
    this.#fd = fd;
    this.#asked = asked;
    this.#shared = shared;
  }

  get directory(): Gfid {
    return this.#fd.inode.gfid;
  }

  /** Asks for more if there is room. */
  fill(): void {
    const { request, limit, used, high, changing } = this.#shared;
    if (this.#closed || this.#filling || this.#eof || changing.has(this.directory)) return;
    if (this.#bytes >= high || used + request > limit) return;
    if (!this.#bytes) {
      this.#trust();
      this.#at = this.#clock.monotonic();
    }
    const round = this.#round;
    const filling = this.#filling = this.#child.readdirp(this.#call, {
      fd: this.#fd,
      offset: this.#end,
      size: request,
      xdata: this.#asked,
    });
    this.#shared.used += request;
    filling.then((listing) => {
      if (round === this.#round) this.#take(listing);
    }, (error) => {
      // The caller asks again, and is told then.
      if (!(error instanceof FopError)) throw error;
    }).finally(() => {
      this.#shared.used -= request;
      if (this.#filling === filling) this.#filling = undefined;
      if (round === this.#round && this.#entries.length) this.fill();
    });
  }

  /** Entries from the cookie on. */
  async read(call: Call, args: Args<"readdirp">): Promise<Listing> {
    if (!asksAlike(args.xdata, this.#asked)) {
      this.#asked = args.xdata;
      return await this.#past(call, args);
    }
    const isOld = this.#clock.monotonic() - this.#at >= AGE_MS;
    if (isOld || args.offset !== this.#position) this.#seek(args.offset);
    // Only what is asked for by now is waited for: a change meanwhile drops it.
    if (!this.#entries.length && this.#filling) await this.#filling.catch(() => {});
    if (args.offset !== this.#position || (!this.#entries.length && !this.#eof)) {
      return await this.#past(call, args);
    }
    const entries = this.#hand(args.size);
    if (this.#bytes <= this.#shared.low) this.fill();
    return { entries, eof: this.#eof && !this.#entries.length };
  }

  // Straight from below; what follows is read ahead from there.
  async #past(call: Call, args: Args<"readdirp">): Promise<Listing> {
    const listing = await this.#child.readdirp(call, args);
    this.#seek(listing.entries.at(-1)?.offset ?? args.offset);
    this.#eof = listing.eof;
    this.fill();
    return listing;
  }

  #take({ entries, eof }: Listing): void {
    for (const entry of entries) {
      this.#entries.push(entry);
      this.#count(sizeOf(entry));
    }
    this.#end = entries.at(-1)?.offset ?? this.#end;
    this.#eof = eof || !entries.length;
  }

  #hand(size: number): DirentPlus[] {
    let bytes = 0, count = 0;
    for (const entry of this.#entries) {
      const more = sizeOf(entry);
      if (count && bytes + more > size) break;
      bytes += more;
      count++;
    }
    const handed = this.#entries.splice(0, count);
    this.#count(-bytes);
    this.#position = handed.at(-1)?.offset ?? this.#position;
    return this.#allDoubted || this.#doubted.size ? handed.map((each) => this.#told(each)) : handed;
  }

  #told(entry: DirentPlus): DirentPlus {
    const { stat } = entry;
    if (!stat || !(this.#allDoubted || this.#doubted.has(stat.gfid))) return entry;
    return { ...entry, stat: undefined, xdata: undefined };
  }

  /** Attributes of that file, as far as they were read ahead, are not told. */
  doubt(gfid: Gfid): void {
    if (this.#filling || this.#entries.length) this.#doubted.add(gfid);
  }

  /** No attributes that were read ahead are told. */
  doubtAll(): void {
    if (this.#filling || this.#entries.length) this.#allDoubted = true;
  }

  /** The directory changed: nothing that was read ahead is used. */
  drop(): void {
    this.#seek(this.#position);
  }

  /** Nobody asks any more. */
  close(): void {
    this.#closed = true;
    this.drop();
  }

  #seek(position: bigint): void {
    this.#round++;
    this.#filling = undefined;
    this.#entries = [];
    this.#count(-this.#bytes);
    this.#position = this.#end = position;
    this.#eof = false;
    this.#trust();
  }

  // What is changing may be seen as it will be before it is listed as it was.
  #trust(): void {
    this.#doubted.clear();
    for (const gfid of this.#shared.changing.keys()) this.#doubted.add(gfid);
    this.#allDoubted = this.#shared.naming > 0;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#shared.used += bytes;
  }
}

function sizeOf({ name }: DirentPlus): number {
  return ENTRY_BYTES + name.length;
}

function asksAlike(one: Xdata | undefined, other: Xdata | undefined): boolean {
  if (one === other || one?.size !== other?.size) return one === other;
  for (const [name, { type, value }] of one!) {
    const there = other!.raw(name);
    if (there?.type !== type || there.value !== value) return false;
  }
  return true;
}
