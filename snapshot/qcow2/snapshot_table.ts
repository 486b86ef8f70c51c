/** The list of internal snapshots as it stands in the file (qcow2.txt "Snapshots"). */

import { decodeName, encodeName } from "core/lib/bytes.ts";
import { corrupt } from "snapshot/qcow2/failures.ts";
import type { Header } from "snapshot/qcow2/header.ts";
import type { L1Table } from "snapshot/qcow2/mapping.ts";
import { readU64, roundUp, viewOf, writeU64 } from "snapshot/qcow2/numbers.ts";
import type { Store } from "snapshot/qcow2/store.ts";

/** An internal snapshot. */
export interface SnapshotEntry extends L1Table {
  readonly id: string;
  readonly name: string;
  /** Seconds since 1970, and nanoseconds beyond them. */
  readonly seconds: number;
  readonly nanoseconds: number;
  /** How long the guest had run, in nanoseconds. */
  readonly vmClock: bigint;
  readonly vmStateSize: number;
  /** Bytes of the guest's disk then. */
  readonly diskSize: number;
  /** Extra data past the fields above, kept as it is. */
  readonly more: Uint8Array<ArrayBuffer>;
}

const FIXED = 40;
// QEMU's limits.
const TABLE_MAX = 16 << 20, EXTRA_MAX = 1024, L1_ENTRIES_MAX = (32 << 20) / 8;

/** Reads the list, and how large it is in the file; throws `corrupt` for one that leaves the file or the format's bounds. */
export async function readSnapshots(
  store: Store,
  header: Header,
  fileSize: number,
): Promise<{ snapshots: SnapshotEntry[]; bytes: number }> {
  const found: SnapshotEntry[] = [];
  // Read in one piece, no larger than the file and QEMU's limit. Most are tiny: look at a little first.
  let bytes = new Uint8Array(0);
  const most = Math.min(TABLE_MAX, fileSize - header.snapshotsOffset);
  const upTo = async (end: number) => {
    if (end > most) throw corrupt("The snapshot table leaves the file, or is over 16 MiB");
    if (end <= bytes.length) return;
    bytes = new Uint8Array(Math.min(most, Math.max(end, bytes.length * 4, 4096)));
    await store.read(header.snapshotsOffset, bytes);
  };
  let at = 0;
  while (found.length < header.snapshotCount) {
    await upTo(at + FIXED);
    const size = entrySize(viewOf(bytes), at);
    await upTo(at + size);
    found.push(parseEntry(bytes.subarray(at, at + size), header, fileSize));
    at += roundUp(size, 8);
  }
  return { snapshots: found, bytes: at };
}

function entrySize(view: DataView, at: number): number {
  const extra = view.getUint32(at + 36);
  if (extra > EXTRA_MAX) throw corrupt(`A snapshot with ${extra} bytes of extra data`);
  return FIXED + extra + view.getUint16(at + 12) + view.getUint16(at + 14);
}

function parseEntry(
  bytes: Uint8Array<ArrayBuffer>,
  header: Header,
  fileSize: number,
): SnapshotEntry {
  const view = viewOf(bytes);
  const extra = view.getUint32(36), idSize = view.getUint16(12), nameSize = view.getUint16(14);
  const idAt = FIXED + extra;
  const entry = {
    l1Offset: readU64(view, 0),
    l1Entries: view.getUint32(8),
    id: decodeName(bytes.subarray(idAt, idAt + idSize)),
    name: decodeName(bytes.subarray(idAt + idSize, idAt + idSize + nameSize)),
    seconds: view.getUint32(16),
    nanoseconds: view.getUint32(20),
    vmClock: view.getBigUint64(24),
    vmStateSize: extra >= 8 ? readU64(view, 40) : view.getUint32(32),
    diskSize: extra >= 16 ? readU64(view, 48) : header.size,
    more: bytes.slice(Math.min(FIXED + 16, idAt), idAt),
  };
  const { l1Offset, l1Entries } = entry;
  const outside = l1Offset % (1 << header.clusterBits) || l1Offset + l1Entries * 8 > fileSize;
  if (outside || l1Entries > L1_ENTRIES_MAX || (l1Entries > 0 && l1Offset === 0)) {
    throw corrupt(`The L1 table of snapshot "${entry.id}" is not within the file`);
  }
  if (!Number.isSafeInteger(entry.diskSize) || !Number.isSafeInteger(entry.vmStateSize)) {
    throw corrupt(`The sizes of snapshot "${entry.id}" are not possible`);
  }
  return entry;
}

/** The list as it goes into the file. */
export function packSnapshots(entries: readonly SnapshotEntry[]): Uint8Array<ArrayBuffer> {
  const packed = entries.map(packEntry);
  const bytes = new Uint8Array(packed.reduce((sum, { length }) => sum + roundUp(length, 8), 0));
  let at = 0;
  for (const each of packed) {
    bytes.set(each, at);
    at += roundUp(each.length, 8);
  }
  return bytes;
}

function packEntry(entry: SnapshotEntry): Uint8Array<ArrayBuffer> {
  const id = encodeName(entry.id), name = encodeName(entry.name);
  const extra = 16 + entry.more.length;
  const bytes = new Uint8Array(FIXED + extra + id.length + name.length);
  const view = viewOf(bytes);
  writeU64(view, 0, entry.l1Offset);
  view.setUint32(8, entry.l1Entries);
  view.setUint16(12, id.length);
  view.setUint16(14, name.length);
  view.setUint32(16, entry.seconds);
  view.setUint32(20, entry.nanoseconds);
  view.setBigUint64(24, entry.vmClock);
  view.setUint32(32, entry.vmStateSize < 2 ** 32 ? entry.vmStateSize : 0);
  view.setUint32(36, extra);
  writeU64(view, 40, entry.vmStateSize);
  writeU64(view, 48, entry.diskSize);
  bytes.set(entry.more, FIXED + 16);
  bytes.set(id, FIXED + extra);
  bytes.set(name, FIXED + extra + id.length);
  return bytes;
}
