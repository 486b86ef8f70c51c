/**
 * Disks that are open for writing: one editor for each, whoever of this client writes. From the first
 * that opens until the last that closes the image is held with QEMU's own locks. Reads of such a disk
 * go through its editor, as what it was given may be in memory still.
 */

import type { Call, LkOwner } from "core/call.ts";
import { EBUSY } from "core/errno.ts";
import { O_RDWR } from "core/fops.ts";
import type { Inode } from "core/inode.ts";
import { toHex } from "core/lib/bytes.ts";
import { KeyedLock } from "core/lib/lock.ts";
import { Volume, type VolumeParts } from "core/volume.ts";
import { VolumeFile } from "core/volume_file.ts";
import { Editor } from "snapshot/qcow2/editor.ts";
import { openImage } from "snapshot/qcow2/image.ts";
import { holdForWriting } from "snapshot/qcow2/qemu_locks.ts";
import { VolumeResolver, VolumeStore } from "snapshot/qcow2/volume_files.ts";
import { VolumeLocks } from "snapshot/qcow2/volume_locks.ts";
import type { Images, Source } from "xlators/features/qcow2/images.ts";

/** A disk that is open for writing. */
export interface Writer {
  readonly inode: Inode;
  readonly editor: Editor;
  /** Open files that write through it. */
  users: number;
}

/** See the head of this file. */
export class Writers {
  readonly #volume: Omit<VolumeParts, "call">;
  readonly #images: Images;
  readonly #open = new Map<Inode, Writer>();
  readonly #turns = new KeyedLock<Inode>();

  /** `images`: those that are read; an editor has as much memory for tables as one of them. */
  constructor(volume: Omit<VolumeParts, "call">, images: Images) {
    this.#volume = volume;
    this.#images = images;
  }

  /** Who writes to the disk of an image now. */
  of({ inode }: Source): Writer | undefined {
    return this.#open.get(inode);
  }

  /** How many disks are open. */
  get count(): number {
    return this.#open.size;
  }

  /** One more who writes; `close` it. Throws EBUSY if somebody else has the image open. */
  async open(call: Call, source: Source): Promise<Writer> {
    const { inode } = source;
    using _ = await this.#turns.take(inode);
    let writer = this.#open.get(inode);
    if (!writer) {
      writer = { inode, editor: await this.#edit(call, source), users: 0 };
      this.#open.set(inode, writer);
    }
    writer.users++;
    return writer;
  }

  async #edit(call: Call, { inode, path = "" }: Source): Promise<Editor> {
    const { top: child, env } = this.#volume;
    const mine = { ...call, deadline: Infinity };
    // GlusterFS's bricks only count who has a file open.
    await this.#images.close(inode.gfid);
    const { fd } = await child.open(mine, { inode, flags: O_RDWR });
    const file = new VolumeFile(child, fd, mine, toHex(env.random.bytes(8)) as LkOwner);
    const store = new VolumeStore(file);
    try {
      const holder = await holdForWriting(new VolumeLocks(file), env.clock);
      if (holder !== undefined) {
        env.log.warn("disk is not opened for writing: somebody has it open", { path, holder });
        throw EBUSY;
      }
    } catch (error) {
      await file.abandon();
      throw error;
    }
    const resolver = new VolumeResolver(new Volume({ ...this.#volume, call: mine }));
    const { bounds } = this.#images, cacheBytes = bounds.cacheBytes / bounds.files;
    const image = await openImage({ store, id: inode.gfid, path }, { resolver, cacheBytes });
    try {
      return await Editor.open(image);
    } catch (error) {
      await image.close();
      throw error;
    }
  }

  /** One of those who write is done; with the last, all is on stable storage and nothing is held. */
  async close(writer: Writer): Promise<void> {
    using _ = await this.#turns.take(writer.inode);
    if (--writer.users > 0) return;
    this.#open.delete(writer.inode);
    await writer.editor.close();
  }

  /** Closes all. */
  async stop(): Promise<void> {
    for (const writer of [...this.#open.values()]) {
      writer.users = 1;
      await this.close(writer).catch((error) => {
        this.#volume.env.log.error("disk was not closed well", { why: String(error) });
      });
    }
  }
}
