/**
 * A tree in the volume's root that shows what is in qcow2 images: disks as they are and as they were,
 * as plain files. It is made from the images when somebody looks; nothing of it is stored.
 *
 * An inode of the tree is known by its object. Until somebody looked for the tree, a fop on other
 * files costs one comparison; then a look into a map.
 */

import { type Call, ROOT } from "core/call.ts";
import { ENOENT, EROFS, ESTALE, EXDEV, FopError } from "core/errno.ts";
import type { GraphEvent } from "core/events.ts";
import type { AnyArgs, Args, FopName, Reply } from "core/fops.ts";
import { isDirectory, isRegular } from "core/iatt.ts";
import { type Gfid, type Inode, PerInode, ROOT_GFID } from "core/inode.ts";
import { defineXlator } from "core/registry.ts";
import { type Json, type Node, Uniform } from "core/xlator.ts";
import { TreeFops } from "xlators/features/qcow2/fops.ts";
import { kindGfid, KINDS, topGfid } from "xlators/features/qcow2/gfids.ts";
import { Heads } from "xlators/features/qcow2/heads.ts";
import { errorOf, Images } from "xlators/features/qcow2/images.ts";
import { options, type Qcow2Values } from "xlators/features/qcow2/options.ts";
import type { Place } from "xlators/features/qcow2/places.ts";
import { Tree } from "xlators/features/qcow2/tree.ts";
import { Writers } from "xlators/features/qcow2/writers.ts";

/** Fops with which a client begins on an inode that it knows from before. */
const BEGINS: ReadonlySet<FopName> = new Set<FopName>(["lookup", "stat", "open", "opendir"]);

/** See the head of this file. */
class Qcow2 extends Uniform {
  readonly #places = new PerInode<Place>();
  readonly #images: Images;
  readonly #heads: Heads;
  readonly #writers: Writers;
  readonly #tree: Tree;
  readonly #fops: TreeFops;
  #values: Qcow2Values;
  /** Until somebody looked for it, no fop can be about it. */
  #isUsed = false;

  constructor(node: Node, values: Qcow2Values) {
    super(node);
    const { child, env, inodes } = this;
    this.#values = values;
    this.#images = new Images({ top: child, inodes, env }, bounds(values));
    this.#heads = new Heads(child, inodes);
    const writers = this.#writers = new Writers({ top: child, inodes, env }, this.#images);
    const mayWrite = () => this.#values.write;
    const shared = { child, inodes, writers, mayWrite };
    this.#tree = new Tree({ ...shared, images: this.#images, heads: this.#heads });
    this.#fops = new TreeFops({
      ...{ ...shared, tree: this.#tree },
      inodeOf: (place) => this.#inodeOf(place),
      topName: () => this.#values.directory,
    });
  }

  reconfigure(values: Qcow2Values): void {
    this.#values = values;
    this.#images.bounds = bounds(values);
    this.#images.forget();
  }

  async stop(): Promise<void> {
    await this.#writers.stop();
    await this.#images.forget();
  }

  state(): Json {
    const { images, files } = this.#images.count;
    const writing = this.#writers.count;
    return { images, files, writing, "files-looked-at": this.#heads.size };
  }

  #inodeOf(place: Place): Inode {
    const inode = this.inodes.of(this.#tree.gfidOf(place));
    this.#places.set(inode, place);
    this.#isUsed = true;
    return inode;
  }

  protected around<K extends FopName>(fop: K, call: Call, args: Args<K>): Promise<Reply<K>> {
    const { fd, inode, parent, name, oldParent, oldName, newParent, newName, source } =
      args as AnyArgs;
    const { directory } = this.#values, { root } = this.inodes;
    if (name === directory && parent === root) {
      if (fop !== "lookup") return Promise.reject(EROFS);
      const top = this.#inodeOf(this.#tree.top);
      return this.#serve("lookup", call, { inode: top, name: "" }, top, this.#tree.top) as Promise<
        Reply<K>
      >;
    }
    if (
      (oldName === directory && oldParent === root) || (newName === directory && newParent === root)
    ) {
      return Promise.reject(EROFS);
    }
    const on = parent ?? inode ?? fd?.inode ?? oldParent;
    const place = this.#isUsed && on ? this.#places.get(on) : undefined;
    if (place) return this.#serve(fop, call, args, on!, place);
    if (this.#isUsed && (this.#has(newParent) || this.#has(source?.inode) || this.#has(inode))) {
      return Promise.reject(EXDEV);
    }
    const answer = this.wind(fop, call, args);
    return on && BEGINS.has(fop) ? this.#orFound(answer, fop, call, args, on) : answer;
  }

  #has(inode: Inode | undefined): boolean {
    return inode !== undefined && this.#places.get(inode) !== undefined;
  }

  #serve<K extends FopName>(
    fop: K,
    call: Call,
    args: Args<K>,
    inode: Inode,
    place: Place,
  ): Promise<Reply<K>> {
    return this.#fops.answer(fop, call, args, inode, place).catch((error) => {
      throw errorOf(error);
    }) as Promise<Reply<K>>;
  }

  // A gfid that the volume does not have may be one of the tree: this process began anew, and the
  // client did not.
  #orFound<K extends FopName>(
    answer: Promise<Reply<K>>,
    fop: K,
    call: Call,
    args: Args<K>,
    on: Inode,
  ): Promise<Reply<K>> {
    return answer.catch(async (error) => {
      // With a parent's attributes it is a name that is not there.
      const isMiss = ESTALE.matches(error) || (ENOENT.matches(error) && !error.postParent);
      if (!isMiss || on.gfid === ROOT_GFID) throw error;
      const place = await this.#find(on.gfid);
      if (!place) throw error;
      return await this.#serve(fop, call, args, this.#inodeOf(place), place);
    });
  }

  // Snapshots and bitmaps are not found: their names would have to be tried. A client looks for the
  // path again then.
  async #find(gfid: Gfid): Promise<Place | undefined> {
    const { root } = this.inodes;
    if (gfid === topGfid(root)) return this.#tree.top;
    for (const kind of KINDS) {
      const inode = this.inodes.of(kindGfid(gfid, kind));
      const path = inode === root ? "" : undefined;
      const stat = await this.child.lookup(ROOT, { inode, name: "" }).then(
        ({ stat }) => stat,
        (error) => {
          if (error instanceof FopError) return undefined;
          throw error;
        },
      );
      if (stat && (kind === "folder" ? isDirectory(stat) : isRegular(stat))) {
        return { kind, source: { inode, path } };
      }
    }
    return undefined;
  }

  protected override heard(event: GraphEvent): void {
    this.emit(event);
    if (!this.#isUsed) return;
    if (event.type === "cache-invalidation") {
      const { parent: _, oldParent: __, ...told } = event;
      const changed = this.#images.changed(event.gfid);
      for (const gfid of new Set([event.gfid, ...changed])) {
        for (const kind of KINDS) {
          const derived = kindGfid(gfid, kind);
          if (!this.#has(this.inodes.of(derived))) continue;
          this.emit({
            ...told,
            gfid: derived,
            parent: undefined,
            oldParent: undefined,
            stat: undefined,
          });
        }
      }
    } else if (event.type === "child-up" || event.type === "child-down") this.#images.forget();
  }
}

function bounds(values: Qcow2Values) {
  return { files: values["open-files"], cacheBytes: values["cache-size"] };
}

/** The kind. */
export const qcow2 = defineXlator({
  type: "features/qcow2",
  summary: "Shows the disks and snapshots in qcow2 images as plain files",
  options,
  subvolumes: "one",
  create: (node, values) => new Qcow2(node, values),
});
