/**
 * An image that is open, with the chain of files below it, and whether it is still what was read of
 * it. Tables are kept in memory, and other clients, a guest among them, may change the files: every
 * read of a file answers its attributes, too, and what is not read for a while is looked at. An image
 * of which a file has other attributes than at first is stale: it is opened anew.
 */

import type { Call } from "core/call.ts";
import type { Clock } from "core/env.ts";
import type { Iatt } from "core/iatt.ts";
import type { Gfid, Inode, InodeTable } from "core/inode.ts";
import type { VolumeFile } from "core/volume_file.ts";
import type { Xlator } from "core/xlator.ts";
import type { Image } from "snapshot/qcow2/image.ts";
import { VolumeStore } from "snapshot/qcow2/volume_files.ts";

/** How long what a file was is relied on without asking, in milliseconds: as long as in a mount. */
const RELIED_MS = 1000;

/** A file of the chain, as it was when it was opened. */
interface Watched {
  readonly inode: Inode;
  readonly file: VolumeFile;
  readonly stat: Iatt;
}

/** Where an open image is. */
export interface OpenParts {
  readonly child: Xlator;
  readonly inodes: InodeTable;
  readonly clock: Clock;
}

/** See the head of this file. */
export class OpenImage {
  image!: Image;
  /** What was made of it, by its name: texts of files. */
  readonly texts = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly #parts: OpenParts;
  readonly #call: Call;
  readonly #files: Watched[] = [];
  #isStale = false;
  #users = 0;
  #retired = false;
  #closed: Promise<void> | undefined;
  #seenAt: number;
  #looking: Promise<void> | undefined;

  /** `call` opens, and reads from then on for everybody: whoever reads is asked for leave apart. */
  constructor(parts: OpenParts, call: Call) {
    this.#parts = parts;
    this.#call = { ...call, deadline: Infinity };
    this.#seenAt = parts.clock.monotonic();
  }

  /** A file of the chain as a store that watches it. */
  watch(file: VolumeFile, stat: Iatt): VolumeStore {
    const inode = file.fd.inode;
    this.#files.push({ inode, file, stat });
    const { child, clock } = this.#parts;
    return new VolumeStore(file, async (offset, into) => {
      const args = { fd: file.fd, offset, size: into.length, flags: 0, into };
      const asked = clock.monotonic();
      const { data, stat: now } = await child.readv(this.#call, args);
      if (now && !isSame(stat, now)) this.#isStale = true;
      // What is read all the time need not be looked at besides.
      else if (now && this.#files.length === 1) this.#seenAt = asked;
      return data;
    });
  }

  /** How many files it has open. */
  get count(): number {
    return this.#files.length;
  }

  /** Attributes of the image's own file. */
  get stat(): Iatt {
    return this.#files[0]!.stat;
  }

  /** Attributes of all files of the chain, from the top down. */
  get stats(): readonly Iatt[] {
    return this.#files.map(({ stat }) => stat);
  }

  /** What is known of it may not hold. */
  get stale(): boolean {
    return this.#isStale;
  }

  /** Whether nobody may begin to use it any more. */
  get closing(): boolean {
    return this.#closed !== undefined;
  }

  /** Whether the file of that gfid is one of the chain. */
  has(gfid: Gfid): boolean {
    return this.#files.some(({ inode }) => inode.gfid === gfid);
  }

  /** A file of that gfid was changed by somebody else. */
  changed(gfid: Gfid): boolean {
    if (!this.has(gfid)) return false;
    return this.#isStale = true;
  }

  /** Looks whether the files are what they were, unless that was seen lately. */
  look(): Promise<void> {
    const isRecent = this.#parts.clock.monotonic() - this.#seenAt < RELIED_MS;
    if (this.#isStale || isRecent) return Promise.resolve();
    return this.#looking ??= this.#look().finally(() => this.#looking = undefined);
  }

  async #look(): Promise<void> {
    const now = this.#parts.clock.monotonic();
    const stats = await Promise.all(this.#files.map(({ file }) => file.stat()));
    this.#seenAt = now;
    if (stats.some((stat, index) => !isSame(stat, this.#files[index]!.stat))) this.#isStale = true;
  }

  /** Fails with EACCES unless the caller may read all files of the chain. */
  async allow(call: Call): Promise<void> {
    const { child } = this.#parts, R_OK = 4;
    await Promise.all(
      this.#files.map(({ inode }) => child.access(call, { inode, mask: R_OK })),
    );
  }

  /** What `act` answers; the image is not closed meanwhile. */
  async use<T>(act: (open: OpenImage) => Promise<T>): Promise<T> {
    this.#users++;
    try {
      return await act(this);
    } finally {
      if (--this.#users === 0 && this.#retired) this.#closed ??= this.#close();
    }
  }

  /** Nobody will use it again: closed when those who do are done. Resolves if nobody does. */
  async retire(): Promise<void> {
    this.#retired = true;
    if (this.#users === 0) await (this.#closed ??= this.#close());
  }

  // Nobody is left who could be told of a failure.
  #close(): Promise<void> {
    return this.image.close().catch(() => {});
  }
}

function isSame(one: Iatt, other: Iatt): boolean {
  return one.size === other.size && one.mtime === other.mtime &&
    one.mtimeNsec === other.mtimeNsec && one.ctime === other.ctime &&
    one.ctimeNsec === other.ctimeNsec;
}
