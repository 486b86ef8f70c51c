/**
 * Files that are read in order are read ahead: the next pages are asked for before they are needed.
 * See stream.ts.
 */

import { type Call, isInternal } from "core/call.ts";
import type { GraphEvent } from "core/events.ts";
import { type Args, type FopName, FOPS, O_ACCMODE, O_DIRECT, type Reply } from "core/fops.ts";
import type { Fd, Gfid, Inode } from "core/inode.ts";
import { bool, int, type OptionTable, size, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { type Json, type Node, Uniform } from "core/xlator.ts";
import { Stream, type Tuning } from "xlators/performance/read-ahead/stream.ts";

const options = {
  "read-ahead": bool({ default: false, help: "Kept for old volumes; does nothing." }),
  "force-atime-update": bool({ default: false, help: "Kept for old volumes; does nothing." }),
  "page-count": int({
    default: 4,
    min: 1,
    max: 16,
    volumeKey: "performance.read-ahead-page-count",
    help: "Most pages of a file that are read ahead.",
  }),
  "page-size": size({ default: 131_072, min: 4096, max: 64 << 20, help: "Bytes of a page." }),
  "pass-through": bool({
    default: false,
    volumeKey: "performance.read-ahead-pass-through",
    help: "Nothing is read ahead.",
  }),
} satisfies OptionTable;

/** Most files that are read ahead at once; beyond it, the one that began first is not any more. */
const STREAMS_MAX = 128;

class ReadAhead extends Uniform {
  /** Of files that are read in order. */
  readonly #streams = new Map<Fd, Stream>();
  readonly #tuning: Tuning = { pageSize: 0, pages: 0 };

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.reconfigure(values);
  }

  reconfigure(values: Values<typeof options>): void {
    this.#tuning.pageSize = values["page-size"];
    this.#tuning.pages = values["pass-through"] ? 0 : values["page-count"];
    for (const stream of this.#streams.values()) stream.drop();
  }

  state(): Json {
    let bytes = 0;
    for (const stream of this.#streams.values()) bytes += stream.bytes;
    return { files: this.#streams.size, bytes };
  }

  protected override heard(event: GraphEvent): void {
    const { type } = event;
    if (type === "cache-invalidation") this.#drop(this.inodes.of(event.gfid));
    else if (type === "child-up" || type === "child-down" || type === "some-down") {
      for (const stream of this.#streams.values()) stream.drop();
    }
    this.emit(event);
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (fop === "readv") {
      return this.#read(call, args as Args<"readv">) as Promise<Reply<K>>;
    }
    if (!this.#streams.size) return this.wind(fop, call, args);
    if (fop === "lookup" || fop === "readdirp") {
      return this.wind(fop, call, args).then((reply) => {
        const { stat, entries } = reply as Partial<Reply<"lookup"> & Reply<"readdirp">>;
        this.#seen(
          new Set([stat, ...entries?.map((each) => each.stat) ?? []].map((each) => each?.gfid)),
        );
        return reply;
      });
    }
    const { fd, inode } = args as { fd?: Fd; inode?: Inode };
    if (fop === "release") {
      this.#streams.get(fd!)?.drop();
      this.#streams.delete(fd!);
    }
    const of = inode ?? fd?.inode;
    if (!of || !this.#touches(fop, of)) return this.wind(fop, call, args);
    // What others did before is seen by who locks, or looks; what is read in between may be old.
    this.#drop(of);
    return this.wind(fop, call, args).finally(() => this.#drop(of));
  }

  // Whether what was read ahead of a file may not be told after that fop.
  #touches(fop: FopName, inode: Inode): boolean {
    const { kind } = FOPS[fop];
    if (kind !== "modify" && fop !== "lk" && fop !== "fstat" && fop !== "stat") return false;
    for (const { inode: of } of this.#streams.keys()) if (of === inode) return true;
    return false;
  }

  // Who saw a file's attributes does not read what it was before.
  #seen(gfids: ReadonlySet<Gfid | undefined>): void {
    for (const [{ inode }, stream] of this.#streams) if (gfids.has(inode.gfid)) stream.drop();
  }

  #drop(inode: Inode): void {
    for (const [fd, stream] of this.#streams) if (fd.inode === inode) stream.drop();
  }

  #read(call: Call, args: Args<"readv">): Promise<Reply<"readv">> {
    const { fd, offset, flags, xdata } = args;
    const known = this.#streams.get(fd);
    const plain = !((fd.flags | flags) & O_DIRECT) && (fd.flags & O_ACCMODE) === 0 && !xdata;
    if (
      !known && (offset > 0 || !plain || isInternal(call) || fd.anonymous || !this.#tuning.pages)
    ) {
      this.#others(fd);
      return this.child.readv(call, args);
    }
    const stream = known ?? new Stream(this.child, this.env.clock, this.#tuning);
    if (!known) this.#add(fd, stream);
    this.#others(fd);
    return stream.read(call, args);
  }

  #add(fd: Fd, stream: Stream): void {
    this.#streams.set(fd, stream);
    if (this.#streams.size <= STREAMS_MAX) return;
    for (const [oldest, old] of this.#streams) {
      old.drop();
      this.#streams.delete(oldest);
      return;
    }
  }

  // What is read by one open file must not be older when it is read by another.
  #others(fd: Fd): void {
    if (this.#streams.size < 2 && this.#streams.has(fd)) return;
    for (const [other, stream] of this.#streams) {
      if (other !== fd && other.inode === fd.inode) stream.drop();
    }
  }
}

/** `performance/read-ahead`: files that are read in order are read ahead. */
export const readAhead = defineXlator({
  type: "performance/read-ahead",
  summary: "Files that are read in order are read ahead",
  options,
  subvolumes: "one",
  create: (node, values) => new ReadAhead(node, values),
});
