/**
 * An image that is open: its header, its disk as it is now, its internal snapshots, its bitmaps, and
 * the chain of files below it. Opening reads the header, the list of snapshots and nothing else; L1
 * and L2 tables come page by page when they are asked for, so that a disk of a tebibyte opens as
 * quickly as a small one.
 */

import { type Bitmap, dirtyRanges, readBitmaps } from "snapshot/qcow2/bitmaps.ts";
import { type Disk, type Extent, merged, RawDisk } from "snapshot/qcow2/disk.ts";
import { corrupt, Qcow2Error, refused, unsupported, usage } from "snapshot/qcow2/failures.ts";
import {
  DIRTY,
  EXT_BACKING_FORMAT,
  EXT_DATA_FILE,
  extensionText,
  EXTERNAL_DATA,
  type Header,
  HEADER_READ,
  looksLikeQcow2,
  parseHeader,
} from "snapshot/qcow2/header.ts";
import { type L1Table, Mapping } from "snapshot/qcow2/mapping.ts";
import { Pages } from "snapshot/qcow2/pages.ts";
import { Reader } from "snapshot/qcow2/reader.ts";
import { checkName, type ImageFile, type Resolver } from "snapshot/qcow2/resolve.ts";
import { readSnapshots, type SnapshotEntry } from "snapshot/qcow2/snapshot_table.ts";

/** A chain may have so many files. */
export const CHAIN_MAX = 200;
const CACHE_BYTES = 4 << 20;

/** How an image is opened. */
export interface OpenOptions {
  /** Finds backing and data files; without it an image that has any is refused. */
  readonly resolver?: Resolver;
  /** Most bytes of L1 and L2 tables kept in memory, for each image of the chain. */
  readonly cacheBytes?: number;
  /** An external data file is opened for writing, too. */
  readonly writable?: boolean;
  /** Backing files are not opened; what is not allocated reads as zeros. For checks. */
  readonly alone?: boolean;
}

/** What an image is made of; parts of the library share it. */
export interface Parts {
  readonly file: ImageFile;
  readonly header: Header;
  readonly pages: Pages;
  readonly mapping: Mapping;
  readonly reader: Reader;
  readonly dataFile: ImageFile | undefined;
  readonly backing: Opened | undefined;
  snapshots: SnapshotEntry[];
  /** Size of the list of snapshots in the file. */
  snapshotBytes: number;
}

/** A file of a chain: an image, or a plain file. */
export interface Opened {
  readonly disk: Disk;
  readonly format: "qcow2" | "raw";
  readonly path: string;
  close(): Promise<void>;
}

/**
 * Opens the image in `file`, which belongs to the image from then on: also if this throws, it is
 * closed. Throws `Qcow2Error` with what is wrong, or what the store failed with.
 */
export function openImage(file: ImageFile, options: OpenOptions = {}): Promise<Image> {
  return openLinked(file, options, new Set());
}

async function openLinked(
  file: ImageFile,
  options: OpenOptions,
  above: ReadonlySet<string>,
): Promise<Image> {
  const held: { close(): Promise<void> }[] = [file.store];
  try {
    const fileSize = await file.store.size();
    const header = await readHeader(file, fileSize);
    const seen = new Set(above).add(file.id);
    const dataFile = header.incompatible.low & EXTERNAL_DATA
      ? await openDataFile(file, header, options, seen)
      : undefined;
    if (dataFile) held.push(dataFile.store);
    const backing = header.backingFile === undefined || options.alone
      ? undefined
      : await openBacking(file, header, options, seen);
    if (backing) held.push(backing);
    const table = await readSnapshots(file.store, header, fileSize);
    const clusterSize = 1 << header.clusterBits;
    const pages = new Pages(file.store, clusterSize, options.cacheBytes ?? CACHE_BYTES);
    const mapping = new Mapping(header, pages, fileSize);
    const reader = new Reader({
      store: file.store,
      data: dataFile?.store ?? file.store,
      pages,
      mapping,
      compression: header.compression,
      backing: backing?.disk,
    });
    const { snapshots, bytes: snapshotBytes } = table;
    return new Image({
      ...{ file, header, pages, mapping, reader, dataFile, backing, snapshots, snapshotBytes },
    });
  } catch (failure) {
    for (const each of held) await each.close();
    throw failure;
  }
}

/** The header of the image in `file`. */
export async function readHeader(file: ImageFile, fileSize: number): Promise<Header> {
  // The first 512 bytes say how large a cluster is; the header's extensions may fill one.
  const start = new Uint8Array(512);
  const got = await file.store.read(0, start);
  if (!looksLikeQcow2(start.subarray(0, got))) return parseHeader(start.subarray(0, got), fileSize);
  const bits = start[20] || start[21] || start[22] ? 0 : start[23]!;
  const size = Math.min(bits > 9 && bits <= 21 ? 1 << bits : 512, fileSize, HEADER_READ);
  if (size <= got) return parseHeader(start.subarray(0, got), fileSize);
  const cluster = new Uint8Array(size);
  const more = await file.store.read(0, cluster);
  return parseHeader(cluster.subarray(0, more), fileSize);
}

async function openDataFile(
  file: ImageFile,
  header: Header,
  { resolver, writable }: OpenOptions,
  seen: ReadonlySet<string>,
): Promise<ImageFile> {
  const name = extensionText(header, EXT_DATA_FILE);
  if (name === undefined) throw corrupt("The image has its data elsewhere, but does not say where");
  checkName(name);
  if (!resolver) throw refused(`The image's data is in "${name}", and no other file may be opened`);
  const data = await resolver.open(name, file.path, { writable: writable ?? false });
  if (!seen.has(data.id)) return data;
  await data.store.close();
  throw refused(`The image's data file "${name}" is a part of its own chain`);
}

async function openBacking(
  file: ImageFile,
  header: Header,
  options: OpenOptions,
  seen: ReadonlySet<string>,
): Promise<Opened> {
  const name = header.backingFile!;
  checkName(name);
  const { resolver } = options;
  if (!resolver) throw refused(`The image needs "${name}", and no other file may be opened`);
  const format = extensionText(header, EXT_BACKING_FORMAT);
  if (format !== undefined && format !== "qcow2" && format !== "raw") {
    throw unsupported(`The backing file is of format "${format}"; qcow2 and raw are offered`);
  }
  const below = await resolver.open(name, file.path, { writable: false });
  if (seen.has(below.id) || seen.size >= CHAIN_MAX) {
    await below.store.close();
    throw refused(
      seen.has(below.id)
        ? `The chain of backing files is a loop: "${name}" comes again`
        : `The chain of backing files has more than ${CHAIN_MAX} files`,
    );
  }
  return await openBelow(below, format, { ...options, writable: false }, seen);
}

async function openBelow(
  file: ImageFile,
  format: string | undefined,
  options: OpenOptions,
  seen: ReadonlySet<string>,
): Promise<Opened> {
  const { store, path } = file;
  if (format !== "raw") {
    const start = new Uint8Array(8);
    const got = await store.read(0, start);
    if (format === "qcow2" || looksLikeQcow2(start.subarray(0, got))) {
      const image = await openLinked(file, options, seen);
      return { disk: image.disk, format: "qcow2", path, close: () => image.close() };
    }
  }
  const disk = new RawDisk(store, await store.size());
  return { disk, format: "raw", path, close: () => store.close() };
}

/** A disk that an L1 table describes, with a size of its own. */
class TableDisk implements Disk {
  readonly #reader: Reader;
  readonly #table: L1Table;
  readonly #size: () => number;

  constructor(reader: Reader, table: L1Table, size: () => number) {
    this.#reader = reader;
    this.#table = table;
    this.#size = size;
  }

  get size(): number {
    return this.#size();
  }

  read(offset: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    const here = Math.max(0, this.#size() - offset);
    if (here >= into.length) return this.#reader.read(this.#table, offset, into);
    into.fill(0, here);
    return this.#reader.read(this.#table, offset, into.subarray(0, here));
  }

  extents(offset: number, end: number): AsyncGenerator<Extent> {
    return merged(this.#extents(offset, end));
  }

  async *#extents(offset: number, end: number): AsyncGenerator<Extent> {
    const middle = Math.min(end, Math.max(offset, this.#size()));
    yield* this.#reader.extents(this.#table, offset, middle);
    if (end > middle) yield { offset: middle, length: end - middle, kind: "hole" };
  }
}

/** An open image, for reading. `edit.ts` changes one. */
export class Image {
  /** The guest's disk as it is now. */
  readonly disk: Disk;

  constructor(readonly parts: Parts) {
    const { header, reader } = parts;
    this.disk = new TableDisk(reader, header, () => header.size);
  }

  /** Internal snapshots, oldest first. */
  get snapshots(): readonly SnapshotEntry[] {
    return this.parts.snapshots;
  }

  /** The snapshot with that id, or else that name; throws if there is none. */
  snapshot(idOrName: string): SnapshotEntry {
    const { snapshots } = this.parts;
    const found = snapshots.find(({ id }) => id === idOrName) ??
      snapshots.find(({ name }) => name === idOrName);
    if (!found) throw usage(`The image has no snapshot "${idOrName}"`);
    return found;
  }

  /** The disk as it was at a snapshot. */
  snapshotDisk(snapshot: SnapshotEntry): Disk {
    return new TableDisk(this.parts.reader, snapshot, () => snapshot.diskSize);
  }

  /** Fills `into` from `offset` of the state of the virtual machine that a snapshot has. */
  async readVmState(
    snapshot: SnapshotEntry,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
  ): Promise<void> {
    if (offset < 0 || offset + into.length > snapshot.vmStateSize) {
      throw usage(`The VM state of snapshot "${snapshot.id}" has ${snapshot.vmStateSize} bytes`);
    }
    const { mapping, reader } = this.parts;
    // It lies beyond the disk, from the next L1 entry on.
    const start = Math.ceil(snapshot.diskSize / mapping.l2Covers) * mapping.l2Covers;
    await reader.read(snapshot, start + offset, into);
  }

  /** Dirty bitmaps; none if the image says that they are not to be trusted. */
  bitmaps(): Promise<Bitmap[]> {
    const { file, header, mapping } = this.parts;
    return readBitmaps(file.store, header, mapping.fileSize);
  }

  /** What a bitmap says changed, as ranges of the disk. Throws for one that was not saved. */
  dirtyRanges(bitmap: Bitmap): AsyncGenerator<{ offset: number; length: number }> {
    if (bitmap.inUse) {
      throw new Qcow2Error("usage", `Bitmap "${bitmap.name}" was not saved when it was last used`);
    }
    return dirtyRanges(this.parts.file.store, this.parts.header, bitmap);
  }

  /** Refcounts may be behind what the tables say: `repair` before writing. */
  get dirty(): boolean {
    return (this.parts.header.incompatible.low & DIRTY) !== 0;
  }

  /** Closes the image, its data file and its chain. */
  async close(): Promise<void> {
    const { file, dataFile, backing } = this.parts;
    await file.store.close();
    await dataFile?.store.close();
    await backing?.close();
  }
}
