/**
 * Remembers which ranges of a file its other copies miss, so that a heal copies these and not the
 * file. States, invariant and what a crash leaves: docs/design/heal-what-changed.md.
 *
 * It stands below `features/index`, which lets the xattrops of an inode pass one after the other:
 * their answers are seen here in the order in which the marks changed.
 */

import { type Call, isInternal, PID_GLFSHEAL, PID_SELF_HEAL } from "core/call.ts";
import { type ByteRange, CHANGED_PREFIX, OPEN_CHANGES, packRanges } from "core/changed_ranges.ts";
import { ENODATA, FopError } from "core/errno.ts";
import {
  type Args,
  O_APPEND,
  O_EXCL,
  O_TRUNC,
  type PrePost,
  type Reply,
  type XattrReply,
} from "core/fops.ts";
import type { Gfid } from "core/inode.ts";
import { bool, optionalText, type OptionTable, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { ptr, valueBytes, Xdata } from "core/xdata.ts";
import { type Json, type Node, PassThrough } from "core/xlator.ts";
import { OpenChanges } from "xlators/features/changed-ranges/open_changes.ts";
import { PageRanges } from "xlators/features/changed-ranges/page_ranges.ts";
import {
  type FileRecord,
  type Missed,
  NO_RECORD,
  RecordDirectory,
  type RecordStore,
} from "xlators/features/changed-ranges/record_store.ts";

const options = {
  "changed-ranges": bool({
    default: true,
    volumeKey: "features.changed-ranges",
    help:
      "Remember on the bricks which ranges of files were written while a copy was away, so that " +
      "heal copies these and not whole files.",
  }),
  "index-base": optionalText({
    live: false,
    help: "Directory of the brick's index; records are kept beside it.",
  }),
} satisfies OptionTable;

/** Names of marks: one per copy, and one for transactions under way. */
const MARKS = "trusted.afr.", DIRTY = "trusted.afr.dirty";

/** Pids of GlusterFS's healers and ours: they change what copies have, and blame whom they could not heal. */
const HEALERS: ReadonlySet<number> = new Set([PID_SELF_HEAL, PID_GLFSHEAL]);

const NOWHERE: RecordStore = {
  open: () => Promise.resolve([]),
  read: () => new Map(),
  write: () => {},
};

/** See the head of this file. */
export class ChangedRanges extends PassThrough {
  readonly #store: RecordStore;
  readonly #open = new OpenChanges();
  /** Files that have a record. */
  #recorded = new Set<Gfid>();
  #on: boolean;

  constructor(node: Node, values: Values<typeof options>, store?: RecordStore) {
    super(node);
    const index = values["index-base"];
    this.#store = store ?? (index === undefined ? NOWHERE : new RecordDirectory(index));
    this.#on = values["changed-ranges"];
  }

  /** Off, nobody is told and what is open becomes unknown; records go on being brought up to date, or void. */
  reconfigure(values: Values<typeof options>): void {
    this.#on = values["changed-ranges"];
  }

  async start(): Promise<void> {
    this.#recorded = new Set(await this.#store.open());
  }

  forgetMissed(): void {
    for (const gfid of [...this.#recorded]) {
      this.#store.write(gfid, NO_RECORD);
      this.#recorded.delete(gfid);
    }
  }

  state(): Json {
    return { on: this.#on, "open-files": this.#open.size };
  }

  // Marks.

  override async xattrop(call: Call, args: Args<"xattrop">): Promise<XattrReply> {
    const reply = await this.child.xattrop(call, args);
    this.#marked(call, args.inode.gfid, args, reply);
    return reply;
  }

  override async fxattrop(call: Call, args: Args<"fxattrop">): Promise<XattrReply> {
    const reply = await this.child.fxattrop(call, args);
    this.#marked(call, args.fd.inode.gfid, args, reply);
    return reply;
  }

  #marked(
    call: Call,
    gfid: Gfid,
    { op, xattrs }: Args<"xattrop"> | Args<"fxattrop">,
    reply: XattrReply,
  ): void {
    if (!xattrs) return;
    const ofHealer = HEALERS.has(call.pid);
    const now = (name: string) => dataCount(reply.xattrs, name);
    const dirty = dataCount(xattrs, DIRTY);
    if (op !== "add32") {
      if ([...xattrs.names()].some((name) => name.startsWith(MARKS))) this.#open.end(gfid);
      return;
    }
    const blames: Blame[] = [];
    for (const name of xattrs.names()) {
      if (!name.startsWith(MARKS) || name === DIRTY) continue;
      const added = dataCount(xattrs, name), count = now(name);
      if (added && count !== undefined) {
        const isWrite = !ofHealer && isOfDataAlone(xattrs, name);
        blames.push({ copy: name.slice(MARKS.length), added, count, isWrite });
      }
    }
    // Raised from 0: all that changes from here on is seen. Else it has to be known from before.
    if (dirty !== undefined && dirty > 0 && now(DIRTY) === dirty) {
      // Who takes blames back with it does not know what became of a change that it made before.
      const isDoubt = blames.some(({ added }) => added < 0);
      if (this.#on && !isDoubt) this.#open.begin(gfid);
      else this.#open.end(gfid);
    }
    const ends = dirty !== undefined && now(DIRTY) === 0;
    // Transactions that began before we looked, or whose client is gone, and a healer says that they are
    // over: nobody knows what changed in them, and who missed it.
    const unseen = dirty !== undefined && dirty !== 0 &&
      (!this.#open.of(gfid) || (ofHealer && dirty < 0));
    if (unseen && this.#recorded.has(gfid)) this.#keep(gfid, new Map());
    if (blames.length || (ends && this.#recorded.has(gfid))) this.#record(gfid, blames, ends);
    if (ends) this.#open.end(gfid);
  }

  #record(gfid: Gfid, blames: readonly Blame[], ends: boolean): void {
    const record = new Map(this.#recordOf(gfid));
    const open = this.#open.of(gfid);
    const was = record.size;
    for (const blame of blames) {
      const missed = this.#missed(gfid, record.get(blame.copy), blame);
      if (missed) record.set(blame.copy, missed);
      else record.delete(blame.copy);
      if (blame.added > 0) open?.blamed.add(blame.copy);
    }
    let changed = blames.length > 0;
    // Whoever is blamed before a transaction ends misses the rest of it, too.
    for (const copy of ends && open ? open.blamed : []) {
      const missed = record.get(copy);
      if (!missed || blames.some((blame) => blame.copy === copy && blame.added > 0)) continue;
      record.set(copy, { ...missed, ranges: united(missed.ranges, open!.ranges) });
      changed = true;
    }
    if (changed && (was || record.size)) this.#keep(gfid, record);
  }

  // One that cannot be read is void.
  #recordOf(gfid: Gfid): FileRecord {
    if (!this.#recorded.has(gfid)) return NO_RECORD;
    try {
      return this.#store.read(gfid);
    } catch (error) {
      this.env.log.warn("changed ranges cannot be read", { gfid, error: String(error) });
      return NO_RECORD;
    }
  }

  #keep(gfid: Gfid, record: FileRecord): void {
    const isNew = record.size > 0 && !this.#recorded.has(gfid);
    if (isNew && this.#recorded.size >= RECORDS_MAX) return;
    try {
      this.#store.write(gfid, record);
      if (record.size) this.#recorded.add(gfid);
      else this.#recorded.delete(gfid);
    } catch (error) {
      // One that stays as it was must not be believed: what is recorded has to go, now or by its count.
      this.#recorded.delete(gfid);
      this.#drop(gfid);
      this.env.log.warn("changed ranges could not be recorded", { gfid, error: String(error) });
    }
  }

  #drop(gfid: Gfid): void {
    try {
      this.#store.write(gfid, new Map());
    } catch (error) {
      this.env.log.error("a void record of changed ranges stays", { gfid, error: String(error) });
    }
  }

  // What is known of a copy's misses after its count changed; undefined: nothing.
  #missed(
    gfid: Gfid,
    before: Missed | undefined,
    { added, count, isWrite }: Blame,
  ): Missed | undefined {
    if (count === 0) return undefined;
    const first = added > 0 && count === added;
    if (!first && before?.count !== count - added) return undefined;
    const known = first ? [] : before!.ranges;
    if (added < 0) return { count, ranges: known };
    // A copy that has to be made, or that lost something, lacks more than what is written now.
    const open = isWrite ? this.#open.of(gfid) : undefined;
    return open && { count, ranges: united(known, open.ranges) };
  }

  // Questions of healers.

  override getxattr(call: Call, args: Args<"getxattr">): Promise<XattrReply> {
    if (!args.name.startsWith(CHANGED_PREFIX)) return this.child.getxattr(call, args);
    const count = async (name: string) => {
      const { xattrs } = await this.child.getxattr(call, { inode: args.inode, name });
      return dataCount(xattrs, name);
    };
    return this.#answer(call, args.inode.gfid, args.name, count);
  }

  override fgetxattr(call: Call, args: Args<"fgetxattr">): Promise<XattrReply> {
    if (!args.name.startsWith(CHANGED_PREFIX)) return this.child.fgetxattr(call, args);
    const count = async (name: string) => {
      const { xattrs } = await this.child.fgetxattr(call, { fd: args.fd, name });
      return dataCount(xattrs, name);
    };
    return this.#answer(call, args.fd.inode.gfid, args.name, count);
  }

  async #answer(
    call: Call,
    gfid: Gfid,
    name: string,
    countOf: (name: string) => Promise<number | undefined>,
  ): Promise<XattrReply> {
    if (!this.#on || !isInternal(call)) throw ENODATA;
    const copy = name.slice(CHANGED_PREFIX.length);
    const answer = (ranges: Iterable<{ start: number; end: number }>) => ({
      xattrs: Xdata.of([[name, ptr(packRanges(ranges))]]),
    });
    if (copy === OPEN_CHANGES) {
      const open = this.#open.of(gfid);
      if (!open) throw ENODATA;
      return answer(open.ranges);
    }
    const count = await countOf(MARKS + copy);
    const missed = this.#recordOf(gfid).get(copy);
    if (!missed || missed.count !== count) throw ENODATA;
    return answer(missed.ranges);
  }

  // A change in no transaction: a healer's, of this copy. What others miss by it nobody would know.
  #changed(gfid: Gfid, offset: number, size: number): void {
    if (this.#open.of(gfid)) this.#open.add(gfid, offset, size);
    else if (this.#recorded.has(gfid)) this.#keep(gfid, new Map());
  }

  // Changes. They are noted before they happen: a failure may have changed something.

  override writev(call: Call, args: Args<"writev">): Promise<Reply<"writev">> {
    const { gfid } = args.fd.inode;
    if (!this.#open.of(gfid)) {
      this.#changed(gfid, 0, 0);
      return this.child.writev(call, args);
    }
    // As the file was opened: flags of a write itself do not make it append.
    const { anonymous, flags } = args.fd, appends = (flags & O_APPEND) !== 0;
    if (!appends || anonymous) this.#open.add(gfid, args.offset, args.data.length);
    const answer = this.child.writev(call, args);
    return appends ? this.#appended(gfid, answer) : answer;
  }

  // Where it goes is decided at the disk.
  #appended(gfid: Gfid, answer: Promise<PrePost>): Promise<PrePost> {
    return answer.then((reply) => {
      if (reply.pre && reply.post) {
        this.#open.add(gfid, reply.pre.size, reply.post.size - reply.pre.size);
      } else this.#open.end(gfid);
      return reply;
    }, (error) => {
      if (error instanceof FopError) this.#open.end(gfid);
      throw error;
    });
  }

  override truncate(call: Call, args: Args<"truncate">): Promise<Reply<"truncate">> {
    const { gfid } = args.inode;
    this.#changed(gfid, args.offset, Infinity);
    return this.#resized(gfid, args.offset, this.child.truncate(call, args));
  }

  override ftruncate(call: Call, args: Args<"ftruncate">): Promise<Reply<"ftruncate">> {
    const { gfid } = args.fd.inode;
    this.#changed(gfid, args.offset, Infinity);
    return this.#resized(gfid, args.offset, this.child.ftruncate(call, args));
  }

  // What is made longer changes from its old end on.
  #resized(gfid: Gfid, size: number, answer: Promise<PrePost>): Promise<PrePost> {
    if (!this.#open.of(gfid)) return answer;
    return answer.then((reply) => {
      const end = reply.pre?.size ?? 0;
      if (end < size) this.#changed(gfid, end, size - end);
      return reply;
    });
  }

  // Without O_EXCL it opens what is there, and cuts it.
  override create(call: Call, args: Args<"create">): Promise<Reply<"create">> {
    const answer = this.child.create(call, args);
    if (!(args.flags & O_TRUNC) || args.flags & O_EXCL) return answer;
    return answer.then((reply) => {
      this.#changed(reply.stat.gfid, 0, Infinity);
      return reply;
    });
  }

  override open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    if (args.flags & O_TRUNC) this.#changed(args.inode.gfid, 0, Infinity);
    return this.child.open(call, args);
  }

  override fallocate(call: Call, args: Args<"fallocate">): Promise<Reply<"fallocate">> {
    // Collapsing and inserting move all that follows.
    const moves = args.mode & (COLLAPSE_RANGE | INSERT_RANGE);
    this.#changed(args.fd.inode.gfid, args.offset, moves ? Infinity : args.size);
    return this.child.fallocate(call, args);
  }

  override discard(call: Call, args: Args<"discard">): Promise<Reply<"discard">> {
    this.#changed(args.fd.inode.gfid, args.offset, args.size);
    return this.child.discard(call, args);
  }

  override zerofill(call: Call, args: Args<"zerofill">): Promise<Reply<"zerofill">> {
    this.#changed(args.fd.inode.gfid, args.offset, args.size);
    return this.child.zerofill(call, args);
  }

  override copyFileRange(
    call: Call,
    args: Args<"copyFileRange">,
  ): Promise<Reply<"copyFileRange">> {
    this.#changed(args.fd.inode.gfid, args.offset, args.size);
    return this.child.copyFileRange(call, args);
  }

  override put(call: Call, args: Args<"put">): Promise<Reply<"put">> {
    return this.child.put(call, args).then((reply) => {
      this.#changed(reply.stat.gfid, 0, Infinity);
      return reply;
    });
  }
}

/** Most files with records; what more files miss is unknown. */
const RECORDS_MAX = 65_536;

function united(some: Iterable<ByteRange>, others: Iterable<ByteRange>): readonly ByteRange[] {
  const ranges = new PageRanges();
  ranges.addAll(some);
  ranges.addAll(others);
  return [...ranges];
}

const COLLAPSE_RANGE = 0x08, INSERT_RANGE = 0x20;

/** A copy whose count of missed data changes went up, or down, by `added`, to `count`. */
interface Blame {
  readonly copy: string;
  readonly added: number;
  readonly count: number;
  /** A client says so that wrote: not a healer, nor who made the file. */
  readonly isWrite: boolean;
}

// A file that is made is marked in more than its data.
function isOfDataAlone(xattrs: Xdata, name: string): boolean {
  return valueBytes(xattrs.raw(name)!)!.subarray(4).every((byte) => byte === 0);
}

// The first of the three counts in a mark; undefined if there is no such attribute.
function dataCount(xattrs: Xdata | undefined, name: string): number | undefined {
  const value = xattrs?.raw(name);
  const bytes = value && valueBytes(value);
  if (!bytes || bytes.length < 4) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getInt32(0);
}

/** `features/changed-ranges`: which ranges of a file its other copies miss. */
export const changedRanges = defineXlator({
  type: "features/changed-ranges",
  summary: "Remember which ranges of files other copies miss",
  options,
  subvolumes: "one",
  create: (node, values) => new ChangedRanges(node, values),
});
