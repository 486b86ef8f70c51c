/** Persistent dirty bitmaps (qcow2.txt "Bitmaps"), read as lists of ranges. */

import { decodeName } from "core/lib/bytes.ts";
import { corrupt } from "snapshot/qcow2/failures.ts";
import { BITMAPS, EXT_BITMAPS, extension, type Header } from "snapshot/qcow2/header.ts";
import { offsetOf, readU64, roundUp, viewOf } from "snapshot/qcow2/numbers.ts";
import type { Store } from "snapshot/qcow2/store.ts";

/** A bitmap of the image: which parts of the disk changed since it was begun. */
export interface Bitmap {
  readonly name: string;
  /** Bytes of the disk that one bit stands for. */
  readonly granularity: number;
  /** Writes are to be recorded in it. */
  readonly enabled: boolean;
  /** It was not saved as it should have been: what it says may be wrong. */
  readonly inUse: boolean;
  /** Where its entry of the directory begins in the file, and the flags in there. */
  readonly entryOffset: number;
  readonly flags: number;
  readonly tableOffset: number;
  readonly tableEntries: number;
}

// QEMU's limits.
const DIRECTORY_MAX = 64 << 20, TABLE_MAX = (32 << 20) / 8, COUNT_MAX = 65535, NAME_MAX = 1023;
const FIXED = 24;

/** Bitmaps that the image has and that can be trusted to be whole; none if the feature bit is off. */
export async function readBitmaps(
  store: Store,
  header: Header,
  fileSize: number,
): Promise<Bitmap[]> {
  if (!(header.autoclear.low & BITMAPS)) return [];
  const area = extension(header, EXT_BITMAPS);
  if (!area || area.length < 24) throw corrupt("The bitmaps bit is set, but there are none");
  const view = viewOf(area);
  const count = view.getUint32(0), size = readU64(view, 8), offset = readU64(view, 16);
  const outside = offset % (1 << header.clusterBits) || offset + size > fileSize;
  if (count === 0 || count > COUNT_MAX || size > DIRECTORY_MAX || outside) {
    throw corrupt(`A directory of ${count} bitmaps (${size} bytes at ${offset}) is not possible`);
  }
  const bytes = new Uint8Array(size);
  await store.read(offset, bytes);
  const found: Bitmap[] = [];
  for (let at = 0; found.length < count;) {
    if (at + FIXED > size) throw corrupt("The bitmap directory ends before its last bitmap");
    const end = at +
      roundUp(FIXED + viewOf(bytes).getUint16(at + 18) + viewOf(bytes).getUint32(at + 20), 8);
    if (end > size) throw corrupt("A bitmap's entry leaves the bitmap directory");
    found.push(parseEntry(bytes.subarray(at, end), offset + at, header, fileSize));
    at = end;
  }
  return found;
}

function parseEntry(
  bytes: Uint8Array<ArrayBuffer>,
  entryOffset: number,
  header: Header,
  fileSize: number,
): Bitmap {
  const view = viewOf(bytes);
  const nameSize = view.getUint16(18), nameAt = FIXED + view.getUint32(20);
  const flags = view.getUint32(12), bits = view.getUint8(17);
  const bitmap = {
    name: decodeName(bytes.subarray(nameAt, nameAt + nameSize)),
    granularity: 2 ** bits,
    enabled: (flags & 2) !== 0,
    inUse: (flags & 1) !== 0,
    ...{ entryOffset, flags },
    tableOffset: readU64(view, 0),
    tableEntries: view.getUint32(8),
  };
  if (nameSize === 0 || nameSize > NAME_MAX) throw corrupt("A bitmap's name is empty or too long");
  if (bits < 9 || bits > 31) throw corrupt(`Bitmap "${bitmap.name}": granularity 2^${bits}`);
  if (view.getUint8(16) !== 1) throw corrupt(`Bitmap "${bitmap.name}" is of no known type`);
  const clusterSize = 1 << header.clusterBits;
  const needed = Math.ceil(Math.ceil(header.size / bitmap.granularity) / 8 / clusterSize);
  const { tableOffset, tableEntries } = bitmap;
  const outside = tableOffset % clusterSize || tableOffset + tableEntries * 8 > fileSize;
  if (tableEntries > TABLE_MAX || outside || (!bitmap.inUse && tableEntries !== needed)) {
    throw corrupt(`The table of bitmap "${bitmap.name}" (${tableEntries} entries) is not possible`);
  }
  return bitmap;
}

/** The ranges of the disk that `bitmap` says changed, in order, each as long as it can be. */
export async function* dirtyRanges(
  store: Store,
  header: Header,
  bitmap: Bitmap,
): AsyncGenerator<{ offset: number; length: number }> {
  const { granularity, tableEntries } = bitmap;
  const clusterSize = 1 << header.clusterBits;
  const table = new Uint8Array(tableEntries * 8), cluster = new Uint8Array(clusterSize);
  await store.read(bitmap.tableOffset, table);
  const view = viewOf(table);
  let start = -1;
  const covers = clusterSize * 8 * granularity;
  for (let index = 0; index < tableEntries; index++) {
    const low = view.getUint32(index * 8 + 4);
    const host = offsetOf(view.getUint32(index * 8), low);
    if (host % clusterSize) throw corrupt(`Bitmap "${bitmap.name}" has a cluster at ${host}`);
    if (host) cluster.fill(0, await store.read(host, cluster));
    else cluster.fill(low & 1 ? 0xff : 0);
    for (const [from, set] of changes(cluster, start >= 0)) {
      const at = index * covers + from * granularity;
      if (set) start = at;
      else {
        const end = Math.min(at, header.size);
        if (end > start) yield { offset: start, length: end - start };
        start = -1;
      }
    }
  }
  if (start >= 0 && start < header.size) yield { offset: start, length: header.size - start };
}

// Where bits change from what the one before was: the number of the bit, and what it is.
function* changes(bytes: Uint8Array, before: boolean): Generator<[number, boolean]> {
  let last = before;
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] === (last ? 0xff : 0)) continue;
    for (let bit = 0; bit < 8; bit++) {
      const set = (bytes[at]! >> bit & 1) === 1;
      if (set !== last) yield [at * 8 + bit, last = set];
    }
  }
}
