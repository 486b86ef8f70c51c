/**
 * Write once, read many, of two kinds.
 *
 * Volume (`worm`): names and files can be added, what is there cannot be changed, renamed or removed.
 *
 * File (`worm-file-level`): a file is written by whoever created it and then closed. It is committed
 * when it has rested for `auto-commit-period`, noticed at the next attempt to change it, or at once
 * by taking away all its write permissions. A committed file is retained until its access time, then
 * only not to be written; states and xattrs in `retention.ts`.
 *
 * Daemons may do everything: copies are healed, files move between bricks.
 */

import { type Call, isInternal } from "core/call.ts";
import { EEXIST, EROFS, FopError } from "core/errno.ts";
import {
  type Args,
  type AttrChanges,
  type FopName,
  FOPS,
  O_ACCMODE,
  O_APPEND,
  O_EXCL,
  O_TRUNC,
  type Reply,
} from "core/fops.ts";
import { type Fd, type Inode, PerFd } from "core/inode.ts";
import { bool, duration, oneOf, type OptionTable, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { type Node, Uniform } from "core/xlator.ts";
import { type Policy, type Target, WormFile } from "xlators/features/worm/file.ts";
import { OWN_XATTRS } from "xlators/features/worm/retention.ts";

const options = {
  worm: bool({
    default: false,
    volumeKey: "features.worm",
    help: "Files and names can be added to the volume but not changed or removed.",
  }),
  "worm-file-level": bool({
    default: false,
    volumeKey: "features.worm-file-level",
    help: "Files created from now on cannot be changed once they are committed.",
  }),
  "worm-files-deletable": bool({
    default: true,
    volumeKey: "features.worm-files-deletable",
    help: "Committed files can be deleted when their retention is over.",
  }),
  "default-retention-period": duration({
    default: 120,
    min: 0,
    volumeKey: "features.default-retention-period",
    help: "How long a file is retained after it was committed.",
  }),
  "retention-mode": oneOf(["relax", "enterprise"], {
    default: "relax",
    volumeKey: "features.retention-mode",
    help: "Whether retention of a file can be made shorter (relax) or only longer (enterprise).",
  }),
  "auto-commit-period": duration({
    default: 180,
    min: 0,
    volumeKey: "features.auto-commit-period",
    help: "A file that was not written for that long is committed.",
  }),
} satisfies OptionTable;

/** What the layer looks at in a fop that modifies. */
interface Treatment {
  /** Refused on a WORM volume. */
  readonly volume: boolean;
  /** Which file must not be committed; "other" has rules of its own. */
  readonly file: "none" | "inode" | "fd" | "name" | "names" | "other";
}

/** A decision for every fop that modifies: a new one stops the build here. */
const TREATMENTS: {
  readonly [K in FopName as (typeof FOPS)[K]["kind"] extends "modify" ? K : never]: Treatment;
} = {
  // `#create` decides.
  create: { volume: false, file: "none" },
  put: { volume: false, file: "other" },
  mknod: { volume: false, file: "none" },
  mkdir: { volume: false, file: "none" },
  symlink: { volume: false, file: "none" },
  icreate: { volume: false, file: "none" },
  namelink: { volume: false, file: "none" },
  // Through a file that was opened to write: on a WORM volume only its creator can have.
  writev: { volume: false, file: "fd" },
  fallocate: { volume: false, file: "fd" },
  zerofill: { volume: false, file: "fd" },
  copyFileRange: { volume: false, file: "fd" },
  discard: { volume: true, file: "fd" },
  truncate: { volume: true, file: "inode" },
  ftruncate: { volume: true, file: "fd" },
  link: { volume: true, file: "inode" },
  unlink: { volume: true, file: "name" },
  rmdir: { volume: true, file: "other" },
  rename: { volume: true, file: "names" },
  setattr: { volume: false, file: "other" },
  fsetattr: { volume: false, file: "other" },
  setxattr: { volume: false, file: "other" },
  fsetxattr: { volume: false, file: "other" },
  removexattr: { volume: true, file: "other" },
  fremovexattr: { volume: true, file: "other" },
  // Marks of replication and sizes of shards belong to writes that are allowed.
  xattrop: { volume: false, file: "other" },
  fxattrop: { volume: false, file: "other" },
};

const WRITE_BITS = 0o222;
type XattrArgs = Args<"setxattr"> | Args<"removexattr"> | Args<"xattrop">;

class Worm extends Uniform {
  #volume = false;
  #fileLevel = false;
  #policy!: Policy;
  // Files whose creator has not closed them yet.
  readonly #created = new PerFd<true>();

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.reconfigure(values);
  }

  reconfigure(values: Values<typeof options>): void {
    this.#volume = values.worm;
    this.#fileLevel = values["worm-file-level"];
    this.#policy = {
      retentionSec: values["default-retention-period"],
      autoCommitSec: values["auto-commit-period"],
      enterprise: values["retention-mode"] === "enterprise",
      deletable: values["worm-files-deletable"],
    };
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    if (!this.#volume && !this.#fileLevel) return this.wind(fop, call, args);
    if (fop === "release") {
      return this.#release(call, args as Args<"release">) as Promise<Reply<K>>;
    }
    if (isInternal(call)) return this.wind(fop, call, args);
    if (fop === "open") return this.#open(call, args as Args<"open">) as Promise<Reply<K>>;
    if (fop === "create") return this.#create(call, args as Args<"create">) as Promise<Reply<K>>;
    const treatment = (TREATMENTS as Partial<Record<FopName, Treatment>>)[fop];
    if (!treatment) return this.wind(fop, call, args);
    if (this.#volume && treatment.volume) return Promise.reject(EROFS);
    if (!this.#fileLevel) return this.wind(fop, call, args);
    return this.#guarded(treatment, fop, call, args);
  }

  #guarded<K extends FopName>(
    { file }: Treatment,
    fop: K,
    call: Call,
    args: Args<K>,
  ): Promise<Reply<K>> {
    if (file === "none") return this.wind(fop, call, args);
    if (file === "other") return this.#other(fop, call, args) as Promise<Reply<K>>;
    return this.#unlessCommitted(fop, call, this.#targets(file, call, args), args);
  }

  async #unlessCommitted<K extends FopName>(
    fop: K,
    call: Call,
    targets: Target[] | Promise<Target[]>,
    args: Args<K>,
  ): Promise<Reply<K>> {
    for (const target of await targets) {
      if (await this.#isProtected(call, target, fop === "unlink")) throw EROFS;
    }
    return this.wind(fop, call, args);
  }

  async #isProtected(call: Call, target: Target, deleting: boolean): Promise<boolean> {
    const file = this.#file(call, target);
    return await file.isWorm() && await file.isProtected(this.#policy, this.#now(), deleting);
  }

  #file(call: Call, target: Target): WormFile {
    return new WormFile(this.child, call, target);
  }

  #now(): number {
    return Math.floor(this.env.clock.now() / 1000);
  }

  // Files that must not be committed, of those that exist.
  #targets<K extends FopName>(
    file: "inode" | "fd" | "name" | "names",
    call: Call,
    args: Args<K>,
  ): Target[] | Promise<Target[]> {
    if (file === "inode") return [{ inode: (args as { inode: Inode }).inode }];
    if (file === "fd") return [{ fd: (args as { fd: Fd }).fd }];
    if (file === "name") {
      const { parent, name } = args as Args<"unlink">;
      return this.#fileAt(call, parent, name);
    }
    const { oldParent, oldName, newParent, newName } = args as Args<"rename">;
    return Promise.all([
      this.#fileAt(call, oldParent, oldName),
      this.#fileAt(call, newParent, newName),
    ]).then((found) => found.flat());
  }

  #fileAt(call: Call, parent: Inode, name: string): Promise<Target[]> {
    const inside = { ...call, uid: 0, gid: 0, groups: [] };
    return this.child.lookup(inside, { parent, name }).then(
      ({ stat }) => [{ inode: this.inodes.of(stat.gfid) }],
      (error) => {
        if (error instanceof FopError) return [];
        throw error;
      },
    );
  }

  #other(fop: FopName, call: Call, args: unknown): Promise<unknown> {
    switch (fop) {
      case "rmdir":
        return this.#rmdir(call, args as Args<"rmdir">);
      case "put":
        return this.#put(call, args as Args<"put">);
      case "setattr":
        return this.#setattr(call, args as Args<"setattr">);
      case "fsetattr":
        return this.#fsetattr(call, args as Args<"fsetattr">);
      default:
        return this.#xattrs(fop, call, args as XattrArgs);
    }
  }

  #open(call: Call, args: Args<"open">): Promise<Reply<"open">> {
    const writes = args.flags & (O_ACCMODE | O_APPEND | O_TRUNC);
    if (this.#volume && writes) return Promise.reject(EROFS);
    if (!this.#fileLevel || !(args.flags & O_TRUNC)) return this.child.open(call, args);
    return this.#unlessCommitted("open", call, [{ inode: args.inode }], args);
  }

  // Without O_EXCL storage would open, and maybe empty, what is there already.
  async #create(call: Call, args: Args<"create">): Promise<Reply<"create">> {
    let reply: Reply<"create">;
    try {
      reply = await this.child.create(call, { ...args, flags: args.flags | O_EXCL });
    } catch (error) {
      if (args.flags & O_EXCL || !EEXIST.matches(error)) throw error;
      if (this.#volume) throw EROFS;
      const found = this.#fileAt(call, args.parent, args.name);
      return await this.#unlessCommitted("create", call, found, args);
    }
    if (!this.#fileLevel) return reply;
    const { fd } = reply;
    await this.#noted(this.#file(call, { fd }).begin(this.#now()));
    this.#created.set(fd, true);
    return reply;
  }

  // Not with all that is in it: committed files may be.
  #rmdir(call: Call, args: Args<"rmdir">): Promise<Reply<"rmdir">> {
    return this.child.rmdir(call, { ...args, flags: args.flags & ~1 });
  }

  async #put(call: Call, args: Args<"put">): Promise<Reply<"put">> {
    const reply = await this.child.put(call, args);
    const file = this.#file(call, { inode: this.inodes.of(reply.stat.gfid) });
    await this.#noted(file.begin(this.#now()));
    await this.#noted(file.close());
    return reply;
  }

  async #release(call: Call, args: Args<"release">): Promise<Reply<"release">> {
    if (this.#fileLevel && this.#created.get(args.fd)) {
      await this.#noted(this.#file(call, { fd: args.fd }).close());
    }
    return this.child.release(call, args);
  }

  // The file is there: an xattr that could not be set is for the operator to see.
  #noted(done: Promise<unknown>): Promise<void> {
    return done.then(() => {}, (error) => {
      if (!(error instanceof FopError)) throw error;
      this.env.log.error("file will not be protected", { error: error.code });
    });
  }

  async #setattr(call: Call, args: Args<"setattr">): Promise<Reply<"setattr">> {
    const changes = await this.#attributes(call, { inode: args.inode }, args.changes);
    return this.child.setattr(call, { ...args, changes });
  }

  async #fsetattr(call: Call, args: Args<"fsetattr">): Promise<Reply<"fsetattr">> {
    const changes = await this.#attributes(call, { fd: args.fd }, args.changes);
    return this.child.fsetattr(call, { ...args, changes });
  }

  // What may be changed: taking all write permissions commits, the access time is the retention.
  async #attributes(call: Call, target: Target, changes: AttrChanges): Promise<AttrChanges> {
    const commits = changes.mode !== undefined && (changes.mode & WRITE_BITS) === 0;
    if (!commits && changes.atime === undefined) return changes;
    const file = this.#file(call, target);
    if (!await file.isWorm()) return changes;
    const state = await file.retention();
    if (commits && !state?.retained) {
      await file.commit(this.#policy, this.#now());
      // The access time that came along would end the retention.
      return { ...changes, atime: undefined };
    }
    if (!state?.retained || changes.atime === undefined) return changes;
    const stat = await file.stat();
    const until = changes.atime === "now" ? this.#now() : changes.atime.sec;
    if (until < (state.enterprise ? stat.atime : stat.mtime)) throw EROFS;
    await file.store({ ...state, periodSec: state.periodSec + until - stat.atime });
    return { ...changes, mtime: undefined };
  }

  #xattrs(
    fop: FopName,
    call: Call,
    args: XattrArgs,
  ): Promise<unknown> {
    const names = "xattrs" in args
      ? args.xattrs?.names()
      : args.name === ""
      ? args.xdata?.names()
      : [args.name];
    for (const name of names ?? []) if (OWN_XATTRS.has(name)) return Promise.reject(EROFS);
    return this.wind(fop, call, args as never);
  }
}

/** `features/worm`: write once, read many. */
export const worm = defineXlator({
  type: "features/worm",
  summary: "Write once, read many: for volumes, or file by file with retention",
  options,
  subvolumes: "one",
  create: (node, values) => new Worm(node, values),
});
