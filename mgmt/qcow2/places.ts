/**
 * Where images are, for commands: on this machine, or in a volume as `HOST:VOLUME/PATH`. Files that an
 * image names are looked for in its own folder here, or below the one that `--root` says; in a volume,
 * in all of it; and nowhere else.
 */

import { type Env, realClock } from "core/env.ts";
import type { XlatorTypes } from "core/registry.ts";
import type { Volume } from "core/volume.ts";
import { CommandError, UsageError } from "mgmt/cli/command.ts";
import { type Address, readAddress } from "mgmt/file/address.ts";
import { why } from "mgmt/file/failures.ts";
import { shownName } from "mgmt/file/listing.ts";
import { complain, Session } from "mgmt/file/session.ts";
import type { NewFile } from "mgmt/qcow2/export.ts";
import { LocalLocks } from "mgmt/qcow2/local_locks.ts";
import { Qcow2Error } from "snapshot/qcow2/failures.ts";
import { looksLikeQcow2 } from "snapshot/qcow2/header.ts";
import { type Image, openImage, type OpenOptions } from "snapshot/qcow2/image.ts";
import { LocalFile, openLocalFile } from "snapshot/qcow2/local_file.ts";
import { type ByteLocks, holdForWriting, writerOf } from "snapshot/qcow2/qemu_locks.ts";
import { type ImageFile, LocalResolver, type Resolver } from "snapshot/qcow2/resolve.ts";
import type { Store } from "snapshot/qcow2/store.ts";
import { VolumeResolver, VolumeStore } from "snapshot/qcow2/volume_files.ts";
import { VolumeLocks } from "snapshot/qcow2/volume_locks.ts";

/** Where an image is, and which of its snapshots is meant. */
export interface ImageName {
  readonly path: string;
  readonly snapshot: string | undefined;
}

/** How an image is opened for a command. */
export interface UseOptions extends OpenOptions {
  /** The folder that files named by an image on this machine may be in. */
  readonly root?: string | undefined;
}

/** An image's folder, its place in there, and what to do when it is not used any more. */
interface Place {
  readonly resolver: Resolver;
  readonly path: string;
  close(): void;
}

/** See the head of this file. Dispose it: connections end. */
export class ImagePlaces implements AsyncDisposable {
  readonly #types: () => Promise<XlatorTypes>;
  #session: Session | undefined;

  /** `types`: what volumes' graphs are made of, asked for when one is needed. */
  constructor(types: () => Promise<XlatorTypes>) {
    this.#types = types;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.[Symbol.asyncDispose]();
  }

  /** Where in a volume that is; undefined: here. A file of this machine that is called so comes first. */
  async address(text: string): Promise<Address | undefined> {
    const address = readAddress(text);
    return address && !await existsHere(text) ? address : undefined;
  }

  /** The volume of an address, and what its connections live in. Throws CommandError. */
  async volume(address: Address): Promise<{ readonly volume: Volume; readonly env: Env }> {
    this.#session ??= new Session(await this.#types(), { verbose: false, quiet: true });
    return { volume: await this.#session.volume(address), env: this.#session.env };
  }

  async #volume(address: Address): Promise<Volume> {
    return (await this.volume(address)).volume;
  }

  async #exists(text: string): Promise<boolean> {
    const address = await this.address(text);
    if (!address) return await existsHere(text);
    return await (await this.#volume(address)).exists(address.path);
  }

  /** Reads IMAGE or IMAGE@SNAPSHOT. A file that is called so, `@` included, comes first. */
  async parse(text: string): Promise<ImageName> {
    const at = text.lastIndexOf("@");
    if (at <= 0 || text.indexOf("/", at) >= 0 || await this.#exists(text)) {
      return { path: text, snapshot: undefined };
    }
    return { path: text.slice(0, at), snapshot: text.slice(at + 1) };
  }

  async #place(text: string, root: string | undefined): Promise<Place> {
    const address = await this.address(text);
    if (!address) return await localPlace(text, root);
    if (root !== undefined) {
      throw new UsageError(`Cannot use --root with ${text}: it is for images on this machine`);
    }
    const resolver = new VolumeResolver(await this.#volume(address));
    return { resolver, path: address.path, close: () => {} };
  }

  /**
   * Does `act` with an image and closes it; failures name the image. One that is to be changed is held,
   * so that QEMU's programs do not open it meanwhile, and refused if one has it open; `act` closes
   * it then.
   */
  async with<T>(
    text: string,
    options: UseOptions,
    act: (image: Image) => Promise<T>,
  ): Promise<T> {
    try {
      const { resolver, path, close } = await this.#place(text, options.root);
      try {
        const { writable = false } = options;
        const file = await resolver.open(path, "", { writable });
        await look(file, text, writable);
        const image = await openImage(file, { ...options, resolver });
        try {
          return await act(image);
        } finally {
          // A change closes it itself, with a flush.
          if (!writable) await image.close();
        }
      } finally {
        close();
      }
    } catch (error) {
      throw failed("use", text, error);
    }
  }

  /** Makes a file that must not exist. */
  async create(text: string): Promise<NewFile> {
    try {
      const address = await this.address(text);
      if (!address) {
        const store = openLocalFile(text, { create: true });
        return { store, remove: () => Deno.remove(text) };
      }
      const volume = await this.#volume(address), { path } = address;
      const file = await volume.open(path, { read: true, write: true, exclusive: true });
      return { store: new VolumeStore(file), remove: () => volume.unlink(path) };
    } catch (error) {
      throw failed("write", text, error);
    }
  }

  /** Names of the images in a directory, in order, and how each is written. */
  async images(text: string): Promise<{ name: string; text: string }[]> {
    const address = await this.address(text);
    const names: string[] = [];
    try {
      if (address) {
        const volume = await this.#volume(address);
        for await (const { name } of volume.readDir(address.path)) names.push(name);
      } else {
        for await (const { name } of Deno.readDir(text)) names.push(name);
      }
    } catch (error) {
      if (error instanceof CommandError) throw error;
      throw new CommandError(`Cannot list ${text}: it is no directory that can be read`);
    }
    const found: { name: string; text: string }[] = [];
    // A volume's root may be written without a slash.
    const folder = address?.path === "/" ? `${text.replace(/\/+$/, "")}` : text.replace(/\/+$/, "");
    for (const name of names.sort()) {
      const each = `${folder}/${name}`;
      if (await this.#isImage(each)) found.push({ name, text: each });
    }
    return found;
  }

  async #isImage(text: string): Promise<boolean> {
    try {
      const { resolver, path, close } = await this.#place(text, undefined);
      try {
        const { store } = await resolver.open(path, "", { writable: false });
        const start = new Uint8Array(8);
        try {
          return looksLikeQcow2(start.subarray(0, await store.read(0, start)));
        } finally {
          await store.close();
        }
      } finally {
        close();
      }
    } catch {
      // No file, or none that may be read.
      return false;
    }
  }

  /** How many bytes a file takes. */
  async takes(text: string): Promise<number> {
    try {
      const address = await this.address(text);
      if (address) return (await (await this.#volume(address)).stat(address.path)).blocks * 512;
      const { size, blocks } = await Deno.stat(text);
      return blocks === null ? size : blocks * 512;
    } catch (error) {
      throw failed("use", text, error);
    }
  }
}

async function existsHere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

async function localPlace(text: string, root: string | undefined): Promise<Place> {
  const real = await Deno.realPath(text);
  const folder = root === undefined
    ? real.slice(0, real.lastIndexOf("/")) || "/"
    : await Deno.realPath(root);
  if (folder !== "/" && !real.startsWith(`${folder}/`)) {
    throw new CommandError(`Cannot open ${text}: it is not below ${root}`);
  }
  const resolver = new LocalResolver(folder);
  const path = folder === "/" ? real.slice(1) : real.slice(folder.length + 1);
  return { resolver, path, close: () => resolver.close() };
}

// Who else has the image open.
async function look({ store }: ImageFile, text: string, writable: boolean): Promise<void> {
  const locks = locksOf(store);
  if (!locks) return;
  try {
    if (!writable) {
      const writer = await writerOf(locks);
      if (writer === undefined) return;
      complain(
        `${text} is being written to by ${
          shownName(writer)
        }: what that keeps in memory is not seen\n`,
      );
      return;
    }
    const holder = await holdForWriting(locks, realClock);
    if (holder === undefined) return;
    throw new CommandError(
      `Cannot change ${text}: ${shownName(holder)} has it open; end that first`,
    );
  } catch (error) {
    if (writable || error instanceof CommandError) {
      await store.close();
      throw error;
    }
    // Where nobody keeps locks, who only reads cannot know.
  }
}

function locksOf(store: Store): ByteLocks | undefined {
  if (store instanceof LocalFile) return new LocalLocks(store.fd);
  return store instanceof VolumeStore ? new VolumeLocks(store.file) : undefined;
}

function failed(doing: string, text: string, error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  const reason = error instanceof Qcow2Error ? error.message : why(error);
  return new CommandError(`Cannot ${doing} ${text}: ${shownName(reason)}`);
}
