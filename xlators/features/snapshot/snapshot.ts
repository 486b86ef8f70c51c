/**
 * Keeps a brick's history: what a fop is about to change is preserved first, by the rules of
 * `rules.ts`, if a snapshot sees it. docs/design/snapshots.md.
 */

import { type Call, PID_SERVER_TRASH, ROOT } from "core/call.ts";
import { CHANGED_SINCE, changesAsked } from "core/changed_since.ts";
import type {
  Args,
  Empty,
  FopName,
  Fops,
  GetxattrArgs,
  OnFd,
  Reply,
  SetxattrArgs,
  XattrReply,
} from "core/fops.ts";
import type { AddToMarks, FileClone, Flattening } from "core/history_orders.ts";
import type { Gfid } from "core/inode.ts";
import { bool, oneOf, optionalText, type OptionTable, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { withKey, type Xdata } from "core/xdata.ts";
import { KEEP_AS, KEPT } from "core/xdata_keys.ts";
import { type Json, type Node, Uniform } from "core/xlator.ts";
import { BrickFiles } from "snapshot/brick_files.ts";
import { History } from "snapshot/engine/history.ts";
import { HistoryError } from "snapshot/engine/store.ts";
import { markUnkept } from "snapshot/engine/unkept.ts";
import type { Leaving } from "snapshot/engine/kept.ts";
import {
  blockOrder,
  doBlockOrder,
  SNAPSHOTS_XATTR,
  snapshotsOf,
} from "xlators/features/snapshot/block_xattrs.ts";
import { changedSince } from "xlators/features/snapshot/changed_since.ts";
import { CloneFops } from "xlators/features/snapshot/clone_fops.ts";
import { cloneFile, flattenFile } from "xlators/features/snapshot/file_clones.ts";
import { Holds, Orders } from "xlators/features/snapshot/orders.ts";
import { restoreFile } from "xlators/features/snapshot/restore.ts";
import { restoreVolume } from "xlators/features/snapshot/restore_volume.ts";
import { type Before, RULES } from "xlators/features/snapshot/rules.ts";
import { removeTree, WHOLE_TREE } from "xlators/features/snapshot/tree.ts";
import { type Browsing, snapshotDirectory, Views } from "xlators/features/snapshot/views.ts";
import { VolumeFlatten } from "xlators/features/snapshot/volume_flatten.ts";

const options = {
  directory: optionalText({
    live: false,
    help: "The brick's directory; its history is kept in its .glusterfs/history.",
  }),
  "snapshot-durability": oneOf(["strict", "relaxed"], {
    default: "strict",
    volumeKey: "features.snapshot-durability",
    help: "strict: what a snapshot needs of old data is on the disk before it is overwritten. " +
      "relaxed: it is in the page cache, as the data of applications is; a loss of power may " +
      "then make snapshots inexact where data was overwritten in the last seconds before it.",
  }),
  "snapshot-directory": snapshotDirectory({
    default: ".snaps",
    volumeKey: "features.snapshot-directory",
    help: "Name of the directory in the volume's root that has the active snapshots, each as a " +
      "directory of its name, read-only. A file of that name in the root cannot be reached.",
  }),
  "show-snapshot-directory": bool({
    default: false,
    volumeKey: "features.show-snapshot-directory",
    help:
      "List the directory of snapshots in the volume's root: who walks through the volume then " +
      "walks through all snapshots as well. It can be entered in any case.",
  }),
} satisfies OptionTable;

const DAEMON: Call = { ...ROOT, pid: PID_SERVER_TRASH };

/** See the head of this file. */
export class Snapshot extends Uniform {
  readonly #directory: string | undefined;
  #durability: "strict" | "relaxed";
  #history: History | undefined;
  #whyNot: string | undefined;
  #isUnkept = false;
  #before!: Before;
  #browsing: Browsing;
  #views: Views | undefined;
  #clones: CloneFops | undefined;
  #files: BrickFiles | undefined;
  #flattening: VolumeFlatten | undefined;
  readonly #holds: Holds;
  readonly histories: Orders;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    this.#holds = new Holds(this.env.clock);
    this.histories = new Orders(this, this.#holds);
    this.#directory = values.directory;
    this.#durability = values["snapshot-durability"];
    this.#browsing = browsingOf(values);
  }

  reconfigure(values: Values<typeof options>): void {
    this.#durability = values["snapshot-durability"];
    if (this.#history) this.#history.durability = this.#durability;
    this.#browsing = browsingOf(values);
    if (this.#views) this.#views.browsing = this.#browsing;
  }

  /** A history that cannot be used is named in the log: live data is served without it. */
  async start(): Promise<void> {
    if (this.#directory === undefined) {
      this.#whyNot = "features/snapshot has no directory in the brick's volfile";
      return;
    }
    const live = this.#files = new BrickFiles(this.child, this.inodes, this.#directory);
    try {
      const history = await History.open({
        ...{ directory: `${this.#directory}/.glusterfs/history`, live },
        ...{ durability: this.#durability, env: this.env, foreign: this.child.foreign },
      });
      this.#history = history;
      this.#before = { preserve: history.preserve, live };
      const { child, inodes } = this;
      this.#views = new Views({ history, live, child, inodes }, this.#browsing);
      const { clones } = history, { clock } = this.env;
      this.#clones = new CloneFops({ child, inodes, clones, clock });
    } catch (error) {
      // A clone's files are nothing without it.
      if (!(error instanceof HistoryError) || this.child.foreign) throw error;
      this.#whyNot = error.message;
      this.env.log.error("snapshots of this brick cannot be used", { why: error.message });
    }
  }

  async stop(): Promise<void> {
    this.#holds.endAll();
    await this.#flattening?.stop();
    this.#flattening = undefined;
    this.#views = undefined;
    await this.#history?.close();
    this.#files?.forget();
    this.#history = undefined;
    this.#clones = undefined;
  }

  /** The history; undefined: there is none that can be used. */
  get history(): History | undefined {
    return this.#history;
  }

  /** Why there is none. */
  get whyNot(): string | undefined {
    return this.#whyNot;
  }

  /** See `core/history_orders.ts`. */
  async cloneFile(clone: FileClone): Promise<void> {
    const history = this.#history;
    if (history) await cloneFile(history, this.#clones!, this.env.clock, clone);
  }

  async flattenFile(gfid: Gfid): Promise<void> {
    const history = this.#history;
    if (history) await flattenFile(history, this.#clones!, gfid);
  }

  /** See `HistoryOrders.flatten`. */
  flatten(): Flattening {
    const history = this.#history, { foreign } = this.child;
    if (!history || !foreign) return { files: 0, bytes: 0, done: true, failed: "" };
    this.#flattening ??= new VolumeFlatten({
      ...{ history, foreign, fops: this.#clones!, clock: this.env.clock },
      kept: `${this.#directory}/.glusterfs/history/kept`,
    });
    return this.#flattening.begin();
  }

  async restoreFile(snapshot: string, gfid: Gfid): Promise<void> {
    const history = this.#history;
    const inode = this.inodes.of(gfid);
    if (history) await restoreFile(history, this, DAEMON, snapshot, inode, this.env.clock);
  }

  async restoreVolume(
    snapshot: string,
    addToMarks: AddToMarks,
    missedBy: readonly string[],
  ): Promise<void> {
    const history = this.#history, live = this.#files, { inodes, env: { log } } = this;
    if (!history || !live) return;
    const parts = { history, layer: this, live, inodes, snapshot, addToMarks, missedBy, log };
    await restoreVolume(parts);
  }

  /** Below are the files; of clones, only a part of each. */
  protected override wind<K extends FopName>(
    fop: K,
    call: Call,
    args: Args<K>,
  ): Promise<Reply<K>> {
    const history = this.#history;
    const answer = history?.clones.any
      ? this.#clones!.wind(fop, call, args)
      : (this.child[fop] as Fops[K])(call, args);
    return REMOVING.has(fop) ? answer.finally(() => this.#files?.forget()) : answer;
  }

  state(): Json {
    const snapshots = this.#history?.readers.list().length ?? null;
    return { durability: this.#durability, snapshots };
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const views = this.#views;
    if (this.#history) this.#history.asked++;
    const seen = views?.answer(fop, call, args);
    if (seen) return seen;
    const block = XATTR_FOPS.has(fop) ? this.#blockOrder(call, args) : undefined;
    if (block) return block as Promise<Reply<K>>;
    const live = this.#live(fop, call, args);
    return views?.isWatchedFor(fop) ? views.orView(live, fop, call, args) : live;
  }

  // Snapshots of a file, by its attributes.
  #blockOrder(call: Call, args: unknown): Promise<Empty | XattrReply> | undefined {
    const { inode, fd, name, xattrs } = args as Partial<SetxattrArgs & GetxattrArgs & OnFd>;
    const history = this.#history, of = inode ?? fd?.inode;
    if (!history || !of) return undefined;
    if (name === SNAPSHOTS_XATTR) {
      return Promise.resolve({ xattrs: snapshotsOf(history, of.gfid) });
    }
    if (name?.startsWith(CHANGED_SINCE)) return this.#changedSince(history, of.gfid, name);
    const order = blockOrder(xattrs);
    const parts = { history, layer: this, clock: this.env.clock };
    return order && doBlockOrder(parts, call, of, order);
  }

  async #changedSince(history: History, gfid: Gfid, name: string): Promise<XattrReply> {
    return { xattrs: await changedSince(history, undefined, gfid, changesAsked(name)!) };
  }

  #live<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const rule = (RULES as Rules)[fop] as Rule<K> | undefined;
    const history = this.#history;
    if (!rule) return this.wind(fop, call, args);
    if (!history) {
      this.#noteUnkept();
      return this.wind(fop, call, args);
    }
    if (history.isIdle) {
      const changing = this.wind(fop, call, args);
      history.changing(changing);
      return changing;
    }
    if (fop === "rmdir" && history.readers.any && (args as Args<"rmdir">).flags & WHOLE_TREE) {
      return removeTree(
        this,
        this.#before.live,
        this.inodes,
        call,
        args as Args<"rmdir">,
      ) as Promise<Reply<K>>;
    }
    return history.change(() => {
      const waits = history.readers.any ? rule(this.#before, args) : undefined;
      if (!waits) return this.wind(fop, call, args);
      return this.#preserved(waits, fop, call, args);
    });
  }

  // The first change that no history keeps.
  #noteUnkept(): void {
    if (this.#isUnkept || this.#directory === undefined || this.#whyNot === undefined) return;
    this.#isUnkept = true;
    try {
      markUnkept(`${this.#directory}/.glusterfs/history`);
    } catch (error) {
      this.env.log.error("cannot mark that snapshots are not exact", { error: String(error) });
    }
  }

  async #preserved<K extends FopName>(
    waits: Promise<Leaving | void>,
    fop: K,
    call: Call,
    args: Args<K>,
  ): Promise<Reply<K>> {
    const leaving = await waits;
    if (!leaving) return await this.wind(fop, call, args);
    let kept = false;
    try {
      const reply = await this.wind(fop, call, {
        ...args,
        xdata: withKey(args.xdata, KEEP_AS, leaving.name),
      });
      const xdata = reply.xdata as Xdata | undefined;
      kept = xdata?.has(KEPT) === true;
      return kept ? { ...reply, xdata: xdata!.without(KEPT) } : reply;
    } finally {
      leaving.done(kept);
    }
  }
}

function browsingOf(values: Values<typeof options>): Browsing {
  return { name: values["snapshot-directory"], listed: values["show-snapshot-directory"] };
}

type Rule<K extends FopName> = (
  before: Before,
  args: Args<K>,
) => Promise<Leaving | void> | undefined;
/** Fops after which a gfid may not be the inode's any more that it was. */
const REMOVING: ReadonlySet<FopName> = new Set<FopName>([
  ...["unlink", "rmdir", "rename", "mknod"] as const,
]);

const XATTR_FOPS: ReadonlySet<FopName> = new Set<FopName>([
  ...["setxattr", "fsetxattr", "getxattr", "fgetxattr"] as const,
]);

type Rules = { readonly [K in FopName]?: Rule<K> };

/** `features/snapshot`: a brick's history. */
export const snapshot = defineXlator({
  type: "features/snapshot",
  summary: "Keep snapshots of a brick by copying what changes before it does",
  options,
  subvolumes: "one",
  create: (node, values) => new Snapshot(node, values),
});
