/**
 * The header: the first cluster of an image (qcow2.txt "Header", "Header extensions"). Reading checks
 * every field against the format, against QEMU's own limits and against the size of the file, so that
 * what is kept here can be used without another look. Extensions are kept byte for byte, those that
 * nobody here knows included; a header that is written again has them all.
 */

import { decodeName, encodeName } from "core/lib/bytes.ts";
import { corrupt, Qcow2Error, unsupported } from "snapshot/qcow2/failures.ts";
import { readU64, roundUp, viewOf, writeU64 } from "snapshot/qcow2/numbers.ts";

export const MAGIC = 0x514649fb;

/** Incompatible features. */
export const DIRTY = 1, CORRUPT = 2, EXTERNAL_DATA = 4, COMPRESSION = 8, EXTENDED_L2 = 16;
/** Auto-clear features. */
export const BITMAPS = 1, RAW_EXTERNAL = 2;
const KNOWN_INCOMPATIBLE = 31;

/** Header extensions that mean something here. */
export const EXT_BACKING_FORMAT = 0xe2792aca, EXT_BITMAPS = 0x23852875;
export const EXT_DATA_FILE = 0x44415441, EXT_FEATURE_NAMES = 0x6803f857;

const V2_SIZE = 72, V3_SIZE = 104;
// QEMU's limits; no image it can open is larger in these.
const L1_BYTES_MAX = 32 << 20, REFCOUNT_TABLE_BYTES_MAX = 8 << 20, SNAPSHOTS_MAX = 65536;
const NAME_MAX = 1023;

/** A header extension as it stands in the file, without padding. */
export interface Extension {
  readonly type: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** 64 feature bits as two halves. */
export interface Features {
  high: number;
  low: number;
}

/** The header, checked. Offsets and sizes in bytes where the name does not say otherwise. */
export interface Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  /** What the guest sees. */
  size: number;
  l1Entries: number;
  l1Offset: number;
  refcountTableOffset: number;
  refcountTableClusters: number;
  snapshotCount: number;
  snapshotsOffset: number;
  readonly incompatible: Features;
  readonly compatible: Features;
  readonly autoclear: Features;
  readonly refcountBits: number;
  readonly compression: "zlib" | "zstd";
  /** The header's own bytes past those fields, kept as they are. */
  readonly more: Uint8Array<ArrayBuffer>;
  extensions: Extension[];
  /** As it stands in the file; undefined: none. */
  backingFile: string | undefined;
}

/** Whether `bytes` begin as a qcow2 image does. */
export function looksLikeQcow2(bytes: Uint8Array): boolean {
  return bytes.length >= 8 && viewOf(bytes).getUint32(0) === MAGIC;
}

/** How much of a file `parseHeader` wants to see at most. */
export const HEADER_READ = 1 << 21;

/**
 * The header at the beginning of a file of `fileSize` bytes; `bytes` is the file's first cluster, or
 * all of a smaller file. Throws `Qcow2Error` with what is wrong.
 */
export function parseHeader(bytes: Uint8Array<ArrayBuffer>, fileSize: number): Header {
  if (!looksLikeQcow2(bytes)) {
    throw new Qcow2Error("not-qcow2", "Not a qcow2 image: its first bytes are not QFI\\xfb");
  }
  const view = viewOf(bytes);
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) {
    throw unsupported(`qcow2 version ${version} is not known; 2 and 3 are`);
  }
  if (bytes.length < (version === 2 ? V2_SIZE : V3_SIZE)) {
    throw corrupt(`The image ends within its header, after ${bytes.length} bytes`);
  }
  const clusterBits = view.getUint32(20);
  if (clusterBits < 9 || clusterBits > 21) {
    throw corrupt(`Clusters of 2^${clusterBits} bytes: 2^9 to 2^21 are possible`);
  }
  const clusterSize = 1 << clusterBits;
  const features = (at: number): Features =>
    version === 2 ? { high: 0, low: 0 } : { high: view.getUint32(at), low: view.getUint32(at + 4) };
  const length = version === 2 ? V2_SIZE : view.getUint32(100);
  if (length < (version === 2 ? V2_SIZE : V3_SIZE) || length % 8 || length > clusterSize) {
    throw corrupt(`A header of ${length} bytes is not possible`);
  }
  if (length > bytes.length) throw corrupt("The image ends within its header");
  const refcountOrder = version === 2 ? 4 : view.getUint32(96);
  if (refcountOrder > 6) throw corrupt(`Refcounts of 2^${refcountOrder} bits: 64 is the most`);
  const nameSize = readU64(view, 8) === 0 ? 0 : view.getUint32(16);
  const nameOffset = readU64(view, 8);
  if (nameSize > NAME_MAX || (nameSize && nameOffset > bytes.length - nameSize)) {
    throw corrupt("The name of the backing file is longer than 1023 bytes or outside the header");
  }
  const areaEnd = nameOffset ? Math.min(nameOffset, bytes.length) : bytes.length;
  const header: Header = {
    version,
    clusterBits,
    size: readU64(view, 24),
    l1Entries: view.getUint32(36),
    l1Offset: readU64(view, 40),
    refcountTableOffset: readU64(view, 48),
    refcountTableClusters: view.getUint32(56),
    snapshotCount: view.getUint32(60),
    snapshotsOffset: readU64(view, 64),
    incompatible: features(72),
    compatible: features(80),
    autoclear: features(88),
    refcountBits: 1 << refcountOrder,
    compression: length > V3_SIZE && bytes[104] === 1 ? "zstd" : "zlib",
    more: bytes.slice(version === 2 ? V2_SIZE : V3_SIZE, length),
    extensions: parseExtensions(bytes, length, Math.min(areaEnd, clusterSize)),
    backingFile: nameSize
      ? decodeName(bytes.subarray(nameOffset, nameOffset + nameSize))
      : undefined,
  };
  checkFeatures(header, view.getUint32(32), bytes[104] ?? 0);
  checkTables(header, fileSize);
  return header;
}

function parseExtensions(
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  end: number,
): Extension[] {
  const view = viewOf(bytes);
  const found: Extension[] = [];
  for (let at = start; at + 8 <= end;) {
    const type = view.getUint32(at), size = view.getUint32(at + 4);
    if (type === 0) return found;
    if (size > end - at - 8) {
      throw corrupt(`Header extension 0x${type.toString(16)} of ${size} bytes leaves the header`);
    }
    found.push({ type, data: bytes.slice(at + 8, at + 8 + size) });
    at += 8 + roundUp(size, 8);
  }
  return found;
}

/** Names of the incompatible bits that the format has, for people. */
const FEATURE_NAMES = ["dirty", "corrupt", "external data file", "compression type", "extended L2"];

function checkFeatures(header: Header, crypt: number, compression: number): void {
  const { incompatible, version } = header;
  if (crypt === 1) throw unsupported("The image is encrypted (AES); encryption is not offered");
  if (crypt === 2) throw unsupported("The image is encrypted (LUKS); encryption is not offered");
  if (crypt !== 0) throw unsupported(`Encryption method ${crypt} is not known`);
  const bit = unknownBit(incompatible);
  if (bit >= 0) {
    const name = featureName(header, bit);
    throw unsupported(
      `The image needs feature bit ${bit}${name ? ` ("${name}")` : ""}, which is not known here`,
    );
  }
  if (version === 3 && header.more.length && compression > 1) {
    throw unsupported(`Compression type ${compression} is not known; zlib (0) and zstd (1) are`);
  }
  if (!!(incompatible.low & COMPRESSION) !== (header.compression === "zstd")) {
    throw corrupt("The compression type and its feature bit contradict each other");
  }
  if (incompatible.low & EXTENDED_L2 && header.clusterBits < 14) {
    throw corrupt("Extended L2 entries need clusters of at least 16 KiB");
  }
  if (header.autoclear.low & RAW_EXTERNAL && !(incompatible.low & EXTERNAL_DATA)) {
    throw corrupt("The raw external data bit is set, but there is no external data file");
  }
}

function unknownBit({ high, low }: Features): number {
  const unknown = (low & ~KNOWN_INCOMPATIBLE) >>> 0;
  if (unknown) return 31 - Math.clz32(unknown & -unknown);
  return high ? 63 - Math.clz32(high & -high) : -1;
}

// What the image itself calls an incompatible bit.
function featureName(header: Header, bit: number): string | undefined {
  if (bit < FEATURE_NAMES.length) return FEATURE_NAMES[bit];
  const table = header.extensions.find((each) => each.type === EXT_FEATURE_NAMES)?.data;
  for (let at = 0; table && at + 48 <= table.length; at += 48) {
    if (table[at] !== 0 || table[at + 1] !== bit) continue;
    const text = table.subarray(at + 2, at + 48);
    const end = text.indexOf(0);
    return decodeName(text.subarray(0, end < 0 ? text.length : end)).replace(/[^ -~]/g, "?");
  }
  return undefined;
}

// Tables lie within the file, so that no number in an image makes anybody allocate more than it has.
function checkTables(header: Header, fileSize: number): void {
  const clusterSize = 1 << header.clusterBits;
  if (!Number.isSafeInteger(header.size)) {
    throw corrupt("The virtual disk is larger than 2^53 bytes");
  }
  const inFile = (what: string, offset: number, bytes: number, most: number) => {
    if (bytes > most) throw corrupt(`The ${what} has ${bytes} bytes; ${most} is the most`);
    if (offset % clusterSize || offset + bytes > fileSize || (offset === 0 && bytes > 0)) {
      throw corrupt(`The ${what} is not within the file (${bytes} bytes at ${offset})`);
    }
  };
  inFile("L1 table", header.l1Offset, header.l1Entries * 8, L1_BYTES_MAX);
  if (l1EntriesFor(header, header.size) > header.l1Entries) {
    throw corrupt(`The L1 table has ${header.l1Entries} entries, too few for the disk's size`);
  }
  const refcountBytes = header.refcountTableClusters * clusterSize;
  inFile("refcount table", header.refcountTableOffset, refcountBytes, REFCOUNT_TABLE_BYTES_MAX);
  if (header.snapshotCount > SNAPSHOTS_MAX) {
    throw corrupt(`${header.snapshotCount} snapshots; ${SNAPSHOTS_MAX} is the most`);
  }
  // Entries have at least 40 bytes; the list itself is checked when it is read.
  const snapshotBytes = header.snapshotCount * 40;
  inFile("snapshot table", header.snapshotsOffset, snapshotBytes, SNAPSHOTS_MAX * 40);
}

/** Bytes of one L2 entry. */
export function l2EntrySize(header: Pick<Header, "incompatible">): number {
  return header.incompatible.low & EXTENDED_L2 ? 16 : 8;
}

/** How many L1 entries a disk of `size` bytes needs. */
export function l1EntriesFor(
  header: Pick<Header, "clusterBits" | "incompatible">,
  size: number,
): number {
  const clusterSize = 1 << header.clusterBits;
  return Math.ceil(size / (clusterSize * (clusterSize / l2EntrySize(header))));
}

/** The extension of that type, or undefined. */
export function extension(header: Header, type: number): Uint8Array<ArrayBuffer> | undefined {
  return header.extensions.find((each) => each.type === type)?.data;
}

/** An extension that is a string, as text. */
export function extensionText(header: Header, type: number): string | undefined {
  const data = extension(header, type);
  return data && decodeName(data);
}

/** Where `fixedFields` begin in the file: the disk's size is the first of them. */
export const FIXED_FIELDS_AT = 24;

/**
 * The fields that change while an image is used, as they stand from `FIXED_FIELDS_AT` on: one write
 * of 48 bytes, within a sector, takes an image from one set of tables to another.
 */
export function fixedFields(header: Header): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(48);
  const view = viewOf(bytes);
  writeU64(view, 0, header.size);
  view.setUint32(12, header.l1Entries);
  writeU64(view, 16, header.l1Offset);
  writeU64(view, 24, header.refcountTableOffset);
  view.setUint32(32, header.refcountTableClusters);
  view.setUint32(36, header.snapshotCount);
  writeU64(view, 40, header.snapshotsOffset);
  return bytes;
}

/** The whole header with extensions and backing name; throws if it does not fit the first cluster. */
export function packHeader(header: Header): Uint8Array<ArrayBuffer> {
  const clusterSize = 1 << header.clusterBits;
  const length = (header.version === 2 ? V2_SIZE : V3_SIZE) + header.more.length;
  const name = header.backingFile === undefined ? undefined : encodeName(header.backingFile);
  const extensionsSize = header.extensions.reduce(
    (sum, { data }) => sum + 8 + roundUp(data.length, 8),
    8,
  );
  const total = length + extensionsSize + (name?.length ?? 0);
  if (total > clusterSize || (name?.length ?? 0) > NAME_MAX) {
    throw new Qcow2Error("usage", "The header with its names does not fit one cluster");
  }
  const bytes = new Uint8Array(total);
  const view = viewOf(bytes);
  view.setUint32(0, MAGIC);
  view.setUint32(4, header.version);
  view.setUint32(20, header.clusterBits);
  bytes.set(fixedFields(header), FIXED_FIELDS_AT);
  if (header.version === 3) {
    [header.incompatible, header.compatible, header.autoclear].forEach(({ high, low }, index) => {
      view.setUint32(72 + 8 * index, high);
      view.setUint32(76 + 8 * index, low);
    });
    view.setUint32(96, Math.log2(header.refcountBits));
    view.setUint32(100, length);
  }
  bytes.set(header.more, length - header.more.length);
  let at = length;
  for (const { type, data } of header.extensions) {
    view.setUint32(at, type);
    view.setUint32(at + 4, data.length);
    bytes.set(data, at + 8);
    at += 8 + roundUp(data.length, 8);
  }
  if (name) {
    writeU64(view, 8, at + 8);
    view.setUint32(16, name.length);
    bytes.set(name, at + 8);
  }
  return bytes;
}
