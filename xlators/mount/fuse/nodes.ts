/**
 * What the kernel knows of the volume: a node for every inode that it was told of, until it forgets
 * as often as it was told. Numbers are never used twice, so that they need no generation.
 */

import { ESTALE } from "core/errno.ts";
import type { Inode } from "core/inode.ts";
import { ROOT_NODE } from "xlators/mount/fuse/protocol.ts";
import type { Handle } from "xlators/mount/fuse/handles.ts";

/** An inode as the kernel knows it. */
export interface Node {
  readonly id: number;
  readonly inode: Inode;
  /** How often the kernel was told of it. */
  lookups: number;
  /** Files that are open on it: fops reach it through them when it has no name any more. */
  handles: Set<Handle> | undefined;
  /** Whether anybody here asked for a POSIX lock on it. */
  locked: boolean;
}

/** See the head of this file. */
export class Nodes {
  readonly #byId = new Map<number, Node>();
  readonly #byInode = new Map<Inode, Node>();
  #last = ROOT_NODE;

  constructor(root: Inode) {
    this.#add(ROOT_NODE, root);
  }

  /** How many the kernel knows. */
  get size(): number {
    return this.#byId.size;
  }

  /** The numbers of all that the kernel knows. */
  ids(): Iterable<number> {
    return this.#byId.keys();
  }

  /** The node of that number. Throws ESTALE: the kernel looks its name up again then. */
  of(id: number): Node {
    const node = this.#byId.get(id);
    if (!node) throw ESTALE;
    return node;
  }

  /** The node of an inode, if the kernel knows it. */
  known(inode: Inode): Node | undefined {
    return this.#byInode.get(inode);
  }

  /** The node of an inode that the kernel is told of now. */
  tell(inode: Inode): Node {
    let node = this.#byInode.get(inode);
    if (!node) this.#add(++this.#last, inode), node = this.#byInode.get(inode)!;
    node.lookups++;
    return node;
  }

  #add(id: number, inode: Inode): void {
    const node = { id, inode, lookups: 0, handles: undefined, locked: false };
    this.#byId.set(id, node);
    this.#byInode.set(inode, node);
  }

  /** The kernel forgets what it was told `count` times. */
  forget(id: number, count: number): void {
    const node = this.#byId.get(id);
    if (!node || id === ROOT_NODE) return;
    node.lookups -= count;
    if (node.lookups > 0) return;
    this.#byId.delete(id);
    this.#byInode.delete(node.inode);
  }
}
