/** A file of a volume, or of a snapshot of one, as a disk that can be written elsewhere. */

import { EIO } from "core/errno.ts";
import type { VolumeFile } from "core/volume_file.ts";
import { type Disk, type Extent, RawDisk } from "snapshot/qcow2/disk.ts";
import { VolumeStore } from "snapshot/qcow2/volume_files.ts";

/** See the head of this file: what are holes is told by whoever serves the file. */
export class ViewDisk implements Disk {
  readonly #file: VolumeFile;
  readonly #disk: RawDisk;

  readonly #check: () => void;

  /** `file` stays its owner's; `size` is that of the file; `check` throws if nobody wants it any more. */
  constructor(file: VolumeFile, readonly size: number, check: () => void) {
    this.#file = file;
    this.#check = check;
    this.#disk = new RawDisk(new VolumeStore(file), size);
  }

  async read(offset: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#check();
    await this.#disk.read(offset, into);
  }

  async *extents(offset: number, end: number): AsyncGenerator<Extent> {
    const until = Math.max(offset, Math.min(end, this.size));
    for (let at = offset; at < until;) {
      const data = await this.#file.seekBefore(until, at, "data");
      if (data > at) yield { offset: at, length: data - at, kind: "hole" };
      if (data >= until) break;
      const hole = await this.#file.seekBefore(until, data, "hole");
      if (hole <= data) throw EIO;
      yield { offset: data, length: hole - data, kind: "data" };
      at = hole;
    }
    if (end > until) yield { offset: until, length: end - until, kind: "hole" };
  }
}
