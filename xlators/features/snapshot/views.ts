/**
 * Browsing snapshots: which fops are for inodes of views, and the directory in the volume's root
 * that has a view for each active snapshot. All of it is read-only.
 *
 * An inode of a view is known by its object. A gfid that neither the live files nor this process
 * knows (a client knows it since before a restart) is looked for in the views: gfids there can be
 * turned back. While no snapshot is active, a fop on live files costs one look.
 */

import { type Call, isInternal } from "core/call.ts";
import { ENOENT, EROFS, ESTALE, EXDEV } from "core/errno.ts";
import { type AnyArgs, type Args, type FopName, FOPS, type Reply } from "core/fops.ts";
import { S_IFDIR } from "core/iatt.ts";
import { type Gfid, type Inode, type InodeTable, PerInode, ROOT_GFID } from "core/inode.ts";
import { type OptionSpec, text } from "core/options.ts";
import { SNAPSHOTS_GFID } from "core/view_gfid.ts";
import type { Xlator } from "core/xlator.ts";
import type { History } from "snapshot/engine/history.ts";
import type { Live } from "snapshot/engine/live.ts";
import { SnapshotsTree, type Tree } from "xlators/features/snapshot/trees.ts";
import { foundAs, ViewFd } from "xlators/features/snapshot/view_fd.ts";
import {
  describe,
  type ServedFop,
  type Server,
  VIEW_FOPS,
} from "xlators/features/snapshot/view_fops.ts";

/** What views are made of. */
export interface ViewParts {
  readonly history: History;
  readonly live: Live;
  /** The live files. */
  readonly child: Xlator;
  readonly inodes: InodeTable;
}

/** Where snapshots are browsed. */
export interface Browsing {
  /** Of the directory in the root. */
  readonly name: string;
  /** Whether listing the root shows it. */
  readonly listed: boolean;
}

/** The option for its name, with GlusterFS's rule for it. */
export function snapshotDirectory(common: Parameters<typeof text>[0]): OptionSpec<string> {
  return {
    ...text(common),
    values: "a dot, then letters, digits, - and _",
    parse(name) {
      if (/^\.[\w-]{1,254}$/.test(name) && name !== ".glusterfs") return name;
      throw new RangeError(`expected a name that begins with a dot, got "${name}"`);
    },
  };
}

/** By which of its arguments a fop says what it is for. */
type By = "fd" | "inode" | "entry" | "lookup" | "link" | "rename" | "copy" | "nothing";

const BY: { readonly [K in FopName]: By } = {
  ...{ stat: "inode", readlink: "inode", truncate: "inode", open: "inode", statfs: "inode" },
  ...{ setxattr: "inode", getxattr: "inode", removexattr: "inode", opendir: "inode" },
  ...{ access: "inode", inodelk: "inode", entrylk: "inode", xattrop: "inode", setattr: "inode" },
  ...{ lease: "inode", getactivelk: "inode", setactivelk: "inode", icreate: "inode" },
  ...{ mknod: "entry", mkdir: "entry", unlink: "entry", rmdir: "entry", symlink: "entry" },
  ...{ create: "entry", put: "entry", namelink: "entry" },
  ...{ lookup: "lookup", link: "link", rename: "rename", copyFileRange: "copy", ipc: "nothing" },
  ...{ readv: "fd", writev: "fd", flush: "fd", fsync: "fd", fsyncdir: "fd", ftruncate: "fd" },
  ...{ fstat: "fd", lk: "fd", readdir: "fd", readdirp: "fd", finodelk: "fd", fentrylk: "fd" },
  ...{ fxattrop: "fd", fgetxattr: "fd", fsetxattr: "fd", fremovexattr: "fd", rchecksum: "fd" },
  ...{ fsetattr: "fd", release: "fd", releasedir: "fd", fallocate: "fd", discard: "fd" },
  ...{ zerofill: "fd", seek: "fd" },
};

/** Fops that clients send without opening a file. */
const READS_UNOPENED: ReadonlySet<FopName> = new Set<FopName>(["readv", "fstat", "writev"]);

/** In the root's listing, the place after the directory of snapshots; no file system has it. */
const LAST_COOKIE = 0x6d6f_7274_0000_0000n;

/** See the head of this file. */
export class Views implements Server {
  readonly #parts: ViewParts;
  readonly #snapshots: SnapshotsTree;
  readonly #known = new PerInode<Tree>();
  #isUsed = false;
  browsing: Browsing;

  constructor(parts: ViewParts, browsing: Browsing) {
    this.#parts = parts;
    this.#snapshots = new SnapshotsTree(parts.history, parts.live);
    this.browsing = browsing;
  }

  /** The answer to a fop that is for a view; undefined: it is for live files. */
  answer<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> | undefined {
    const by = BY[fop], any = args as AnyArgs;
    const isWatched = this.#snapshots.any || this.#isUsed;
    if (by === "fd") {
      if (!isWatched && !this.browsing.listed) return undefined;
      const { fd } = any;
      if (fd instanceof ViewFd) return this.#serve(fop, call, args, fd.tree);
      const { inode } = fd!;
      if (fd!.anonymous && isWatched) return this.#serve(fop, call, args, this.#treeOf(inode));
      const lists = fop === "readdir" || fop === "readdirp";
      return lists && this.#isListedIn(call, inode)
        ? this.#listRoot(fop, call, args as Args<"readdirp">) as Promise<Reply<K>>
        : undefined;
    }
    if (by === "lookup" && this.#isOurs(any.parent, any.name)) {
      return this.#lookupSnapshots(call, args as Args<"lookup">) as Promise<Reply<K>>;
    }
    if (by === "inode") return this.#serve(fop, call, args, isWatched && this.#treeOf(any.inode!));
    if (by === "nothing") return undefined;
    if (by === "copy") return this.#copy(any) as Promise<Reply<K>> | undefined;
    if (by !== "lookup" && this.#names(any)) return Promise.reject(EROFS);
    return isWatched ? this.#serve(fop, call, args, this.#treeOfNamed(by, any)) : undefined;
  }

  #treeOfNamed(by: By, { inode, parent, name, oldParent, newParent }: AnyArgs): Tree | undefined {
    switch (by) {
      case "rename":
        return this.#treeOf(oldParent!) ?? this.#treeOf(newParent!);
      case "link":
        return this.#treeOf(parent!) ?? this.#treeOf(inode!);
      case "lookup":
        return this.#treeOf((name !== "" && name !== "." ? parent : inode) ?? (inode ?? parent)!);
      default:
        return this.#treeOf(parent!);
    }
  }

  #serve<K extends FopName>(
    fop: K,
    call: Call,
    args: Args<K>,
    tree: Tree | false | undefined,
  ): Promise<Reply<K>> | undefined {
    if (!tree) return undefined;
    if (FOPS[fop].kind === "modify") return Promise.reject(EROFS);
    const serve = VIEW_FOPS[fop as ServedFop] as unknown as (
      ...given: [Server, Call, Args<K>, Tree]
    ) => Promise<Reply<K>>;
    return serve(this, call, args, tree);
  }

  // From a view a client has to copy by itself.
  #copy({ fd, source }: AnyArgs): Promise<never> | undefined {
    if (fd instanceof ViewFd) return Promise.reject(EROFS);
    return source instanceof ViewFd ? Promise.reject(EXDEV) : undefined;
  }

  #treeOf(inode: Inode): Tree | undefined {
    return this.#known.get(inode);
  }

  #isOurs(parent: Inode | undefined, name: string | undefined): boolean {
    return name === this.browsing.name && parent?.gfid === ROOT_GFID;
  }

  #names({ parent, name, oldParent, oldName, newParent, newName }: AnyArgs): boolean {
    return this.#isOurs(parent, name) || this.#isOurs(oldParent, oldName) ||
      this.#isOurs(newParent, newName);
  }

  async #lookupSnapshots(call: Call, args: Args<"lookup">): Promise<Reply<"lookup">> {
    const inode = this.inodeOf(SNAPSHOTS_GFID, this.#snapshots);
    const reply = await VIEW_FOPS.lookup(
      this,
      call,
      { inode, name: "", xdata: args.xdata },
      this.#snapshots,
    );
    const { stat: postParent } = await this.#parts.child.stat(call, { inode: args.parent! });
    return { ...reply, postParent };
  }

  /** Whether live files may fail a fop because its gfid is a view's. */
  isWatchedFor(fop: FopName): boolean {
    return this.#snapshots.any && (BY[fop] !== "fd" || READS_UNOPENED.has(fop));
  }

  /** The live answer, or that of the view which the gfid turns out to be of. */
  async orView<K extends FopName>(
    live: Promise<Reply<K>>,
    fop: K,
    call: Call,
    args: Args<K>,
  ): Promise<Reply<K>> {
    try {
      return await live;
    } catch (error) {
      if (!isMiss(error)) throw error;
      const { inode, parent, oldParent, newParent, fd } = args as AnyArgs;
      let found = false;
      for (const each of [inode, parent, oldParent, newParent, fd?.anonymous && fd.inode]) {
        if (each && !this.#treeOf(each) && await this.#find(each)) found = true;
      }
      const answer = found && this.answer(fop, call, args);
      if (!answer) throw error;
      return await answer;
    }
  }

  async #find(inode: Inode): Promise<boolean> {
    if (inode.gfid === ROOT_GFID) return false;
    if (inode.gfid === SNAPSHOTS_GFID) return this.#mark(inode, this.#snapshots);
    for (const { tree } of this.#snapshots.names.values()) {
      if (tree.mayHave(inode.gfid) && await tree.state(inode.gfid)) return this.#mark(inode, tree);
    }
    return false;
  }

  #mark(inode: Inode, tree: Tree): true {
    this.#known.set(inode, tree);
    return this.#isUsed = true;
  }

  inodeOf(gfid: Gfid, tree: Tree): Inode {
    const inode = this.#parts.inodes.of(gfid);
    this.#mark(inode, tree);
    return inode;
  }

  statfs(call: Call): Promise<Reply<"statfs">> {
    return this.#parts.child.statfs(call, { inode: this.#parts.inodes.root });
  }

  // Healers and crawlers have nothing to do there.
  #isListedIn(call: Call, { gfid }: Inode): boolean {
    return this.browsing.listed && gfid === ROOT_GFID && !isInternal(call);
  }

  async #listRoot(
    fop: FopName,
    call: Call,
    args: Args<"readdirp">,
  ): Promise<Reply<"readdir">> {
    if (args.offset === LAST_COOKIE) return { entries: [], eof: true };
    const reply: Reply<"readdir"> =
      await (fop === "readdir"
        ? this.#parts.child.readdir(call, args)
        : this.#parts.child.readdirp(call, args));
    if (!reply.eof) return reply;
    const { name } = this.browsing, tree = this.#snapshots, gfid = SNAPSHOTS_GFID;
    const found = [foundAs({ name, type: S_IFDIR }, LAST_COOKIE, { gfid, tree })];
    const plus = await describe(this, found, args.xdata);
    return { ...reply, entries: [...reply.entries, ...plus] };
  }
}

// Without a parent's attributes it is the gfid itself that is not there.
function isMiss(error: unknown): boolean {
  return ESTALE.matches(error) || (ENOENT.matches(error) && !error.postParent);
}
