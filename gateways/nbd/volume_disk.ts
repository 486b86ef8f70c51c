/** A file of a volume as a disk. */

import { changesName, decodeChanges } from "core/changed_since.ts";
import { EINVAL, EIO, ENOSPC, FopError } from "core/errno.ts";
import { decodeName } from "core/lib/bytes.ts";
import type { VolumeFile } from "core/volume_file.ts";
import { ALLOCATION, type Disk, type Extent, type Extents, HOLE, ZERO } from "gateways/nbd/disk.ts";

/** How to serve it. */
export interface VolumeDiskOptions {
  readonly readOnly: boolean;
  readonly description: string;
}

/** Bytes of one fop that makes zeros: bricks may have to write them. */
const ZEROED_AT_ONCE = 64 << 20;
/** What goes well through caches and locks of a volume. */
const PREFERRED_BLOCK = 4096;
/** Runs of one answer: each is a request to a brick. */
const RUNS_MAX = 64;

/** What begins names of contexts that tell what changed since a snapshot; the second is QEMU's. */
const CHANGED = ["mortar:changed-since:", "qemu:dirty-bitmap:"] as const;
/** In those contexts: it changed. */
const DIRTY = 1;

/** Snapshots that the file can be compared with; none where bricks keep none. */
async function snapshotsOf(file: VolumeFile): Promise<string[]> {
  try {
    const value = await file.getXattr(changesName({ snapshot: undefined, from: 0 }));
    return decodeName(value).split("\n").filter(Boolean);
  } catch (error) {
    if (error instanceof FopError) return [];
    throw error;
  }
}

/** See the head of this file. It owns the file. */
export class VolumeDisk implements Disk {
  readonly #file: VolumeFile;
  readonly readOnly: boolean;
  readonly description: string;
  readonly preferredBlock = PREFERRED_BLOCK;
  readonly contexts: ReadonlyMap<string, Extents>;

  private constructor(
    file: VolumeFile,
    readonly size: number,
    snapshots: readonly string[],
    { readOnly, description }: VolumeDiskOptions,
  ) {
    this.#file = file;
    this.readOnly = readOnly;
    this.description = description;
    this.contexts = new Map([
      [ALLOCATION, (offset: number, length: number) => this.#allocation(offset, length)],
      ...snapshots.flatMap((name) =>
        CHANGED.map((space): [string, Extents] => [
          space + name,
          (offset, length) => this.#changed(name, offset, length),
        ])
      ),
    ]);
  }

  /** The disk is as long as the file is now. Throws FopError. */
  static async of(file: VolumeFile, options: VolumeDiskOptions): Promise<VolumeDisk> {
    const [{ size }, snapshots] = await Promise.all([file.stat(), snapshotsOf(file)]);
    return new VolumeDisk(file, size, snapshots, options);
  }

  async read(offset: number, size: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    const data = await this.#file.read(offset, size, into);
    if (data.length < size) throw EINVAL;
    return data;
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    if (this.#isCutBefore(offset + data.length)) await this.#reaches(offset + data.length, ENOSPC);
    await this.#file.write(offset, data);
  }

  async zero(offset: number, length: number, mayPunch: boolean): Promise<void> {
    const end = offset + length;
    if (this.#isCutBefore(end)) await this.#reaches(end, ENOSPC);
    for (let at = offset; at < end; at += ZEROED_AT_ONCE) {
      const some = Math.min(ZEROED_AT_ONCE, end - at);
      await (mayPunch ? this.#file.discard(at, some) : this.#file.zero(at, some));
    }
  }

  async trim(offset: number, length: number): Promise<void> {
    if (this.#isCutBefore(offset + length)) await this.#reaches(offset + length, EINVAL);
    await this.zero(offset, length, true);
  }

  /**
   * Whether somebody cut the file since it was opened, as far as answers told. What is beyond its end
   * now is no zeros, and no place for what the client writes: the file would grow again.
   */
  #isCutBefore(end: number): boolean {
    return this.#file.sizeTold! < end;
  }

  /** Answers may overtake each other: the file is asked. Throws `failure` if it ends before `end`. */
  async #reaches(end: number, failure: FopError): Promise<void> {
    if ((await this.#file.stat()).size < end) throw failure;
  }

  async flush(): Promise<void> {
    if (!this.readOnly) await this.#file.sync({ dataOnly: true });
  }

  async close(): Promise<void> {
    await this.#file.abandon();
  }

  async #allocation(offset: number, length: number): Promise<readonly Extent[]> {
    const extents: Extent[] = [];
    const end = offset + length;
    if (this.#isCutBefore(end)) await this.#reaches(end, EINVAL);
    for (let at = offset; at < end && extents.length < RUNS_MAX;) {
      const data = await this.#file.seekBefore(end, at, "data");
      if (data > at) extents.push({ length: data - at, flags: HOLE | ZERO });
      if (data >= end) break;
      const hole = await this.#file.seekBefore(end, data, "hole");
      if (hole <= data) throw EIO;
      extents.push({ length: hole - data, flags: 0 });
      at = hole;
    }
    return extents;
  }

  /** In units of 4 KiB: what was written and is as it was may be told, too. */
  async #changed(snapshot: string, offset: number, length: number): Promise<readonly Extent[]> {
    const extents: Extent[] = [], end = offset + length;
    let at = offset;
    const reach = (to: number, flags: number) => {
      if (to > at) extents.push({ length: to - at, flags });
      at = Math.max(at, to);
    };
    const name = changesName({ snapshot, from: offset });
    const { ranges, next = end } = decodeChanges(await this.#file.getXattr(name));
    for (const { offset: start, length } of ranges) {
      reach(Math.min(end, start), 0);
      reach(Math.min(end, start + length), DIRTY);
    }
    reach(Math.min(end, next), 0);
    // What is not answered, clients ask again.
    return extents;
  }
}
