/**
 * One clock for all copies of a file: the client stamps every change with its own time
 * (`call.ctime`), and bricks store that time instead of theirs (`storage/posix`, option `ctime`).
 * A file that has no stored times yet gets, when it is looked up, those that it shows now.
 */

import { type Call, PID_SET_UTIME } from "core/call.ts";
import { Derived } from "core/derived.ts";
import { FopError } from "core/errno.ts";
import {
  type Args,
  type AttrChanges,
  type FopName,
  FOPS,
  type LookupReply,
  type Reply,
} from "core/fops.ts";
import type { Iatt, Timespec } from "core/iatt.ts";
import { type Inode, PerInode } from "core/inode.ts";
import { bool, type OptionTable, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { type Mdata, Xdata } from "core/xdata.ts";
import { SET_CTIME_MDATA } from "core/xdata_keys.ts";
import { type Node, Uniform } from "core/xlator.ts";

const options = {
  noatime: bool({
    default: true,
    volumeKey: "ctime.noatime",
    help: "Reading does not change access times.",
  }),
} satisfies OptionTable;

/** The stored times; asked for to see whether there are any. */
const MDATA = "trusted.glusterfs.mdata";
const MDATA_REQUEST = Xdata.of([[MDATA, { type: "int", value: 1 }]]);

// Fops that read, as far as access times go.
const READING: ReadonlySet<FopName> = new Set(["open", "opendir", "readv"]);
// Marks of replication are not changes that anybody made.
const UNTIMED: ReadonlySet<FopName> = new Set(["xattrop", "fxattrop"]);

class Utime extends Uniform {
  readonly #asking = new Derived((given) => given?.merged(MDATA_REQUEST) ?? MDATA_REQUEST);
  #noatime: boolean;
  // Inodes whose times could not be stored: a brick that does not want them is not asked again.
  readonly #refused = new PerInode<true>();

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#noatime = values.noatime;
  }

  reconfigure(values: Values<typeof options>): void {
    this.#noatime = values.noatime;
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (fop === "lookup") return this.#lookup(call, args as Args<"lookup">) as Promise<Reply<K>>;
    // A stamp that is there already came from nearer to the application.
    if (call.ctime || !this.#isTimed(fop)) return this.wind(fop, call, args);
    const ctime = this.#now();
    if (fop === "setattr" || fop === "fsetattr") args = stamped(args as Args<"setattr">, ctime);
    return this.wind(fop, { ...call, ctime }, args);
  }

  #isTimed(fop: FopName): boolean {
    if (READING.has(fop)) return !this.#noatime;
    return FOPS[fop].kind === "modify" && !UNTIMED.has(fop);
  }

  #now(): Timespec {
    const ms = this.env.clock.now();
    const sec = Math.floor(ms / 1000);
    return { sec, nsec: Math.floor((ms - sec * 1000) * 1e6) };
  }

  async #lookup(call: Call, args: Args<"lookup">): Promise<LookupReply> {
    const reply = await this.child.lookup(call, { ...args, xdata: this.#asking.of(args.xdata) });
    if (!reply.xdata?.has(MDATA)) {
      const inode = this.inodes.of(reply.stat.gfid);
      if (!this.#refused.get(inode)) await this.#store(call, inode, reply.stat);
    }
    return reply;
  }

  async #store(call: Call, inode: Inode, stat: Iatt): Promise<void> {
    const inside = { ...call, uid: 0, gid: 0, groups: [], pid: PID_SET_UTIME };
    const xattrs = Xdata.of([[SET_CTIME_MDATA.name, SET_CTIME_MDATA.write(timesOf(stat))]]);
    try {
      await this.child.setxattr(inside, { inode, xattrs, flags: 0 });
    } catch (error) {
      if (!(error instanceof FopError)) throw error;
      // The lookup was right all the same.
      this.#refused.set(inode, true);
      this.env.log.debug("times could not be stored", { gfid: inode.gfid, error: error.code });
    }
  }
}

function timesOf(stat: Iatt): Mdata {
  return {
    atime: { sec: stat.atime, nsec: stat.atimeNsec },
    mtime: { sec: stat.mtime, nsec: stat.mtimeNsec },
    ctime: { sec: stat.ctime, nsec: stat.ctimeNsec },
  };
}

// "Now" is the client's now, so that every copy gets the same.
function stamped<A extends { readonly changes: AttrChanges }>(args: A, now: Timespec): A {
  const { atime, mtime } = args.changes;
  if (atime !== "now" && mtime !== "now") return args;
  const changes = {
    ...args.changes,
    atime: atime === "now" ? now : atime,
    mtime: mtime === "now" ? now : mtime,
  };
  return { ...args, changes };
}

/** `features/utime`: the client's clock gives the times of changes. */
export const utime = defineXlator({
  type: "features/utime",
  summary: "Times of changes come from the client's clock",
  options,
  subvolumes: "one",
  create: (node, values) => new Utime(node, values),
});
