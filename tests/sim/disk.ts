/**
 * A brick's disk: inodes and index in memory, and what a loss of power leaves of them.
 *
 * The model is a journaling file system in ordered mode (ext4, XFS). What is written stays in the
 * page cache until it is synced: after a power loss each 4 KiB page overwritten since then is old or
 * new by itself, and a file that grew ends somewhere between its old and its new size. Attributes,
 * index entries and records are in the journal in their order: a power loss takes away a tail of it,
 * never something in the middle. fsync puts the file's data and all of the journal on the platter.
 * Names and truncations do the same for the journal at once: real file systems may lose them for some
 * seconds, GlusterFS's replication has no answer to that, and we simulate what it promises.
 *
 * A process that is killed loses nothing: the page cache is the kernel's.
 */

import type { Args, FopName } from "core/fops.ts";
import { FOPS, O_DSYNC, O_SYNC, O_TRUNC } from "core/fops.ts";
import type { Fd, Gfid, Inode } from "core/inode.ts";
import type { MemoryDisk } from "tests/fakes/memory_brick.ts";
import type { MemoryNode } from "tests/fakes/memory_node.ts";
import { PAGE_BYTES } from "tests/fakes/pages.ts";
import type { SimRandom } from "tests/sim/random.ts";
import type { FileRecord } from "xlators/features/changed-ranges/record_store.ts";

/** The journal is written at least so often, in milliseconds (ext4's `commit=5`). */
const COMMIT_MS = 5000;

const ATTRIBUTE_FOPS: ReadonlySet<FopName> = new Set<FopName>([
  "setxattr",
  "fsetxattr",
  "removexattr",
  "fremovexattr",
  "xattrop",
  "fxattrop",
  "setattr",
  "fsetattr",
]);

/** See the head of this file. */
export class SimDisk {
  readonly nodes: MemoryDisk = new Map();
  /** Index entries by directory: "xattrop", "dirty", "entry-changes/<gfid>". */
  readonly index = new Map<string, Set<string>>();
  /** What other copies missed, by file. */
  readonly records = new Map<Gfid, FileRecord>();
  /** True: nothing can grow. */
  full = false;
  /** Probability that a fop meets EIO. */
  errors = 0;
  #journal: (() => void)[] = [];
  #committedAt = 0;
  /** What is on the platter of pages that were written since; undefined: nothing. */
  readonly #dirty = new Map<MemoryNode, Map<number, Uint8Array | undefined>>();
  /** Least size since the last sync of files that grew by writing. */
  readonly #grown = new Map<MemoryNode, number>();

  readonly #steady: boolean;

  /** `steady`: its power never goes, and nothing is remembered for that. */
  constructor({ steady = false }: { readonly steady?: boolean } = {}) {
    this.#steady = steady;
  }

  /** Notes what `fop` is about to change; the answer is called when it did. */
  changing(fop: FopName, args: object, now: number): (() => void) | undefined {
    if (this.#steady) return undefined;
    if (now - this.#committedAt > COMMIT_MS) this.#commit(now);
    const node = this.#nodeOf(args);
    if (fop === "writev" && node) return this.#writing(node, args as Args<"writev">, now);
    if (fop === "fsync" && node) return () => this.#sync(node, now);
    if (ATTRIBUTE_FOPS.has(fop) && node) {
      this.undoable(restorer(node));
      return undefined;
    }
    const truncates = fop === "open" && (args as { flags: number }).flags & O_TRUNC;
    if (FOPS[fop].kind !== "modify" && !truncates && fop !== "fsyncdir") return undefined;
    return () => {
      this.#commit(now);
      if (node) this.#settleCut(node);
    };
  }

  /** How a change that is in the journal only is taken back. */
  undoable(undo: () => void): void {
    if (!this.#steady) this.#journal.push(undo);
  }

  #nodeOf(args: object): MemoryNode | undefined {
    const { inode, fd } = args as { inode?: Inode; fd?: Fd };
    const gfid: Gfid | undefined = fd?.inode.gfid ?? inode?.gfid;
    return gfid && this.nodes.get(gfid);
  }

  #writing(node: MemoryNode, { offset, data, flags }: Args<"writev">, now: number): () => void {
    const size = node.data.size;
    let pages = this.#dirty.get(node);
    if (!pages) this.#dirty.set(node, pages = new Map());
    const last = Math.floor((offset + data.length - 1) / PAGE_BYTES);
    for (let page = Math.floor(offset / PAGE_BYTES); page <= last; page++) {
      if (pages.has(page)) continue;
      const old = node.data.read(page * PAGE_BYTES, PAGE_BYTES);
      pages.set(page, old.length ? old : undefined);
    }
    return () => {
      if (node.data.size > size && !this.#grown.has(node)) this.#grown.set(node, size);
      if (flags & (O_SYNC | O_DSYNC)) this.#sync(node, now);
    };
  }

  #sync(node: MemoryNode, now: number): void {
    this.#dirty.delete(node);
    this.#grown.delete(node);
    this.#commit(now);
  }

  #commit(now: number): void {
    this.#journal = [];
    this.#committedAt = now;
  }

  // After a cut the platter holds nothing beyond the end, either.
  #settleCut(node: MemoryNode): void {
    const { size } = node.data, pages = this.#dirty.get(node);
    for (const [page, old] of pages ?? []) {
      const left = size - page * PAGE_BYTES;
      if (left <= 0) pages!.delete(page);
      else if (old && old.length > left) pages!.set(page, old.slice(0, left));
    }
    const grown = this.#grown.get(node);
    if (grown !== undefined && grown > size) this.#grown.set(node, size);
  }

  /** The machine lost power: each thing that was not synced is there or not. */
  losePower(random: SimRandom): { journal: number; pages: number; sizes: number } {
    const lost = { journal: random.int(this.#journal.length + 1), pages: 0, sizes: 0 };
    for (const undo of this.#journal.splice(this.#journal.length - lost.journal).reverse()) undo();
    for (const [node, size] of this.#grown) {
      const { size: now } = node.data;
      if (now <= size || random.chance(0.5)) continue;
      node.data.resize(Math.max(size, Math.floor(random.float() * now / PAGE_BYTES) * PAGE_BYTES));
      lost.sizes++;
    }
    const share = random.pick([0.2, 0.5, 1]);
    for (const [node, pages] of this.#dirty) {
      for (const [page, old] of pages) {
        const at = page * PAGE_BYTES;
        // A size that is on the platter has its data there, too.
        if (!random.chance(share) || at >= (this.#grown.get(node) ?? Infinity)) continue;
        const room = node.data.size - at;
        node.data.clear(at, PAGE_BYTES);
        if (old && room > 0) node.data.write(at, old.subarray(0, room));
        lost.pages++;
      }
    }
    this.#journal = [];
    this.#dirty.clear();
    this.#grown.clear();
    return lost;
  }

  /** No process has anything open any more: what has no name is gone. */
  closeAll(): void {
    for (const [gfid, node] of this.nodes) {
      node.opens = node.writers = 0;
      if (node.nlink === 0) this.nodes.delete(gfid);
    }
  }
}

// What takes all attributes of `node` back to what they are now.
function restorer(node: MemoryNode): () => void {
  const { mode, uid, gid, atime, mtime, ctime } = node, xattrs = new Map(node.xattrs);
  return () => {
    Object.assign(node, { mode, uid, gid, atime, mtime, ctime });
    node.xattrs.clear();
    for (const [name, value] of xattrs) node.xattrs.set(name, value);
  };
}
