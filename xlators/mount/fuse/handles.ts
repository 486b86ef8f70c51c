/** Files and directories that the kernel has open, by the numbers it knows them by. */

import { EBADF } from "core/errno.ts";
import type { Dirent, DirentPlus } from "core/fops.ts";
import type { Fd } from "core/inode.ts";
import type { Node } from "xlators/mount/fuse/nodes.ts";

/** An entry, with attributes where they were asked for and could be had. */
export type ListedEntry = Dirent & Partial<Pick<DirentPlus, "stat">>;

/** Entries that were read from a directory, and not yet taken by the kernel. */
export interface Listed {
  readonly entries: readonly ListedEntry[];
  /** The first that was not taken. */
  next: number;
  readonly eof: boolean;
  /** Whether they have attributes. */
  readonly plus: boolean;
  /** Monotonic milliseconds at which they were asked for, and the moment of changes. */
  readonly at: number;
  readonly moment: number;
}

/** Entries that are read ahead, from a cookie on; undefined: that failed. */
export interface Ahead {
  readonly offset: bigint;
  readonly plus: boolean;
  readonly listed: Promise<Listed | undefined>;
}

/** An open file or directory. */
export interface Handle {
  readonly number: number;
  readonly fd: Fd;
  readonly node: Node;
  /** As it was opened, O_APPEND, O_DIRECT and all. */
  readonly flags: number;
  listed: Listed | undefined;
  ahead: Ahead | undefined;
  /** Of a file that was opened to append: the same, opened again to write at any place. */
  placed: Promise<Fd> | undefined;
  /** Whether bits that writing takes away were looked for where writes tell no attributes. */
  modeChecked: boolean;
}

/** See the head of this file. */
export class Handles {
  readonly #slots: (Handle | undefined)[] = [];
  readonly #free: number[] = [];

  /** How many are open. */
  get size(): number {
    return this.#slots.length - this.#free.length;
  }

  /** A handle for a directory that was opened. */
  addDirectory(fd: Fd, node: Node): Handle {
    return this.#add(fd, node, 0);
  }

  /** A handle for a file that was opened. */
  add(fd: Fd, node: Node, flags: number): Handle {
    const handle = this.#add(fd, node, flags);
    (node.handles ??= new Set()).add(handle);
    return handle;
  }

  #add(fd: Fd, node: Node, flags: number): Handle {
    const number = this.#free.pop() ?? this.#slots.length;
    const handle = {
      number,
      fd,
      node,
      flags,
      listed: undefined,
      ahead: undefined,
      placed: undefined,
      modeChecked: false,
    };
    return this.#slots[number] = handle;
  }

  /** The handle of that number. Throws EBADF. */
  of(number: number): Handle {
    const handle = this.#slots[number];
    if (!handle) throw EBADF;
    return handle;
  }

  /** Takes it away; it is closed. */
  remove(handle: Handle): void {
    this.#slots[handle.number] = undefined;
    this.#free.push(handle.number);
    handle.node.handles?.delete(handle);
    if (handle.node.handles?.size === 0) handle.node.handles = undefined;
  }
}
