/**
 * What the kernel knows of the volume: a node for every inode that it was told of, until it forgets
 * as often as it was told. Numbers are never used twice, so that they need no generation.
 *
 * By itself the kernel forgets when it needs memory, however much we need for what it knows: what
 * nobody uses is taken back when there is too much.
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
  /** Node of the directory where the kernel was told of it last. */
  parent: number;
  /** Its name there; "" of a directory, whose name is not taken back. */
  name: string;
  /** Whether the kernel asked again since it was looked at as one to take back. */
  used: boolean;
}

/** See the head of this file. */
export class Nodes {
  readonly #byId = new Map<number, Node>();
  readonly #byInode = new Map<Inode, Node>();
  #last = ROOT_NODE;
  /** How many came since some were taken back. */
  #added = 0;

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

  /** The node of an inode that the kernel is told of now, as `name` in `parent`; see `Node.name`. */
  tell(inode: Inode, parent: number, name: string): Node {
    let node = this.#byInode.get(inode);
    if (node) node.used = true;
    else node = this.#add(++this.#last, inode);
    node.lookups++;
    node.parent = parent;
    node.name = name;
    return node;
  }

  #add(id: number, inode: Inode): Node {
    const node: Node = {
      id,
      inode,
      lookups: 0,
      handles: undefined,
      locked: false,
      parent: 0,
      name: "",
      used: false,
    };
    this.#byId.set(id, node);
    this.#byInode.set(inode, node);
    this.#added++;
    return node;
  }

  /** Whether the kernel knows more than `limit`, and enough of them are new to look for others. */
  isCrowded(limit: number): boolean {
    return this.#byId.size > limit && this.#added > limit >> 3;
  }

  /**
   * Of `count` nodes those that the kernel may forget: told of longest ago, not in use, and not asked
   * for again since the last time. It is the turn of others next time.
   */
  takeBack(count: number): Node[] {
    const found: Node[] = [];
    // Those that were looked at stand at the end.
    let left = Math.min(count, this.#byId.size);
    for (const [id, node] of this.#byId) {
      if (left-- === 0) break;
      this.#byId.delete(id);
      this.#byId.set(id, node);
      if (id !== ROOT_NODE && !node.used && !node.handles?.size && !node.locked) found.push(node);
      node.used = false;
    }
    this.#added = 0;
    return found;
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
