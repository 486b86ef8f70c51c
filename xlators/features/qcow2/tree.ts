/** What the tree holds: names, attributes and contents, made from the volume when they are asked for. */

import type { Call } from "core/call.ts";
import { ENOENT, ENOTDIR, ENXIO, ESTALE } from "core/errno.ts";
import { type Iatt, isDirectory, isRegular } from "core/iatt.ts";
import type { Gfid, InodeTable } from "core/inode.ts";
import { equalBytes } from "core/lib/bytes.ts";
import type { Xlator } from "core/xlator.ts";
import type { Disk } from "snapshot/qcow2/disk.ts";
import type { Editor } from "snapshot/qcow2/editor.ts";
import { Qcow2Error } from "snapshot/qcow2/failures.ts";
import {
  diskStat,
  folderStat,
  insideStat,
  takenAt,
  textStat,
} from "xlators/features/qcow2/attributes.ts";
import { kindGfid, partGfid, topGfid } from "xlators/features/qcow2/gfids.ts";
import type { Heads } from "xlators/features/qcow2/heads.ts";
import type { Images, Source } from "xlators/features/qcow2/images.ts";
import { shownNames } from "xlators/features/qcow2/names.ts";
import type { OpenImage } from "xlators/features/qcow2/open_image.ts";
import { isFolder, type Place, snapshotPart } from "xlators/features/qcow2/places.ts";
import { snapshotOf, textOf } from "xlators/features/qcow2/texts.ts";
import type { Writers } from "xlators/features/qcow2/writers.ts";

/** A name in a directory of the tree. */
export interface Entry {
  readonly name: string;
  readonly place: Place;
}

/** Where the tree looks. */
export interface TreeParts {
  readonly child: Xlator;
  readonly inodes: InodeTable;
  readonly images: Images;
  readonly heads: Heads;
  readonly writers: Writers;
  /** Whether disks may be written. */
  readonly mayWrite: () => boolean;
}

/** A text that says why an image cannot be opened. */
const ERROR = "error";

const always = () => true;

/** See the head of this file. */
export class Tree {
  readonly #parts: TreeParts;
  /** The tree's top. */
  readonly top: Place;
  readonly #folders: Place;

  constructor(parts: TreeParts) {
    this.#parts = parts;
    const source = { inode: parts.inodes.root, path: "" };
    this.top = { kind: "top", source };
    this.#folders = { kind: "folder", source };
  }

  /** The gfid of a place. */
  gfidOf(place: Place): Gfid {
    const { inode } = place.source;
    if (place.kind === "top") return topGfid(inode);
    return "part" in place
      ? partGfid(inode.gfid, place.kind, place.part)
      : kindGfid(inode.gfid, place.kind);
  }

  /** Attributes of a place. */
  async stat(call: Call, place: Place, gfid = this.gfidOf(place)): Promise<Iatt> {
    const { kind, source } = place;
    if (kind === "top" || kind === "folder" || kind === "image" || kind === "error") {
      const { stat } = await this.#parts.child.stat(call, { inode: source.inode });
      if (kind === "error") return textStat(stat, gfid, (await this.text(call, place)).length);
      return (kind === "image" ? insideStat : folderStat)(stat, gfid);
    }
    return await this.#parts.images.read(
      call,
      source,
      (open) => statInside(open, place, gfid, this.#parts.mayWrite()),
      always,
    );
  }

  /** What a directory of an image, or the top, holds; the names of a folder are listed elsewhere. */
  async list(call: Call, place: Place): Promise<Entry[]> {
    const { source } = place;
    switch (place.kind) {
      case "top":
        return [{ name: "images", place: this.#folders }];
      case "image":
        return await this.#listImage(call, source);
      case "snapshot":
        return [
          { name: "disk.raw", place: { ...place, kind: "snapshot-disk" } },
          { name: "info.json", place: { ...place, kind: "snapshot-info" } },
        ];
      case "snapshots":
        return await this.#names(call, source, (open) => {
          const all = [...shownNames(open.image.snapshots)];
          return Promise.resolve(all.map(([name, entry]) => {
            return { name, place: { kind: "snapshot", source, part: snapshotPart(entry) } };
          }));
        });
      case "bitmaps":
        return await this.#names(call, source, async (open) => {
          const saved = (await open.image.bitmaps()).filter(({ inUse }) => !inUse);
          const all = shownNames(saved.map(({ name }) => ({ id: "", name })));
          return [...all].map(([shown, { name }]) => {
            return { name: shown, place: { kind: "bitmap", source, part: name } };
          });
        });
      default:
        throw ENOTDIR;
    }
  }

  async #listImage(call: Call, source: Source): Promise<Entry[]> {
    const kinds = await this.#parts.images.read(call, source, () => {
      return Promise.resolve(["disk", "info", "snapshots", "bitmaps"] as const);
    }, always).catch((error) => {
      if (error instanceof Qcow2Error) return ["error"] as const;
      throw error;
    });
    const names = { disk: "disk.raw", info: "info.json", error: ERROR };
    return kinds.map((kind) => {
      const name = kind === "snapshots" || kind === "bitmaps" ? kind : names[kind];
      return { name, place: { kind, source } };
    });
  }

  #names(
    call: Call,
    source: Source,
    act: (open: OpenImage) => Promise<Entry[]>,
  ): Promise<Entry[]> {
    return this.#parts.images.read(call, source, act, (one, other) => {
      return JSON.stringify(one.map(({ name }) => name)) ===
        JSON.stringify(other.map(({ name }) => name));
    });
  }

  /** What `name` stands for. Throws ENOENT. */
  async lookup(call: Call, parent: Place, name: string): Promise<{ place: Place; stat: Iatt }> {
    if (parent.kind === "folder") return await this.#lookupReal(call, parent.source, name);
    if (!isFolder(parent)) throw ENOTDIR;
    const found = (await this.list(call, parent)).find((each) => each.name === name);
    if (!found) throw ENOENT;
    return { place: found.place, stat: await this.stat(call, found.place) };
  }

  async #lookupReal(call: Call, folder: Source, name: string) {
    const { stat } = await this.#parts.child.lookup(call, { parent: folder.inode, name });
    const found = await this.real(call, folder, name, stat);
    if (!found) throw ENOENT;
    return found;
  }

  /** What stands for a directory or an image of the volume; undefined for other files. */
  async real(
    call: Call,
    folder: Source,
    name: string,
    stat: Iatt,
  ): Promise<{ place: Place; stat: Iatt } | undefined> {
    const kind = isDirectory(stat) ? "folder" : isRegular(stat) ? "image" : undefined;
    if (!kind) return undefined;
    if (kind === "image" && !await this.#parts.heads.isImage(call, stat)) return undefined;
    const path = folder.path === undefined ? undefined : `${folder.path}/${name}`;
    const source = { inode: this.#parts.inodes.of(stat.gfid), path };
    const gfid = kindGfid(stat.gfid, kind);
    return {
      place: { kind, source },
      stat: kind === "folder" ? folderStat(stat, gfid) : insideStat(stat, gfid),
    };
  }

  /** The whole of a file that is no disk. */
  async text(call: Call, place: Place): Promise<Uint8Array<ArrayBuffer>> {
    const { images } = this.#parts;
    if (place.kind !== "error") {
      return await images.read(call, place.source, (open) => textOf(open, place), equalBytes);
    }
    const why = await images.read(call, place.source, () => Promise.resolve(""), always)
      .catch((error) => {
        if (!(error instanceof Qcow2Error)) throw error;
        images.trouble(place.source, error.message);
        return `${error.message}\n`;
      });
    return new TextEncoder().encode(why);
  }

  // Of a disk that is being written to here: what it was given may be in memory still.
  #editorOf({ kind, source }: Place): Editor | undefined {
    return kind === "disk" ? this.#parts.writers.of(source)?.editor : undefined;
  }

  /** The bytes of a disk, fewer than `size` only at its end, and its size. */
  async read(
    call: Call,
    place: Place,
    offset: number,
    size: number,
  ): Promise<{ data: Uint8Array; size: number }> {
    const editor = this.#editorOf(place);
    if (editor) {
      const { size: all } = editor.image.disk;
      const data = new Uint8Array(Math.max(0, Math.min(size, all - offset)));
      if (data.length) await editor.read(offset, data);
      return { data, size: all };
    }
    return await this.#parts.images.read(call, place.source, async (open) => {
      const disk = diskOf(open, place);
      // A peer does not choose our memory: no more than there is to read.
      const data = new Uint8Array(Math.max(0, Math.min(size, disk.size - offset)));
      if (data.length) await disk.read(offset, data);
      return { data, size: disk.size };
    }, (one, other) => equalBytes(one.data, other.data));
  }

  /** Where data, or a hole, begins at or after `offset` of a disk. Throws ENXIO. */
  async seek(call: Call, place: Place, offset: number, what: "data" | "hole"): Promise<number> {
    const editor = this.#editorOf(place);
    const found = editor
      ? await editor.alone(() => seekIn(editor.image.disk, offset, what))
      : await this.#parts.images.read(
        call,
        place.source,
        (open) => seekIn(diskOf(open, place), offset, what),
        (one, other) => one === other,
      );
    if (found < 0) throw ENXIO;
    return found;
  }

  /** Fails with EACCES unless the caller may read the image, and all that it is made of. */
  async allow(call: Call, { kind, source }: Place): Promise<void> {
    if (kind === "error") return;
    await this.#parts.images.read(call, source, (open) => open.allow(call), always);
  }
}

// Where data, or a hole, begins; -1: nowhere.
async function seekIn(disk: Disk, offset: number, what: "data" | "hole"): Promise<number> {
  if (offset >= disk.size) return -1;
  for await (const extent of disk.extents(offset, disk.size)) {
    if ((extent.kind === "data") === (what === "data")) return extent.offset;
  }
  return what === "data" ? -1 : disk.size;
}

/** The disk of an image, or of a snapshot. Throws ESTALE for one that is not there any more. */
function diskOf(open: OpenImage, place: Place): Disk {
  return place.kind === "disk" ? open.image.disk : open.image.snapshotDisk(snapshotOf(open, place));
}

async function statInside(
  open: OpenImage,
  place: Place,
  gfid: Gfid,
  writable: boolean,
): Promise<Iatt> {
  switch (place.kind) {
    case "disk":
      return diskStat(open.stats, gfid, open.image.disk.size, { writable });
    case "snapshots":
    case "bitmaps":
      return insideStat(open.stat, gfid);
    case "snapshot":
      return takenAt(insideStat(open.stat, gfid), snapshotOf(open, place));
    case "snapshot-disk": {
      const snapshot = snapshotOf(open, place);
      return takenAt(diskStat(open.stats, gfid, snapshot.diskSize), snapshot);
    }
    case "info":
    case "bitmap":
      return textStat(open.stat, gfid, (await textOf(open, place)).length);
    case "snapshot-info": {
      const { length } = await textOf(open, place);
      return takenAt(textStat(open.stat, gfid, length), snapshotOf(open, place));
    }
    default:
      throw ESTALE;
  }
}
