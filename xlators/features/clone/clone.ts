/**
 * A brick of a cloned volume: begins as what a reader of another brick's history (the origin) sees,
 * at once whatever its size. Below are the clone's own storage, and the origin's files to look at.
 *
 * Names and attributes come here when somebody first looks for them (`arrivals.ts`); data stays with
 * the origin until it is written (`features/snapshot` above, which asks `foreign`). So all that is
 * done to files and directories is done by storage/posix as in any brick. A fop on an inode that is
 * not here fails first, and is tried again after it came.
 *
 * The origin's brick need not run: its history and files are read from its directory.
 */

import type { Call } from "core/call.ts";
import { ENOENT, EROFS, ESTALE } from "core/errno.ts";
import type { AnyArgs, Args, FopName, Fops, Reply } from "core/fops.ts";
import type { Foreign } from "core/foreign.ts";
import type { Gfid, Inode } from "core/inode.ts";
import { bool, type OptionTable, text, type Values } from "core/options.ts";
import { defineXlator } from "core/registry.ts";
import { BEGUN_XATTR } from "core/xdata_keys.ts";
import { Funnel, type Json, type Node, type Xlator } from "core/xlator.ts";
import { BrickFiles } from "snapshot/brick_files.ts";
import type { Live } from "snapshot/engine/live.ts";
import { LookedAt } from "snapshot/engine/looked_at.ts";
import { Arrivals } from "xlators/features/clone/arrivals.ts";
import { BegunFiles } from "xlators/features/clone/begun_files.ts";
import { Marks } from "xlators/features/clone/marks.ts";
import { MergedFiles } from "xlators/features/clone/merged_files.ts";

const options = {
  directory: text({ default: "", live: false, help: "The clone's directory." }),
  origin: text({ default: "", live: false, help: "The directory of the origin's brick." }),
  reader: text({
    default: "",
    live: false,
    help: "Id of the reader of the origin's history that keeps what the clone began as.",
  }),
  "look-only": bool({
    default: false,
    live: false,
    help:
      "Change nothing in the directory: it is the origin of a clone, and another process serves it.",
  }),
} satisfies OptionTable;

/** See the head of this file. */
export class VolumeClone extends Funnel {
  readonly #values: Values<typeof options>;
  readonly #upper: Xlator;
  readonly #lower: Xlator;
  #origin: LookedAt | undefined;
  #arrivals: Arrivals | undefined;
  #foreign: Foreign | undefined;
  #files: Live | undefined;

  constructor(node: Node, values: Values<typeof options>) {
    super(node);
    const [upper, lower, ...more] = node.children;
    if (!upper || !lower || more.length) {
      throw new RangeError(
        `Cannot build "${node.name}": it takes two subvolumes, its own storage and the origin's, ` +
          `got ${node.children.length}`,
      );
    }
    this.#values = values;
    this.#upper = upper;
    this.#lower = lower;
  }

  /** What files here began as. */
  get foreign(): Foreign {
    if (!this.#foreign) throw new Error(`"${this.name}" was used before it was started`);
    return this.#foreign;
  }

  async start(): Promise<void> {
    const { directory, origin, reader, "look-only": lookOnly } = this.#values;
    const { env, inodes } = this, lower = this.#lower;
    const looked = this.#origin = new LookedAt({
      directory: `${origin}/.glusterfs/history`,
      live: filesOf(lower, inodes, origin),
      foreign: lower instanceof VolumeClone ? lower.foreign : undefined,
      env,
    }, reader);
    const marks = new Marks(directory), { isReplaced } = marks;
    if (lookOnly) {
      const files = new BrickFiles(this.#upper, inodes, directory);
      this.#foreign = new BegunFiles(directory, looked, !isReplaced);
      this.#files = isReplaced ? files : new MergedFiles(files, looked, marks);
      return;
    }
    const arrivals = new Arrivals({ upper: this.#upper, inodes, origin: looked, marks });
    this.#arrivals = arrivals;
    this.#foreign = new BegunFiles(directory, looked, false, arrivals);
    if (isReplaced) {
      env.log.warn("this is not the directory that was made for the clone: its copies fill it", {
        directory,
      });
      arrivals.end();
    } else await arrivals.begin();
  }

  stop(): Promise<void> {
    this.#origin?.[Symbol.dispose]();
    this.#origin = undefined;
    return Promise.resolve();
  }

  /** What the brick has, to be looked at. */
  get files(): Live {
    if (!this.#files) throw new Error(`"${this.name}" is not only looked at`);
    return this.#files;
  }

  state(): Json {
    const { origin, reader } = this.#values;
    return { origin, reader };
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const arrivals = this.#arrivals;
    if (!arrivals) return Promise.reject(EROFS);
    const { xdata } = args;
    if (arrivals.isOver && !xdata?.has(BEGUN_XATTR)) {
      return (this.#upper[fop] as Fops[K])(call, args);
    }
    const clean = xdata?.has(BEGUN_XATTR) ? { ...args, xdata: xdata.without(BEGUN_XATTR) } : args;
    const waits = this.#before(arrivals, fop, clean as AnyArgs);
    const wind = () => (this.#upper[fop] as Fops[K])(call, clean);
    const answer = waits ? waits.then(wind) : wind();
    const { fd } = args as AnyArgs;
    const isHere = MISSING.has(fop) || (ON_OPENED.has(fop) && fd?.anonymous === false);
    return isHere ? answer : this.#orAgain(arrivals, answer, wind, clean as AnyArgs);
  }

  // What has to be here; undefined: it is.
  #before(arrivals: Arrivals, fop: FopName, args: AnyArgs): Promise<unknown> | undefined {
    const { parent, name } = args;
    if (arrivals.arriving !== undefined && isAbout(args, arrivals.arriving)) {
      return arrivals.settled().then(() => this.#before(arrivals, fop, args));
    }
    switch (fop) {
      case "opendir":
        return arrivals.whole(args.inode!.gfid);
      case "readdir":
      case "readdirp":
        return args.fd!.anonymous ? arrivals.whole(args.fd!.inode.gfid) : undefined;
      case "unlink":
        return arrivals.leaving(parent!.gfid, name!);
      case "rmdir":
        return this.#removing(arrivals, parent!, name!);
      case "rename":
        return this.#renaming(arrivals, args);
      default:
        return parent && name !== undefined ? arrivals.name(parent.gfid, name) : undefined;
    }
  }

  async #removing(arrivals: Arrivals, parent: Inode, name: string): Promise<void> {
    await arrivals.leaving(parent.gfid, name);
    await this.#filled(arrivals, parent, name);
  }

  async #renaming(
    arrivals: Arrivals,
    { oldParent, oldName, newParent, newName }: AnyArgs,
  ): Promise<void> {
    await arrivals.leaving(oldParent!.gfid, oldName!);
    await arrivals.leaving(newParent!.gfid, newName!);
    await this.#filled(arrivals, newParent!, newName!);
  }

  // A directory is empty if it is that with the origin's names.
  async #filled(arrivals: Arrivals, parent: Inode, name: string): Promise<void> {
    const gfid = await arrivals.directory(parent, name);
    if (gfid !== undefined) await arrivals.whole(gfid);
  }

  async #orAgain<T>(
    arrivals: Arrivals,
    answer: Promise<T>,
    wind: () => Promise<T>,
    { inode, parent, oldParent, newParent, fd, source }: AnyArgs,
  ): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (!ESTALE.matches(error) && !(ENOENT.matches(error) && !error.postParent)) throw error;
      let came = false;
      const opened = [fd, source].map((each) => each?.anonymous ? each.inode : undefined);
      for (const each of [inode, parent, oldParent, newParent, ...opened]) {
        if (each && await arrivals.inode(each.gfid)) came = true;
      }
      if (!came) throw error;
      return await wind();
    }
  }
}

function filesOf(lower: Xlator, inodes: Node["inodes"], directory: string): Live {
  return lower instanceof VolumeClone ? lower.files : new BrickFiles(lower, inodes, directory);
}

// By itself: who names it waits for its turn.
function isAbout({ fd, source, inode, parent }: AnyArgs, gfid: Gfid): boolean {
  return [inode, parent, fd?.inode, source?.inode].some((each) => each?.gfid === gfid);
}

/** Fops that are about nothing that may not be here yet. */
const MISSING: ReadonlySet<FopName> = new Set<FopName>([
  ...["ipc", "release", "releasedir", "flush"] as const,
]);

/** Fops that have nothing but a file, which is here if it was opened. */
const ON_OPENED: ReadonlySet<FopName> = new Set<FopName>(["fstat", "readv", "writev"]);

/** `features/clone`: a brick of a cloned volume. */
export const clone = defineXlator({
  type: "features/clone",
  summary: "Begin as a snapshot of another brick, and copy only what is changed",
  options,
  subvolumes: "many",
  check: ({ directory, origin, reader }) =>
    directory.startsWith("/") && origin.startsWith("/") && reader !== ""
      ? undefined
      : "directory and origin have to be absolute paths, and reader an id",
  create: (node, values) => new VolumeClone(node, values),
});
