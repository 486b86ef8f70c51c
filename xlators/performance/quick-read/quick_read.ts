/**
 * A small file that is opened to read is read instead, from one brick, whole: reads are answered
 * from that, and closing it costs nothing. That read is as good as an open: it fails if the file is
 * gone, and shows what others wrote and closed before. What an open file keeps is kept: see
 * core/late_opens.ts. See contents.ts for what may be answered.
 */

import type { Call } from "core/call.ts";
import { ENOENT, ESTALE, FopError } from "core/errno.ts";
import { type GraphEvent } from "core/events.ts";
import { type Args, DONE, type Empty, type FopName, O_TRUNC, type Reply } from "core/fops.ts";
import type { Iatt } from "core/iatt.ts";
import { Fd, type Inode, PerInode } from "core/inode.ts";
import { inodeOf, type LateOpen, LateOpens } from "core/late_opens.ts";
import { defineXlator } from "core/registry.ts";
import { Xdata } from "core/xdata.ts";
import { CONTENT } from "core/xdata_keys.ts";
import { type Json, type Node, Uniform } from "core/xlator.ts";
import { Carried } from "xlators/performance/quick-read/carried.ts";
import { type Content, Contents } from "xlators/performance/quick-read/contents.ts";
import { options, type QuickReadValues } from "xlators/performance/quick-read/options.ts";

/** Fops that change what a file holds. */
const CHANGES: ReadonlySet<FopName> = new Set<FopName>([
  "writev",
  "truncate",
  "ftruncate",
  "fallocate",
  "discard",
  "zerofill",
  "copyFileRange",
]);
/** Fops that answer one file's attributes. */
const LOOKS: ReadonlySet<FopName> = new Set<FopName>([
  "stat",
  "fstat",
  "readv",
  "setattr",
  "fsetattr",
]);

class QuickRead extends Uniform {
  readonly #contents: Contents;
  readonly #carried: Carried;
  readonly #late = new LateOpens(this.child);
  /** How many of the opened are of an inode: the last one lets its content go. */
  readonly #holders = new PerInode<number>();
  #values: QuickReadValues;

  constructor(node: Node, values: QuickReadValues) {
    super(node);
    this.#values = values;
    const contents = this.#contents = new Contents(this.env.clock);
    const isOpen = (inode: Inode) => (this.#holders.get(inode) ?? 0) > 0;
    this.#carried = new Carried(contents, this.inodes, isOpen);
    this.#tune();
  }

  reconfigure(values: QuickReadValues): void {
    this.#values = values;
    this.#tune();
  }

  state(): Json {
    const { files, bytes } = this.#contents;
    const { answered, sent } = this.#late;
    return { files, bytes, answered, sent };
  }

  #tune(): void {
    this.#contents.timeoutMs = this.#values["cache-timeout"] * 1000;
    this.#contents.bytesMax = this.#values["cache-size"];
  }

  protected override heard(event: GraphEvent): void {
    switch (event.type) {
      case "cache-invalidation":
        this.#contents.invalidate(this.inodes.of(event.gfid));
        break;
      // What changed while a brick was away, nobody told us.
      case "child-up":
      case "child-down":
      case "some-down":
        this.#contents.forgetAll();
    }
    this.emit(event);
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (fop === "open") return this.#open(call, args as Args<"open">) as Promise<Reply<K>>;
    if (!this.#late.concerns(fop)) return this.#use(fop, call, args);
    return this.#late.guard(fop, args, () => this.#use(fop, call, args));
  }

  async #open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    const { inode, flags } = args;
    if (flags & O_TRUNC) return await this.#changing(inode, () => this.child.open(call, args));
    const { takes } = this.#late;
    const mayRead = this.#mayRead(call, args), carried = mayRead && this.#carried.open(inode);
    const content = carried || mayRead && await this.#content(call, inode);
    // While it was read, a fop began that may take its name, and did not see that it is open.
    const isSafe = content && takes === this.#late.takes && grantsReading(content.stat, call);
    if (!isSafe) return await this.child.open(call, args);
    this.#holders.set(inode, (this.#holders.get(inode) ?? 0) + 1);
    const { fd } = this.#late.hand(call, args);
    if (!carried) return { fd };
    // Attributes that everybody was told belong to it: whoever keeps contents may keep this one.
    return { fd, xdata: Xdata.of([[CONTENT.name, CONTENT.write(carried.data)]]) };
  }

  #mayRead(call: Call, args: Args<"open">): boolean {
    const { "pass-through": off, "max-file-size": most } = this.#values;
    return !off && most > 0 && this.#late.mayWait(call, args);
  }

  // What the file holds now; undefined if it is large, or cannot be read that way.
  async #content(call: Call, inode: Inode): Promise<Content | undefined> {
    const contents = this.#contents;
    const known = this.#values["quick-read-cache-invalidation"] && contents.fresh(inode);
    if (known) return known;
    const expected = contents.size(inode);
    if (expected === undefined || expected > this.#values["max-file-size"]) return undefined;
    const asked = contents.ask(), size = Math.max(expected, 1);
    const into = new Uint8Array(size), fd = new Fd(inode, 0, true);
    try {
      const reply = await this.child.readv(call, { fd, offset: 0, size, flags: 0, into });
      const { data, stat, eof } = reply;
      if (!stat) return undefined;
      if (!eof || stat.size !== data.length) {
        contents.saw(inode, stat);
        return undefined;
      }
      // What lies elsewhere may keep more memory than its own.
      const own = data.buffer === into.buffer ? data : data.slice();
      return contents.keep(inode, own, stat, asked) ? contents.held(inode) : undefined;
    } catch (error) {
      // Opening it tells what is wrong.
      if (!(error instanceof FopError)) throw error;
      return undefined;
    }
  }

  #use<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { fd, source } = args as { fd?: Fd; source?: Fd };
    const opened = this.#late.of(fd), from = this.#late.of(source);
    if (!opened && !from) return this.#pass(fop, call, args);
    if (opened && fop === "release") {
      return this.#release(call, args as Args<"release">, opened) as Promise<Reply<K>>;
    }
    const answer = opened && !opened.opening && this.#unopened(fop, call, args as never, opened);
    if (answer) return answer as Promise<Reply<K>>;
    // The common case once it is open: nothing to wait for.
    if (opened?.real && !from) return this.#pass(fop, call, { ...args, fd: opened.real });
    return this.#late.through(args).then((own) => this.#pass(fop, call, own));
  }

  // What can be done without an open file.
  #unopened(fop: FopName, call: Call, args: never, opened: LateOpen): Promise<unknown> | undefined {
    switch (fop) {
      case "readv":
        return this.#read(call, args, opened);
      case "fstat":
        return this.#stat(call, args, opened);
      case "flush":
        return this.#late.mayFlush(opened) ? Promise.resolve(DONE) : undefined;
    }
    return undefined;
  }

  #read(call: Call, args: Args<"readv">, opened: LateOpen): Promise<Reply<"readv">> | undefined {
    if (args.xdata) return undefined;
    const { inode } = opened.args, content = this.#contents.fresh(inode);
    // Behind the end there may be more by now.
    if (content && args.offset < content.data.length) return Promise.resolve(part(content, args));
    const read = this.#late.through(args).then((own) => this.#pass("readv", call, own));
    return read.catch((error) => {
      const last = isGone(error) ? this.#contents.held(inode) : undefined;
      if (!last) throw error;
      return part(last, args);
    });
  }

  #stat(call: Call, args: Args<"fstat">, opened: LateOpen): Promise<Reply<"fstat">> {
    return this.#pass("fstat", call, { ...args, fd: opened.unopened }).catch((error) => {
      const last = isGone(error) ? this.#contents.held(opened.args.inode) : undefined;
      if (!last) throw error;
      return { stat: { ...last.stat, nlink: 0 } };
    });
  }

  #release(call: Call, args: Args<"release">, opened: LateOpen): Promise<Empty> {
    const { inode } = opened.args;
    const holders = this.#holders.get(inode)! - 1;
    this.#holders.set(inode, holders);
    if (!holders && !this.#values["quick-read-cache-invalidation"]) this.#contents.release(inode);
    return this.#late.release(call, args, opened);
  }

  // Down it goes; what is answered tells whether contents are as they were.
  #pass<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const of = inodeOf(args);
    if (fop === "lk") this.#late.locks(args as Args<"lk">);
    if (of && CHANGES.has(fop)) return this.#changing(of, () => this.wind(fop, call, args));
    if (fop === "unlink" || fop === "rename") this.#carried.drop();
    const most = this.#values["pass-through"] ? 0 : this.#values["max-file-size"];
    if (fop === "lookup" && most > 0 && this.#carried.wanted(call, args as Args<"lookup">)) {
      const look = (more: Args<"lookup">) => this.child.lookup(call, more);
      return this.#carried.lookup(args as Args<"lookup">, most, look) as Promise<Reply<K>>;
    }
    const answer = this.wind(fop, call, args);
    if (of && LOOKS.has(fop)) return answer.then((reply) => this.#looked(of, reply));
    switch (fop) {
      case "lookup":
      case "create":
      case "put":
        return answer.then((reply) => this.#named(fop, reply));
      case "readdirp":
        return answer.then((reply) => this.#listed(reply));
      case "lk":
        return answer.then((reply) => this.#locked(args as Args<"lk">, reply));
    }
    return answer;
  }

  #looked<R>(inode: Inode, reply: R): R {
    const { stat, post } = reply as { stat?: Iatt; post?: Iatt };
    const seen = stat ?? post;
    if (seen) this.#contents.saw(inode, seen);
    return reply;
  }

  #named<R>(fop: FopName, reply: R): R {
    const { stat } = reply as { stat?: Iatt };
    if (!stat) return reply;
    const inode = this.inodes.of(stat.gfid);
    // It may have been there, and longer.
    if (fop !== "lookup") this.#contents.invalidate(inode);
    this.#contents.saw(inode, stat);
    return reply;
  }

  #listed<R>(reply: R): R {
    for (const { stat } of (reply as Reply<"readdirp">).entries) {
      if (stat) this.#contents.saw(this.inodes.of(stat.gfid), stat);
    }
    return reply;
  }

  // Who locks a part of a file sees what others did before.
  #locked<R>({ fd, cmd, lock }: Args<"lk">, reply: R): R {
    if (cmd === "get" || lock.type === "unlock") return reply;
    this.#contents.invalidate(fd.inode);
    return reply;
  }

  async #changing<R>(inode: Inode, act: () => Promise<R>): Promise<R> {
    this.#contents.change(inode);
    let post: Iatt | undefined;
    try {
      const reply = await act();
      post = (reply as { post?: Iatt }).post;
      return reply;
    } finally {
      this.#contents.changed(inode, post);
    }
  }
}

function part(content: Content, { offset, size, into }: Args<"readv">): Reply<"readv"> {
  const { data, stat } = content, end = offset + size;
  const found = data.subarray(offset, end);
  // The content is kept, what is answered is the reader's.
  const own = into ? into.subarray(0, found.length) : new Uint8Array(found.length);
  own.set(found);
  return { data: own, stat, eof: end >= data.length };
}

function isGone(error: unknown): boolean {
  return ESTALE.matches(error) || ENOENT.matches(error);
}

// Bricks check who opens, not who reads. Where the mode alone does not say yes, they are asked.
function grantsReading({ mode, uid, gid }: Iatt, call: Call): boolean {
  if (call.uid === 0) return true;
  if (call.uid === uid) return (mode & 0o400) !== 0;
  const isMember = call.gid === gid || call.groups.includes(gid);
  return (mode & (isMember ? 0o040 : 0o004)) !== 0;
}

/** `performance/quick-read`: small files are read instead of being opened. */
export const quickRead = defineXlator({
  type: "performance/quick-read",
  summary: "Small files are read instead of being opened",
  options,
  subvolumes: "one",
  create: (node, values) => new QuickRead(node, values),
});
