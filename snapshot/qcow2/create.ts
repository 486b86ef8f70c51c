/** A new image: the header, a refcount table with what it needs, and an L1 table without entries. */

import { encodeName } from "core/lib/bytes.ts";
import { usage } from "snapshot/qcow2/failures.ts";
import {
  EXT_BACKING_FORMAT,
  EXTENDED_L2,
  type Extension,
  type Header,
  l1EntriesFor,
  packHeader,
} from "snapshot/qcow2/header.ts";
import { viewOf, writeU64 } from "snapshot/qcow2/numbers.ts";
import type { Store } from "snapshot/qcow2/store.ts";

/** What a new image is like; what is left out is as QEMU has it. */
export interface CreateOptions {
  /** Bytes that the guest sees; a multiple of 512. */
  readonly size: number;
  /** 512 bytes to 2 MiB, a power of two; 64 KiB. */
  readonly clusterSize?: number;
  /** 3. */
  readonly version?: 2 | 3;
  /** 1 to 64, a power of two; 16. Version 2 has 16. */
  readonly refcountBits?: number;
  /** Clusters in 32 parts of their own; needs clusters of 16 KiB and more. */
  readonly extendedL2?: boolean;
  /** The file below, as its name goes into the image. */
  readonly backing?: { readonly file: string; readonly format: "qcow2" | "raw" };
}

/** Makes an empty image in an empty store. */
export async function createImage(store: Store, options: CreateOptions): Promise<void> {
  const header = headerFor(options);
  const clusterSize = 1 << header.clusterBits;
  const perBlock = clusterSize * 8 / header.refcountBits;
  const l1Clusters = Math.ceil(header.l1Entries * 8 / clusterSize);
  let tableClusters = 1, blocks = 1, total = 0;
  // Blocks describe themselves, too: until they are enough.
  for (let last = -1; last !== total;) {
    last = total;
    total = 1 + tableClusters + blocks + l1Clusters;
    blocks = Math.ceil(total / perBlock);
    tableClusters = Math.ceil(blocks * 8 / clusterSize);
  }
  header.refcountTableOffset = clusterSize;
  header.refcountTableClusters = tableClusters;
  header.l1Offset = (1 + tableClusters + blocks) * clusterSize;
  await store.truncate(0);
  await store.truncate(total * clusterSize);
  const table = new Uint8Array(tableClusters * clusterSize);
  const first = (1 + tableClusters) * clusterSize;
  for (let block = 0; block < blocks; block++) {
    writeU64(viewOf(table), block * 8, first + block * clusterSize);
    const used = Math.min(perBlock, total - block * perBlock);
    await store.write(first + block * clusterSize, onesOf(used, header.refcountBits, clusterSize));
  }
  await store.write(header.refcountTableOffset, table);
  await store.write(0, packHeader(header));
  await store.flush();
}

function headerFor(options: CreateOptions): Header {
  const { size, clusterSize = 65536, version = 3, refcountBits = 16, backing } = options;
  const clusterBits = Math.log2(clusterSize), order = Math.log2(refcountBits);
  if (!Number.isInteger(clusterBits) || clusterBits < 9 || clusterBits > 21) {
    throw usage("A cluster has 512 bytes to 2 MiB, a power of two");
  }
  if (!Number.isInteger(order) || order < 0 || order > 6 || (version === 2 && order !== 4)) {
    throw usage("Refcounts have 1 to 64 bits, a power of two, and 16 in version 2");
  }
  if (options.extendedL2 && (clusterBits < 14 || version === 2)) {
    throw usage("Extended L2 entries need version 3 and clusters of 16 KiB or more");
  }
  if (!Number.isSafeInteger(size) || size < 0 || size % 512) {
    throw usage("A disk's size is a multiple of 512 bytes");
  }
  const extensions: Extension[] = backing
    ? [{ type: EXT_BACKING_FORMAT, data: encodeName(backing.format) }]
    : [];
  const header: Header = {
    ...{ version, clusterBits, size, refcountBits, extensions },
    ...{ l1Entries: 0, l1Offset: 0, refcountTableOffset: 0, refcountTableClusters: 0 },
    ...{ snapshotCount: 0, snapshotsOffset: 0, compression: "zlib" },
    incompatible: { high: 0, low: options.extendedL2 ? EXTENDED_L2 : 0 },
    compatible: { high: 0, low: 0 },
    autoclear: { high: 0, low: 0 },
    // QEMU's own header has the compression type, and padding behind it.
    more: new Uint8Array(version === 3 ? 8 : 0),
    backingFile: backing?.file,
  };
  header.l1Entries = Math.max(1, l1EntriesFor(header, size));
  const L1_BYTES_MAX = 32 << 20;
  if (header.l1Entries * 8 > L1_BYTES_MAX) {
    throw usage("The disk is too large for clusters of that size; use larger ones");
  }
  return header;
}

// A refcount block whose first `count` entries are 1.
function onesOf(count: number, bits: number, size: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(size);
  for (let index = 0; index < count; index++) {
    if (bits < 8) block[Math.floor(index * bits / 8)]! |= 1 << index * bits % 8;
    else block[(index + 1) * bits / 8 - 1] = 1;
  }
  return block;
}
