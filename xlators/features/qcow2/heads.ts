/**
 * Which files are images: those whose first bytes say so. They are looked at when somebody lists or
 * looks up, a few at a time, and again when the file's size or times are others.
 */

import type { Call } from "core/call.ts";
import { EACCES, ENOENT, EPERM, ESTALE } from "core/errno.ts";
import { type Iatt, isRegular } from "core/iatt.ts";
import type { Gfid, InodeTable } from "core/inode.ts";
import { Window } from "core/lib/window.ts";
import type { Xlator } from "core/xlator.ts";
import { looksLikeQcow2 } from "snapshot/qcow2/header.ts";

/** Files that are looked at at the same time. */
const PARALLEL = 8;
/** Files of which it is remembered what they are. */
const KNOWN_MAX = 16_384;
/** Bytes at the start of a file that say what it is; no image is as small as a header. */
const MAGIC_BYTES = 8, LEAST = 72;

interface Known {
  readonly version: string;
  readonly isImage: boolean;
}

/** See the head of this file. */
export class Heads {
  readonly #child: Xlator;
  readonly #inodes: InodeTable;
  readonly #known = new Map<Gfid, Known>();
  readonly #window = new Window(PARALLEL);

  constructor(child: Xlator, inodes: InodeTable) {
    this.#child = child;
    this.#inodes = inodes;
  }

  /** Whether the file of these attributes is an image. One that the caller may not read is none. */
  async isImage(call: Call, stat: Iatt): Promise<boolean> {
    if (!isRegular(stat) || stat.size < LEAST) return false;
    const version = `${stat.size} ${stat.mtime}.${stat.mtimeNsec} ${stat.ctime}.${stat.ctimeNsec}`;
    const known = this.#known.get(stat.gfid);
    if (known?.version === version) return known.isImage;
    const isImage = await this.#window.run(() => this.#look(call, stat));
    if (isImage === undefined) return false;
    if (this.#known.size >= KNOWN_MAX) this.#known.delete(this.#known.keys().next().value!);
    this.#known.delete(stat.gfid);
    this.#known.set(stat.gfid, { version, isImage });
    return isImage;
  }

  // Undefined: not for this caller, or gone meanwhile.
  async #look(call: Call, { gfid }: Iatt): Promise<boolean | undefined> {
    try {
      const { fd } = await this.#child.open(call, { inode: this.#inodes.of(gfid), flags: 0 });
      try {
        const args = { fd, offset: 0, size: MAGIC_BYTES, flags: 0 };
        return looksLikeQcow2((await this.#child.readv(call, args)).data);
      } finally {
        await this.#child.release(call, { fd });
      }
    } catch (error) {
      if ([EACCES, EPERM, ENOENT, ESTALE].some((each) => each.matches(error))) return undefined;
      throw error;
    }
  }

  /** How many files are remembered. */
  get size(): number {
    return this.#known.size;
  }
}
