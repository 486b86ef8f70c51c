/** One inode of the memory brick: attributes, extended attributes, data or entries. */

import type { Timespec } from "core/iatt.ts";
import { type Iatt, S_IFDIR, S_IFMT } from "core/iatt.ts";
import type { Gfid } from "core/inode.ts";
import { encodeName } from "core/lib/bytes.ts";
import { Pages } from "tests/fakes/pages.ts";

/** A directory's entry; cookies only grow, so a listing survives removals. */
export interface MemoryEntry {
  readonly node: MemoryNode;
  readonly cookie: bigint;
}

/** An inode: it lives as long as it has a name or is open. */
export class MemoryNode {
  readonly xattrs = new Map<string, Uint8Array>();
  readonly entries = new Map<string, MemoryEntry>();
  readonly data = new Pages();
  /** Names it has; for a directory 2 and one per sub-directory. */
  nlink: number;
  /** Open files; one more for each that can write in `writers`. */
  opens = 0;
  writers = 0;
  /** Where a directory is: undefined for the root and for files. */
  parent: MemoryNode | undefined;
  target = "";
  atime: Timespec;
  mtime: Timespec;
  ctime: Timespec;
  #cookie = 2n;

  constructor(
    readonly gfid: Gfid,
    public mode: number,
    public uid: number,
    public gid: number,
    readonly rdev: number,
    now: Timespec,
  ) {
    this.nlink = this.isDirectory ? 2 : 0;
    this.atime = this.mtime = this.ctime = now;
  }

  get type(): number {
    return this.mode & S_IFMT;
  }
  get isDirectory(): boolean {
    return this.type === S_IFDIR;
  }
  get size(): number {
    return this.isDirectory ? 4096 : this.target ? encodeName(this.target).length : this.data.size;
  }

  /** Puts `node` under `name`, in the place of whatever was there. */
  enter(name: string, node: MemoryNode, now: Timespec): void {
    this.entries.delete(name);
    this.entries.set(name, { node, cookie: ++this.#cookie });
    if (node.isDirectory) {
      node.parent = this;
      this.nlink++;
    } else node.nlink++;
    node.ctime = this.mtime = this.ctime = now;
  }

  /** Takes the name away. */
  leave(name: string, now: Timespec): void {
    const { node } = this.entries.get(name)!;
    this.entries.delete(name);
    if (node.isDirectory) {
      node.parent = undefined;
      node.nlink = 0;
      this.nlink--;
    } else node.nlink--;
    node.ctime = this.mtime = this.ctime = now;
  }

  /** True if `other` is this directory or somewhere in it. */
  holds(other: MemoryNode): boolean {
    for (let at: MemoryNode | undefined = other; at; at = at.parent) if (at === this) return true;
    return false;
  }

  /** A path from this directory to `node`, beginning with a slash; undefined if it has no name there. */
  pathOf(node: MemoryNode): string | undefined {
    if (node === this) return "/";
    for (const [name, entry] of this.entries) {
      const path = entry.node.pathOf(node);
      if (path !== undefined) return path === "/" ? `/${name}` : `/${name}${path}`;
    }
    return undefined;
  }

  stat(): Iatt {
    return {
      gfid: this.gfid,
      mode: this.mode,
      nlink: this.nlink,
      uid: this.uid,
      gid: this.gid,
      rdev: this.rdev,
      dev: 1,
      size: this.size,
      blksize: 4096,
      blocks: Math.min(this.data.blocks, Math.ceil(this.size / 512)),
      atime: this.atime.sec,
      atimeNsec: this.atime.nsec,
      mtime: this.mtime.sec,
      mtimeNsec: this.mtime.nsec,
      ctime: this.ctime.sec,
      ctimeNsec: this.ctime.nsec,
    };
  }
}
