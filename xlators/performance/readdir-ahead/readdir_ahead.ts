/**
 * Directories are read ahead, from when they are opened: the next entries are asked for while the
 * last ones are looked at. See ahead.ts.
 */

import { type Call, isInternal } from "core/call.ts";
import type { GraphEvent } from "core/events.ts";
import { type Args, type FopName, FOPS, type Reply } from "core/fops.ts";
import { type Fd, type Gfid, type Inode, PerFd } from "core/inode.ts";
import { bool, type OptionTable, size, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { type Json, type Node, Uniform } from "core/xlator.ts";
import { Ahead, type Shared } from "xlators/performance/readdir-ahead/ahead.ts";

const options = {
  "readdir-ahead": bool({ default: false, help: "Kept for old volumes; does nothing." }),
  "rda-request-size": size({
    default: 131_072,
    min: 4096,
    max: 131_072,
    volumeKey: "performance.rda-request-size",
    help: "Size of one listing that is asked for ahead.",
  }),
  "rda-low-wmark": size({
    default: 4096,
    min: 0,
    max: 10 << 20,
    volumeKey: "performance.rda-low-wmark",
    help: "Of a directory, more is asked for when there is less than this.",
  }),
  "rda-high-wmark": size({
    default: 131_072,
    min: 0,
    max: 100 << 20,
    volumeKey: "performance.rda-high-wmark",
    help: "Of a directory, nothing more is asked for when there is this much.",
  }),
  "rda-cache-limit": size({
    default: 10 << 20,
    volumeKey: "performance.rda-cache-limit",
    help: "Memory for all directories; beyond it nothing is asked for ahead.",
  }),
  "parallel-readdir": bool({ default: false, help: "Kept for old volumes; does nothing." }),
  "pass-through": bool({
    default: false,
    volumeKey: "performance.readdir-ahead-pass-through",
    help: "Nothing is read ahead.",
  }),
} satisfies OptionTable;

/** Modify a directory that is named by one of these. */
const PARENTS = ["parent", "oldParent", "newParent"] as const;

class ReaddirAhead extends Uniform {
  readonly #of = new PerFd<Ahead>();
  readonly #all = new Set<Ahead>();
  readonly #shared: Shared;
  #values: Values<typeof options>;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#values = values;
    this.#shared = {
      changing: new Map(),
      naming: 0,
      used: 0,
      limit: 0,
      request: 0,
      low: 0,
      high: 0,
    };
    this.#tune();
  }

  reconfigure(values: Values<typeof options>): void {
    this.#values = values;
    this.#tune();
  }

  state(): Json {
    return { directories: this.#all.size, bytes: this.#shared.used };
  }

  #tune(): void {
    const values = this.#values;
    this.#shared.limit = values["pass-through"] ? 0 : values["rda-cache-limit"];
    this.#shared.request = values["rda-request-size"];
    this.#shared.low = values["rda-low-wmark"];
    this.#shared.high = values["rda-high-wmark"];
  }

  protected override heard(event: GraphEvent): void {
    switch (event.type) {
      case "cache-invalidation":
        for (const each of [event.gfid, event.parent?.gfid, event.oldParent?.gfid]) {
          if (each) this.#changed(each);
        }
        break;
      case "child-up":
      case "child-down":
      case "some-down":
        for (const ahead of this.#all) ahead.drop();
    }
    this.emit(event);
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    switch (fop) {
      case "opendir":
        return this.#opendir(call, args as Args<"opendir">) as Promise<Reply<K>>;
      case "readdirp":
        return this.#readdirp(call, args as Args<"readdirp">) as Promise<Reply<K>>;
      case "releasedir":
        this.#forget((args as Args<"releasedir">).fd);
    }
    if (FOPS[fop].kind === "modify") return this.#modify(fop, call, args);
    if (!this.#all.size) return this.wind(fop, call, args);
    return this.wind(fop, call, args).then((reply) => {
      this.#seen(seenBy(fop, args, reply));
      return reply;
    }, (error) => {
      // There is no such attribute: that, too, was seen.
      this.#seen(seenBy(fop, args, undefined));
      throw error;
    });
  }

  // Seen by itself, it must not be seen as it was before in a listing.
  #seen(gfid: Gfid | undefined): void {
    if (gfid) { for (const ahead of this.#all) ahead.doubt(gfid); }
  }

  #readdirp(call: Call, args: Args<"readdirp">): Promise<Reply<"readdirp">> {
    const own = this.#of.get(args.fd);
    const answer = own ? own.read(call, args) : this.child.readdirp(call, args);
    if (this.#all.size === (own ? 1 : 0)) return answer;
    return answer.then((reply) => {
      for (const ahead of this.#all) {
        if (ahead === own) continue;
        for (const { stat } of reply.entries) if (stat) ahead.doubt(stat.gfid);
      }
      return reply;
    });
  }

  async #opendir(call: Call, args: Args<"opendir">): Promise<Reply<"opendir">> {
    const reply = await this.child.opendir(call, args);
    if (isInternal(call) || this.#values["pass-through"] || reply.fd.anonymous) return reply;
    const { clock } = this.env;
    const ahead = new Ahead(this.child, clock, call, reply.fd, args.xdata, this.#shared);
    this.#of.set(reply.fd, ahead);
    this.#all.add(ahead);
    ahead.fill();
    return reply;
  }

  #forget(fd: Fd): void {
    const ahead = this.#of.get(fd);
    if (!ahead) return;
    ahead.close();
    this.#all.delete(ahead);
    this.#of.delete(fd);
  }

  // What is read in between may be as it was before, or after.
  #modify<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { inode, fd } = args as { inode?: Inode; fd?: Fd };
    const parents = PARENTS.map((each) => (args as Partial<Record<typeof each, Inode>>)[each]);
    const gfids = [inode ?? fd?.inode, ...parents].flatMap((each) => each ? [each.gfid] : []);
    const names = parents.some((each) => each) ? 1 : 0;
    this.#count(gfids, names, 1);
    return this.wind(fop, call, args).finally(() => this.#count(gfids, names, -1));
  }

  #count(gfids: readonly Gfid[], names: number, by: 1 | -1): void {
    const { changing } = this.#shared;
    this.#shared.naming += names * by;
    for (const gfid of gfids) {
      const count = (changing.get(gfid) ?? 0) + by;
      if (count) changing.set(gfid, count);
      else changing.delete(gfid);
      this.#changed(gfid);
    }
    // The name of some file came or went: it is listed elsewhere, too, if it has more.
    for (const ahead of names ? this.#all : []) ahead.doubtAll();
  }

  #changed(gfid: Gfid): void {
    for (const ahead of this.#all) {
      if (ahead.directory === gfid) ahead.drop();
      else ahead.doubt(gfid);
    }
  }
}

// The file that a fop's answer told something about.
function seenBy(
  fop: FopName,
  args: Args<FopName>,
  reply: Reply<FopName> | undefined,
): Gfid | undefined {
  if (fop === "getxattr") return (args as Args<"getxattr">).inode.gfid;
  if (fop === "fgetxattr") return (args as Args<"fgetxattr">).fd.inode.gfid;
  return (reply as Partial<Reply<"stat">> | undefined)?.stat?.gfid;
}

/** `performance/readdir-ahead`: directories are read ahead. */
export const readdirAhead = defineXlator({
  type: "performance/readdir-ahead",
  summary: "Directories are read ahead",
  options,
  subvolumes: "one",
  create: (node, values) => new ReaddirAhead(node, values),
});
