/**
 * The images that are open: a bounded number of files, those used longest ago are closed first. What
 * is read of an image that changed meanwhile is read again until it is settled.
 */

import { type Call, NO_OWNER } from "core/call.ts";
import { EACCES, EBUSY, EINVAL, EIO, EOPNOTSUPP, ESTALE, FopError } from "core/errno.ts";
import type { Log } from "core/env.ts";
import type { Gfid, Inode } from "core/inode.ts";
import { Volume, type VolumeParts } from "core/volume.ts";
import { VolumeFile } from "core/volume_file.ts";
import { Qcow2Error, type Qcow2Reason } from "snapshot/qcow2/failures.ts";
import { openImage } from "snapshot/qcow2/image.ts";
import { VolumeResolver } from "snapshot/qcow2/volume_files.ts";
import { OpenImage } from "xlators/features/qcow2/open_image.ts";

/** An image in the volume. */
export interface Source {
  readonly inode: Inode;
  /** From the volume's root, for the names in it; undefined if it was found by its gfid alone. */
  readonly path: string | undefined;
}

/** How many files may be open, and how much memory their tables may take, in bytes. */
export interface Bounds {
  readonly files: number;
  readonly cacheBytes: number;
}

/** How often something is read before it is given up. */
const TRIES = 12;
/** Images of which the last trouble is remembered, so that it is logged once. */
const TROUBLES_MAX = 1024;

const ERRORS: Readonly<Record<Qcow2Reason, FopError>> = {
  "not-qcow2": EIO,
  corrupt: EIO,
  unsupported: EOPNOTSUPP,
  refused: EACCES,
  usage: EINVAL,
};

/** The failure of a fop for one of the library. */
export function errorOf(failure: unknown): unknown {
  return failure instanceof Qcow2Error ? ERRORS[failure.reason] : failure;
}

/** See the head of this file. */
export class Images {
  readonly #volume: Omit<VolumeParts, "call">;
  readonly #log: Log;
  readonly #open = new Map<Gfid, Promise<OpenImage>>();
  readonly #opened = new Map<Gfid, OpenImage>();
  readonly #troubles = new Map<Gfid, string>();
  bounds: Bounds;

  constructor(volume: Omit<VolumeParts, "call">, bounds: Bounds) {
    this.#volume = volume;
    this.#log = volume.env.log;
    this.bounds = bounds;
  }

  /** How many images, and files, are open. */
  get count(): { readonly images: number; readonly files: number } {
    let files = 0;
    for (const open of this.#opened.values()) files += open.count;
    return { images: this.#opened.size, files };
  }

  /**
   * What `act` reads of an image. If the image changes meanwhile it is read again, until it did not
   * change or two in a row are the same: what a guest that writes elsewhere does not touch is told
   * all the same. Throws `Qcow2Error`, what the volume failed with, or EBUSY.
   */
  async read<T>(
    call: Call,
    source: Source,
    act: (open: OpenImage) => Promise<T>,
    same: (one: T, other: T) => boolean,
  ): Promise<T> {
    let last: { readonly value: T } | undefined;
    for (let tries = 1; tries <= TRIES; tries++) {
      const { value, error, stale } = await this.#once(call, source, act);
      // Half of what it was and half of what it is makes no sense.
      if (error !== undefined && (!stale || tries === TRIES)) throw error;
      if (error !== undefined) last = undefined;
      else if (!stale || (last && same(last.value, value!))) return value!;
      else last = { value: value! };
    }
    this.trouble(
      source,
      "it is written to all the time, so that what is read of it does not settle",
    );
    throw EBUSY;
  }

  /** Says once what is wrong with an image. */
  trouble({ inode: { gfid }, path }: Source, why: string): void {
    if (this.#troubles.get(gfid) === why) return;
    if (this.#troubles.size >= TROUBLES_MAX) this.#troubles.clear();
    this.#troubles.set(gfid, why);
    this.#log.warn("image cannot be shown", { path: path ?? gfid, why });
  }

  // With an image that is as its files are, or that was opened just now.
  async #once<T>(
    call: Call,
    source: Source,
    act: (open: OpenImage) => Promise<T>,
  ): Promise<{ readonly value?: T; readonly error?: unknown; readonly stale: boolean }> {
    const { gfid } = source.inode;
    for (let isFirst = true;; isFirst = false) {
      const known = this.#open.get(gfid), found = known ?? this.#begin(call, source);
      const open = await found;
      if (open.closing) continue;
      try {
        const done = await open.use(async (open) => {
          await open.look();
          return open.stale && known && isFirst ? undefined : { value: await act(open) };
        });
        if (done && this.#open.get(gfid) === found) {
          this.#open.delete(gfid);
          this.#open.set(gfid, found);
        }
        if (done) return { ...done, stale: open.stale };
      } catch (error) {
        // Removed, or its brick was away: what is open is of no use.
        if (error instanceof FopError) this.#drop(gfid, found);
        return { error, stale: open.stale };
      } finally {
        if (open.stale) this.#drop(gfid, found);
      }
    }
  }

  #begin(call: Call, source: Source): Promise<OpenImage> {
    const { gfid } = source.inode;
    const opening = this.#openNow(call, source);
    this.#open.set(gfid, opening);
    opening.then((open) => {
      if (this.#open.get(gfid) !== opening) return open.retire();
      this.#opened.set(gfid, open);
      this.#makeRoom(gfid);
    }, () => {
      if (this.#open.get(gfid) === opening) this.#open.delete(gfid);
    });
    return opening;
  }

  async #openNow(call: Call, { inode, path }: Source): Promise<OpenImage> {
    const { top: child, inodes, env } = this.#volume;
    const open = new OpenImage({ child, inodes, clock: env.clock }, call);
    const mine = { ...call, deadline: Infinity };
    const { fd } = await child.open(mine, { inode, flags: 0 });
    const file = new VolumeFile(child, fd, mine, NO_OWNER);
    const stat = await file.stat().catch(async (error) => {
      await file.abandon();
      throw error;
    });
    const resolver = path === undefined
      ? { open: () => Promise.reject(ESTALE) }
      : new VolumeResolver(
        new Volume({ ...this.#volume, call: mine }),
        (file, stat) => open.watch(file, stat),
      );
    const { cacheBytes, files } = this.bounds;
    open.image = await openImage(
      { store: open.watch(file, stat), id: stat.gfid, path: path ?? "" },
      { resolver, cacheBytes: Math.floor(cacheBytes / files) },
    );
    return open;
  }

  // A chain that is longer than the bound alone stays as long as nobody else comes.
  #makeRoom(newest: Gfid): void {
    let { files } = this.count;
    for (const gfid of [...this.#open.keys()]) {
      if (files <= this.bounds.files) return;
      const open = this.#opened.get(gfid);
      if (!open || gfid === newest) continue;
      files -= open.count;
      this.#drop(gfid, this.#open.get(gfid)!);
    }
  }

  #drop(gfid: Gfid, found: Promise<OpenImage>): void {
    if (this.#open.get(gfid) !== found) return;
    this.#open.delete(gfid);
    this.#opened.get(gfid)?.retire();
    this.#opened.delete(gfid);
  }

  /** A file was changed by somebody else. Answers the images that it is a part of. */
  changed(gfid: Gfid): Gfid[] {
    return [...this.#opened].flatMap(([image, open]) => open.changed(gfid) ? [image] : []);
  }

  /** Closes the file of that gfid, in whatever image it is, unless it is read just now. */
  async close(gfid: Gfid): Promise<void> {
    await Promise.all([...this.#opened].map(async ([image, open]) => {
      if (!open.has(gfid)) return;
      this.#drop(image, this.#open.get(image)!);
      await open.retire();
    }));
  }

  /** Nothing that is open is relied on any more. Resolves when what nobody uses is closed. */
  async forget(): Promise<void> {
    await Promise.all([...this.#open].map(async ([gfid, found]) => {
      this.#drop(gfid, found);
      await (await found.catch(() => undefined))?.retire();
    }));
  }
}
